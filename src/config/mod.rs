//! The configuration file. `docs/CONFIGURATION.md` documents every key.

mod hook;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de};

use crate::{
    bridge::{Registry, Unclaimed, source::Source, unknown::UNKNOWN},
    consent::{Decision, Rule, Rules},
    endpoint::{outside::Mapping, place::PortRange, policy::Network},
    media::limit::Bandwidth,
    negotiation::{Limits, Timers},
};

pub use hook::{Hook, Kind};

/// Everything a user can set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// `[proxy]`
    pub proxy: Proxy,
    /// `[network]`
    pub network: NetworkSettings,
    /// `[consent]`
    pub consent: Consent,
    /// `[timers]`
    pub timers: TimerSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[call]`
    pub call: Call,
    /// `[recordings]`
    pub recordings: Recordings,
    /// `[control]`
    pub control: Control,
    /// `[[hook]]`
    pub hook: Vec<Hook>,
    /// `unconfined`: no program is confined, whatever its bridge says.
    pub unconfined: bool,
    /// `unclaimed`: overrides what the bridge files say.
    pub unclaimed: Option<Unclaimed>,
    /// `unknown`: what becomes of an invitation whose GUID no bridge has.
    pub unknown: Unclaimed,
}

/// `[proxy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Proxy {
    /// Where the client connects.
    pub listen: SocketAddr,
    /// The server, `host:port`.
    #[serde(deserialize_with = "host_and_port")]
    pub server: Option<String>,
    /// Whether clients get the profile as it would be without a proxy.
    pub correct_profile: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1863).into(),
            server: None,
            correct_profile: false,
        }
    }
}

/// `[network]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NetworkSettings {
    /// The address of ours that peers are told.
    #[serde(deserialize_with = "own_address")]
    pub announce: Option<Ipv4Addr>,
    /// The ports that are used towards peers.
    pub ports: Option<PortRange>,
    /// Addresses of peers that are permitted although they are special.
    pub allow: Vec<Network>,
    /// Whether the router at home is asked to forward ports.
    pub mapping: Mapping,
    /// A STUN server, `host:port`.
    #[serde(deserialize_with = "host_and_port")]
    pub stun: Option<String>,
}

/// `[consent]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Consent {
    /// When no rule fits.
    pub default: Decision,
    /// The first that fits decides.
    pub rule: Vec<Rule>,
}

/// `[timers]`, all in seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TimerSettings {
    /// How long an offer waits for the user.
    #[serde(deserialize_with = "at_least_one")]
    pub offer: Option<u32>,
    /// How long an invitation of ours waits for the peer.
    #[serde(deserialize_with = "at_least_one")]
    pub invite: Option<u32>,
    /// How long a program may take until it listens.
    #[serde(deserialize_with = "at_least_one")]
    pub prepare: Option<u32>,
    /// How long we wait for the second ACCEPT.
    #[serde(deserialize_with = "at_least_one")]
    pub accept: Option<u32>,
}

/// `[limits]`: how much the contacts of one account may ask for at once, and send.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitSettings {
    /// Invitations in any state.
    #[serde(deserialize_with = "at_least_one")]
    pub invitations: Option<u32>,
    /// Unanswered offers.
    #[serde(deserialize_with = "at_least_one")]
    pub offers: Option<u32>,
    /// Unanswered offers of one contact.
    #[serde(deserialize_with = "at_least_one")]
    pub offers_per_contact: Option<u32>,
    /// Offers of one contact within a minute.
    #[serde(deserialize_with = "at_least_one")]
    pub offers_per_minute: Option<u32>,
    /// Of each of a call's sound and picture, each way, in Mbit/s.
    #[serde(deserialize_with = "megabits")]
    pub media: Option<u32>,
    /// Of all that is forwarded to a program by TCP for one invitation, each way, in Mbit/s.
    #[serde(deserialize_with = "megabits")]
    pub forwarded: Option<u32>,
}

/// Who places the call after the invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caller {
    /// We wait a moment for the peer's call, then call.
    #[default]
    Auto,
    /// Only the one who invited calls.
    Inviter,
    /// Only the one who was invited calls.
    Invitee,
}

/// `[call]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// How long `auto` waits for the peer's call, in seconds, 0 to 10.
    #[serde(deserialize_with = "a_moment")]
    pub wait: f32,
    /// The handoff to try first, by name.
    pub prefer: Option<String>,
    /// A WAV file that the built-in agent plays; silence without one.
    pub play: Option<PathBuf>,
    /// After how many seconds without a packet of the contact a call is over; 0 for never.
    pub silence: u16,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            caller: Caller::Auto,
            wait: 3.0,
            prefer: None,
            play: None,
            silence: 90,
        }
    }
}

/// `[recordings]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Recordings {
    /// Where recordings go.
    pub folder: Option<PathBuf>,
}

/// `[control]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Control {
    /// Whether there is a control socket.
    pub enabled: bool,
    /// Where it is.
    pub socket: Option<PathBuf>,
    /// Whether there is a D-Bus service.
    pub dbus: bool,
    /// Whether an offer is shown by a notification of the desktop.
    pub notifications: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            enabled: true,
            socket: None,
            dbus: true,
            notifications: true,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is wrong.
    #[error("{}:{line}: {message}", file.display())]
    Wrong {
        /// Which.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl Config {
    /// Reads the named file, which must exist, or the usual one, which need not.
    ///
    /// # Errors
    /// What is wrong, where.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let usual = Self::usual_place();
        let Some(file) = path.or(usual.as_deref()) else {
            return Ok(Self::default());
        };
        match fs::read_to_string(file) {
            Ok(text) => Self::read(file, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_none() => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Read {
                file: file.to_owned(),
                source,
            }),
        }
    }

    /// `$XDG_CONFIG_HOME/msn-handoff/config.toml`
    #[must_use]
    pub fn usual_place() -> Option<PathBuf> {
        use etcetera::BaseStrategy;

        let strategy = etcetera::base_strategy::Xdg::new().ok()?;
        Some(strategy.config_dir().join("msn-handoff/config.toml"))
    }

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// What is wrong, where.
    pub fn read(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let read = Source::new(file, text)
            .read::<Self>()
            .map(|read| read.value);
        read.map_err(|error| {
            let (line, key) = error
                .place
                .map_or((1, String::new()), |it| (it.line, it.key));
            let key = if key.is_empty() {
                key
            } else {
                format!("{key}: ")
            };
            ConfigError::Wrong {
                file: error.file,
                line,
                message: format!("{key}{}", error.message),
            }
        })
    }

    /// What is no mistake in the file itself, but has no effect with these bridges.
    #[must_use]
    pub fn without_effect(&self, registry: &Registry) -> Vec<String> {
        let mut told = Vec::new();
        for id in self
            .consent
            .rule
            .iter()
            .filter_map(|rule| rule.application.as_ref())
        {
            let recorded = id == UNKNOWN && self.unknown == Unclaimed::Record;
            if registry.by_id(id).is_none() && !recorded {
                told.push(format!(
                    "a rule under [consent] is for the application {id:?}, which no bridge has"
                ));
            }
        }
        if let Some(prefer) = &self.call.prefer {
            let mut handoffs = registry.iter().flat_map(|bridge| &bridge.handoffs);
            if !handoffs.any(|handoff| handoff.name == *prefer) {
                told.push(format!("call.prefer is {prefer:?}, which no bridge has"));
            }
        }
        if let Some(file) = self.call.play.as_ref().filter(|file| !file.is_file()) {
            told.push(format!("call.play is {}, which is no file", file.display()));
        }
        let hooks = self
            .hook
            .iter()
            .filter_map(|hook| hook.application.as_ref());
        for id in hooks.filter(|id| registry.by_id(id).is_none()) {
            told.push(format!(
                "a [[hook]] is for the application {id:?}, which no bridge has"
            ));
        }
        told
    }

    /// The consent rules.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            rules: self.consent.rule.clone(),
            default: self.consent.default,
        }
    }

    /// The negotiation's timers.
    #[must_use]
    pub fn negotiation_timers(&self) -> Timers {
        let seconds = |set: Option<u32>, default: Duration| {
            set.map_or(default, |seconds| Duration::from_secs(seconds.into()))
        };
        let default = Timers::default();
        Timers {
            offer: seconds(self.timers.offer, default.offer),
            invite: seconds(self.timers.invite, default.invite),
            prepare: seconds(self.timers.prepare, default.prepare),
            accept: seconds(self.timers.accept, default.accept),
            ..default
        }
    }

    /// The negotiation's limits.
    #[must_use]
    pub fn negotiation_limits(&self) -> Limits {
        let number = |set: Option<u32>, default: usize| {
            set.map_or(default, |set| usize::try_from(set).unwrap_or(usize::MAX))
        };
        let default = Limits::default();
        Limits {
            sessions: number(self.limits.invitations, default.sessions),
            pending: number(self.limits.offers, default.pending),
            pending_per_peer: number(self.limits.offers_per_contact, default.pending_per_peer),
            offers_per_minute: self
                .limits
                .offers_per_minute
                .unwrap_or(default.offers_per_minute),
            ..default
        }
    }

    /// How much is carried of what contacts send.
    #[must_use]
    pub fn bandwidth(&self) -> Bandwidth {
        let bits = |set: Option<u32>, default: u32| {
            set.map_or(default, |megabits| megabits.saturating_mul(1_000_000))
        };
        let default = Bandwidth::default();
        Bandwidth {
            media: bits(self.limits.media, default.media),
            forwarded: bits(self.limits.forwarded, default.forwarded),
        }
    }

    /// Where recordings go: as set, else `$XDG_DATA_HOME/msn-handoff/recordings`.
    #[must_use]
    pub fn recordings_folder(&self) -> PathBuf {
        use etcetera::BaseStrategy;

        self.recordings.folder.clone().unwrap_or_else(|| {
            etcetera::base_strategy::Xdg::new().map_or_else(
                |_| std::env::temp_dir().join("msn-handoff-recordings"),
                |strategy| strategy.data_dir().join("msn-handoff/recordings"),
            )
        })
    }
}

/// `host:port`; a host alone is what people write first.
fn host_and_port<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(reader)?;
    let is_right = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if is_right {
        return Ok(Some(text));
    }
    Err(de::Error::custom(
        "write a host and a port, such as msnmsgr.example.net:1863",
    ))
}

/// An address that a peer can answer to.
fn own_address<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Ipv4Addr>, D::Error> {
    let ip = Ipv4Addr::deserialize(reader)?;
    if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
        return Err(de::Error::custom(format!(
            "nobody can answer to {ip}: write the address that contacts reach you at"
        )));
    }
    Ok(Some(ip))
}

fn at_least_one<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(reader)? {
        0 => Err(de::Error::custom("0 leaves nothing: write 1 or more")),
        number => Ok(Some(number)),
    }
}

fn megabits<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<u32>, D::Error> {
    let megabits = u32::deserialize(reader)?;
    if (1..=4000).contains(&megabits) {
        return Ok(Some(megabits));
    }
    Err(de::Error::custom("write a number of Mbit/s from 1 to 4000"))
}

fn a_moment<'de, D: Deserializer<'de>>(reader: D) -> Result<f32, D::Error> {
    let seconds = f32::deserialize(reader)?;
    if (0.0..=10.0).contains(&seconds) {
        return Ok(seconds);
    }
    Err(de::Error::custom("write a number of seconds from 0 to 10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::read(Path::new("config.toml"), text)
    }

    /// The fenced example of the documentation.
    fn documented() -> &'static str {
        let page = include_str!("../../docs/CONFIGURATION.md");
        page.split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap()
    }

    #[test]
    fn the_documented_example_is_read() {
        let config = read(documented()).unwrap();
        assert_eq!(
            config.proxy.server.as_deref(),
            Some("msnmsgr.example.net:1863")
        );
        assert_eq!(config.consent.rule.len(), 2);
        assert_eq!(config.negotiation_timers().offer, Duration::from_secs(120));
    }

    /// Whoever reaches the port can log in through us.
    #[test]
    fn clients_connect_on_this_machine_unless_the_user_says_otherwise() {
        for nothing in ["", "[proxy]\nserver = \"msnmsgr.example.net:1863\"\n"] {
            let listen = read(nothing).unwrap().proxy.listen;
            assert_eq!(listen, (Ipv4Addr::LOCALHOST, 1863).into());
        }
        let other = read("[proxy]\nlisten = \"0.0.0.0:1863\"\n").unwrap();
        assert!(other.proxy.listen.ip().is_unspecified());
    }

    #[test]
    fn every_key_is_documented() {
        // An unknown key makes the reader list all it knows, section by section.
        for section in [
            "",
            "proxy",
            "network",
            "consent",
            "timers",
            "limits",
            "call",
            "recordings",
        ] {
            let text = if section.is_empty() {
                "nonsense = 1".to_owned()
            } else {
                format!("[{section}]\nnonsense = 1")
            };
            let message = read(&text).unwrap_err().to_string();
            let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            assert!(!keys.is_empty(), "{message}");
            for key in keys {
                let named = documented().lines().any(|line| {
                    let line = line.trim_start_matches(['#', ' ', '[']);
                    line.strip_prefix("consent.")
                        .unwrap_or(line)
                        .starts_with(key)
                });
                assert!(named, "[{section}] {key} is not in docs/CONFIGURATION.md");
            }
        }
    }

    #[test]
    fn mistakes_are_told_with_line_and_key() {
        let mut messages = String::new();
        for text in [
            "[proxy]\nlisten = \"1863\"\n",
            "[proxy]\n\nserver = 5\n",
            "[proxi]\n",
            "[network]\nannounce = \"home\"\n",
            "[network]\nallow = [\"10.0.0.0/33\"]\n",
            "[network]\nmapping = \"on\"\n",
            "[network]\nstun = \"stun.example.net\"\n",
            "[[consent.rule]]\ncontact = \"*@*\"\ndecision = \"allow\"\n",
            "[[consent.rule]]\ndecision = \"maybe\"\n",
            "[call]\ncaller = \"me\"\n",
            "[call]\nwait = 99\n",
            "[timers]\noffer = -1\n",
            "[timers]\noffer = 0\n",
            "[limits]\noffers = 5000000000\n",
            "[limits]\nmedia = 0\n",
            "[limits]\nforwarded = \"100 Mbit/s\"\n",
            "[proxy]\nserver = \"msnmsgr.example.net\"\n",
            "[network]\nannounce = \"0.0.0.0\"\n",
            "[call]\nwait = nan\n",
            "[call\n",
            "unclaimed = \"drop\"\n",
        ] {
            messages.push_str(&format!("{}\n", read(text).unwrap_err()));
        }
        insta::assert_snapshot!(messages);
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let registry = Registry::load(&[]).unwrap();
        let documented = read(documented()).unwrap();
        assert_eq!(
            documented.without_effect(&registry),
            ["call.play is /home/me/greeting.wav, which is no file"]
        );
        let slips = "[call]\nprefer = \"barseip\"\n[[consent.rule]]\napplication = \"vioce\"\ndecision = \"refuse\"\n";
        assert_eq!(
            read(slips).unwrap().without_effect(&registry),
            [
                "a rule under [consent] is for the application \"vioce\", which no bridge has",
                "call.prefer is \"barseip\", which no bridge has"
            ]
        );
    }

    #[test]
    fn limits_replace_the_defaults_one_by_one() {
        let set = read("[limits]\noffers-per-contact = 2\n").unwrap();
        let expected = Limits {
            pending_per_peer: 2,
            ..Limits::default()
        };
        assert_eq!(set.negotiation_limits(), expected);
        assert_eq!(set.bandwidth(), Bandwidth::default());
        let set = read("[limits]\nforwarded = 8\n").unwrap();
        let expected = Bandwidth {
            forwarded: 8_000_000,
            ..Bandwidth::default()
        };
        assert_eq!(set.bandwidth(), expected);
    }

    #[test]
    fn the_documented_limits_are_the_defaults() {
        let config = read(documented()).unwrap();
        assert_eq!(config.negotiation_limits(), Limits::default());
        assert_eq!(config.bandwidth(), Bandwidth::default());
    }

    #[test]
    fn a_named_file_must_exist_and_the_usual_one_need_not() {
        assert!(Config::load(Some(Path::new("/nonexistent/config.toml"))).is_err());
    }
}
