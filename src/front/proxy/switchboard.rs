//! The link to a switchboard: takes out what is ours, puts in what we say, passes the rest.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{net::TcpStream, sync::mpsc};

use super::{
    account::{Account, Letter, NotificationRequest},
    pipe::{Link, Out},
};
use crate::{
    dispatcher::{Delivery, Verdict},
    invitation,
    msnp::{
        self,
        frame::{Origin, Piece, Splitter},
        roster::Roster,
        text, word,
    },
};

/// Our transaction numbers begin here; clients count from 1 (PROTOCOL.md 12.5).
pub(super) const FIRST_TRANSACTION: u32 = 900_000_000;
/// Most messages of ours whose fate is unknown; with letter `N` only failures are told.
const MAX_SENT: usize = 64;

/// What a switchboard can be asked.
pub(super) enum Request {
    /// Send an invitation message.
    Send(Letter),
    /// Show a line to the client.
    Show(String),
    /// The client has answered our ring.
    Client {
        stream: TcpStream,
        /// Transaction of its `ANS`.
        transaction: String,
        /// What it sent behind it.
        rest: Vec<u8>,
    },
}

/// One switchboard.
pub(super) struct Switchboard {
    account: Option<Arc<Account>>,
    number: u64,
    roster: Roster,
    from_client: Splitter,
    from_server: Splitter,
    transaction: u32,
    sent: BTreeMap<u32, Delivery>,
    /// Commands of ours that wait for a boundary.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    client: Client,
}

/// Whether the client sees this switchboard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Here,
    /// We opened it; the client has not been called.
    Absent,
    /// The client was called.
    Rung,
}

impl Switchboard {
    /// One of the client's. Without an account it is passed unseen.
    pub(super) fn of_client(
        handle: &str,
        account: Option<Arc<Account>>,
        requests: mpsc::UnboundedSender<Request>,
    ) -> Self {
        Self::new(handle, account, requests, Client::Here)
    }

    /// One that we opened, with the peer that has joined.
    pub(super) fn of_ours(
        account: Arc<Account>,
        requests: mpsc::UnboundedSender<Request>,
        joined: &[u8],
    ) -> Self {
        let handle = account.handle.clone();
        let mut board = Self::new(&handle, Some(account), requests, Client::Absent);
        board.roster.note(joined);
        board.tell_peer();
        board
    }

    fn new(
        handle: &str,
        account: Option<Arc<Account>>,
        requests: mpsc::UnboundedSender<Request>,
        client: Client,
    ) -> Self {
        let number = account.as_ref().map_or(0, |account| {
            account.board_opened(requests, client == Client::Here)
        });
        Self {
            account,
            number,
            roster: Roster::new(handle),
            from_client: Splitter::new(Origin::Client),
            from_server: Splitter::new(Origin::Server),
            transaction: FIRST_TRANSACTION,
            sent: BTreeMap::new(),
            to_server: Vec::new(),
            to_client: Vec::new(),
            client,
        }
    }

    /// It is gone.
    pub(super) fn close(&mut self) {
        if let Some(account) = self.account.take() {
            account.board_closed(self.number);
        }
    }

    fn tell_peer(&self) {
        if let Some(account) = &self.account {
            account.board_peer(self.number, self.roster.only());
        }
    }

    /// A command of the server's.
    fn server_command(&mut self, line: &[u8], payload: &[u8], whole: &[u8], out: &mut Out) {
        if self.is_answer_to_us(line) || self.is_invitation_for_us(line, payload) {
            return;
        }
        let changed = self.roster.note(line).is_some();
        out.to_client.extend_from_slice(whole);
        // Behind the command that made the change, so that the client knows the contact already.
        if changed {
            self.tell_peer();
        }
    }

    fn is_answer_to_us(&mut self, line: &[u8]) -> bool {
        let Some(transaction) = word(line, 1).and_then(|text| text.parse::<u32>().ok()) else {
            return false;
        };
        if transaction < FIRST_TRANSACTION || transaction >= self.transaction {
            return false;
        }
        let delivery = self.sent.remove(&transaction);
        if let (Some(account), Some(delivery)) = (&self.account, delivery)
            && word(line, 0) != Some("ACK")
        {
            account.undelivered(delivery);
        }
        true
    }

    fn is_invitation_for_us(&self, line: &[u8], payload: &[u8]) -> bool {
        if word(line, 0) != Some("MSG") || !invitation::is_invitation(payload) {
            return false;
        }
        let (Some(account), Some(from), Some(only)) =
            (&self.account, word(line, 1), self.roster.only())
        else {
            return false;
        };
        let (Some(id), Some(hub)) = (account.id(), account.hub.upgrade()) else {
            return false;
        };
        msnp::handle(from) == msnp::handle(only)
            && hub.invitations.received(id, only, payload) == Verdict::Taken
    }

    /// A command of the client's.
    fn client_command(&mut self, line: &[u8], payload: &[u8], whole: &[u8], out: &mut Out) {
        if self.is_typed_to_us(line, payload) {
            // The client waits for an answer with these letters (PROTOCOL.md 1.1).
            if let (Some(transaction), Some("A" | "D" | "S")) = (word(line, 1), word(line, 2)) {
                self.to_client
                    .extend_from_slice(format!("ACK {transaction}\r\n").as_bytes());
            }
            return;
        }
        out.to_server.extend_from_slice(whole);
    }

    fn is_typed_to_us(&self, line: &[u8], payload: &[u8]) -> bool {
        if word(line, 0) != Some("MSG") {
            return false;
        }
        let Some(text) = text::body(payload).filter(|body| body.starts_with(b"/")) else {
            return false;
        };
        let (Ok(text), Some(account), Some(only)) =
            (std::str::from_utf8(text), &self.account, self.roster.only())
        else {
            return false;
        };
        let (Some(id), Some(hub)) = (account.id(), account.hub.upgrade()) else {
            return false;
        };
        hub.invitations.typed(id, only, text) == Verdict::Taken
    }

    /// What waits goes out where commands end.
    fn insert(&mut self, out: &mut Out) {
        if self.from_client.at_boundary() {
            out.to_server.append(&mut self.to_server);
        }
        if self.from_server.at_boundary() {
            out.to_client.append(&mut self.to_client);
        }
    }

    /// Calls the client to a switchboard of ours in which something is for it.
    fn ring(&mut self, out: &Out) {
        if self.client != Client::Absent || out.to_client.is_empty() {
            return;
        }
        let (Some(account), Some(peer)) = (&self.account, self.roster.only()) else {
            return;
        };
        let Some(hub) = account.hub.upgrade() else {
            return;
        };
        let cookie = format!(
            "handoff.{}.{}",
            account.id().map_or(0, |id| id.0),
            self.number
        );
        let now = hub.clock.now();
        let lead = super::referrals::Lead::Ours(self.number);
        hub.referrals().add_switchboard(now, cookie.clone(), lead);
        let nick = self
            .roster
            .nick()
            .filter(|nick| !nick.is_empty())
            .unwrap_or(peer)
            .to_owned();
        let ring = NotificationRequest::Ring {
            cookie,
            session: self.number,
            peer: peer.to_owned(),
            nick,
        };
        if account.notification.send(ring).is_ok() {
            self.client = Client::Rung;
        }
    }
}

impl Link for Switchboard {
    type Request = Request;

    fn client_sent(&mut self, bytes: &[u8], out: &mut Out) {
        let mut splitter = std::mem::replace(&mut self.from_client, Splitter::new(Origin::Client));
        splitter.push(bytes, |piece| match piece {
            Piece::Command {
                line,
                payload,
                whole,
            } => {
                self.client_command(line, payload, whole, out);
            }
            Piece::Raw(raw) => out.to_server.extend_from_slice(raw),
        });
        self.from_client = splitter;
        self.insert(out);
    }

    fn server_sent(&mut self, bytes: &[u8], out: &mut Out) {
        let mut splitter = std::mem::replace(&mut self.from_server, Splitter::new(Origin::Server));
        splitter.push(bytes, |piece| match piece {
            Piece::Command {
                line,
                payload,
                whole,
            } => {
                self.server_command(line, payload, whole, out);
            }
            Piece::Raw(raw) => out.to_client.extend_from_slice(raw),
        });
        self.from_server = splitter;
        self.insert(out);
        self.ring(out);
    }

    fn client_ended(&mut self, out: &mut Out) {
        self.from_client.finish(|piece| {
            if let Piece::Raw(raw) = piece {
                out.to_server.extend_from_slice(raw);
            }
        });
    }

    fn server_ended(&mut self, out: &mut Out) {
        self.from_server.finish(|piece| {
            if let Piece::Raw(raw) = piece {
                out.to_client.extend_from_slice(raw);
            }
        });
        out.to_client.append(&mut self.to_client);
    }

    fn requested(&mut self, request: Request, out: &mut Out) -> Option<TcpStream> {
        match request {
            Request::Send(letter) => {
                if self.from_client.is_blind() {
                    if let Some(account) = &self.account {
                        account.undelivered(letter.delivery);
                    }
                    return None;
                }
                let transaction = self.transaction;
                self.transaction = self.transaction.wrapping_add(1).max(FIRST_TRANSACTION);
                if self.sent.len() == MAX_SENT {
                    self.sent.pop_first();
                }
                self.sent.insert(transaction, letter.delivery);
                let line = format!("MSG {transaction} N {}\r\n", letter.payload.len());
                self.to_server.extend_from_slice(line.as_bytes());
                self.to_server.extend_from_slice(&letter.payload);
                self.insert(out);
            }
            Request::Show(line) => {
                if let Some(peer) = self.roster.only() {
                    let nick = self.roster.nick().unwrap_or_default();
                    let command = text::line_for_window(peer, nick, &line);
                    self.to_client.extend_from_slice(&command);
                    self.insert(out);
                }
            }
            Request::Client {
                stream,
                transaction,
                rest,
            } => {
                // What waited goes behind the greeting that a client called to a switchboard gets.
                let waited = std::mem::take(&mut out.to_client);
                if let Some(peer) = self.roster.only() {
                    let nick = self.roster.nick().unwrap_or(peer);
                    let greeting =
                        format!("IRO {transaction} 1 1 {peer} {nick}\r\nANS {transaction} OK\r\n");
                    out.to_client.extend_from_slice(greeting.as_bytes());
                }
                out.to_client.extend_from_slice(&waited);
                self.client = Client::Here;
                if let Some(account) = &self.account {
                    account.board_has_window(self.number);
                }
                self.tell_peer();
                self.client_sent(&rest, out);
                return Some(stream);
            }
        }
        None
    }
}
