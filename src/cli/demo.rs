//! `msn-handoff demo`: a voice call on this machine, from the invitation to the recording.

use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Failure;
use crate::demo::{self, DemoSettings};

/// `msn-handoff demo`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Who takes the call
    #[arg(long, value_enum, default_value_t)]
    agent: Agent,

    /// Where the recording goes [default: a new folder below the system's temporary one]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,

    /// How long the call is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=600))]
    talk: u16,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Agent {
    /// baresip when it is installed, else the built-in agent
    #[default]
    Best,
    /// baresip
    Baresip,
    /// The built-in agent
    BuiltIn,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = DemoSettings {
        directory: arguments.folder.clone().unwrap_or_else(new_folder),
        agent: match arguments.agent {
            Agent::Best => demo::voice::Agent::Best,
            Agent::Baresip => demo::voice::Agent::Baresip,
            Agent::BuiltIn => demo::voice::Agent::BuiltIn,
        },
        talk: Duration::from_secs(arguments.talk.into()),
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let runtime = super::runtime()?;
    runtime
        .block_on(demo::run(settings, &mut std::io::stdout()))
        .map_err(Failure::new)?;
    Ok(())
}

/// A folder that no earlier demo has written to.
#[allow(
    clippy::disallowed_methods,
    reason = "a date in a name; nothing is timed by it"
)]
fn new_folder() -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    std::env::temp_dir().join(format!(
        "msn-handoff-demo-{}-{}",
        now.as_secs(),
        std::process::id()
    ))
}
