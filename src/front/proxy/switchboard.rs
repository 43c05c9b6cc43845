//! A switchboard connection: who is in it, what is taken out of it, and what we put in
//! (PROTOCOL.md 1.1, 12.3, 12.5).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    account::{Account, FIRST_OF_OURS, Outgoing, Ways, is_ours},
    lock,
    outbox::{Injection, Outbox},
    pump::{self, End, Fate, Handler, Lane},
};
use crate::{
    dispatcher::{Delivery, Verdict},
    invitation::is_invitation,
    msnp::{
        frame::{Item, Side, word},
        roster::{Change, Roster, bare},
        text,
    },
};

/// Messages of ours whose failure can still be told.
const MAX_PENDING: usize = 256;

/// What is at the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client and the server.
    Through,
    /// A room of ours ([`super::room`]) and the server.
    Own,
    /// The client and a room of ours.
    Lent,
}

/// What others may know and do about a switchboard.
pub(super) struct Board {
    pub(super) kind: Kind,
    account: Arc<Account>,
    inside: Mutex<Inside>,
    ways: Ways,
}

struct Inside {
    roster: Roster,
    /// The client has been let in.
    ready: bool,
    closed: bool,
    /// Transaction ids of ours and what they brought, latest last.
    pending: VecDeque<(u32, Delivery)>,
    next: u32,
}

impl Board {
    /// A switchboard whose lanes do not run yet.
    pub(super) fn new(kind: Kind, account: &Arc<Account>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            account: Arc::clone(account),
            inside: Mutex::new(Inside {
                roster: Roster::new(account.handle()),
                ready: false,
                closed: false,
                pending: VecDeque::new(),
                next: FIRST_OF_OURS,
            }),
            ways: Ways::default(),
        })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }

    /// Whether `peer` and nobody else is there, and may be spoken to.
    pub(super) fn is_with(&self, peer: &str) -> bool {
        self.only()
            .is_some_and(|only| only.eq_ignore_ascii_case(peer))
    }

    fn only(&self) -> Option<String> {
        let inside = self.inside();
        let open = inside.ready && !inside.closed;
        inside.roster.only().filter(|_| open).map(str::to_owned)
    }

    /// Whether `peer` can be reached here, perhaps among others.
    pub(super) fn reaches(&self, peer: &str) -> bool {
        let inside = self.inside();
        self.kind != Kind::Lent && !inside.closed && inside.roster.contains(peer)
    }

    /// Everybody who is here, once.
    pub(super) fn everybody(&self) -> Vec<String> {
        self.inside().roster.everybody()
    }

    /// Display name as on the wire, if known here.
    pub(super) fn nick(&self, peer: &str) -> Option<String> {
        self.inside().roster.nick(peer).map(str::to_owned)
    }

    /// Puts an invitation message in. Gives it back when it cannot.
    pub(super) fn deliver(&self, outgoing: Outgoing) -> Result<(), Outgoing> {
        let mut inside = self.inside();
        if inside.closed {
            return Err(outgoing);
        }
        let trid = inside.next;
        let mut bytes = format!("MSG {trid} N {}\r\n", outgoing.payload.len()).into_bytes();
        bytes.extend_from_slice(&outgoing.payload);
        let delivery = outgoing.delivery;
        let injection = Injection {
            bytes,
            outgoing: Some(outgoing),
        };
        match self.ways.to_server.put(injection) {
            Ok(()) => {
                inside.next += 1;
                if inside.pending.len() >= MAX_PENDING {
                    inside.pending.pop_front();
                }
                inside.pending.push_back((trid, delivery));
                Ok(())
            }
            Err(injection) => match injection.outgoing {
                Some(outgoing) => Err(outgoing),
                None => Ok(()),
            },
        }
    }

    /// Says something without meaning to the peer, if there is room for it. `U`: nobody answers
    /// (PROTOCOL.md 5.0).
    pub(super) fn keep_alive(&self) {
        let mut inside = self.inside();
        if inside.closed {
            return;
        }
        let payload = text::KEEP_ALIVE;
        let mut bytes = format!("MSG {} U {}\r\n", inside.next, payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        if self.ways.to_server.put(Injection::plain(bytes)).is_ok() {
            inside.next += 1;
        }
    }

    /// Shows the client a chat message of `peer`'s. `false` when it cannot.
    pub(super) fn show(&self, peer: &str, payload: &[u8]) -> bool {
        let nick = self.nick(peer).unwrap_or_else(|| peer.to_owned());
        let mut bytes = format!("MSG {peer} {nick} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        self.to_client(bytes)
    }

    /// Shows the client a line of ours in a window with several people. `false` when nobody is there.
    fn answer(&self, line: &str) -> bool {
        let everybody = self.everybody();
        let somebody = everybody.first();
        somebody.is_some_and(|peer| self.show(peer, &text::payload(line)))
    }

    fn to_client(&self, bytes: Vec<u8>) -> bool {
        let sent = self.ways.to_client.put(Injection::plain(bytes)).is_ok();
        if !sent {
            tracing::debug!("proxy: the client takes nothing");
        }
        sent
    }

    /// Takes a line of the server. `true`: it answers something of ours.
    fn line(&self, line: &[u8]) -> bool {
        let verb = word(line, 0);
        let failed = verb == "NAK" || verb.starts_with(|first: char| first.is_ascii_digit());
        if (failed || verb == "ACK") && is_ours(word(line, 1)) {
            let delivery = self.settle(word(line, 1));
            if let Some(delivery) = delivery.filter(|_| failed) {
                self.account.undelivered(delivery);
            }
            return true;
        }
        let change = {
            let mut inside = self.inside();
            if matches!(verb, "USR" | "ANS") && word(line, 2) == "OK" {
                inside.ready = true;
            }
            inside.roster.line(line)
        };
        match change {
            Change::None => {}
            Change::Joined(peer) => {
                if let Some(nick) = self.nick(&peer) {
                    self.account.called(&peer, nick);
                }
                if self.kind != Kind::Lent {
                    self.account.joined(&peer);
                }
            }
            Change::Left(peer) => self.left(&peer),
        }
        false
    }

    fn settle(&self, trid: &str) -> Option<Delivery> {
        let trid: u32 = trid.parse().ok()?;
        let mut inside = self.inside();
        let at = inside
            .pending
            .iter()
            .position(|(known, _)| *known == trid)?;
        inside.pending.remove(at).map(|(_, delivery)| delivery)
    }

    fn left(&self, peer: &str) {
        if self.kind != Kind::Lent {
            self.account.left(peer);
        }
    }

    /// Nothing of ours goes in any more. What was not written is sent by another way before anybody
    /// learns of the loss, so that it keeps its place before what follows from that.
    fn close(self: &Arc<Self>, end: End) {
        let everybody = {
            let mut inside = self.inside();
            if inside.closed {
                return;
            }
            inside.closed = true;
            inside.roster.everybody()
        };
        self.account.forget(self);
        // Who is stopped still says its last words.
        if end != End::Stopped {
            self.account.again(self.ways.to_server.take_back());
        }
        for peer in everybody {
            self.left(&peer);
        }
    }
}

/// Serves a switchboard until both sides are done. `lanes`: the client's end, the server's end, and
/// what the client said already.
pub(super) async fn serve<R1, W1, R2, W2>(
    board: Arc<Board>,
    lanes: ((R1, W1), (R2, W2), Vec<u8>),
    stop: CancellationToken,
) where
    R1: AsyncRead + Unpin + Send,
    W1: AsyncWrite + Unpin + Send,
    R2: AsyncRead + Unpin + Send,
    W2: AsyncWrite + Unpin + Send,
{
    let ((client_reads, client_writes), (server_reads, server_writes), first) = lanes;
    let up = Lane {
        reading: client_reads,
        writing: server_writes,
        handler: FromClient(Arc::clone(&board)),
        from: Side::Client,
        first,
        outbox: board.ways.to_server.clone(),
    };
    let down = Lane {
        reading: server_reads,
        writing: client_writes,
        handler: FromServer(Arc::clone(&board)),
        from: Side::Server,
        first: Vec::new(),
        outbox: board.ways.to_client.clone(),
    };
    board.account.remember(&board);
    pump::both(up, down, stop, |end| board.close(end)).await;
    board.account.again(board.ways.to_server.take_back());
}

/// Serves a switchboard of nobody we know: nothing is taken out or put in.
pub(super) async fn pass<R1, W1, R2, W2>(
    client: (R1, W1),
    server: (R2, W2),
    first: Vec<u8>,
    stop: CancellationToken,
) where
    R1: AsyncRead + Unpin + Send,
    W1: AsyncWrite + Unpin + Send,
    R2: AsyncRead + Unpin + Send,
    W2: AsyncWrite + Unpin + Send,
{
    let up = Lane {
        reading: client.0,
        writing: server.1,
        handler: Nothing,
        from: Side::Client,
        first,
        outbox: Outbox::default(),
    };
    let down = Lane {
        reading: server.0,
        writing: client.1,
        handler: Nothing,
        from: Side::Server,
        first: Vec::new(),
        outbox: Outbox::default(),
    };
    pump::both(up, down, stop, |_| ()).await;
}

struct Nothing;

impl Handler for Nothing {
    async fn item(&mut self, _: Item<'_>, _: &mut Vec<u8>) -> Fate {
        Fate::Passes
    }
}

struct FromClient(Arc<Board>);

impl FromClient {
    /// Whether a message of the client's was a command for us.
    fn typed(&self, line: &[u8], payload: &[u8]) -> bool {
        let board = &self.0;
        if board.kind == Kind::Own {
            return false;
        }
        let Some(text) = text::chat(payload).map(str::trim_start) else {
            return false;
        };
        if !text.starts_with('/') {
            return false;
        }
        let mut heard = true;
        if let Some(peer) = board.only() {
            if board.account.typed(&peer, text) == Verdict::Pass {
                return false;
            }
        } else {
            let Some(answer) = board.account.typed_elsewhere(text) else {
                return false;
            };
            heard = board.answer(&answer);
        }
        // As if it had been delivered, or not (PROTOCOL.md 12.5).
        let reply = match (heard, word(line, 2)) {
            (true, "A" | "D" | "S") => "ACK",
            (false, "A" | "D" | "N") => "NAK",
            _ => return true,
        };
        board.to_client(format!("{reply} {}\r\n", word(line, 1)).into_bytes());
        true
    }
}

impl Handler for FromClient {
    async fn item(&mut self, item: Item<'_>, _: &mut Vec<u8>) -> Fate {
        match item {
            Item::Message { line, payload, .. } if self.typed(line, payload) => Fate::Replaced,
            Item::Line(line) => {
                if matches!(word(line, 0), "USR" | "ANS") {
                    self.0.account.signs_as(word(line, 2));
                }
                Fate::Told
            }
            // It may be the end of a command, and every read may end inside another.
            Item::Raw(_) => Fate::Told,
            Item::Message { .. } => Fate::Passes,
        }
    }
}

struct FromServer(Arc<Board>);

impl Handler for FromServer {
    async fn item(&mut self, item: Item<'_>, _: &mut Vec<u8>) -> Fate {
        let board = &self.0;
        let taken = match item {
            Item::Line(line) => board.line(line),
            Item::Message { line, payload, .. }
                if board.kind != Kind::Lent && is_invitation(payload) =>
            {
                // Far more work than a chat message, and nothing of a day: whoever sends thousands
                // waits here for its turn between the others.
                tokio::task::yield_now().await;
                board.account.received(bare(word(line, 1)), payload) == Verdict::Taken
            }
            Item::Raw(_) => false,
            Item::Message { .. } => return Fate::Passes,
        };
        if taken { Fate::Replaced } else { Fate::Told }
    }
}
