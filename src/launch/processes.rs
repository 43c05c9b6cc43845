//! What `/proc` says about processes (proc(5)): which belong together and when they were started.

use std::{fs, thread, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable that marks each process of a program, also those whose leader is gone.
pub(super) const MARK: &str = "MSN_HANDOFF_PROGRAM";
/// How long, in milliseconds, a process is waited for that is becoming another program.
const EXEC_MILLIS: usize = 50;

/// The part of `/proc/<pid>/stat` that tells one process from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// Ended, and waiting for its parent to notice.
    pub(super) ended: bool,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Clock ticks since the machine was started; with the pid it names a process for ever.
    pub(super) started: u64,
}

impl Process {
    /// Reads one line of `stat`. The name in it may hold anything, so the fields count from its
    /// last bracket.
    fn parse(stat: &str) -> Option<Self> {
        let (front, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        Some(Self {
            pid: front.split_once(' ')?.0.parse().ok()?,
            ended: matches!(fields.next()?, "Z" | "X" | "x"),
            group: fields.nth(1)?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            started: fields.nth(15)?.parse().ok()?,
        })
    }

    /// The process of that number, if there is one.
    pub(super) fn find(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it is in the group or the session that this one leads.
    fn belongs_to(&self, leader: i32) -> bool {
        self.group == leader || self.session == leader
    }

    /// Whether it was started with that mark.
    fn carries(&self, mark: &str) -> bool {
        let wanted = format!("{MARK}={mark}");
        self.environment().is_some_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes())
        })
    }

    /// The variables it was started with, where we may know them. While it becomes another program
    /// there seem to be none; then they are waited for, or it would get away.
    fn environment(&self) -> Option<Vec<u8>> {
        let read = || fs::read(format!("/proc/{}/environ", self.pid)).ok();
        for _ in 0..EXEC_MILLIS {
            let environment = read()?;
            if !environment.is_empty() {
                return Some(environment);
            }
            if !self.is_in_exec() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        read()
    }

    /// Whether it has a program, but not yet the place where its variables end: `exe` and `env_end`
    /// of proc(5). The kernel's own processes have neither.
    fn is_in_exec(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        fields.split_ascii_whitespace().nth(48) == Some("0")
            && fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok()
    }

    /// Whether it is this very process, whatever became of it meanwhile.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }

    /// Signals this very process: never another one that got its number meanwhile.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
            && Self::find(self.pid).is_some_and(|now| now.is(self))
        {
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }
}

/// What tells the processes of a program from all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Family {
    /// The process that we started. It leads a group and a session of that number.
    pub(super) leader: i32,
    /// When it was started; nothing of the program is older.
    pub(super) leader_started: u64,
    /// What its variable [`MARK`] says, and that of all it started.
    pub(super) mark: String,
    /// Whether those belong to it that made a session of their own. What does that means to outlive
    /// the program, as Wine's server does, which serves other programs as well. A program that is
    /// confined is not to leave anything behind.
    pub(super) with_strays: bool,
}

impl Family {
    /// That of a program which was just started, and of which nobody has told yet that it ended.
    pub(super) fn new(leader: i32, mark: String, with_strays: bool) -> Self {
        Self {
            leader,
            leader_started: Process::find(leader).map_or(0, |leader| leader.started),
            mark,
            with_strays,
        }
    }

    /// Whether the number of the leader is still its own: it runs, or nobody was told of its end.
    pub(super) fn is_held(&self) -> bool {
        Process::find(self.leader).is_some_and(|leader| leader.started == self.leader_started)
    }

    /// Its living processes. If the number of the leader is not held any more, somebody else may have
    /// it, and only the mark tells.
    pub(super) fn members(&self, is_held: bool) -> impl Iterator<Item = Process> + use<> {
        let family = self.clone();
        living().filter(move |process| {
            let inside = process.belongs_to(family.leader);
            let is_later = process.started >= family.leader_started;
            (inside && is_held)
                || ((inside || (family.with_strays && is_later)) && process.carries(&family.mark))
        })
    }
}

fn living() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .filter(|process| !process.ended)
}

/// The living processes of the group and the session that this one leads.
pub(super) fn members(leader: i32) -> impl Iterator<Item = Process> {
    living().filter(move |process| process.belongs_to(leader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_blanks_and_brackets_does_not_confuse() {
        let stat = "42 (a) b (c) S 1 77 78 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 1234 9 9";
        let expected = Process {
            pid: 42,
            ended: false,
            group: 77,
            session: 78,
            started: 1234,
        };
        assert_eq!(Process::parse(stat), Some(expected));
        assert_eq!(Process::parse(""), None);
        assert_eq!(Process::parse("42 (x) S 1 2"), None);
    }

    #[test]
    fn our_own_process_is_found() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = Process::find(pid).unwrap();
        assert!(!own.ended);
        assert!(own.started > 0);
        assert!(members(own.group).any(|process| process == own));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the owner of processes")]
    fn who_left_for_a_session_of_its_own_is_known_by_the_mark_where_it_belongs() {
        let own = Process::find(i32::try_from(std::process::id()).unwrap()).unwrap();
        let mut stray = std::process::Command::new("setsid")
            .args(["sleep", "600"])
            .env(MARK, "here")
            .spawn()
            .unwrap();
        let pid = stray.id().cast_signed();
        let family = |mark: &str, with_strays, leader_started| Family {
            leader: own.group,
            leader_started,
            mark: mark.to_owned(),
            with_strays,
        };
        // It makes its session and becomes sleep when it likes.
        while Process::find(pid).is_none_or(|process| process.session != pid) {
            std::thread::yield_now();
        }
        for (family, expected) in [
            (family("here", true, own.started), true),
            (family("here", false, own.started), false),
            (family("another", true, own.started), false),
            (family("here", true, u64::MAX), false),
        ] {
            let found = family.members(false).any(|process| process.pid == pid);
            assert_eq!(found, expected, "{family:?}");
        }
        stray.kill().unwrap();
        stray.wait().unwrap();
    }
}
