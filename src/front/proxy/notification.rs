//! A client's connection to the notification server: addresses are rewritten on their way to the
//! client (PROTOCOL.md 12.1), the login makes an account, and what we asked for ourselves is taken
//! out of the replies (12.5).

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use tokio::net::TcpStream;

use super::{
    Shared,
    account::{Account, Ways, is_ours},
    pump::{self, Fate, Handler, Lane},
    tickets::{Key, Ticket},
    written,
};
use crate::endpoint::owner;
use crate::msnp::{
    frame::{Item, Side, word},
    profile,
    rewrite::{self, Transfer},
    roster,
};

/// Serves a client until both sides are done.
pub(super) async fn serve(shared: Arc<Shared>, client: TcpStream, server: &str, first: Vec<u8>) {
    let stop = shared.first.1.child_token();
    let connected = tokio::select! {
        () = stop.cancelled() => return,
        connected = shared.connect(server) => connected,
    };
    let (upstream, own) = match (connected, client.local_addr()) {
        (Ok(upstream), Ok(own)) => (upstream, own),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(server, %error, "proxy: no connection to the server");
            return;
        }
    };
    let v4 = |address: std::io::Result<SocketAddr>| match address {
        Ok(SocketAddr::V4(at)) => Some(at),
        Ok(SocketAddr::V6(_)) | Err(_) => None,
    };
    let leads = v4(upstream.local_addr());
    let from = v4(client.peer_addr());
    let there = client.peer_addr().ok();
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = upstream.into_split();
    let ways = Ways::default();
    let up = Lane {
        reading: client_reads,
        writing: server_writes,
        handler: FromClient,
        from: Side::Client,
        first,
        outbox: ways.to_server.clone(),
    };
    let signed_in = Arc::default();
    let down = Lane {
        reading: server_reads,
        writing: client_writes,
        handler: FromServer {
            shared,
            own,
            leads,
            from,
            there,
            version: 0,
            seen: None,
            ways: ways.clone(),
            signed_in: Arc::clone(&signed_in),
        },
        from: Side::Server,
        first: Vec::new(),
        outbox: ways.to_client.clone(),
    };
    pump::both(up, down, stop, |_| sign_out(&signed_in)).await;
    // Signed in by the last words of a server whose client had left already.
    sign_out(&signed_in);
}

/// The account of this connection, once there is one.
type SignedIn = Arc<std::sync::Mutex<Option<Arc<Account>>>>;

fn sign_out(signed_in: &SignedIn) {
    let account = super::lock(signed_in).take();
    if let Some(account) = account {
        account.close();
    }
}

/// Nothing a client says here is of interest.
struct FromClient;

impl Handler for FromClient {
    async fn item(&mut self, item: Item<'_>, _: &mut Vec<u8>) -> Fate {
        match item {
            // See the other lane.
            Item::Raw(_) => Fate::Told,
            Item::Line(_) | Item::Message { .. } => Fate::Passes,
        }
    }
}

struct FromServer {
    shared: Arc<Shared>,
    /// Where the client reached us.
    own: SocketAddr,
    /// Where we reached the server from.
    leads: Option<SocketAddrV4>,
    /// Where the client reached us from.
    from: Option<SocketAddrV4>,
    /// The client's own end.
    there: Option<SocketAddr>,
    version: u8,
    /// Where the server sees us.
    seen: Option<Ipv4Addr>,
    ways: Ways,
    signed_in: SignedIn,
}

impl Handler for FromServer {
    async fn item(&mut self, item: Item<'_>, instead: &mut Vec<u8>) -> Fate {
        let line = match item {
            Item::Line(line) => line,
            Item::Message { line, payload, .. } => {
                let Some(corrected) = self.profile(line, payload) else {
                    return Fate::Passes;
                };
                instead.extend_from_slice(&corrected);
                return Fate::Replaced;
            }
            // It may be the end of a command: where every read ends inside another payload there is no
            // other moment for what we have to say.
            Item::Raw(_) => return Fate::Told,
        };
        let verb = word(line, 0);
        match verb {
            "VER" => {
                let version = word(line, 2).strip_prefix("MSNP");
                self.version = version.and_then(|v| v.parse().ok()).unwrap_or(0);
            }
            "USR" if word(line, 2) == "OK" => self.sign_in(word(line, 3)),
            "XFR" => {
                self.transfer(line, instead).await;
                return Fate::Replaced;
            }
            "RNG" => {
                self.ring(line, instead);
                return Fate::Replaced;
            }
            _ if verb.starts_with(|first: char| first.is_ascii_digit())
                && is_ours(word(line, 1)) =>
            {
                self.answer_to_us(line, Err(verb.to_owned()));
                return Fate::Replaced;
            }
            _ => {}
        }
        Fate::Told
    }
}

impl FromServer {
    /// Takes from a profile where the server sees us; gives it as it would be without us, if that is
    /// wanted.
    fn profile(&mut self, line: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
        let seen = profile::read(payload)?;
        self.seen = Some(seen.ip);
        if let Some(account) = self.account() {
            account.seen(seen.ip);
        }
        let (proxy, client) = (self.leads?, self.from?);
        self.shared
            .corrects_profile
            .then(|| profile::write(line, payload, profile::without_proxy(seen, proxy, client)))
    }

    fn account(&self) -> Option<Arc<Account>> {
        super::lock(&self.signed_in).clone()
    }

    fn sign_in(&self, handle: &str) {
        if self.account().is_some() {
            return;
        }
        // The server chooses it, and it is shown as a contact's is.
        if !roster::is_word(handle) {
            return tracing::warn!(account = handle, "a handle that is none: nothing is done");
        }
        let there = self.there.filter(|there| owner::is_ours(*there, self.own));
        if there.is_none() {
            // It would start programs of ours, and see what they show.
            return tracing::warn!(
                account = handle,
                "the client of another user of this machine: nothing is done for it"
            );
        }
        let address = written(self.own.ip(), self.shared.listening.port());
        let account = Account::open(
            &self.shared,
            handle,
            self.version,
            address,
            self.leads.map(|at| *at.ip()),
            self.ways.clone(),
        );
        if let Some(seen) = self.seen {
            account.seen(seen);
        }
        *super::lock(&self.signed_in) = Some(account);
    }

    fn answer_to_us(&self, line: &[u8], answer: Result<(String, String), String>) {
        if let Some(account) = self.account() {
            account.transferred(word(line, 1), answer);
        }
    }

    fn remember(&self, cookie: String, session: Option<String>, address: String) {
        let ticket = Ticket::Server {
            address,
            account: self.account(),
        };
        let now = self.shared.clock.now();
        let key = Key { cookie, session };
        self.shared.tickets().insert(key, ticket, now);
    }

    async fn transfer(&self, line: &[u8], out: &mut Vec<u8>) {
        let here = |port| written(self.own.ip(), port);
        match rewrite::read_xfr(line) {
            Some(Transfer::Switchboard { address, cookie }) if is_ours(word(line, 1)) => {
                self.answer_to_us(line, Ok((address, cookie)));
            }
            _ if is_ours(word(line, 1)) => {
                self.answer_to_us(line, Err("XFR".to_owned()));
            }
            Some(Transfer::Switchboard { address, cookie }) => {
                self.remember(cookie, None, address);
                let to = here(self.shared.listening.port());
                out.extend_from_slice(&rewrite::write_xfr(line, &to, &to));
            }
            Some(Transfer::Notification { address }) => {
                match self.shared.port_for(&address).await {
                    Ok(port) => {
                        let current = here(self.own.port());
                        out.extend_from_slice(&rewrite::write_xfr(line, &here(port), &current));
                    }
                    Err(error) => {
                        tracing::warn!(address, %error, "proxy: no port for a redirect; the client goes there without us");
                        out.extend_from_slice(line);
                    }
                }
            }
            Some(Transfer::SameServer) | None => out.extend_from_slice(line),
        }
    }

    fn ring(&self, line: &[u8], out: &mut Vec<u8>) {
        let Some(ring) = rewrite::read_rng(line) else {
            out.extend_from_slice(line);
            return;
        };
        self.remember(ring.cookie, Some(ring.session), ring.address);
        let to = written(self.own.ip(), self.shared.listening.port());
        out.extend_from_slice(&rewrite::write_rng(line, &to));
    }
}
