//! Which switchboard a cookie opens. The cookie of an `XFR SB` comes back in `USR`, that of a `RNG` in
//! `ANS` (PROTOCOL.md 12.1), so one port serves all switchboards.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{account::Account, room::Order};
use crate::msnp::frame::word;

/// How long a cookie is good for. Servers give less (120 s at Escargot, PROTOCOL.md section 11), and
/// it is the server that says no.
const LIFETIME: Duration = Duration::from_secs(300);
/// Cookies remembered; the oldest goes first.
const MAX_TICKETS: usize = 4096;

/// What a client shows when it enters a switchboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) cookie: String,
    /// In `ANS` only.
    pub(super) session: Option<String>,
}

impl Key {
    /// From `USR t handle cookie` or `ANS t handle cookie session`.
    pub(super) fn shown(line: &[u8]) -> Option<Self> {
        let cookie = word(line, 3);
        let session = match word(line, 0) {
            "USR" => None,
            "ANS" => Some(word(line, 4).to_owned()),
            _ => return None,
        };
        (!cookie.is_empty()).then(|| Self {
            cookie: cookie.to_owned(),
            session,
        })
    }
}

/// Where the client goes.
#[derive(Clone)]
pub(super) enum Ticket {
    /// To a switchboard of the server, `host:port`. The account is whose notification connection
    /// told the cookie.
    Server {
        address: String,
        account: Option<Arc<Account>>,
    },
    /// To a conversation of ours.
    Lent {
        room: mpsc::Sender<Order>,
        account: Arc<Account>,
    },
}

struct Entry {
    key: Key,
    ticket: Ticket,
    until: Duration,
}

/// All cookies that are good now.
#[derive(Default)]
pub(super) struct Tickets(VecDeque<Entry>);

impl Tickets {
    /// Remembers a cookie.
    pub(super) fn insert(&mut self, key: Key, ticket: Ticket, now: Duration) {
        self.0.retain(|entry| entry.until > now && entry.key != key);
        if self.0.len() >= MAX_TICKETS {
            self.0.pop_front();
        }
        self.0.push_back(Entry {
            key,
            ticket,
            until: now + LIFETIME,
        });
    }

    /// What a cookie opens. It is not used up: a client may try again, and the server decides.
    pub(super) fn find(&self, key: &Key, now: Duration) -> Option<Ticket> {
        self.0
            .iter()
            .rev()
            .find(|entry| entry.key == *key && entry.until > now)
            .map(|entry| entry.ticket.clone())
    }

    /// Forgets a cookie of ours.
    pub(super) fn remove(&mut self, key: &Key) {
        self.0.retain(|entry| entry.key != *key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(address: &str) -> Ticket {
        Ticket::Server {
            address: address.to_owned(),
            account: None,
        }
    }

    fn address(tickets: &Tickets, line: &str, now: u64) -> Option<String> {
        match tickets.find(&Key::shown(line.as_bytes())?, Duration::from_secs(now))? {
            Ticket::Server { address, .. } => Some(address),
            Ticket::Lent { .. } => None,
        }
    }

    #[test]
    fn a_cookie_opens_what_it_was_given_for_until_it_expires() {
        let mut tickets = Tickets::default();
        let caller = Key {
            cookie: "17.2".into(),
            session: None,
        };
        let called = Key {
            cookie: "17.2".into(),
            session: Some("9".into()),
        };
        tickets.insert(caller.clone(), ticket("a:1"), Duration::ZERO);
        tickets.insert(called, ticket("b:2"), Duration::ZERO);
        let rows: &[(&str, u64, Option<&str>)] = &[
            ("USR 1 me@x 17.2\r\n", 1, Some("a:1")),
            ("USR 1 me@x 17.2\r\n", 299, Some("a:1")),
            ("ANS 1 me@x 17.2 9\r\n", 1, Some("b:2")),
            ("ANS 1 me@x 17.2 8\r\n", 1, None),
            ("ANS 1 me@x 17.2\r\n", 1, None),
            ("USR 1 me@x 17.3\r\n", 1, None),
            ("USR 1 me@x\r\n", 1, None),
            ("VER 1 MSNP8 17.2\r\n", 1, None),
            ("USR 1 me@x 17.2\r\n", 300, None),
        ];
        for (line, now, want) in rows {
            assert_eq!(
                address(&tickets, line, *now).as_deref(),
                *want,
                "{line} {now}"
            );
        }
        tickets.remove(&caller);
        assert_eq!(address(&tickets, "USR 1 me@x 17.2", 1), None);
    }

    #[test]
    fn a_flood_of_cookies_is_bounded() {
        let mut tickets = Tickets::default();
        for number in 0..MAX_TICKETS + 10 {
            let key = Key {
                cookie: number.to_string(),
                session: None,
            };
            tickets.insert(key, ticket("a:1"), Duration::ZERO);
        }
        assert_eq!(tickets.0.len(), MAX_TICKETS);
        assert_eq!(address(&tickets, "USR 1 a 9", 1), None);
        assert_eq!(address(&tickets, "USR 1 a 4100", 1).as_deref(), Some("a:1"));
    }
}
