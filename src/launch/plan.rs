//! What is to be started, complete.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use super::Confinement;

/// A program to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What people call it.
    pub name: String,
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments, one element each; no shell sees them.
    pub args: Vec<OsString>,
    /// Variables beyond the allow-list.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `/` without one.
    pub dir: Option<PathBuf>,
    /// What it may reach, if it is confined. Only the binary confines: see
    /// [`programs_die_with_us`](super::programs_die_with_us).
    pub confined: Option<Confinement>,
    /// How its readiness shows.
    pub ready: Ready,
    /// How long readiness may take.
    pub ready_within: Duration,
    /// How it is ended.
    pub stop: Stop,
}

/// What shows that a program is ready. All are observations; none is a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// It was started: nothing to wait for.
    Started,
    /// It printed a line that contains this text.
    Output(String),
    /// A process of its group listens on this TCP address.
    Tcp(SocketAddr),
    /// A process of its group has bound this UDP address.
    Udp(SocketAddr),
}

/// The ladder by which a program is ended: words, SIGTERM, SIGKILL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Written to its standard input first.
    pub words: Option<String>,
    /// How long each rung may take.
    pub grace: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            words: None,
            grace: Duration::from_secs(2),
        }
    }
}
