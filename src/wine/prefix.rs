//! One prefix, and a game in it.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use super::registry_file::{self, Registered};
use crate::invitation::Guid;

/// The longest registry that is read, in bytes. A large one has some 10 MB.
const MAX_REGISTRY: u64 = 64 << 20;
/// Variables that stand in registered paths, as a prefix sets them.
const VARIABLES: &[(&str, &str)] = &[
    ("%ProgramFiles%", "C:\\Program Files"),
    ("%ProgramFiles(x86)%", "C:\\Program Files (x86)"),
    ("%SystemDrive%", "C:"),
    ("%SystemRoot%", "C:\\windows"),
    ("%windir%", "C:\\windows"),
];

/// A Wine prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(PathBuf);

/// A game that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The prefix it is in, when it is not the usual one.
    pub prefix: Option<PathBuf>,
    /// What it may have registered itself by with DirectPlay.
    pub guids: Vec<Guid>,
    /// The name it may have registered itself by.
    pub name: Option<Pattern>,
    /// Where it may be without any registration, as Windows writes it.
    pub programs: Vec<String>,
}

/// A game that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Game {
    /// The prefix it is in.
    pub prefix: PathBuf,
    /// The program.
    pub program: PathBuf,
    /// The folder to start it in.
    pub folder: PathBuf,
    /// What it registered itself by.
    pub guid: Option<Guid>,
}

/// A name in which `*` stands for anything; letter case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Where prefixes usually are: `$WINEPREFIX`, then `~/.wine`.
#[must_use]
pub fn prefixes() -> Vec<Prefix> {
    let set = env::var_os("WINEPREFIX").filter(|value| !value.is_empty());
    let mut folders: Vec<PathBuf> = set.map(PathBuf::from).into_iter().collect();
    folders.push(at_home(Path::new("~/.wine")));
    folders.dedup();
    folders.into_iter().map(Prefix).collect()
}

/// A path that begins with `~/`.
fn at_home(path: &Path) -> PathBuf {
    let home = env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// A file as it was when it was read.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    number: u64,
    length: u64,
    changed: (i64, i64),
    owner: u32,
    mode: u32,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            number: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            owner: metadata.uid(),
            mode: metadata.mode(),
        })
    }
}

/// Most registries that are remembered.
const MAX_KNOWN: usize = 16;

/// The games of prefixes, by folder.
type Known = HashMap<PathBuf, (Stamp, Arc<[Registered]>)>;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

impl Wanted {
    /// Looks in its own prefix, or in the usual ones.
    #[must_use]
    pub fn find(&self) -> Option<Game> {
        match &self.prefix {
            Some(prefix) => Prefix::new(at_home(prefix)).find(self),
            None => prefixes().iter().find_map(|prefix| prefix.find(self)),
        }
    }

    /// What is looked for, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = match (&self.name, self.guids.first()) {
            (Some(Pattern(name)), _) => format!("a DirectPlay game registered as {name:?}"),
            (None, Some(guid)) => format!("a DirectPlay game registered as {guid}"),
            (None, None) => "it".to_owned(),
        };
        let prefix = match &self.prefix {
            Some(prefix) => prefix.display().to_string(),
            None => "the Wine prefix ($WINEPREFIX or ~/.wine)".to_owned(),
        };
        match self.programs.first() {
            Some(program) => format!("{what}, or {program}, in {prefix}"),
            None => format!("{what} in {prefix}"),
        }
    }
}

impl Prefix {
    /// The prefix in that folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The text of its registry.
    ///
    /// # Errors
    /// As the file system says, or when it is no file of a likely size.
    pub fn registry(&self) -> io::Result<String> {
        let path = self.0.join("system.reg");
        let mut file = File::open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > MAX_REGISTRY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // It names programs to start, so nobody else may write it.
        let owner = metadata.uid();
        let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
        if !is_ours || metadata.mode() & 0o002 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::new();
        file.by_ref().take(MAX_REGISTRY).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The games that registered themselves with DirectPlay; none without a registry. A registry that
    /// was not changed is not read again: any contact can make us ask.
    #[must_use]
    pub fn registered(&self) -> Arc<[Registered]> {
        let stamp = Stamp::of(&self.0.join("system.reg"));
        let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(stamp), Some((known, games))) = (&stamp, lock().get(&self.0))
            && known == stamp
        {
            return Arc::clone(games);
        }
        let games = self.registry().map(|text| registry_file::games(&text));
        let games: Arc<[Registered]> = match games {
            Ok(Ok(games)) => games.into(),
            Ok(Err(error)) => {
                tracing::debug!(prefix = %self.0.display(), %error, "no registry");
                Arc::default()
            }
            Err(error) => {
                tracing::debug!(prefix = %self.0.display(), %error, "registry not read");
                Arc::default()
            }
        };
        if let Some(stamp) = stamp {
            let mut known = lock();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(self.0.clone(), (stamp, Arc::clone(&games)));
        }
        games
    }

    /// The game, if it is in this prefix: by its GUID, by its name, by its place.
    #[must_use]
    pub fn find(&self, wanted: &Wanted) -> Option<Game> {
        let by_guid = |game: &Registered| wanted.guids.contains(&game.guid);
        let by_name = |game: &Registered| match &wanted.name {
            Some(pattern) => pattern.matches(&game.name),
            None => false,
        };
        let registered = if wanted.guids.is_empty() && wanted.name.is_none() {
            Arc::default()
        } else {
            self.registered()
        };
        let found = registered
            .iter()
            .filter(|game| by_guid(game))
            .chain(registered.iter().filter(|game| by_name(game)))
            .find_map(|game| self.game(game));
        found.or_else(|| {
            wanted.programs.iter().find_map(|path| {
                let program = self.host_path(path)?;
                Some(Game {
                    prefix: self.0.clone(),
                    folder: program.parent()?.to_owned(),
                    program,
                    guid: None,
                })
            })
        })
    }

    /// A registered game whose files are there.
    #[must_use]
    pub fn game(&self, registered: &Registered) -> Option<Game> {
        let folder = self.host_path(&registered.path)?;
        let program = descend(folder.clone(), &registered.file)?;
        let start = registered.directory.as_deref();
        Some(Game {
            prefix: self.0.clone(),
            program,
            folder: start
                .and_then(|path| self.host_path(path))
                .unwrap_or(folder),
            guid: Some(registered.guid),
        })
    }

    /// The file that a Windows path means: a drive is a link in `dosdevices`, and letter case does
    /// not matter. `None` when there is no such file.
    #[must_use]
    pub fn host_path(&self, windows: &str) -> Option<PathBuf> {
        let mut windows = windows.trim().to_owned();
        for (variable, value) in VARIABLES {
            if let Some((start, rest)) = windows.split_at_checked(variable.len())
                && start.eq_ignore_ascii_case(variable)
            {
                windows = format!("{value}{rest}");
            }
        }
        let (drive, rest) = windows.split_once(':')?;
        let mut letter = drive.chars();
        let (Some(letter), None) = (letter.next(), letter.next()) else {
            return None;
        };
        if !letter.is_ascii_alphabetic() || !rest.starts_with(['\\', '/']) {
            return None;
        }
        let drive = format!("{}:", letter.to_ascii_lowercase());
        descend(self.0.join("dosdevices").join(drive), rest)
    }
}

/// Follows a Windows path from a folder. What leads upwards is not followed.
fn descend(mut folder: PathBuf, path: &str) -> Option<PathBuf> {
    for name in path.split(['\\', '/']) {
        match name {
            "" | "." => {}
            ".." => return None,
            name => folder = entry(&folder, name)?,
        }
    }
    folder.exists().then_some(folder)
}

/// The entry of a folder by that name, in whatever letter case.
fn entry(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.exists() {
        return Some(exact);
    }
    let same = |entry: &fs::DirEntry| {
        let found = entry.file_name();
        found
            .to_str()
            .is_some_and(|found| found.to_lowercase() == name.to_lowercase())
    };
    let found = fs::read_dir(folder).ok()?.flatten().find(same)?;
    Some(found.path())
}

impl Pattern {
    /// A pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether that name is one of its names.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.to_lowercase(), name.to_lowercase());
        let mut parts = pattern.split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A prefix with one registered game and one that is merely there.
    fn prefix() -> (tempfile::TempDir, Prefix) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let game = root.join("drive_c/Program Files (x86)/Black Isle/BGII - SoA");
        fs::create_dir_all(&game).unwrap();
        fs::write(game.join("bgmain.EXE"), "").unwrap();
        fs::create_dir_all(root.join("drive_c/GOG Games/Jedi/GameData")).unwrap();
        fs::write(root.join("drive_c/GOG Games/Jedi/GameData/jamp.exe"), "").unwrap();
        fs::create_dir(root.join("dosdevices")).unwrap();
        symlink("../drive_c", root.join("dosdevices/c:")).unwrap();
        fs::write(
            root.join("system.reg"),
            concat!(
                "WINE REGISTRY Version 2\n",
                "[Software\\\\Wow6432Node\\\\Microsoft\\\\DirectPlay\\\\Applications\\\\Baldur's Gate2] 1\n",
                "\"File\"=\"BGMain.exe\"\n",
                "\"Guid\"=\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"\n",
                "\"Path\"=\"c:\\\\program files (x86)\\\\BLACK ISLE\\\\BGII - SoA\\\\\"\n",
                "\"CurrentDirectory\"=\"C:\\\\nowhere\"\n",
            ),
        )
        .unwrap();
        let prefix = Prefix::new(root.to_owned());
        (dir, prefix)
    }

    #[test]
    fn a_registered_game_is_found_by_guid_and_by_name() {
        let (_dir, prefix) = prefix();
        let guid: Guid = "8dae4336-2b71-11d4-9a6c-006067325e47".parse().unwrap();
        for wanted in [
            Wanted {
                guids: vec![guid],
                ..Wanted::default()
            },
            Wanted {
                name: Some(Pattern::new("baldur*gate*")),
                ..Wanted::default()
            },
        ] {
            let game = prefix.find(&wanted).unwrap();
            assert!(game.program.ends_with("BGII - SoA/bgmain.EXE"));
            assert_eq!(Some(game.folder.as_path()), game.program.parent());
            assert_eq!(game.guid, Some(guid));
        }
    }

    #[test]
    fn a_game_is_found_by_its_place() {
        let (_dir, prefix) = prefix();
        let wanted = Wanted {
            programs: vec![
                "C:\\nowhere\\jamp.exe".into(),
                "c:\\gog games\\JEDI\\gamedata\\JAMP.EXE".into(),
            ],
            ..Wanted::default()
        };
        let game = prefix.find(&wanted).unwrap();
        assert!(game.program.ends_with("GOG Games/Jedi/GameData/jamp.exe"));
        assert_eq!(game.guid, None);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let (_dir, prefix) = prefix();
        assert_eq!(prefix.find(&Wanted::default()), None);
        for path in [
            "",
            "C:",
            "C:x",
            "d:\\x",
            "CC:\\x",
            "\\\\server\\share",
            "C:\\..\\system.reg",
            "C:\\GOG Games\\..\\GOG Games",
            "/etc/passwd",
            "é:\\x",
        ] {
            assert_eq!(prefix.host_path(path), None, "{path}");
        }
        assert!(Prefix::new("/nonexistent".into()).registered().is_empty());
    }

    #[test]
    fn variables_at_the_beginning_of_a_path_are_known() {
        let (_dir, prefix) = prefix();
        let path = prefix.host_path("%PROGRAMFILES(X86)%\\Black Isle").unwrap();
        assert!(path.ends_with("Program Files (x86)/Black Isle"));
    }

    #[test]
    fn a_registry_that_changed_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("system.reg");
        let prefix = Prefix::new(dir.path().to_owned());
        let registry = |name: &str| {
            format!(
                "WINE REGISTRY Version 2\n\n[Software\\\\Microsoft\\\\DirectPlay\\\\Applications\\\\{name}] 1\n\
                 \"Guid\"=\"{{8DAE4336-2B71-11D4-9A6C-006067325E47}}\"\n\"Path\"=\"C:\\\\G\"\n\"File\"=\"g.exe\"\n"
            )
        };
        for name in ["One", "Another one"] {
            fs::write(&file, registry(name)).unwrap();
            for _ in 0..2 {
                let games = prefix.registered();
                assert_eq!(games.len(), 1, "{name}");
                assert_eq!(games[0].name, name);
            }
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, same) in [
            ("a", "A", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            (
                "MechWarrior*Mercenaries*",
                "MechWarrior 4: Mercenaries",
                true,
            ),
            ("MechWarrior*Mercenaries*", "MechWarrior 4", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                same,
                "{pattern} {name}"
            );
        }
    }
}
