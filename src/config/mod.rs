//! The configuration file. `docs/CONFIGURATION.md` documents every key.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    bridge::Unclaimed,
    consent::{Decision, Rule, Rules},
    endpoint::policy::Network,
    negotiation::Timers,
};

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
    /// `[call]`
    pub call: Call,
    /// `[recordings]`
    pub recordings: Recordings,
    /// `unclaimed`: overrides what the bridge files say.
    pub unclaimed: Option<Unclaimed>,
}

/// `[proxy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Proxy {
    /// Where the client connects.
    pub listen: SocketAddr,
    /// The server, `host:port`.
    pub server: Option<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1863).into(),
            server: None,
        }
    }
}

/// `[network]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NetworkSettings {
    /// The address of ours that peers are told.
    pub announce: Option<Ipv4Addr>,
    /// Addresses of peers that are permitted although they are special.
    pub allow: Vec<Network>,
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
    pub offer: Option<u32>,
    /// How long an invitation of ours waits for the peer.
    pub invite: Option<u32>,
    /// How long a program may take until it listens.
    pub prepare: Option<u32>,
    /// How long we wait for the second ACCEPT.
    pub accept: Option<u32>,
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
    /// How long `auto` waits for the peer's call, in seconds.
    pub wait: f32,
    /// The handoff to try first, by name.
    pub prefer: Option<String>,
    /// A WAV file that the built-in agent plays; silence without one.
    pub play: Option<PathBuf>,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            caller: Caller::Auto,
            wait: 3.0,
            prefer: None,
            play: None,
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
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().get(..start).unwrap_or_default();
            let newlines = before.iter().filter(|byte| **byte == b'\n').count();
            let excerpt: String = text
                .lines()
                .nth(newlines)
                .unwrap_or_default()
                .trim()
                .chars()
                .take(60)
                .collect();
            ConfigError::Wrong {
                file: file.to_owned(),
                line: 1 + newlines,
                message: format!("`{excerpt}`: {}", error.message()),
            }
        })?;
        if !config.call.wait.is_finite() || !(0.0..=10.0).contains(&config.call.wait) {
            let line = 1 + text
                .lines()
                .take_while(|line| !line.trim().starts_with("wait"))
                .count();
            let message = "call.wait is a number of seconds from 0 to 10".to_owned();
            return Err(ConfigError::Wrong {
                file: file.to_owned(),
                line,
                message,
            });
        }
        Ok(config)
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

    #[test]
    fn every_key_is_documented() {
        // An unknown key makes the reader list all it knows, section by section.
        for section in [
            "",
            "proxy",
            "network",
            "consent",
            "timers",
            "call",
            "recordings",
        ] {
            let text = if section.is_empty() {
                "nonsense = 1".to_owned()
            } else {
                format!("[{section}]\nnonsense = 1")
            };
            let message = read(&text).unwrap_err().to_string();
            let keys: Vec<&str> = message.split('`').skip(5).step_by(2).collect();
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
            "[[consent.rule]]\ncontact = \"*@*\"\ndecision = \"allow\"\n",
            "[[consent.rule]]\ndecision = \"maybe\"\n",
            "[call]\ncaller = \"me\"\n",
            "[call]\nwait = 99\n",
            "[timers]\noffer = -1\n",
            "unclaimed = \"drop\"\n",
        ] {
            messages.push_str(&format!("{}\n", read(text).unwrap_err()));
        }
        insta::assert_snapshot!(messages);
    }

    #[test]
    fn a_named_file_must_exist_and_the_usual_one_need_not() {
        assert!(Config::load(Some(Path::new("/nonexistent/config.toml"))).is_err());
    }
}
