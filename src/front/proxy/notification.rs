//! The link to a notification server: learns who signs in, rewrites where the client is sent, and
//! gets tickets for switchboards of ours.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use super::{
    Hub,
    account::{Account, NotificationRequest, Ticket},
    pipe::{Link, Out},
    referrals::Lead,
    switchboard::FIRST_TRANSACTION,
};
use crate::msnp::{
    frame::{Origin, Piece, Splitter},
    referral::Referral,
    word,
};

/// Most tickets asked for at a time.
const MAX_ASKED: usize = 64;

/// One notification connection.
pub(super) struct Notification {
    hub: Arc<Hub>,
    /// What the client reaches us by.
    own: SocketAddr,
    client: IpAddr,
    from_client: Splitter,
    from_server: Splitter,
    requests: mpsc::UnboundedSender<NotificationRequest>,
    account: Option<Arc<Account>>,
    /// The dialect that both agreed on; 0 until then.
    version: u32,
    transaction: u32,
    asked: BTreeMap<u32, oneshot::Sender<Result<Ticket, String>>>,
    /// Commands of ours that wait for a boundary.
    waiting: Vec<u8>,
}

impl Notification {
    pub(super) fn new(
        hub: Arc<Hub>,
        own: SocketAddr,
        client: IpAddr,
        requests: mpsc::UnboundedSender<NotificationRequest>,
    ) -> Self {
        Self {
            hub,
            own,
            client,
            from_client: Splitter::new(Origin::Client),
            from_server: Splitter::new(Origin::Server),
            requests,
            account: None,
            version: 0,
            transaction: FIRST_TRANSACTION,
            asked: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Signs out. The tickets that nobody will give are refused with it.
    pub(super) fn close(&mut self) {
        self.asked.clear();
        if let Some(account) = self.account.take() {
            let mut accounts = self.hub.accounts();
            let key = crate::msnp::handle(&account.handle);
            let ours = accounts
                .get(&key)
                .is_some_and(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&account)));
            if ours {
                accounts.remove(&key);
            }
            drop(accounts);
            account.detach();
        }
    }

    /// A command of the server's.
    fn server_command(&mut self, line: &[u8], whole: &[u8], out: &mut Out) {
        if let Some(answer) = self.ticket(line) {
            if let Some(asker) = answer.0 {
                let _ = asker.send(answer.1);
            }
            return;
        }
        if let Some(referral) = Referral::read(line) {
            let now = self.hub.clock.now();
            match referral.clone() {
                Referral::Notification { address } => {
                    self.hub
                        .referrals()
                        .add_notification(now, self.client, address);
                }
                Referral::Switchboard {
                    address, cookie, ..
                }
                | Referral::Ring { address, cookie } => {
                    self.hub
                        .referrals()
                        .add_switchboard(now, cookie, Lead::Server(address));
                }
            }
            out.to_client
                .extend_from_slice(&referral.rewritten(line, &self.own.to_string()));
            return;
        }
        match (word(line, 0), word(line, 2)) {
            (Some("VER"), Some(version)) => {
                let number = version
                    .strip_prefix("MSNP")
                    .and_then(|number| number.parse().ok());
                self.version = number.unwrap_or(0);
            }
            (Some("USR"), Some("OK")) => {
                if let Some(handle) = word(line, 3) {
                    self.signed_in(handle);
                }
            }
            _ => {}
        }
        out.to_client.extend_from_slice(whole);
    }

    fn signed_in(&mut self, handle: &str) {
        if self.account.is_some() {
            return;
        }
        let account = Account::new(handle, &self.hub, self.requests.clone());
        self.hub
            .accounts()
            .insert(crate::msnp::handle(handle), Arc::downgrade(&account));
        account.attach();
        self.account = Some(account);
    }

    /// Whether a command answers a question of ours; it is swallowed then.
    #[allow(clippy::type_complexity, reason = "an answer and whose it is")]
    fn ticket(
        &mut self,
        line: &[u8],
    ) -> Option<(
        Option<oneshot::Sender<Result<Ticket, String>>>,
        Result<Ticket, String>,
    )> {
        let transaction: u32 = word(line, 1)?.parse().ok()?;
        if transaction < FIRST_TRANSACTION || transaction >= self.transaction {
            return None;
        }
        let asker = self.asked.remove(&transaction);
        let answer = match Referral::read(line) {
            Some(Referral::Switchboard {
                address, cookie, ..
            }) => Ok(Ticket { address, cookie }),
            _ => Err(format!(
                "the server gave no switchboard ({})",
                word(line, 0).unwrap_or("?")
            )),
        };
        Some((asker, answer))
    }

    /// What waits goes out where a command ends.
    fn insert(&mut self, out: &mut Out) {
        if self.from_client.at_boundary() && !self.waiting.is_empty() {
            out.to_server.append(&mut self.waiting);
        }
    }

    /// The words that dialects append to a `RNG` (PROTOCOL.md 12.1).
    fn ring_suffix(&self) -> &'static str {
        match self.version {
            0..13 => "",
            13 => " U messenger.hotmail.com",
            _ => " U messenger.hotmail.com 1",
        }
    }
}

impl Link for Notification {
    type Request = NotificationRequest;

    fn client_sent(&mut self, bytes: &[u8], out: &mut Out) {
        self.from_client.push(bytes, |piece| match piece {
            Piece::Command { whole, .. } => out.to_server.extend_from_slice(whole),
            Piece::Raw(raw) => out.to_server.extend_from_slice(raw),
        });
        self.insert(out);
    }

    fn server_sent(&mut self, bytes: &[u8], out: &mut Out) {
        let mut splitter = std::mem::replace(&mut self.from_server, Splitter::new(Origin::Server));
        splitter.push(bytes, |piece| match piece {
            Piece::Command { line, whole, .. } => self.server_command(line, whole, out),
            Piece::Raw(raw) => out.to_client.extend_from_slice(raw),
        });
        self.from_server = splitter;
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
        self.asked.clear();
    }

    fn requested(&mut self, request: NotificationRequest, out: &mut Out) -> Option<TcpStream> {
        match request {
            NotificationRequest::Ticket(asker) => {
                if self.asked.len() >= MAX_ASKED || self.from_client.is_blind() {
                    let _ = asker.send(Err("no ticket can be asked for now".to_owned()));
                    return None;
                }
                let transaction = self.transaction;
                self.transaction = self.transaction.wrapping_add(1).max(FIRST_TRANSACTION);
                self.asked.insert(transaction, asker);
                self.waiting
                    .extend_from_slice(format!("XFR {transaction} SB\r\n").as_bytes());
                self.insert(out);
            }
            NotificationRequest::Ring {
                cookie,
                session,
                peer,
                nick,
            } => {
                // Only between commands of the server's; else it is left, and the next thing that
                // arrives rings again.
                if self.from_server.at_boundary() {
                    let ring = format!(
                        "RNG {session} {} CKI {cookie} {peer} {nick}{}\r\n",
                        self.own,
                        self.ring_suffix()
                    );
                    out.to_client.extend_from_slice(ring.as_bytes());
                }
            }
        }
        None
    }
}
