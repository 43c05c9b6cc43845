//! All bridges: the built-in ones, those of the system, those of the user. In a later layer a file
//! replaces the earlier bridge of the same id, or hides it, and the files of a folder `ID.d` amend it.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Bridge, BridgeError, Origin, Unclaimed,
    manifest::{self, Reading},
    source::Source,
    wine_games,
};
use crate::{
    invitation::Guid,
    wine::{self, Prefix},
};

/// The longest bridge file, in bytes. The longest of ours has a twentieth of it.
const MAX_FILE: u64 = 128 * 1024;

/// The files of `bridges/`, embedded.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "application-sharing.toml",
        include_str!("../../bridges/application-sharing.toml"),
    ),
    (
        "baldurs-gate-2.toml",
        include_str!("../../bridges/baldurs-gate-2.toml"),
    ),
    (
        "file-transfer.toml",
        include_str!("../../bridges/file-transfer.toml"),
    ),
    (
        "jedi-knight.toml",
        include_str!("../../bridges/jedi-knight.toml"),
    ),
    (
        "mechwarrior-mercenaries.toml",
        include_str!("../../bridges/mechwarrior-mercenaries.toml"),
    ),
    (
        "netmeeting.toml",
        include_str!("../../bridges/netmeeting.toml"),
    ),
    (
        "remote-assistance-offer.toml",
        include_str!("../../bridges/remote-assistance-offer.toml"),
    ),
    (
        "remote-assistance.toml",
        include_str!("../../bridges/remote-assistance.toml"),
    ),
    ("voice.toml", include_str!("../../bridges/voice.toml")),
    ("webcam.toml", include_str!("../../bridges/webcam.toml")),
    (
        "whiteboard.toml",
        include_str!("../../bridges/whiteboard.toml"),
    ),
];

/// All bridges.
#[derive(Debug, Default)]
pub struct Registry {
    bridges: BTreeMap<String, Arc<Bridge>>,
    unknown: Unclaimed,
}

/// The folders that hold bridges of the system and of the user, least important first (XDG base
/// directories).
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    use etcetera::BaseStrategy;

    let system = std::env::var("XDG_CONFIG_DIRS")
        .ok()
        .filter(|dirs| !dirs.is_empty());
    let system = system.unwrap_or_else(|| "/etc/xdg".to_owned());
    let mut folders: Vec<PathBuf> = system
        .split(':')
        .rev()
        .map(Path::new)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("msn-handoff/bridges"))
        .collect();
    if let Ok(strategy) = etcetera::base_strategy::Xdg::new() {
        folders.push(strategy.config_dir().join("msn-handoff/bridges"));
    }
    folders
}

impl Registry {
    /// The built-in bridges, then those of the folders in order. A folder that does not exist is
    /// no mistake.
    ///
    /// # Errors
    /// The first file that is wrong, cannot be read, or could be written by somebody else.
    pub fn load(folders: &[PathBuf]) -> Result<Self, BridgeError> {
        let mut described = built_in()?;
        for folder in folders {
            for file in listed(folder)? {
                let source = Source::new(&file, &text_of(&file)?);
                add(&mut described, source, &Origin::File(file))?;
            }
            for (id, change) in amendments(folder)? {
                amend(&mut described, &id, &change)?;
            }
        }
        let bridges = described
            .into_iter()
            .filter_map(|(id, described)| Some((id, Arc::new(described.bridge?))))
            .collect();
        let registry = Self {
            bridges,
            unknown: Unclaimed::default(),
        };
        registry.check_guids()?;
        Ok(registry)
    }

    /// One GUID means one application, or the answer would depend on chance.
    fn check_guids(&self) -> Result<(), BridgeError> {
        self.iter()
            .try_for_each(|bridge| self.check_guids_of(bridge))
    }

    /// Whether the GUIDs of a bridge, which may be none of ours yet, are free.
    ///
    /// # Errors
    /// When one belongs to a bridge with another id.
    pub fn check_guids_of(&self, bridge: &Bridge) -> Result<(), BridgeError> {
        for guid in &bridge.application.guids {
            let owner = self
                .iter()
                .filter(|other| other.application.id != bridge.application.id)
                .find(|other| other.application.guids.contains(guid));
            if let Some(other) = owner {
                let (newer, older) = match (&bridge.origin, &other.origin) {
                    (Origin::BuiltIn, Origin::File(_)) => (other.as_ref(), bridge),
                    _ => (bridge, other.as_ref()),
                };
                let message = format!(
                    "{} already belongs to {:?} ({}); use that id to replace it",
                    guid.as_written(),
                    older.application.id,
                    older.origin
                );
                let file = PathBuf::from(newer.origin.to_string());
                return Err(BridgeError::whole(&file, message));
            }
        }
        Ok(())
    }

    /// All bridges of this machine: the usual [`folders`], and the games of the usual Wine prefixes.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn here() -> Result<Self, BridgeError> {
        let mut registry = Self::load(&folders())?;
        for prefix in wine::prefixes() {
            registry.add_wine_games(&prefix);
        }
        Ok(registry)
    }

    /// Adds the games that registered themselves with DirectPlay in that prefix, except those that a
    /// bridge names already.
    pub fn add_wine_games(&mut self, prefix: &Prefix) {
        for game in prefix.registered().iter().cloned() {
            if self.by_guid(&game.guid).is_some() {
                continue;
            }
            match wine_games::bridge(prefix, &game) {
                Ok(Reading::Bridge(bridge)) => {
                    let id = bridge.application.id.clone();
                    self.bridges.entry(id).or_insert_with(|| bridge.into());
                }
                Ok(Reading::Hidden(_)) => {}
                Err(error) => tracing::warn!(game = game.name, %error, "no bridge made"),
            }
        }
    }

    /// The same, with another answer to an invitation whose GUID no bridge has.
    #[must_use]
    pub fn with_unknown(mut self, unknown: Unclaimed) -> Self {
        self.unknown = unknown;
        self
    }

    /// What becomes of an invitation whose GUID no bridge has.
    #[must_use]
    pub fn unknown(&self) -> Unclaimed {
        self.unknown
    }

    /// The bridge with that id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Bridge>> {
        self.bridges.get(id)
    }

    /// The bridge with that GUID, in whatever spelling (PROTOCOL.md section 3 rule 1).
    #[must_use]
    pub fn by_guid(&self, guid: &Guid) -> Option<&Arc<Bridge>> {
        self.iter()
            .find(|bridge| bridge.application.guids.contains(guid))
    }

    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Bridge>> {
        self.bridges.values()
    }
}

/// A bridge while its layers are put together.
struct Described {
    source: Source,
    /// None while it is hidden.
    bridge: Option<Bridge>,
}

fn built_in() -> Result<BTreeMap<String, Described>, BridgeError> {
    let mut described = BTreeMap::new();
    for (name, text) in BUILT_IN {
        let source = Source::new(Path::new(name), text);
        add(&mut described, source, &Origin::BuiltIn)?;
    }
    Ok(described)
}

fn add(
    described: &mut BTreeMap<String, Described>,
    source: Source,
    origin: &Origin,
) -> Result<(), BridgeError> {
    let (id, bridge) = match manifest::read(&source, origin.clone())? {
        Reading::Bridge(bridge) => (bridge.application.id.clone(), Some(*bridge)),
        Reading::Hidden(id) => (id, None),
    };
    described.insert(id, Described { source, bridge });
    Ok(())
}

fn amend(
    described: &mut BTreeMap<String, Described>,
    id: &str,
    file: &Path,
) -> Result<(), BridgeError> {
    let Some(known) = described.get_mut(id) else {
        let message = format!("amends {id:?}, but no bridge has that id");
        return Err(BridgeError::whole(file, message));
    };
    known.source.amend(file, &text_of(file)?);
    let reading = manifest::read(&known.source, Origin::File(file.to_owned()))?;
    let (amended, bridge) = match reading {
        Reading::Bridge(bridge) => (bridge.application.id.clone(), Some(*bridge)),
        Reading::Hidden(id) => (id, None),
    };
    if amended != id {
        let message = format!("stands in {id}.d and cannot make it {amended:?}: leave `id` out");
        return Err(BridgeError::whole(file, message));
    }
    known.bridge = bridge;
    Ok(())
}

/// Reads a bridge from text: a file, and those that amend it, as [`Registry::load`] reads them.
///
/// # Errors
/// What is wrong, where, and what would be right.
pub fn read_text(parts: &[(&Path, &str)]) -> Result<Reading, BridgeError> {
    let mut source = Source::default();
    for (file, text) in parts {
        source.amend(file, text);
    }
    let origin = Origin::File(source.file().to_owned());
    manifest::read(&source, origin)
}

/// Reads one file of the user's or the system's. One in a folder `ID.d` is read as what it is, an
/// amendment: of the file beside that folder, or of the built-in bridge.
///
/// # Errors
/// As [`Registry::load`].
pub fn read_file(path: &Path) -> Result<Reading, BridgeError> {
    let folder = path
        .parent()
        .filter(|it| it.extension().is_some_and(|it| it == "d"));
    if let Some((folder, id)) = folder.and_then(|it| Some((it, it.file_stem()?.to_str()?))) {
        let mut described = built_in()?;
        for file in listed(folder.parent().unwrap_or(Path::new(".")))? {
            let source = Source::new(&file, &text_of(&file)?);
            add(&mut described, source, &Origin::File(file))?;
        }
        amend(&mut described, id, path)?;
        let bridge = described.remove(id).and_then(|described| described.bridge);
        return Ok(bridge.map_or_else(
            || Reading::Hidden(id.to_owned()),
            |bridge| Reading::Bridge(Box::new(bridge)),
        ));
    }
    let source = Source::new(path, &text_of(path)?);
    manifest::read(&source, Origin::File(path.to_owned()))
}

/// The `*.toml` of a folder, in order.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, BridgeError> {
    entries(folder, "toml")
}

/// The ids and files of the folders `ID.d`, in order.
fn amendments(folder: &Path) -> Result<Vec<(String, PathBuf)>, BridgeError> {
    let mut all = Vec::new();
    for folder in entries(folder, "d")? {
        let id = folder
            .file_stem()
            .map(|id| id.to_string_lossy().into_owned());
        for file in listed(&folder)? {
            all.push((id.clone().unwrap_or_default(), file));
        }
    }
    Ok(all)
}

fn entries(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, BridgeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let metadata = fs::metadata(folder).map_err(|error| unreadable(folder, &error))?;
    trusted(folder, &metadata)?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    paths.sort();
    Ok(paths)
}

/// The text of a file that only its owner can have written. Asked of the open file, so that it is
/// not another one by the time it is read.
fn text_of(path: &Path) -> Result<String, BridgeError> {
    let unreadable = |error| unreadable(path, &error);
    // A named pipe would wait for ever to be opened.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(BridgeError::whole(path, "is no file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    trusted(path, &file.metadata().map_err(unreadable)?)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(BridgeError::whole(path, "is too large to be a bridge file"));
    }
    Ok(text)
}

/// A bridge file starts programs, so only its owner may write it: us or root.
fn trusted(path: &Path, metadata: &Metadata) -> Result<(), BridgeError> {
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let message = "belongs to another user, who could make it start anything: copy it";
        return Err(BridgeError::whole(path, message));
    }
    if metadata.mode() & 0o022 != 0 {
        let message = "can be written by others, who could make it start anything: chmod go-w it";
        return Err(BridgeError::whole(path, message));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> BridgeError {
    BridgeError::whole(path, format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            let parent = path.parent().unwrap();
            fs::create_dir_all(parent).unwrap();
            fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        dir
    }

    const GAME: &str = r#"
id = "my-game"
name = "My Game"
guids = ["{00000000-1111-2222-3333-444444444444}"]
announce = "My Game"
[negotiation]
"#;

    #[test]
    fn the_embedded_files_are_the_folder() {
        let embedded: BTreeSet<String> = BUILT_IN
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let folder: BTreeSet<String> =
            fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/bridges"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".toml"))
                .collect();
        assert_eq!(embedded, folder);
        for (name, text) in BUILT_IN {
            let id = name.trim_end_matches(".toml");
            let Reading::Bridge(bridge) =
                manifest::read(&Source::new(Path::new(name), text), Origin::BuiltIn).unwrap()
            else {
                panic!("{name} is hidden")
            };
            assert_eq!(bridge.application.id, id, "{name} names another id");
        }
    }

    #[test]
    fn every_application_of_the_table_is_known_by_its_guid() {
        let registry = Registry::load(&[]).unwrap();
        // PROTOCOL.md section 6.
        for (guid, id) in [
            ("{44BBA842-CC51-11CF-AAFA-00AA00B6015C}", "netmeeting"),
            ("{44BBA842-CC51-11CF-AAFA-00AA00B6015B}", "netmeeting"),
            ("{02D3C01F-BF30-4825-A83A-DE7AF41648AA}", "voice"),
            ("{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}", "whiteboard"),
            (
                "{F1B1920C-6A3C-4ce7-B18C-AFAB305FD03D}",
                "application-sharing",
            ),
            (
                "{56b994a7-380f-410b-9985-c809d78c1bdc}",
                "remote-assistance",
            ),
            (
                "{703EA1A8-D73E-43e3-852C-EE85B5D872C2}",
                "remote-assistance-offer",
            ),
            ("2A23868E-B45F-401d-B8B0-1E16B774A5B7", "webcam"),
            ("{2a23868e-b45f-401d-b8b0-1e16b774a5b7}", "webcam"),
            ("{8DAE4336-2B71-11D4-9A6C-006067325E47}", "baldurs-gate-2"),
            (
                "{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}",
                "mechwarrior-mercenaries",
            ),
            (
                "{041FD0FA-2942-4DC4-B4C5-73D2C55F4C94}",
                "mechwarrior-mercenaries",
            ),
            ("{A5794C17-F586-4941-9906-9AF0F8E62283}", "jedi-knight"),
            ("{5D3E02AB-6190-11d3-BBBB-00C04F795683}", "file-transfer"),
        ] {
            let guid_read = Guid::read(guid.as_bytes()).unwrap();
            let bridge = registry
                .by_guid(&guid_read)
                .unwrap_or_else(|| panic!("{guid}"));
            assert_eq!(bridge.application.id, id);
        }
    }

    #[test]
    fn a_users_file_adds_replaces_and_hides() {
        let dir = folder(&[
            ("my-game.toml", GAME),
            (
                "webcam.toml",
                "id = \"webcam\"\nname = \"mine\"\nguids = [\"2A23868E-B45F-401d-B8B0-1E16B774A5B7\"]\nannounce = \"x\"\n[negotiation]\n",
            ),
            ("hide.toml", "id = \"whiteboard\"\nenabled = false\n"),
            ("notes.txt", "not a bridge"),
        ]);
        let registry = Registry::load(&[dir.path().to_owned()]).unwrap();
        assert!(registry.by_id("my-game").is_some());
        assert_eq!(registry.by_id("webcam").unwrap().application.name, "mine");
        assert!(registry.by_id("whiteboard").is_none());
        assert!(registry.by_id("voice").is_some());
    }

    #[test]
    fn a_guid_that_belongs_to_another_is_refused() {
        let dir = folder(&[(
            "my-game.toml",
            &GAME.replace(
                "{00000000-1111-2222-3333-444444444444}",
                "{02d3c01f-bf30-4825-a83a-de7af41648aa}",
            ),
        )]);
        let error = Registry::load(&[dir.path().to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("already belongs to \"voice\" (built in)"),
            "{error}"
        );
        assert!(error.contains("my-game.toml"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let dir = folder(&[("my-game.toml", GAME)]);
        let file = dir.path().join("my-game.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        let error = Registry::load(&[dir.path().to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("chmod go-w it"), "{error}");
    }

    #[test]
    fn a_folder_beside_it_amends_a_bridge() {
        let dir = folder(&[
            ("voice.d/10-name.toml", "name = \"telephone\"\n"),
            (
                "voice.d/20-mine.toml",
                "[[handoff]]\nname = \"my phone\"\nadapter = \"sip\"\nagent = \"sip:me@127.0.0.1:5060\"\n\
                 [[handoff]]\nname = \"linphone\"\nenabled = false\n",
            ),
            ("whiteboard.d/hide.toml", "enabled = false\n"),
        ]);
        let registry = Registry::load(&[dir.path().to_owned()]).unwrap();
        let voice = registry.by_id("voice").unwrap();
        assert_eq!(voice.application.name, "telephone");
        assert_eq!(voice.handoffs[0].name, "my phone");
        assert!(
            voice
                .handoffs
                .iter()
                .all(|handoff| handoff.name != "linphone")
        );
        assert!(
            voice
                .handoffs
                .iter()
                .any(|handoff| handoff.name == "baresip")
        );
        assert!(voice.origin.to_string().ends_with("20-mine.toml"));
        assert!(registry.by_id("whiteboard").is_none());
    }

    #[test]
    fn an_amendment_that_is_wrong_is_told_as_its_own_mistake() {
        for (name, text, told) in [
            (
                "voice.d/x.toml",
                "\nnmae = \"x\"\n",
                "x.toml:2:1: nmae: there is no key",
            ),
            (
                "voice.d/x.toml",
                "guids = 5\n",
                "x.toml:1:9: guids: this is the wrong kind of value",
            ),
            (
                "voice.d/x.toml",
                "id = \"sound\"\n",
                "x.toml: stands in voice.d",
            ),
            (
                "vioce.d/x.toml",
                "name = \"x\"\n",
                "x.toml: amends \"vioce\"",
            ),
        ] {
            let dir = folder(&[(name, text)]);
            let error = Registry::load(&[dir.path().to_owned()]).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_single_amendment_can_be_read() {
        let dir = folder(&[
            ("my-game.toml", GAME),
            ("my-game.d/x.toml", "name = \"another\"\n"),
            ("voice.d/x.toml", "enabled = false\n"),
        ]);
        let Reading::Bridge(game) = read_file(&dir.path().join("my-game.d/x.toml")).unwrap() else {
            panic!("hidden")
        };
        assert_eq!(game.application.name, "another");
        let voice = read_file(&dir.path().join("voice.d/x.toml")).unwrap();
        assert!(matches!(voice, Reading::Hidden(id) if id == "voice"));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = folder(&[]);
        fs::create_dir(dir.path().join("x.toml")).unwrap();
        let error = Registry::load(&[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().ends_with("is no file"), "{error}");
    }

    #[test]
    fn a_game_in_wine_needs_no_bridge_unless_one_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = "Software\\\\Microsoft\\\\DirectPlay\\\\Applications";
        let values = "\"File\"=\"x.exe\"\n\"Path\"=\"C:\\\\x\"\n\"Guid\"";
        let text = format!(
            "WINE REGISTRY Version 2\n[{key}\\\\Other] 1\n{values}=\"{{00000000-1111-2222-3333-444444444444}}\"\n\
             [{key}\\\\Baldur] 1\n{values}=\"{{8DAE4336-2B71-11D4-9A6C-006067325E47}}\"\n"
        );
        fs::write(dir.path().join("system.reg"), text).unwrap();
        let mut registry = Registry::load(&[]).unwrap();
        let before = registry.iter().count();
        registry.add_wine_games(&Prefix::new(dir.path().to_owned()));
        assert_eq!(registry.iter().count(), before + 1);
        let guid = Guid::read(b"{00000000-1111-2222-3333-444444444444}").unwrap();
        assert_eq!(registry.by_guid(&guid).unwrap().application.name, "Other");
    }

    #[test]
    fn a_folder_that_does_not_exist_is_no_mistake() {
        assert!(Registry::load(&["/nonexistent/bridges".into()]).is_ok());
    }
}
