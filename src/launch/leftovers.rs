//! What is left running when we are killed: each program is entered into a folder while it runs, and
//! what a dead run left behind is ended, by who watches over us ([`super::watcher`]) or by the next
//! run (ANCHORS.md E.3 row 14).
//!
//! An entry names two processes, us and the program, each by its number *and* the time it was
//! started, and the boot both belong to. So a number that was given out again is never taken for
//! the old process, and the programs of another run that is alive are left alone.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{
    processes::{Family, Process},
    watcher::{self, Watcher},
};
use crate::{
    private,
    runtime_folder::{make_private, runtime_folder},
};

/// Longer files are not ours.
const MAX_ENTRY: u64 = 4096;
/// How often we look whether a program that is being ended has started more meanwhile.
const LOOKS: usize = 100;

/// What is written down about a running program.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    boot: String,
    owner: i32,
    owner_started: u64,
    family: Family,
}

/// An entry in the folder, and somebody who reads it when we are killed; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    _watcher: Option<Arc<Watcher>>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A mark for a program about to be started: a text that no other program has.
pub(super) fn mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let own = std::process::id();
    let started = own_process().map_or(0, |own| own.started);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{own}.{started}.{count}")
}

/// Writes a program down. When that cannot be done it runs all the same.
pub(super) fn note(family: &Family) -> Option<Record> {
    let mut record = enter(&programs_folder(), family)
        .inspect_err(|error| {
            tracing::warn!(%error, "not written down: it would outlive a crash of ours");
        })
        .ok()?;
    record._watcher = watcher::keep();
    Some(record)
}

/// Enters a program into the folder.
fn enter(folder: &Path, family: &Family) -> io::Result<Record> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let owner = own_process().ok_or_else(gone)?;
    let entry = Entry {
        boot: boot()?,
        owner: owner.pid,
        owner_started: owner.started,
        family: family.clone(),
    };
    make_private(folder)?;
    let path = folder.join(&family.mark);
    let mut file = private::new_file(&path)?;
    let record = Record {
        path,
        _watcher: None,
    };
    file.write_all(&serde_json::to_vec(&entry)?)?;
    Ok(record)
}

/// The folder of this user's entries.
#[must_use]
pub fn programs_folder() -> PathBuf {
    runtime_folder().join("programs")
}

/// Ends the programs that a run which is no longer alive has left behind, and clears their
/// entries. Returns how many it ended.
///
/// # Errors
/// When the folder is somebody else's, or others may write to it. A folder that is not there
/// means that nothing is left.
pub fn reap_leftovers(folder: &Path) -> io::Result<usize> {
    reap(folder, None)
}

/// The same right after the end of the run of that number: no number of its programs can have been
/// given out again since, so also those belong to them who dropped the mark.
pub(super) fn reap(folder: &Path, just_ended: Option<i32>) -> io::Result<usize> {
    if !folder.try_exists()? {
        return Ok(0);
    }
    make_private(folder)?;
    let boot = boot()?;
    let mut ended = 0;
    for path in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        let entry = match read(&path) {
            Some(entry) if entry.boot == boot => entry,
            // Not an entry, or one from before the machine was started.
            _ => {
                let _ = fs::remove_file(&path);
                continue;
            }
        };
        if is_alive(entry.owner, entry.owner_started) {
            continue;
        }
        let is_held = just_ended == Some(entry.owner) || entry.family.is_held();
        ended += usize::from(end(&entry.family, is_held));
        let _ = fs::remove_file(&path);
    }
    Ok(ended)
}

/// Ends what is left of a program, and what that started while it was ended. False when nothing was.
fn end(family: &Family, is_held: bool) -> bool {
    let mut ended: Vec<Process> = Vec::new();
    for _ in 0..LOOKS {
        let mut left: Vec<Process> = family.members(is_held).collect();
        left.retain(|process| !ended.iter().any(|old| old.is(process)));
        if left.is_empty() {
            break;
        }
        for process in left {
            tracing::warn!(
                pid = process.pid,
                "ends a program that a dead run left behind"
            );
            process.signal(Signal::KILL);
            ended.push(process);
        }
    }
    !ended.is_empty()
}

fn read(path: &Path) -> Option<Entry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_ENTRY {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn own_process() -> Option<Process> {
    Process::find(i32::try_from(std::process::id()).ok()?)
}

fn is_alive(pid: i32, started: u64) -> bool {
    Process::find(pid).is_some_and(|process| !process.ended && process.started == started)
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

    use super::*;
    use crate::launch::{Plan, PrivateDir, Program, Ready, Stop, processes, start};

    /// A program whose leader, if `leaderless`, is gone while its child runs on.
    async fn program(leaderless: bool) -> Program {
        let script = if leaderless {
            // Prints after the last exec of the process that stays.
            "sh -c 'echo up; sleep 71; :' & read forever"
        } else {
            "echo up; read forever"
        };
        let mut program = start(&Plan {
            name: "stub".into(),
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            env: Vec::new(),
            dir: None,
            confined: None,
            ready: Ready::Output("up".into()),
            ready_within: Duration::from_secs(20),
            stop: Stop::default(),
        })
        .unwrap();
        program.ready().await.unwrap();
        if leaderless {
            let leader = Process::find(program.pid().cast_signed()).unwrap();
            leader.signal(Signal::KILL);
            program.wait().await;
        }
        program
    }

    /// An entry for it, as if a run with the given start time had written it.
    fn entered(folder: &Path, program: &Program, change: impl FnOnce(&mut Entry)) {
        let record = enter(folder, program.family()).unwrap();
        let mut entry = read(&record.path).unwrap();
        change(&mut entry);
        fs::write(&record.path, serde_json::to_vec(&entry).unwrap()).unwrap();
        std::mem::forget(record);
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_program_of_a_dead_run_is_ended_with_or_without_its_leader() {
        for leaderless in [false, true] {
            let dir = PrivateDir::new().unwrap();
            let program = program(leaderless).await;
            entered(dir.path(), &program, |entry| {
                entry.owner_started += 1;
                // As if its number could be somebody else's.
                entry.family.leader_started -= u64::from(leaderless);
            });
            assert_eq!(reap_leftovers(dir.path()).unwrap(), 1);
            while processes::members(program.pid().cast_signed())
                .next()
                .is_some()
            {
                tokio::task::yield_now().await;
            }
            assert_eq!(entries(dir.path()), 0);
        }
    }

    #[tokio::test]
    async fn right_after_our_end_those_belong_to_a_program_who_dropped_its_mark() {
        let dir = PrivateDir::new().unwrap();
        let program = program(true).await;
        let mut owner = 0;
        entered(dir.path(), &program, |entry| {
            entry.owner_started += 1;
            entry.family.leader_started -= 1;
            entry.family.mark = "dropped".into();
            owner = entry.owner;
        });
        let members = || processes::members(program.pid().cast_signed()).count();
        assert_eq!(reap(dir.path(), Some(owner)).unwrap(), 1);
        while members() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_of_a_living_run_is_left_alone() {
        let dir = PrivateDir::new().unwrap();
        let program = program(false).await;
        entered(dir.path(), &program, |_| ());
        assert_eq!(reap_leftovers(dir.path()).unwrap(), 0);
        assert_eq!(entries(dir.path()), 1);
        let leader = program.pid().cast_signed();
        assert!(processes::members(leader).next().is_some());
    }

    #[tokio::test]
    async fn a_number_that_was_given_out_again_is_not_taken_for_the_old_process() {
        let dir = PrivateDir::new().unwrap();
        let program = program(false).await;
        let leader = program.pid().cast_signed();
        entered(dir.path(), &program, |entry| {
            entry.owner_started += 1;
            entry.family.leader_started += 1;
            entry.family.mark = "another".into();
        });
        assert_eq!(reap_leftovers(dir.path()).unwrap(), 0);
        entered(dir.path(), &program, |entry| {
            entry.owner_started += 1;
            entry.boot = "another".into();
        });
        assert_eq!(reap_leftovers(dir.path()).unwrap(), 0);
        assert_eq!(entries(dir.path()), 0);
        assert!(processes::members(leader).next().is_some());
    }

    #[test]
    fn what_is_not_an_entry_is_cleared_and_harms_nobody() {
        let dir = PrivateDir::new().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        fs::write(dir.path().join("text"), "{\"leader\":1}").unwrap();
        fs::write(dir.path().join("long"), "x".repeat(10_000)).unwrap();
        assert_eq!(reap_leftovers(dir.path()).unwrap(), 0);
        assert_eq!(entries(dir.path()), 0);
        assert!(Path::new("/etc/passwd").exists());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let dir = PrivateDir::new().unwrap();
        let folder = dir.path().join("programs");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let error = reap_leftovers(&folder).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(enter(&folder, &Family::new(1, "x".into(), false)).is_err());
    }

    #[tokio::test]
    async fn an_entry_is_there_as_long_as_the_program() {
        let folder = programs_folder();
        let mut program = program(false).await;
        let has_entry = |pid: i32| {
            fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| read(&entry.path()))
                .any(|entry| entry.family.leader == pid)
        };
        let pid = program.pid().cast_signed();
        assert!(has_entry(pid));
        program.stop().await;
        drop(program);
        assert!(!has_entry(pid));
    }
}
