//! Who takes the call in the demo, and where its recording is.

use std::path::{Path, PathBuf};

/// The program at the user's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Agent {
    /// baresip if it is installed, else the built-in agent.
    #[default]
    Best,
    /// baresip.
    Baresip,
    /// The built-in agent.
    BuiltIn,
}

impl Agent {
    /// What [`Agent::Best`] is on this machine.
    #[must_use]
    pub fn found(self) -> Self {
        match self {
            Self::Best if which::which("baresip").is_ok() => Self::Baresip,
            Self::Best => Self::BuiltIn,
            chosen => chosen,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "the best agent",
            Self::Baresip => "baresip",
            Self::BuiltIn => "built-in agent",
        }
    }
}

/// The recording of what the peer said. baresip writes two, one of each direction; `dec`, decoded, is what
/// was received.
pub(super) fn recording_in(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .filter(|path| !path.to_string_lossy().ends_with("-enc.wav"))
        .collect();
    files.sort();
    // The names carry the time, so the last one is the newest.
    files.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_the_newest_of_what_was_received() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(recording_in(dir.path()), None);
        for name in [
            "dump-2026-01-01-enc.wav",
            "dump-2026-01-01-dec.wav",
            "dump-2026-01-02-dec.wav",
            "dump-2026-01-03-enc.wav",
            "config",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            recording_in(dir.path()),
            Some(dir.path().join("dump-2026-01-02-dec.wav"))
        );
        assert_eq!(recording_in(&dir.path().join("none")), None);
    }
}
