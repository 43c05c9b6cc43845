//! The command line: one file per verb.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 6 a configuration or bridge file is wrong.

mod bridges;
mod control;
pub mod decode;
mod demo;
mod doctor;
mod generate;
mod log;
mod network;
mod proxy;
mod setup;
mod stdio;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{config::Config, launch};
use control::Act;

/// Completes MSN Messenger invitations beside your client and hands the call, the webcam or the
/// game to a program that speaks it.
#[derive(Debug, Parser)]
#[command(name = "msn-handoff", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Arguments {
    /// The configuration file [default: $XDG_CONFIG_HOME/msn-handoff/config.toml, when it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What goes to the log on standard error, e.g. `info` or `msn_handoff::media=trace`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "MSN_HANDOFF_LOG",
        default_value = "warn"
    )]
    log: String,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Stand between your MSN client and its server, and take the invitations
    Proxy(proxy::Arguments),
    /// Serve a client that starts msn-handoff itself, on standard input and output
    Stdio(stdio::Arguments),
    /// What is open, and who is signed in
    List(control::List),
    /// Invite a contact: `invite alice@example.com voice`
    Invite(control::Invite),
    /// Say yes to an offer
    Accept(control::OnOne),
    /// Say no to an offer
    Decline(control::OnOne),
    /// End an invitation or what it began
    #[command(name = "hangup")]
    HangUp(control::OnOne),
    /// Tell what happens
    Events(control::Events),
    /// List the known applications and the programs that would take them
    Bridges(bridges::Arguments),
    /// Explain an invitation message from a file or standard input
    Decode(decode::Arguments),
    /// Tell what is installed, what is missing and what to install
    Doctor(doctor::Arguments),
    /// Show what to change so that a client connects here, and change it if you say yes
    Setup(setup::Arguments),
    /// Show a voice call from the invitation to the recording, all on this machine
    Demo(demo::Arguments),
    /// Make completions for your shell, or man pages
    Generate(generate::Arguments),
}

const AFTER_HELP: &str = "\
A first try, with nothing else needed:
  msn-handoff demo

For real: start it, then set your client's server to 127.0.0.1, port 1863:
  msn-handoff proxy --server msnmsgr.example.net:1863

A contact invites you to talk; type /accept in the chat window.";

/// What went wrong, in one sentence a person can act on.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    /// Something did not work.
    pub(crate) fn new(sentence: impl ToString) -> Self {
        Self {
            sentence: sentence.to_string(),
            code: 1,
        }
    }

    /// The command line is wrong.
    pub(crate) fn usage(sentence: impl ToString) -> Self {
        Self {
            sentence: sentence.to_string(),
            code: 2,
        }
    }

    /// A file of the user's is wrong.
    pub(crate) fn configuration(sentence: impl ToString) -> Self {
        Self {
            sentence: sentence.to_string(),
            code: 6,
        }
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = launch::became_program() {
        return code;
    }
    launch::programs_die_with_us();
    let arguments = Arguments::parse();
    let filter = match EnvFilter::try_new(&arguments.log) {
        Ok(filter) => filter,
        Err(error) => return fail(&Failure::usage(format!("--log: {error}"))),
    };
    // Scripts read the log too: no colours in a file or a pipe.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(log::Bounded::new(std::io::stderr))
        .init();
    match arguments.verb.run(arguments.config.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

impl Verb {
    fn run(self, config: Option<&std::path::Path>) -> Result<(), Failure> {
        match self {
            Self::Proxy(arguments) => proxy::run(arguments, load(config)?),
            Self::Stdio(arguments) => stdio::run(&arguments, load(config)?),
            Self::List(arguments) => control::list(&arguments, &load(config)?),
            Self::Invite(arguments) => control::invite(arguments, &load(config)?),
            Self::Accept(which) => control::on_one(Act::Accept, &which, &load(config)?),
            Self::Decline(which) => control::on_one(Act::Decline, &which, &load(config)?),
            Self::HangUp(which) => control::on_one(Act::HangUp, &which, &load(config)?),
            Self::Events(arguments) => control::events(&arguments, &load(config)?),
            Self::Bridges(arguments) => bridges::run(&arguments),
            Self::Decode(arguments) => decode::verb(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments, config),
            Self::Setup(arguments) => setup::run(&arguments, &load(config)?),
            Self::Demo(arguments) => demo::run(&arguments),
            Self::Generate(arguments) => generate::run(&arguments),
        }
    }
}

/// One thread is enough for what one person does.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::new)
}

/// Prints to standard output. Whoever closed it has read enough.
fn print(text: &str) {
    let _ = try_print(text);
}

/// The same; false when nobody reads any more.
fn try_print(text: &str) -> bool {
    let mut out = std::io::stdout();
    // A question has no end of line, and is seen before it is answered.
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}

fn load(path: Option<&std::path::Path>) -> Result<Config, Failure> {
    Config::load(path).map_err(Failure::configuration)
}

#[allow(clippy::print_stderr, reason = "the command line speaks to people")]
fn fail(failure: &Failure) -> ExitCode {
    eprintln!("msn-handoff: {failure}");
    ExitCode::from(failure.code)
}
