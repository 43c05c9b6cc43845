//! The accounts that the client is signed in with, and the way back to it.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{runtime::Handle, sync::mpsc};

use super::{
    said::{Request, Said, unreadable},
    told::{Asks, Obeyed},
};
use crate::{
    control::protocol::Refusal,
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations as _, VerbError, Verdict},
    invitation::MAX_PAYLOAD,
    msnp::roster,
    shown,
};

/// Accounts of one client at a time.
const MAX_ACCOUNTS: usize = 16;

/// What a client has signed in with.
pub(super) struct Accounts {
    hub: Dispatcher,
    /// Lines for the client.
    outbox: mpsc::Sender<Vec<u8>>,
    /// Whether an address that the client tells is announced.
    follows: bool,
    signed_in: Vec<(String, AccountId)>,
}

/// What the dispatcher holds of one account.
struct Pipe {
    hub: Dispatcher,
    account: String,
    address: Option<Ipv4Addr>,
    outbox: mpsc::Sender<Vec<u8>>,
    /// To tell of a loss; known once the dispatcher has named the account.
    id: std::sync::OnceLock<AccountId>,
    runtime: Handle,
}

impl Carrier for Pipe {
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery) {
        let asks = Asks::send(&self.account, peer, payload, delivery);
        if self.ask(&asks) {
            return;
        }
        tracing::warn!(peer, "stdio: the client does not read; a message is lost");
        let Some(id) = self.id.get().copied() else {
            return;
        };
        // Not before the dispatcher has finished what it is doing.
        let hub = self.hub.clone();
        self.runtime
            .spawn(async move { hub.undelivered(id, delivery) });
    }

    fn own_ip(&self) -> Option<Ipv4Addr> {
        self.address
    }

    fn show(&self, peer: &str, line: &str) {
        let account = &self.account;
        if !self.ask(&Asks::Show {
            account,
            peer,
            line,
        }) {
            tracing::warn!(peer, "stdio: the client does not read; a line is lost");
        }
    }
}

impl Pipe {
    fn ask(&self, asks: &Asks<'_>) -> bool {
        super::line(asks).is_some_and(|line| self.outbox.try_send(line).is_ok())
    }
}

impl Accounts {
    pub(super) fn new(hub: Dispatcher, outbox: mpsc::Sender<Vec<u8>>, follows: bool) -> Self {
        Self {
            hub,
            outbox,
            follows,
            signed_in: Vec::new(),
        }
    }

    /// Obeys.
    pub(super) fn obey(&mut self, request: &Request) -> Result<Obeyed, Refusal> {
        let named = request.account.as_deref();
        match &request.said {
            Said::SignedIn { address } => self.sign_in(named, *address),
            Said::SignedOut => {
                let id = self.which(named)?;
                self.signed_in.retain(|(_, known)| *known != id);
                self.hub.detach(id);
                Ok(Obeyed::default())
            }
            Said::Message { from, payload } => {
                let (id, peer) = (self.which(named)?, contact(from)?);
                let payload = payload.bytes().map_err(|error| unreadable(&error))?;
                // No switchboard brings a longer one (PROTOCOL.md 1.4).
                if payload.len() > MAX_PAYLOAD {
                    return Ok(Verdict::Pass.into());
                }
                Ok(self.hub.received(id, peer, &payload).into())
            }
            Said::Typed { to, text } => {
                let (id, peer) = (self.which(named)?, contact(to)?);
                Ok(self.hub.typed(id, peer, text).into())
            }
            Said::Left { peer } => {
                let (id, peer) = (self.which(named)?, contact(peer)?);
                self.hub.carrier_lost(id, peer);
                Ok(Obeyed::default())
            }
            Said::Undelivered { delivery } => {
                self.hub
                    .undelivered(self.which(named)?, Delivery(delivery.0));
                Ok(Obeyed::default())
            }
        }
    }

    fn sign_in(
        &mut self,
        named: Option<&str>,
        address: Option<Ipv4Addr>,
    ) -> Result<Obeyed, Refusal> {
        let named = named.ok_or_else(|| unreadable("no `signed-in`: an `account` is missing"))?;
        let handle = contact(named)?;
        let again = self.signed_in.iter();
        if again.clone().any(|(known, _)| roster::same(known, handle)) {
            return Err(Refusal {
                reason: "already-signed-in".to_owned(),
                message: format!(
                    "{} is signed in already: say signed-out first",
                    shown::line(handle, 80)
                ),
            });
        }
        if again.count() >= MAX_ACCOUNTS {
            return Err(Refusal {
                reason: "too-many-accounts".to_owned(),
                message: format!("no more than {MAX_ACCOUNTS} accounts at a time"),
            });
        }
        let pipe = Arc::new(Pipe {
            hub: self.hub.clone(),
            account: handle.to_owned(),
            address: address.filter(|_| self.follows),
            outbox: self.outbox.clone(),
            id: std::sync::OnceLock::new(),
            runtime: Handle::current(),
        });
        let id = self
            .hub
            .attach(handle, Arc::clone(&pipe) as Arc<dyn Carrier>);
        // Nobody else sets it.
        let _ = pipe.id.set(id);
        self.signed_in.push((handle.to_owned(), id));
        Ok(Obeyed::default())
    }

    /// Everybody is signed out.
    pub(super) fn end(&mut self) {
        for (_, id) in self.signed_in.drain(..) {
            self.hub.detach(id);
        }
    }

    fn which(&self, named: Option<&str>) -> Result<AccountId, VerbError> {
        if let Some(named) = named {
            let mut accounts = self.signed_in.iter();
            let found = accounts.find(|(known, _)| roster::same(known, roster::bare(named)));
            return found
                .map(|(_, id)| *id)
                .ok_or_else(|| VerbError::NoAccount(named.to_owned()));
        }
        match self.signed_in.as_slice() {
            [(_, id)] => Ok(*id),
            [] => Err(VerbError::NobodyIsIn),
            several => Err(VerbError::WhichAccount(
                several.iter().map(|(handle, _)| handle.clone()).collect(),
            )),
        }
    }
}

/// The handle alone: from MSNP16 on servers write a machine behind it.
fn contact(handle: &str) -> Result<&str, VerbError> {
    let bare = roster::bare(handle);
    if bare.contains('@') && roster::is_word(bare) {
        Ok(bare)
    } else {
        Err(VerbError::NoContact(handle.to_owned()))
    }
}
