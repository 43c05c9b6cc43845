//! That also those end with us whom our programs started: when we are killed, the kernel ends the
//! programs ([`super::guard`]) and nobody else.
//!
//! So while programs run, so does a second process of our own binary. It waits for our end, which the
//! kernel tells it however that comes, and then ends what is written down about our programs
//! ([`super::leftovers`]), as our next run would. It has a session of its own, so that what kills our
//! group does not meet it, and holds nothing open of what we were given. With the last program it goes.

use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use process_wrap::std::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags, getpid, getppid, pidfd_open},
};

use super::{environment, guard, leftovers, processes::Process};

/// The first argument of a process that is to watch over us.
pub(super) const VERB: &str = "watch-over";

/// The one that runs, if one does.
static RUNNING: Mutex<Weak<Watcher>> = Mutex::new(Weak::new());

/// A process that watches over us. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Watcher {
    process: Box<dyn ChildWrapper>,
}

impl Watcher {
    #[allow(clippy::disallowed_methods, reason = "the owner of processes")]
    fn start(binary: &Path) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command
            .arg(VERB)
            .arg(getpid().as_raw_nonzero().to_string())
            // It finds the same folder as we do.
            .env_clear()
            .envs(environment::inherited())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = CommandWrap::from(command).wrap(ProcessSession).spawn()?;
        Ok(Self { process })
    }

    /// Its number is its own until it is dropped.
    fn lives(&self) -> bool {
        let pid = self.process.id().cast_signed();
        Process::find(pid).is_some_and(|process| !process.ended)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = self.process.wait();
    }
}

/// Has somebody watch over us as long as this is kept. Of the binary only, and of who has it beside.
pub(super) fn keep() -> Option<Arc<Watcher>> {
    let binary = guard::binary()?;
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watcher) = running.upgrade().filter(|watcher| watcher.lives()) {
        return Some(watcher);
    }
    let watcher = Watcher::start(binary).inspect_err(|error| {
        tracing::warn!(%error, "nobody watches: what programs started would outlive a crash of ours");
    });
    let watcher = Arc::new(watcher.ok()?);
    *running = Arc::downgrade(&watcher);
    Some(watcher)
}

/// What the watcher does, with the number of the process it watches over, which started it.
pub(super) fn watch(arguments: &mut impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let owner: i32 = arguments.next()?.to_str()?.parse().ok()?;
    let number = Pid::from_raw(owner)?;
    let descriptor = pidfd_open(number, PidfdFlags::empty());
    // If it is not our parent any more, it was killed before we looked.
    if getppid() == Some(number) {
        let Ok(descriptor) = descriptor else {
            return Some(ExitCode::FAILURE);
        };
        let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
        while poll(&mut ended, None) == Err(Errno::INTR) {}
    }
    match leftovers::reap(&leftovers::programs_folder(), Some(owner)) {
        Ok(_) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}
