//! What a confined program may reach of the file system: the kernel's Landlock (landlock(7)) holds it
//! to that from its first instruction on, and with it all that it starts.
//!
//! It is a list of what is allowed. The system can be read and its programs executed, the devices used;
//! of the home only what shows a picture and makes a sound; written is the session's own folder. Why
//! not a container in front: it is one more process between a program and the signals that end it.

use std::{
    env,
    ffi::OsString,
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

use crate::private;

/// What of the kernel's is used; an older one confines as far as it can.
const NEWEST: ABI = ABI::V6;
/// Where people keep what is theirs, and programs what is between them. Nothing below is allowed but by
/// name.
const THEIRS: [&str; 14] = [
    "/home",
    "/root",
    "/media",
    "/mnt",
    "/srv",
    "/tmp",
    "/lost+found",
    "/run/user",
    "/run/media",
    "/var/log",
    "/var/mail",
    "/var/spool",
    "/var/tmp",
    "/dev/shm",
];
/// Folders of the system in which a home may lie as well, a service's for example.
const SYSTEM: [&str; 7] = [
    "/",
    "/opt",
    "/run",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
];
/// What the names in `/dev` begin with that are terminals, consoles, keyboards that a program makes, and
/// what programs have between them. The rest are devices.
const NO_DEVICES: [&str; 9] = [
    "console", "hvc", "mqueue", "pt", "shm", "tty", "uinput", "vcs", "vport",
];
/// Below the home: read, because sound and pictures need it.
const OF_THE_HOME: [&str; 9] = [
    ".config/alsa",
    ".config/pulse",
    ".config/pipewire",
    ".config/fontconfig",
    ".cache/fontconfig",
    ".local/share/fonts",
    ".fonts",
    ".asoundrc",
    ".Xauthority",
];
/// Folders of the home that a variable can put elsewhere (XDG Base Directory Specification).
const BASES: [(&str, &str); 4] = [
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
];
/// Variables that name the folders that all programs of a session have in common.
const SHARED: [&str; 2] = ["TMPDIR", "XDG_RUNTIME_DIR"];
/// Below `/tmp`, read: where servers of windows and sessions have their sockets.
const OF_TMP: [&str; 2] = ["/tmp/.X11-unix", "/tmp/.ICE-unix"];
/// Variables that name a file or a folder of the window server's or of the sound's, which is read.
const NAMED: [&str; 4] = [
    "XAUTHORITY",
    "PULSE_CLIENTCONFIG",
    "PULSE_COOKIE",
    "PULSE_RUNTIME_PATH",
];
/// Where snaps are. They have a confinement of their own, which ours would keep from being put up.
const SNAPS: [&str; 2] = ["/snap", "/var/lib/snapd"];
/// Between what is read, what is written, and the program.
pub(super) const AND: &str = "--";

static SWITCHED_OFF: AtomicBool = AtomicBool::new(false);

/// What a program may reach besides the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Files and folders that it reads.
    pub reads: Vec<PathBuf>,
    /// Files and folders that it writes as well.
    pub writes: Vec<PathBuf>,
    /// Folders that it writes as well. Those that are missing are made first, for it could not make them.
    pub folders: Vec<PathBuf>,
    /// The folder that it is started in: read, unless the home is in it.
    pub start_in: Option<PathBuf>,
}

/// How far the kernel holds programs back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confines {
    /// As it is promised.
    Wholly,
    /// It lets them empty files that they can neither read nor write (before Linux 6.2).
    Partly,
    /// It has no Landlock, or that is switched off.
    Not,
}

/// From now on no program is confined (`unconfined` of the configuration), whatever its plan says.
pub fn confine_nothing() {
    SWITCHED_OFF.store(true, Ordering::Relaxed);
}

/// How far the kernel can confine programs.
#[must_use]
pub fn confines() -> Confines {
    let made = ruleset().ok().and_then(Option::<OwnedFd>::from);
    let truncate = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Truncate);
    match (made, truncate) {
        (None, _) => Confines::Not,
        (Some(_), Err(_)) => Confines::Partly,
        (Some(_), Ok(_)) => Confines::Wholly,
    }
}

/// Whether the kernel can confine programs, wholly or partly.
#[must_use]
pub fn can_confine() -> bool {
    confines() != Confines::Not
}

/// Where something of the home is that is written as below `~`, as the variables say. `None` without a
/// home.
pub(crate) fn at_home(name: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let folder = variable(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let elsewhere = BASES.iter().find_map(|(base, usual)| {
        let rest = name.strip_prefix(usual).ok()?;
        Some(absolute(base)?.join(rest))
    });
    elsewhere.or_else(|| Some(absolute("HOME")?.join(name)))
}

impl Confinement {
    /// As words for the guard, unless the program is not to be confined: what is read, what is written.
    pub(super) fn words(&self, program: &Path) -> Option<Vec<OsString>> {
        if SWITCHED_OFF.load(Ordering::Relaxed) {
            return None;
        }
        if is_snap(program) {
            tracing::warn!(program = %program.display(), "left to the confinement that snaps have of their own");
            return None;
        }
        let is_missing = |folder: &&PathBuf| folder.is_absolute() && !folder.exists();
        for folder in self.folders.iter().filter(is_missing) {
            if let Err(error) = private::folder(folder) {
                tracing::warn!(folder = %folder.display(), %error, "cannot be made for a confined program");
            }
        }
        let variable = |name: &str| env::var_os(name);
        let home = at_home(Path::new(""), variable);
        let theirs = theirs(home.as_deref(), variable);
        let mut reads = system(&theirs);
        reads.extend(
            OF_THE_HOME
                .iter()
                .filter_map(|name| at_home(name.as_ref(), variable)),
        );
        reads.extend(OF_TMP.map(PathBuf::from));
        reads.extend(NAMED.iter().filter_map(env::var_os).map(PathBuf::from));
        let runtime = env::var_os("XDG_RUNTIME_DIR");
        // The rest there is of other programs, ours among them. A socket is connected to all the same.
        reads.extend(runtime.map(|runtime| Path::new(&runtime).join("pulse")));
        // One that is installed in the home, with what lies beside it.
        for program in [program, &real(program)] {
            reads.push(program.to_owned());
            reads.extend(
                program
                    .parent()
                    .and_then(|folder| narrow(folder, home.as_deref(), &theirs)),
            );
        }
        let start_in = self.start_in.as_deref();
        reads.extend(start_in.and_then(|folder| narrow(folder, home.as_deref(), &theirs)));
        reads.extend_from_slice(&self.reads);
        let mut words: Vec<OsString> = reads.into_iter().map(OsString::from).collect();
        words.push(AND.into());
        words.extend(devices().map(OsString::from));
        words.extend(self.writes.iter().chain(&self.folders).map(OsString::from));
        words.push(AND.into());
        Some(words)
    }
}

/// What is people's on this machine, by its real name: the kernel's rules are about the files, by
/// whatever name one comes to them. Of the home it is the highest folder above it that is not the
/// system's, for there are the homes of others.
fn theirs(home: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let is_system = |folder: &Path| SYSTEM.iter().any(|system| folder == Path::new(system));
    let home = home.map(real);
    let above = home.iter().flat_map(|home| home.ancestors());
    let above = above.filter(|folder| !is_system(folder)).last();
    let bases = BASES.iter().map(|(base, _)| *base).chain(SHARED);
    let bases = bases.filter_map(variable).map(PathBuf::from);
    THEIRS
        .iter()
        .map(PathBuf::from)
        .chain(bases.filter(|base| base.is_absolute()))
        .map(|folder| real(&folder))
        .chain(above.map(Path::to_owned))
        .filter(|folder| !is_system(folder))
        .collect()
}

/// What it is without links; as it is written where there is no such thing.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A folder, unless who reads it reads the home, or what else is people's, as a whole.
fn narrow(folder: &Path, home: Option<&Path>, theirs: &[PathBuf]) -> Option<PathBuf> {
    let folder = real(folder);
    let home = home.map(real);
    let mut all = theirs.iter().chain(&home);
    (!all.any(|one| one.starts_with(&folder))).then_some(folder)
}

/// The system, without what is people's. The devices come apart: see [`devices`].
fn system(theirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let left_out: Vec<PathBuf> = theirs.iter().cloned().chain(["/dev".into()]).collect();
    add(Path::new("/"), &left_out, &mut all);
    all
}

/// What is in a folder, without what is left out, however far below that is.
fn add(folder: &Path, left_out: &[PathBuf], all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // What a link leads to is allowed where it is, or not at all.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link || left_out.iter().any(|one| path.starts_with(one)) {
            continue;
        }
        if left_out.iter().any(|one| one.starts_with(&path)) {
            add(&path, left_out, all);
        } else {
            all.push(path);
        }
    }
}

/// Sound, pictures, cameras and what else is in `/dev`, but no terminal: in one, somebody types.
fn devices() -> impl Iterator<Item = PathBuf> {
    let mut all = Vec::new();
    add(Path::new("/dev"), &[], &mut all);
    all.into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !NO_DEVICES.iter().any(|begin| name.starts_with(begin))
    })
}

fn is_snap(program: &Path) -> bool {
    let program = real(program);
    // Each name of a snap's program is a link to this one.
    program.ends_with("bin/snap") || SNAPS.iter().any(|snaps| program.starts_with(snaps))
}

/// Holds this process, and what it becomes, to that: what comes before the first [`AND`] is read, what
/// comes before the second is written. What is not there is passed over.
pub(super) fn hold(arguments: &mut impl Iterator<Item = OsString>) -> Result<(), RulesetError> {
    let is_and = |word: &OsString| *word == AND;
    let reads: Vec<OsString> = arguments
        .by_ref()
        .take_while(|word| !is_and(word))
        .collect();
    let writes: Vec<OsString> = arguments
        .by_ref()
        .take_while(|word| !is_and(word))
        .collect();
    ruleset()?
        .add_rules(path_beneath_rules(reads, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(writes, AccessFs::from_all(NEWEST)))?
        .restrict_self()?;
    Ok(())
}

/// What the kernel is asked for, with nothing allowed yet.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    with_or_without(|signals| {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?;
        if signals {
            // It can end what it started, and nobody else.
            ruleset.scope(Scope::Signal)?.create()
        } else {
            ruleset.create()
        }
    })
}

/// Some kernels count themselves among those that hold signals back, and then do not know of it (those
/// of RHEL 9): files are better than nothing.
fn with_or_without<T, E>(make: impl Fn(bool) -> Result<T, E>) -> Result<T, E> {
    make(true).or_else(|_| make(false))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine without variables.
    fn none(_: &str) -> Option<OsString> {
        None
    }

    fn system_for(home: &str) -> Vec<PathBuf> {
        system(&theirs(Some(Path::new(home)), none))
    }

    fn has(all: &[PathBuf], path: &str) -> bool {
        all.contains(&PathBuf::from(path))
    }

    #[test]
    fn the_home_is_left_out_wherever_it_is() {
        let all = system_for("/usr/local/share");
        assert!(has(&all, "/etc") && has(&all, "/usr/bin") && has(&all, "/usr/local/bin"));
        for path in [
            "/usr",
            "/usr/local",
            "/usr/local/share",
            "/home",
            "/root",
            "/tmp",
        ] {
            assert!(!has(&all, path), "{path}");
        }
    }

    #[test]
    fn what_is_peoples_in_folders_of_the_system_is_left_out_too() {
        let all = system_for("/home/u");
        assert!(has(&all, "/usr") && has(&all, "/var/lib"));
        for path in THEIRS.iter().chain(&["/dev", "/run", "/var"]) {
            assert!(!has(&all, path), "{path}");
        }
    }

    #[test]
    fn of_a_home_elsewhere_what_is_beside_it_is_left_out() {
        for (home, left_out) in [
            ("/export/home/u", Some("/export")),
            ("/var/users/u", Some("/var/users")),
            ("/var/lib/service", Some("/var/lib/service")),
            ("/home/u", Some("/home")),
            ("/", None),
            ("/usr", None),
        ] {
            let all = theirs(Some(Path::new(home)), none);
            let more = all.get(THEIRS.len());
            assert_eq!(
                more.map(PathBuf::as_path),
                left_out.map(Path::new),
                "{home}"
            );
        }
    }

    #[test]
    fn a_home_behind_a_link_is_left_out_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let top = real(folder.path());
        for name in ["var/home/u", "var/home/other", "var/lib"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        symlink("var/home", top.join("home")).unwrap();
        // One that leads to where we are must not lead us round.
        symlink(".", top.join("var/round")).unwrap();
        let left_out = [real(&top.join("home"))];
        let mut all = Vec::new();
        add(&top, &left_out, &mut all);
        assert_eq!(all, [top.join("var/lib")]);
        let home = theirs(Some(&top.join("home/u")), none);
        assert!(
            home.iter()
                .any(|one| top.join("var/home/u").starts_with(one))
        );
    }

    #[test]
    fn a_folder_that_holds_the_home_is_not_read_for_the_program_in_it() {
        let all = theirs(Some(Path::new("/home/u")), none);
        for (folder, read) in [
            ("/home/u/.local/bin", true),
            ("/usr/bin", true),
            ("/home/u", false),
            ("/home", false),
            ("/tmp", false),
            ("/", false),
        ] {
            let narrow = narrow(Path::new(folder), Some(Path::new("/home/u")), &all);
            assert_eq!(narrow.is_some(), read, "{folder}");
        }
    }

    #[test]
    fn variables_say_where_folders_of_the_home_are() {
        let variables = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            }
        };
        let set: &[(&str, &str)] = &[
            ("HOME", "/home/u"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_CACHE_HOME", "c"),
        ];
        for (name, set, path) in [
            (".config/x", &set[..1], Some("/home/u/.config/x")),
            (".config/x", set, Some("/c/x")),
            // Not absolute: to be ignored.
            (".cache/x", set, Some("/home/u/.cache/x")),
            (".configuration", set, Some("/home/u/.configuration")),
            (".config/x", &[], None),
        ] {
            let found = at_home(Path::new(name), variables(set));
            assert_eq!(found.as_deref(), path.map(Path::new), "{name} {set:?}");
        }
    }

    #[test]
    fn devices_are_used_and_terminals_are_not() {
        let all: Vec<PathBuf> = devices().collect();
        assert!(has(&all, "/dev/null") && has(&all, "/dev/urandom"));
        for path in [
            "/dev/pts",
            "/dev/ptmx",
            "/dev/tty",
            "/dev/tty1",
            "/dev/console",
            "/dev/shm",
        ] {
            assert!(!has(&all, path), "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_made_before_it_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join(".config/freerdp");
        let confinement = Confinement {
            folders: vec![missing.clone()],
            ..Confinement::default()
        };
        let words = confinement.words(Path::new("/usr/bin/true")).unwrap();
        assert!(words.contains(&missing.clone().into_os_string()));
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&missing).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_snap_is_left_to_its_own_confinement() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/snap"), "").unwrap();
        symlink("bin/snap", at("vlc")).unwrap();
        for (program, snap) in [
            (at("vlc"), true),
            ("/snap/vlc/1/bin/vlc".into(), true),
            ("/usr/bin/vlc".into(), false),
        ] {
            assert_eq!(is_snap(&program), snap, "{}", program.display());
            let words = Confinement::default().words(&program);
            assert_eq!(words.is_none(), snap, "{}", program.display());
        }
    }

    #[test]
    fn a_kernel_without_the_scope_confines_without_it() {
        let asked = std::cell::RefCell::new(Vec::new());
        let made = with_or_without(|signals| {
            asked.borrow_mut().push(signals);
            if signals { Err("EINVAL") } else { Ok(()) }
        });
        assert_eq!((made, asked.into_inner()), (Ok(()), vec![true, false]));
    }
}
