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
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

/// What of the kernel's is used; an older one confines as far as it can.
const NEWEST: ABI = ABI::V6;
/// Where people keep what is theirs. Nothing below is allowed but by name.
const THEIRS: [&str; 7] = [
    "/home",
    "/root",
    "/media",
    "/mnt",
    "/srv",
    "/tmp",
    "/lost+found",
];
/// Below the home: read, because sound and pictures need it.
const OF_THE_HOME: [&str; 8] = [
    ".config/pulse",
    ".config/pipewire",
    ".config/fontconfig",
    ".cache/fontconfig",
    ".local/share/fonts",
    ".fonts",
    ".asoundrc",
    ".Xauthority",
];
/// Below `/tmp`, read: where servers of windows and sessions have their sockets.
const OF_TMP: [&str; 2] = ["/tmp/.X11-unix", "/tmp/.ICE-unix"];
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
}

/// From now on no program is confined (`unconfined` of the configuration), whatever its plan says.
pub fn confine_nothing() {
    SWITCHED_OFF.store(true, Ordering::Relaxed);
}

/// Whether the kernel can confine programs.
#[must_use]
pub fn can_confine() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let handled = ruleset.handle_access(AccessFs::from_all(ABI::V1));
    handled.is_ok_and(|ruleset| ruleset.create().is_ok())
}

impl Confinement {
    /// As words for the guard, unless confining is switched off: what is read, what is written.
    pub(super) fn words(&self, program: &Path) -> Option<Vec<OsString>> {
        if SWITCHED_OFF.load(Ordering::Relaxed) {
            return None;
        }
        let home = env::var_os("HOME").map(PathBuf::from);
        let mut reads = system(home.as_deref());
        if let Some(home) = &home {
            reads.extend(OF_THE_HOME.map(|name| home.join(name)));
        }
        reads.extend(OF_TMP.map(PathBuf::from));
        reads.extend(env::var_os("XAUTHORITY").map(PathBuf::from));
        // One that is installed in the home, with what lies beside it.
        reads.extend(program.parent().map(Path::to_owned));
        reads.extend_from_slice(&self.reads);
        let mut words: Vec<OsString> = reads.into_iter().map(OsString::from).collect();
        words.push(AND.into());
        words.push("/dev".into());
        words.extend(self.writes.iter().map(OsString::from));
        words.push(AND.into());
        Some(words)
    }
}

/// Everything at the top of the file system but what is people's.
fn system(home: Option<&Path>) -> Vec<PathBuf> {
    let mut all = Vec::new();
    add(Path::new("/"), home, &mut all);
    all
}

/// What is in a folder, without the home, wherever that is.
fn add(folder: &Path, home: Option<&Path>, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if THEIRS.iter().any(|theirs| path == Path::new(theirs)) {
            continue;
        }
        match home {
            Some(home) if home == path => {}
            Some(home) if home.starts_with(&path) => add(&path, Some(home), all),
            _ => all.push(path),
        }
    }
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
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        // It can end what it started, and nobody else.
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(reads, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(writes, AccessFs::from_all(NEWEST)))?
        .restrict_self()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_left_out_wherever_it_is() {
        let all = system(Some(Path::new("/usr/local/share")));
        let has = |path: &str| all.contains(&PathBuf::from(path));
        assert!(has("/etc") && has("/usr/bin") && has("/usr/local/bin"));
        assert!(!has("/usr") && !has("/usr/local") && !has("/usr/local/share"));
        assert!(!has("/home") && !has("/root") && !has("/tmp"));
    }
}
