//! The proxy: stands between an MSN client and its server. What is not an invitation of ours passes
//! byte for byte.
//!
//! One port serves everything. A connection that begins with `VER` is for a notification server;
//! one that begins with `USR` or `ANS` and a cookie that a rewritten `XFR` or `RNG` carried is for
//! that switchboard (PROTOCOL.md 12.1).
//!
//! * `pipe` moves bytes between two sockets; a `pipe::Link` looks at them on the way.
//! * `notification` and `switchboard` are the two links.
//! * `account` is one signed-in client, and what the dispatcher can ask of it.
//! * `opening` opens a switchboard of our own (PROTOCOL.md 12.6).
//! * `referrals` remembers where the client was sent.

mod account;
mod connection;
mod notification;
mod opening;
mod pipe;
mod referrals;
mod switchboard;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{clock::Clock, dispatcher::Invitations, endpoint::socket, msnp};
use account::Account;
use referrals::Referrals;

/// How long a connection to the server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// Most connections at a time; a client has a handful.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// What the proxy is told.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The server, `host:port`.
    pub server: String,
}

/// A listening proxy.
pub struct Proxy {
    listener: TcpListener,
    local: SocketAddr,
    hub: Arc<Hub>,
}

/// What all connections share.
struct Hub {
    server: String,
    clock: Clock,
    invitations: Arc<dyn Invitations>,
    referrals: Mutex<Referrals>,
    /// By handle, as compared.
    accounts: Mutex<HashMap<String, Weak<Account>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Proxy {
    /// Listens.
    ///
    /// # Errors
    /// As the system says: the port is taken, the address is not ours.
    pub async fn bind(
        settings: ProxySettings,
        invitations: Arc<dyn Invitations>,
    ) -> io::Result<Self> {
        let listener = socket::tcp_listen(settings.listen).await?;
        let local = listener.local_addr()?;
        let hub = Arc::new(Hub {
            server: settings.server,
            clock: Clock::start(),
            invitations,
            referrals: Mutex::default(),
            accounts: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        Ok(Self {
            listener,
            local,
            hub,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until it is told to stop, and closes every connection then.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((client, from)) if self.hub.tasks.len() < MAX_CONNECTIONS => {
                    let hub = Arc::clone(&self.hub);
                    self.hub.tasks.spawn(connection::serve(hub, client, from));
                }
                Ok((_, from)) => tracing::warn!(%from, "too many connections: refused"),
                Err(error) => {
                    // Out of descriptors, most likely: the listener stays, others must end first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        self.hub.stop.cancel();
        self.hub.tasks.close();
        self.hub.tasks.wait().await;
    }
}

impl Hub {
    fn referrals(&self) -> MutexGuard<'_, Referrals> {
        self.referrals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Weak<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The signed-in account with that handle.
    fn account(&self, handle: &str) -> Option<Arc<Account>> {
        self.accounts()
            .get(&msnp::handle(handle))
            .and_then(Weak::upgrade)
    }
}
