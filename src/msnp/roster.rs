//! Who else is in a switchboard, from `IRO`, `JOI` and `BYE` (PROTOCOL.md 12.3). From MSNP16 on one
//! person may be listed twice, as `handle` and as `handle;{machine}`, and is still one person.

use super::frame::word;
use crate::shown;

/// More entries than any switchboard has; further ones are not kept.
const MAX_ENTRIES: usize = 256;

/// The part of a handle before the machine GUID.
#[must_use]
pub fn bare(handle: &str) -> &str {
    handle.split_once(';').map_or(handle, |(bare, _)| bare)
}

/// Whether two handles are the same person: machines and case do not count.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    bare(one).eq_ignore_ascii_case(bare(other))
}

/// Whether it can stand in a command, and on a screen, as one word. What a person typed need not, and
/// what a server lists is free of blanks only.
#[must_use]
pub fn is_word(handle: &str) -> bool {
    shown::is_word(handle)
}

#[derive(Debug)]
struct Entry {
    /// As listed, perhaps with a machine.
    handle: String,
    nick: String,
}

/// The other participants.
#[derive(Debug)]
pub struct Roster {
    own: String,
    entries: Vec<Entry>,
}

/// What a line changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Somebody is in now.
    Joined(String),
    /// Somebody has left, with the last machine.
    Left(String),
}

impl Roster {
    /// An empty switchboard. The account's other machines, listed under its `own` handle, are
    /// nobody else.
    #[must_use]
    pub fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            entries: Vec::new(),
        }
    }

    /// Takes a line the server sends.
    pub fn line(&mut self, line: &[u8]) -> Change {
        match word(line, 0) {
            "IRO" => self.join(word(line, 4), word(line, 5)),
            "JOI" => self.join(word(line, 1), word(line, 2)),
            "BYE" => self.leave(word(line, 1)),
            _ => Change::None,
        }
    }

    fn join(&mut self, handle: &str, nick: &str) -> Change {
        if handle.is_empty() || same(handle, &self.own) {
            return Change::None;
        }
        let known = self.contains(handle);
        let listed = self
            .entries
            .iter_mut()
            .find(|entry| entry.handle.eq_ignore_ascii_case(handle));
        if let Some(entry) = listed {
            nick.clone_into(&mut entry.nick);
        } else if self.entries.len() < MAX_ENTRIES {
            self.entries.push(Entry {
                handle: handle.to_owned(),
                nick: nick.to_owned(),
            });
        }
        if known {
            Change::None
        } else {
            Change::Joined(bare(handle).to_owned())
        }
    }

    /// A person is gone when the bare handle leaves, and when the last machine does: a server may tell
    /// either or both.
    fn leave(&mut self, handle: &str) -> Change {
        if !self.contains(handle) {
            return Change::None;
        }
        let with_machine =
            |entry: &Entry| same(&entry.handle, handle) && entry.handle.contains(';');
        if handle.contains(';') {
            self.entries
                .retain(|entry| !entry.handle.eq_ignore_ascii_case(handle));
            if self.entries.iter().any(with_machine) {
                return Change::None;
            }
        }
        self.entries.retain(|entry| !same(&entry.handle, handle));
        Change::Left(bare(handle).to_owned())
    }

    /// Whether this person is in.
    #[must_use]
    pub fn contains(&self, handle: &str) -> bool {
        self.entries.iter().any(|entry| same(&entry.handle, handle))
    }

    /// The only other person, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        let first = bare(&self.entries.first()?.handle);
        self.entries
            .iter()
            .all(|entry| same(&entry.handle, first))
            .then_some(first)
    }

    /// Display name, encoded as on the wire.
    #[must_use]
    pub fn nick(&self, handle: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| same(&entry.handle, handle) && !entry.nick.is_empty())
            .map(|entry| entry.nick.as_str())
    }

    /// Everybody who is in, once.
    #[must_use]
    pub fn everybody(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for entry in &self.entries {
            if !all.iter().any(|known| same(known, &entry.handle)) {
                all.push(bare(&entry.handle).to_owned());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_and_go() {
        let mut roster = Roster::new("me@example.com");
        let rows: &[(&str, Change, Option<&str>)] = &[
            ("USR 1 OK me@example.com Me", Change::None, None),
            (
                "IRO 1 1 2 Ann@example.com Ann%20E 0",
                Change::Joined("Ann@example.com".into()),
                Some("Ann@example.com"),
            ),
            (
                "IRO 1 2 2 bob@example.com Bob",
                Change::Joined("bob@example.com".into()),
                None,
            ),
            ("ANS 1 OK", Change::None, None),
            (
                "BYE BOB@example.com 1",
                Change::Left("BOB@example.com".into()),
                Some("Ann@example.com"),
            ),
            ("BYE bob@example.com", Change::None, Some("Ann@example.com")),
            ("JOI", Change::None, Some("Ann@example.com")),
            ("BYE", Change::None, Some("Ann@example.com")),
            (
                "BYE ann@example.com",
                Change::Left("ann@example.com".into()),
                None,
            ),
        ];
        for (line, change, only) in rows {
            assert_eq!(roster.line(line.as_bytes()), *change, "{line}");
            assert_eq!(roster.only(), *only, "{line}");
        }
    }

    #[test]
    fn a_person_at_two_machines_is_one_person_until_the_last_leaves() {
        let mut roster = Roster::new("me@example.com");
        let rows: &[(&str, Change, Option<&str>)] = &[
            ("JOI me@example.com;{0} Me 0:0", Change::None, None),
            (
                "JOI ann@example.com Ann 0:0",
                Change::Joined("ann@example.com".into()),
                Some("ann@example.com"),
            ),
            (
                "JOI ann@example.com;{1} Ann 0:0",
                Change::None,
                Some("ann@example.com"),
            ),
            (
                "JOI ann@example.com;{2} Ann 0:0",
                Change::None,
                Some("ann@example.com"),
            ),
            (
                "BYE ann@example.com;{1}",
                Change::None,
                Some("ann@example.com"),
            ),
            (
                "BYE ann@example.com;{2}",
                Change::Left("ann@example.com".into()),
                None,
            ),
            ("BYE ann@example.com", Change::None, None),
            (
                "JOI ann@example.com;{1} Ann 0:0",
                Change::Joined("ann@example.com".into()),
                Some("ann@example.com"),
            ),
            (
                "BYE ann@example.com",
                Change::Left("ann@example.com".into()),
                None,
            ),
        ];
        for (line, change, only) in rows {
            assert_eq!(roster.line(line.as_bytes()), *change, "{line}");
            assert_eq!(roster.only(), *only, "{line}");
        }
    }

    #[test]
    fn a_handle_that_would_be_more_than_a_word_is_told_apart() {
        for good in ["ann@example.com", "ann@example.com;{1}", "a"] {
            assert!(is_word(good), "{good:?}");
        }
        for bad in [
            "",
            "a b",
            "a\r\nOUT",
            "a\n",
            "a\0",
            "a\u{1b}[2J",
            "a\u{85}b",
            "\u{202e}moc.elpmaxe@nna",
        ] {
            assert!(!is_word(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_name_is_the_last_that_was_told() {
        let mut roster = Roster::new("me@example.com");
        roster.line(b"JOI ann@example.com Ann");
        roster.line(b"JOI ann@example.com Ann%202");
        assert_eq!(roster.nick("ANN@example.com"), Some("Ann%202"));
        assert_eq!(roster.nick("bob@example.com"), None);
        assert_eq!(roster.everybody(), ["ann@example.com"]);
    }
}
