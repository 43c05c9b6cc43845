//! Asks a program for its options: `PROGRAM --help`, once for each version of its file.
//!
//! A program that shows a window instead, waits, or prints without end is ended after a moment; it
//! gets no display, so that there is no window to flash.

use std::{
    collections::HashMap,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use process_wrap::std::{CommandWrap, ProcessSession};
use rustix::process::Signal;

use super::{
    guard, leftovers,
    processes::{Family, MARK},
};

/// How long a program may take to tell its options.
const WITHIN: Duration = Duration::from_secs(2);
/// How much of what it says is read, in bytes.
const MAX_HELP: u64 = 64 * 1024;
/// Most programs that are remembered.
const MAX_KNOWN: usize = 64;

/// What is known of a program: when its file was changed, and what it told.
#[derive(Clone)]
struct Known {
    changed: Option<SystemTime>,
    text: Arc<str>,
}

static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Known>>> = LazyLock::new(Mutex::default);

/// What the program prints for `--help`; nothing when it cannot be started or does not say. Takes
/// two seconds at most the first time, and next to nothing later: of a file that was changed since,
/// the old text is given and the new one is asked for meanwhile.
#[must_use]
pub fn help(program: &Path) -> Arc<str> {
    let changed = program.metadata().and_then(|data| data.modified()).ok();
    let known = lock().get(program).cloned();
    match known {
        Some(known) if known.changed == changed => known.text,
        Some(known) => {
            let outdated = Known { changed, ..known };
            // From now on it counts as asked, so that one thread asks.
            lock().insert(program.to_owned(), outdated.clone());
            let program = program.to_owned();
            thread::spawn(move || learn(&program, changed));
            outdated.text
        }
        None => learn(program, changed),
    }
}

fn lock() -> MutexGuard<'static, HashMap<PathBuf, Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks, and remembers the answer.
fn learn(program: &Path, changed: Option<SystemTime>) -> Arc<str> {
    let text = ask(program).unwrap_or_else(|error| {
        tracing::info!(program = %program.display(), %error, "does not tell its options");
        String::new()
    });
    let text: Arc<str> = text.into();
    let mut known = lock();
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    let told = Known {
        changed,
        text: Arc::clone(&text),
    };
    known.insert(program.to_owned(), told);
    text
}

#[allow(clippy::disallowed_methods, reason = "the owner of processes")]
fn ask(program: &Path) -> io::Result<String> {
    // One pipe: some tell it as an error.
    let (reader, writer) = io::pipe()?;
    let mark = leftovers::mark();
    let mut command = guard::command(program, None)?;
    command
        .arg("--help")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env(MARK, &mark)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // The command holds the writing end, and an end of the text is seen only without it: it goes with
    // this statement.
    let mut child = CommandWrap::from(command).wrap(ProcessSession).spawn()?;
    // Nothing is to stay of what only tells its options.
    let family = Family::new(child.id().cast_signed(), mark, true);
    let record = leftovers::note(&family);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = reader.take(MAX_HELP).read_to_end(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let told = receiver.recv_timeout(WITHIN);
    // Not reaped yet, so the number is still its own. It goes with all that it started.
    let _ = child.start_kill();
    for process in family.members(true) {
        process.signal(Signal::KILL);
    }
    child.wait()?;
    drop(record);
    let text = told.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a text of `--help` knows that option: as a word of its own, not as the beginning of
/// another.
#[must_use]
pub fn names_option(help: &str, option: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    help.match_indices(option).any(|(at, found)| {
        let before = help.get(..at).and_then(|text| text.chars().next_back());
        let after = help
            .get(at + found.len()..)
            .and_then(|text| text.chars().next());
        !found.is_empty() && !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    #[test]
    fn an_option_is_a_word_of_its_own() {
        let popt = "  -c, --call=STRING   Makes it call\n  [-n|--no-gatekeeper]\n -x N";
        for option in ["-c", "--call", "-n", "--no-gatekeeper", "-x"] {
            assert!(names_option(popt, option), "{option}");
        }
        for option in ["--callto", "--no", "-g", "-ca", "", "call-x", "gatekeeper"] {
            assert!(!names_option(popt, option), "{option}");
        }
    }

    #[test]
    fn what_is_said_on_either_stream_is_heard_once_and_again_when_the_file_changed() {
        let dir = tempfile::tempdir().unwrap();
        let text = "echo \"$1 out\"; echo err >&2; echo x >>\"$0.asked\"; exit 1";
        let path = script(dir.path(), "it", text);
        assert_eq!(&*help(&path), "--help out\nerr\n");
        let _ = help(&path);
        let asked = || fs::read_to_string(dir.path().join("it.asked")).unwrap();
        assert_eq!(asked(), "x\n");
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        drop(file);
        // Nobody waits for the new text.
        assert_eq!(&*help(&path), "--help out\nerr\n");
        let again = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            asked() == "x\nx\n"
        });
        assert!(again, "{}", asked());
    }

    #[test]
    fn who_does_not_end_is_ended_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let endless = script(dir.path(), "endless", "yes -- --callto");
        assert!(names_option(&help(&endless), "--callto"));
        let text = "sleep 600 & echo $! >\"$0.pid\"; wait";
        let silent = script(dir.path(), "silent", text);
        assert_eq!(&*help(&silent), "");
        let pid = fs::read_to_string(dir.path().join("silent.pid")).unwrap();
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(!state.contains(") S "), "{state}");
        assert_eq!(&*help(Path::new("/nonexistent")), "");
    }

    #[test]
    fn a_real_program_tells_its_options() {
        let env = Path::new("/usr/bin/env");
        assert!(names_option(&help(env), "--ignore-environment"));
        assert!(!names_option(&help(env), "--ignore"));
    }
}
