//! Who is in a switchboard besides us (PROTOCOL.md 12.3).

use super::{handle, word};

/// The others in one switchboard.
#[derive(Debug, Default)]
pub struct Roster {
    own: String,
    others: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// As compared.
    key: String,
    /// As the server spells it.
    handle: String,
    nick: String,
}

/// What a command changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody came.
    Joined(String),
    /// Somebody left.
    Left(String),
}

impl Roster {
    /// Nobody yet, in a switchboard of `own`.
    #[must_use]
    pub fn new(own: &str) -> Self {
        Self {
            own: handle(own),
            others: Vec::new(),
        }
    }

    /// Takes note of a command of the server's. MSNP16 and later tell each person twice, with and
    /// without the machine.
    pub fn note(&mut self, line: &[u8]) -> Option<Change> {
        match word(line, 0)? {
            "IRO" => self.joined(word(line, 4)?, word(line, 5).unwrap_or_default()),
            "JOI" => self.joined(word(line, 1)?, word(line, 2).unwrap_or_default()),
            "BYE" => self.left(word(line, 1)?),
            _ => None,
        }
    }

    fn joined(&mut self, name: &str, nick: &str) -> Option<Change> {
        let key = handle(name);
        if key == self.own || self.others.iter().any(|member| member.key == key) {
            return None;
        }
        let spelled = name.split(';').next().unwrap_or_default().to_owned();
        self.others.push(Member {
            key,
            handle: spelled.clone(),
            nick: nick.to_owned(),
        });
        Some(Change::Joined(spelled))
    }

    fn left(&mut self, name: &str) -> Option<Change> {
        let key = handle(name);
        let at = self.others.iter().position(|member| member.key == key)?;
        Some(Change::Left(self.others.remove(at).handle))
    }

    /// The other one, when there is exactly one: only then is anything negotiated
    /// (PROTOCOL.md 5.0).
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match self.others.as_slice() {
            [member] => Some(&member.handle),
            _ => None,
        }
    }

    /// The nick of the only other one, as it goes on the wire.
    #[must_use]
    pub fn nick(&self) -> Option<&str> {
        match self.others.as_slice() {
            [member] => Some(&member.nick),
            _ => None,
        }
    }

    /// Everybody else.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.others.iter().map(|member| member.handle.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_and_go() {
        let mut roster = Roster::new("me@example.com");
        assert_eq!(roster.only(), None);
        assert_eq!(
            roster.note(b"IRO 1 1 1 Bob@example.com Bob%20B 268435500"),
            Some(Change::Joined("Bob@example.com".into()))
        );
        assert_eq!(
            (roster.only(), roster.nick()),
            (Some("Bob@example.com"), Some("Bob%20B"))
        );
        assert!(roster.note(b"JOI carol@example.com Carol").is_some());
        assert_eq!(roster.only(), None);
        assert_eq!(
            roster.note(b"BYE CAROL@example.com 1"),
            Some(Change::Left("carol@example.com".into()))
        );
        assert_eq!(roster.only(), Some("Bob@example.com"));
        assert_eq!(roster.note(b"BYE nobody@example.com"), None);
    }

    #[test]
    fn machines_of_one_person_and_our_own_do_not_count_twice() {
        let mut roster = Roster::new("me@example.com");
        roster.note(b"IRO 1 1 4 bob@example.com Bob 1:2");
        roster.note(b"IRO 1 2 4 bob@example.com;{0000} Bob 1:2");
        roster.note(b"IRO 1 3 4 me@example.com Me 1:2");
        roster.note(b"IRO 1 4 4 me@example.com;{1111} Me 1:2");
        assert_eq!(roster.only(), Some("bob@example.com"));
    }
}
