//! That a program ends when we are killed and can end nothing any more: the kernel kills it
//! (`PR_SET_PDEATHSIG`, prctl(2)).
//!
//! Only a process itself can ask for that, after it was forked, and what runs between fork and exec
//! may do next to nothing. So our own binary goes in between: it asks, closes what we were given by
//! whoever started us, confines itself where that is wanted ([`super::confinement`]), and becomes the
//! program.
//!
//! The kernel counts the *thread* that forked as the parent. The binary has one thread that starts
//! programs, and it lives as long as the process; whoever uses the library alone may have threads
//! that end earlier, and so nothing is asked there unless it says [`programs_die_with_us`].

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::{fd::RawFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::OnceLock,
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal},
};

use super::{Confinement, confinement, environment, watcher};

/// The first argument of a process that is to become a program.
const VERB: &str = "become-program";
/// What follows for a program that may reach everything, and for one that may not.
const FREE: &str = "free";
const CONFINED: &str = "confined";
/// Our own binary, also when its file was replaced meanwhile (proc(5)).
const OURSELVES: &str = "/proc/self/exe";
/// What a shell says of a program that could not be executed.
const NOT_EXECUTED: u8 = 127;

/// What goes in between.
static GUARD: OnceLock<PathBuf> = OnceLock::new();

/// From now on the kernel kills every program we start when the thread that started it ends. For the
/// binary, whose `main` calls [`became_program`]; its threads that start programs must last.
pub fn programs_die_with_us() {
    programs_start_through(OURSELVES.into());
}

/// The same for a program that uses the library and has our binary beside it. The first call counts.
pub fn programs_start_through(binary: PathBuf) {
    let _ = GUARD.set(binary);
}

/// What goes in between, if anything does.
pub(super) fn binary() -> Option<&'static Path> {
    GUARD.get().map(PathBuf::as_path)
}

/// A command that executes a program, without its arguments, with the variables that each gets.
///
/// # Errors
/// When it is none that we may execute.
#[allow(clippy::disallowed_methods, reason = "the owner of processes")]
pub(super) fn command(program: &Path, confined: Option<&Confinement>) -> io::Result<Command> {
    // Before somebody else fails to execute it, who could not tell it so well.
    accessat(CWD, program, Access::EXEC_OK, AtFlags::EACCESS)?;
    let (file, before) = words(program, confined);
    let mut command = Command::new(file);
    command
        .args(before)
        .env_clear()
        .envs(environment::inherited());
    Ok(command)
}

/// What to execute for a program: the file, and what stands before its arguments.
fn words<'a>(program: &'a Path, confined: Option<&Confinement>) -> (&'a OsStr, Vec<OsString>) {
    let Some(guard) = binary() else {
        return (program.as_os_str(), Vec::new());
    };
    let own = getpid().as_raw_nonzero().to_string();
    let mut before = vec![VERB.into(), own.into()];
    match confined.and_then(|confined| confined.words(program)) {
        None => before.push(FREE.into()),
        Some(words) => {
            before.push(CONFINED.into());
            before.extend(words);
        }
    }
    before.push(program.as_os_str().to_owned());
    (guard.as_os_str(), before)
}

/// To be called first in `main`: whether this process was started to become a program, or to watch
/// over the one that started it. It comes back only when that is not so, is over, or cannot be.
#[must_use]
pub fn became_program() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next()?;
    if verb == watcher::VERB {
        let closed = close_what_we_were_given();
        return closed.map_or_else(
            |error| Some(failed("closed", &error)),
            |()| watcher::watch(&mut arguments),
        );
    }
    if verb != VERB {
        return None;
    }
    become_program(&mut arguments)
}

#[allow(clippy::disallowed_methods, reason = "the owner of processes")]
fn become_program(arguments: &mut impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let parent: i32 = arguments.next()?.to_str()?.parse().ok()?;
    let confined = arguments.next()? == CONFINED;
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Pid::from_raw(parent) {
        // It was killed before we asked.
        return Some(ExitCode::FAILURE);
    }
    if let Err(error) = close_what_we_were_given() {
        return Some(failed("closed", &error));
    }
    if confined && let Err(error) = confinement::hold(arguments) {
        return Some(failed("confined", &error));
    }
    let program = arguments.next()?;
    let error = match asked {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    };
    Some(failed("started", &error))
}

/// Closes all but standard input, output and error. What we open ourselves closes by itself when a
/// program is executed; what who started us left open does not. Nothing is open yet that is ours, and
/// there is no second thread.
fn close_what_we_were_given() -> io::Result<()> {
    let number = |entry: io::Result<fs::DirEntry>| -> io::Result<Option<RawFd>> {
        Ok(entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok()))
    };
    let open: Vec<Option<RawFd>> = fs::read_dir("/proc/self/fd")?
        .map(number)
        .collect::<Result<_, _>>()?;
    for number in open.into_iter().flatten().filter(|number| *number > 2) {
        // The one by which the list was read is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn failed(what: &str, error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "cannot be {what}: {error}");
    ExitCode::from(NOT_EXECUTED)
}
