//! Who takes the call on our side, and what that one heard.

use std::{
    fmt::Display,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::support::sound::{self, Heard};

/// The tone that is played on our side, in Hz. The peer plays another.
pub(crate) const OURS: f64 = 880.0;

/// The built-in bridge's negotiation.
const NEGOTIATION: &str = r#"
id         = "voice"
name       = "voice call"
guids      = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce   = "an audio conversation"
[negotiation]
dialect    = "sm1"
address    = "ip:port"
listens    = "both"
media      = ["audio"]
connection = true
enc64      = true
"#;

/// One that takes calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agent {
    /// A baresip that is started for the call.
    Baresip,
    /// The same, at the announced port itself.
    Direct,
    /// A linphonec that is started for the call.
    Linphone,
    /// Ours.
    BuiltIn,
    /// A phone that is there already, at that URI.
    Phone(String),
}

impl Agent {
    /// The programs it needs.
    pub(crate) fn programs(&self) -> &'static [&'static str] {
        match self {
            Self::Baresip | Self::Direct => &["baresip"],
            Self::Linphone => &["linphonec"],
            Self::BuiltIn | Self::Phone(_) => &[],
        }
    }

    /// Whether a program is started for the call.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self, Self::Baresip | Self::Direct | Self::Linphone)
    }

    /// Its name in the chat.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Baresip | Self::Direct => "baresip",
            Self::Linphone => "linphone",
            Self::BuiltIn => "the built-in agent",
            Self::Phone(_) => "my phone",
        }
    }

    /// Writes the bridge that hands calls to it into `bridges`; it plays the tone that is
    /// written to `says`, and what it hears goes to the folder `heard`.
    pub(crate) fn write_bridge(&self, bridges: &Path, says: &Path, tone: f64, heard: &Path) {
        std::fs::create_dir_all(bridges).unwrap();
        std::fs::create_dir_all(heard).unwrap();
        sound::write_tone(says, tone, 60.0);
        let (says, heard) = (says.display(), heard.display());
        let hand_over = match self {
            Self::Baresip => baresip(&says, &heard),
            Self::Direct => directly(&baresip(&says, &heard)),
            Self::Linphone => linphone(&typist(bridges, &says, &heard)),
            Self::BuiltIn => "builtin = true\n".to_owned(),
            Self::Phone(uri) => format!("agent = \"{uri}\"\n"),
        };
        let name = self.name();
        let adapter = match self {
            Self::Direct => "listen",
            _ => "sip",
        };
        let text = format!(
            "{NEGOTIATION}[[handoff]]\nname = \"{name}\"\nadapter = \"{adapter}\"\n{hand_over}"
        );
        std::fs::write(bridges.join("voice.toml"), text).unwrap();
    }
}

/// baresip without a sound card: a file is its microphone, and `dec` holds what it heard.
fn baresip(says: &impl Display, heard: &impl Display) -> String {
    format!(
        r#"run = ["baresip", "-4", "-f", "{{dir}}"]
agent = "sip:handoff@127.0.0.1:{{agent.port}}"
ready-within = 40
[handoff.files]
contacts = ""
accounts = """
<sip:handoff@127.0.0.1:{{agent.port}}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1
"""
config = """
poll_method epoll
sip_listen 127.0.0.1:{{agent.port}}
net_interface 127.0.0.1
call_max_calls 1
audio_source aufile,{says}
audio_player aubridge,sink
audio_alert aubridge,alert
module_path {{path.modules}}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path {heard}
"""
[handoff.paths]
modules = [
  "/usr/lib/baresip/modules",
  "/usr/lib/x86_64-linux-gnu/baresip/modules",
  "/usr/lib/aarch64-linux-gnu/baresip/modules",
  "/usr/lib64/baresip/modules",
  "/usr/local/lib/baresip/modules",
]
"#
    )
}

/// A program for the gate, as the owner of the announced port.
fn directly(hand_over: &str) -> String {
    let lines = hand_over
        .lines()
        .filter(|line| !line.starts_with("agent = "));
    let lines: Vec<&str> = lines.collect();
    let text = lines.join("\n").replace("{agent.port}", "{own.port}");
    text.replace("127.0.0.1", "{own.ip}")
}

/// Writes a script that types to linphonec what it takes from nowhere else, its sound files, and
/// then what the launcher types: `quit`.
fn typist(folder: &Path, says: &impl Display, heard: &impl Display) -> String {
    let path = folder.join("linphone-with-files");
    let text = format!(
        "#!/bin/sh\n\
         (echo 'soundcard use files'; echo 'play {says}'; echo 'record {heard}/heard.wav'\n\
         read -r word; echo \"$word\") | linphonec -a -c \"$1\"\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

/// linphonec without a sound card.
fn linphone(script: &str) -> String {
    format!(
        r#"run = ["{script}", "{{file.linphonerc}}"]
agent = "sip:handoff@127.0.0.1:{{agent.port}}"
ready-within = 40
env = {{ HOME = "{{dir}}" }}
dirs = [".local/share/linphone", ".config/linphone"]
stop = {{ words = "quit\n", grace = 5 }}
[handoff.files]
linphonerc = """
[sip]
sip_port={{agent.port}}
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
contact=sip:handoff@127.0.0.1:{{agent.port}}
use_ipv6=0
ipv6_migration_done=1
default_proxy=-1
bind_address=127.0.0.1
[rtp]
audio_rtp_port={{agent.rtp}}
bind_address=127.0.0.1
[sound]
echocancellation=0
[video]
enabled=0
"""
"#
    )
}

/// The recordings in that folder, of what was heard only.
pub(crate) fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "wav"))
        .filter(|path| !path.to_string_lossy().ends_with("-enc.wav"))
        .collect();
    found.sort();
    found
}

/// The one recording in that folder.
pub(crate) fn heard_in(folder: &Path) -> Heard {
    let found = recordings(folder);
    assert_eq!(found.len(), 1, "{found:?}");
    Heard::read(&found[0])
}
