//! A client on the `msnp11-sdk` crate that takes voice calls, in one process.
//!
//! ```sh
//! MSN_PASSWORD=... cargo run --example sdk_client -- msnmsgr.example.net:1863 me@example.com \
//!   http://nexus.example.net/rdr/pprdr.asp
//! ```
//!
//! `invitations.rs` beside this file is what another client takes over. A client hands it each
//! invitation message that comes, and sends each one that it makes. As of 0.13 the SDK lets its user do
//! neither: it has no event for such a message, and sends no payload but its own. Two small additions
//! to it would do:
//!
//! ```text
//! Event::Invitation { email, payload }     ->  if !invitations.received(&email, &payload) { ... }
//! Outgoing { peer, payload, .. }           ->  switchboard.send_invitation(&payload).await
//! ```
//!
//! Until then [`Between`] brings the messages: the library's proxy, here within the same process, takes
//! them out of the SDK's own conversations and puts ours in.

#![allow(
    clippy::print_stdout,
    reason = "an example of a program for the terminal"
)]

pub(crate) mod invitations;

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use invitations::{Invitations, Outgoing, Said};
use msn_handoff::{
    dispatcher::{self, AccountId, Carrier, Delivery, Verdict},
    endpoint::own,
    front::proxy::{Proxy, ProxySettings},
};
use msnp11_sdk::{Client, Event, MsnpStatus};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// Who signs in, where.
pub(crate) struct Account {
    pub(crate) server: String,
    pub(crate) handle: String,
    pub(crate) password: String,
    pub(crate) nexus: String,
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs this file without it")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what| arguments.next().ok_or(format!("{what} is missing"));
    let account = Account {
        server: argument("HOST:PORT")?,
        handle: argument("the account")?,
        nexus: argument("the address of the nexus")?,
        password: std::env::var("MSN_PASSWORD").unwrap_or_default(),
    };
    let (user, mut said) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(account, user, stop.clone()));
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            said = said.recv() => match said {
                Some(Said::Line(line)) => println!("{line}"),
                Some(Said::Question(question, answer)) => {
                    println!("{question} [y/n]");
                    let line = typed.next_line().await?.unwrap_or_default();
                    // Taken back meanwhile, nobody waits for the answer.
                    let _ = answer.send(line.trim() == "y");
                }
                None => break,
            },
            _ = tokio::signal::ctrl_c() => stop.cancel(),
        }
    }
    running.await?.map_err(Into::into)
}

/// Signs in, and is there until `stop`.
pub(crate) async fn run(
    account: Account,
    user: mpsc::UnboundedSender<Said>,
    stop: CancellationToken,
) -> Result<(), String> {
    let result = sign_in(account, user, stop).await;
    result.map_err(|error| error.to_string())
}

async fn sign_in(
    account: Account,
    user: mpsc::UnboundedSender<Said>,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = tokio::net::lookup_host(&account.server).await?;
    let server = server.into_iter().find_map(|at| match at {
        SocketAddr::V4(at) => Some(*at.ip()),
        SocketAddr::V6(_) => None,
    });
    let own = own::address_towards(server.ok_or("the server has no IPv4 address")?).await?;
    let (outbox, mut outgoing) = mpsc::unbounded_channel();
    let invitations = Invitations::new(own, outbox, user.clone())?;

    let between = Arc::new(Between {
        invitations: invitations.clone(),
        carrier: Mutex::default(),
    });
    let settings = ProxySettings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        server: account.server,
        follow: true,
        correct_profile: false,
    };
    let proxy = Proxy::bind(settings, Arc::clone(&between) as Arc<_>).await?;
    let door = proxy.local_addr();
    let closing = CancellationToken::new();
    let serving = tokio::spawn(proxy.run(closing.clone()));

    // From here on it is any program on the SDK, with the proxy's address for the server's.
    let mut server = (door.ip().to_string(), door.port());
    let client = loop {
        let client = Client::new(&server.0, server.1).await?;
        client.add_event_handler_closure(|_event: Event| async {});
        let (handle, password) = (account.handle.clone(), &account.password);
        let login = client.login(handle, password, &account.nexus, "msnp11-sdk", "0.13");
        match login.await? {
            Event::RedirectedTo { server: to, port } => server = (to, port),
            _ => break client,
        }
    };
    client.set_presence(MsnpStatus::Online).await?;
    let _ = user.send(Said::Line(format!("signed in as {}", account.handle)));
    loop {
        tokio::select! {
            Some(message) = outgoing.recv() => between.bring(message),
            () = stop.cancelled() => break,
        }
    }
    // The contacts are told while there is still a way to tell them.
    invitations.hang_up();
    while let Ok(message) = outgoing.try_recv() {
        between.bring(message);
    }
    client.disconnect().await?;
    closing.cancel();
    serving.await?;
    Ok(())
}

/// Brings messages between [`Invitations`] and the SDK's conversations.
struct Between {
    invitations: Invitations,
    /// The way out, while the SDK is signed in.
    carrier: Mutex<Option<Arc<dyn Carrier>>>,
}

impl Between {
    fn carrier(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Carrier>>> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring(&self, message: Outgoing) {
        let Outgoing { peer, payload, id } = message;
        let carrier = self.carrier().clone();
        match carrier {
            Some(carrier) => carrier.send(&peer, payload, Delivery(id)),
            None => self.invitations.undelivered(id),
        }
    }
}

impl dispatcher::Invitations for Between {
    fn attach(&self, _account: &str, carrier: Arc<dyn Carrier>) -> AccountId {
        *self.carrier() = Some(carrier);
        AccountId(1)
    }

    fn detach(&self, _account: AccountId) {
        *self.carrier() = None;
    }

    fn received(&self, _account: AccountId, peer: &str, payload: &[u8]) -> Verdict {
        if self.invitations.received(peer, payload) {
            Verdict::Taken
        } else {
            Verdict::Pass
        }
    }

    fn typed(&self, _account: AccountId, _peer: &str, _text: &str) -> Verdict {
        Verdict::Pass
    }

    fn carrier_lost(&self, _account: AccountId, peer: &str) {
        self.invitations.left(peer);
    }

    fn undelivered(&self, _account: AccountId, Delivery(id): Delivery) {
        self.invitations.undelivered(id);
    }
}
