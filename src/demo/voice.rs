//! Who takes the call in the demo, and where its recording is.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    bridge::{BridgeError, Registry},
    private,
};

/// Id of the bridge the demo is about.
pub(super) const APPLICATION: &str = "voice";

/// The built-in bridge's negotiation, with other hand-overs behind it.
const NEGOTIATION: &str = r#"
id       = "voice"
name     = "voice conversation"
guids    = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"

[negotiation]
dialect    = "sm1"
address    = "ip:port"
listens    = "both"
media      = ["audio"]
connection = true
enc64      = true
"#;

const BUILT_IN: &str = r#"
[[handoff]]
name    = "the built-in agent"
adapter = "sip"
builtin = true
"#;

/// baresip without a sound card: it plays a file and writes what it hears and says to files.
const BARESIP: &str = r#"
[[handoff]]
name    = "baresip"
adapter = "sip"
run     = ["baresip", "-4", "-f", "{dir}"]
agent   = "sip:handoff@127.0.0.1:{agent.port}"
requires = { files = ["{path.modules}/sndfile.so", "{path.modules}/aufile.so", "{path.modules}/aubridge.so"] }

[handoff.files]
config = """
poll_method epoll
sip_listen 127.0.0.1:{agent.port}
net_interface 127.0.0.1
call_max_calls 1
audio_source aufile,{path.says}
audio_player aubridge,sink
audio_alert aubridge,alert
module_path {path.modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path {path.recordings}
"""
accounts = """
<sip:handoff@127.0.0.1:{agent.port}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1
"""
contacts = ""

[handoff.paths]
modules = [
  "/usr/lib/baresip/modules",
  "/usr/lib/x86_64-linux-gnu/baresip/modules",
  "/usr/lib/aarch64-linux-gnu/baresip/modules",
  "/usr/lib64/baresip/modules",
  "/usr/local/lib/baresip/modules",
]
"#;

/// Why the demo's own bridges are not there.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// A file could not be written.
    #[error("{path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tone could not be written.
    #[error("{path}: {source}")]
    Tone {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: hound::Error,
    },
    /// The bridge is not understood.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
}

/// The applications at the user's end: the call goes to `agent`, which says what is in the file
/// `says` and leaves recordings in the folder `recordings`.
pub(super) fn ours(
    agent: Agent,
    says: &Path,
    recordings: &Path,
    scratch: &Path,
) -> Result<Registry, VoiceError> {
    let hand_over = if agent.found() == Agent::Baresip {
        let [says, recordings] =
            [says, recordings].map(|path| toml::Value::from(path.to_string_lossy().into_owned()));
        format!("{BARESIP}says = [{says}]\nrecordings = [{recordings}]\n")
    } else {
        BUILT_IN.to_owned()
    };
    registry(scratch, &hand_over)
}

/// The applications at the far end: the built-in agent.
pub(super) fn theirs(scratch: &Path) -> Result<Registry, VoiceError> {
    registry(scratch, BUILT_IN)
}

fn registry(scratch: &Path, hand_over: &str) -> Result<Registry, VoiceError> {
    let folder = scratch.join("bridges");
    let path = folder.join("voice.toml");
    private::folder(&folder)
        .and_then(|()| private_file(&path))
        .and_then(|mut file| file.write_all(format!("{NEGOTIATION}{hand_over}").as_bytes()))
        .map_err(|source| VoiceError::Write { path, source })?;
    Ok(Registry::load(&[folder])?)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Ten seconds of a sine at half of full scale, 8 kHz.
pub(super) fn write_tone(path: &Path, hertz: f64) -> Result<(), VoiceError> {
    const RATE: u32 = 8_000;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || {
        let mut writer = hound::WavWriter::new(BufWriter::new(private_file(path)?), spec)?;
        for number in 0..10 * RATE {
            let phase = std::f64::consts::TAU * hertz * f64::from(number) / f64::from(RATE);
            #[expect(clippy::cast_possible_truncation, reason = "half of the range")]
            writer.write_sample((phase.sin() * 16_384.0) as i16)?;
        }
        writer.finalize()
    };
    write().map_err(|source| VoiceError::Tone {
        path: path.to_owned(),
        source,
    })
}

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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::negotiation::Role;

    #[test]
    fn each_agent_has_a_bridge_of_one_hand_over() {
        let dir = tempfile::tempdir().unwrap();
        for (agent, program) in [(Agent::Baresip, Some("baresip")), (Agent::BuiltIn, None)] {
            let says = dir.path().join("says.wav");
            write_tone(&says, 880.0).unwrap();
            let registry = ours(agent, &says, dir.path(), dir.path()).unwrap();
            let bridge = registry.by_id(APPLICATION).unwrap();
            let names: Vec<_> = bridge
                .handoffs(Role::Invitee)
                .map(|handoff| (handoff.program(), handoff.builtin))
                .collect();
            assert_eq!(names, [(program, program.is_none())]);
        }
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        for (path, expected) in [
            ("says.wav", 0o600),
            ("bridges", 0o700),
            ("bridges/voice.toml", 0o600),
        ] {
            assert_eq!(mode(&dir.path().join(path)), expected, "{path}");
        }
        let tone = crate::media::level::Recording::read(&dir.path().join("says.wav")).unwrap();
        assert!((tone.level(880.0) + 6.0).abs() < 0.2);
        assert!(theirs(dir.path()).is_ok());
    }

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
