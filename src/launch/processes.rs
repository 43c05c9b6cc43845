//! What `/proc` says about processes (proc(5)): which belong together and when they were started.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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

    /// Whether it was started as part of the program that leads this group and session. A process
    /// that makes a session of its own means to outlive the program (Wine's server does).
    pub(super) fn belongs_to(&self, leader: i32) -> bool {
        self.group == leader || self.session == leader
    }

    /// Signals this very process: never another one that got its number meanwhile.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
            && Self::find(self.pid).is_some_and(|now| now.started == self.started)
        {
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }
}

/// The living processes of the program that leads this group and session.
pub(super) fn members(leader: i32) -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .filter(move |process| process.belongs_to(leader) && !process.ended)
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
}
