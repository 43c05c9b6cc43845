//! The MSNP proxy: a client that names it as its server works unchanged, and the invitations that are
//! ours are taken out of its switchboards (PROTOCOL.md section 12).
//!
//! One port serves notification and switchboard connections: a switchboard connection is known by
//! its first command, whose cookie was in an `XFR` or `RNG` that passed here (`tickets`); anything
//! else goes to the notification server. Where a dispatch server redirects the client to another
//! notification server, that server gets a listening port of its own (`redirect`), so clients behind
//! one address cannot be mistaken for each other.
//!
//! A connection is two lanes (`pump`), each of which reads one socket and writes the other, with a
//! handler in between: `notification` and `switchboard`. `account` is what the dispatcher sees
//! of a signed-in client; `room` is a conversation that we opened ourselves (`opening`) or lend
//! to the client.

mod account;
mod notification;
mod opening;
mod outbox;
mod pump;
mod redirect;
mod room;
mod route;
mod switchboard;
mod tickets;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    runtime::Handle,
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{redirect::Redirects, tickets::Tickets};
use crate::{clock::Clock, dispatcher::Invitations, endpoint::socket};

/// Connections of clients at a time; one more is closed at once. Each takes two descriptors, of which
/// the system often grants fewer; then it is the system that says no.
const MAX_CONNECTIONS: usize = 16 * 1024;
/// How long one address of a server is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// Where the proxy listens and what it stands before.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Where clients connect. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The notification or dispatch server, `host:port`.
    pub server: String,
    /// Peers are told the address that leads to the server at each sign-in, because it may have
    /// changed since the start.
    pub follow: bool,
    /// The profile is given to clients as it would be without us.
    pub correct_profile: bool,
}

/// A proxy that listens and is not serving yet.
pub struct Proxy {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    server: String,
    /// The main port.
    listening: SocketAddr,
    /// Peers are told the address that led to the server.
    follows: bool,
    corrects_profile: bool,
    invitations: Arc<dyn Invitations>,
    tickets: Mutex<Tickets>,
    redirects: Mutex<Redirects>,
    clock: Clock,
    places: Arc<Semaphore>,
    runtime: Handle,
    /// Listeners and notification connections; they end first, so that what the dispatcher says at
    /// the end of a negotiation still finds its switchboard.
    first: (TaskTracker, CancellationToken),
    /// Everything else.
    last: (TaskTracker, CancellationToken),
}

impl Proxy {
    /// Starts to listen. Clients that connect are served by [`Proxy::run`].
    ///
    /// # Errors
    /// The system's word on the listening address.
    pub async fn bind(
        settings: ProxySettings,
        invitations: Arc<dyn Invitations>,
    ) -> io::Result<Self> {
        let listener = socket::tcp_listen(settings.listen).await?;
        Self::on(listener, settings, invitations)
    }

    /// Takes clients from a socket that somebody else opened, whatever `listen` says.
    ///
    /// # Errors
    /// As the system says.
    pub fn on(
        listener: TcpListener,
        settings: ProxySettings,
        invitations: Arc<dyn Invitations>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            server: settings.server,
            listening: listener.local_addr()?,
            follows: settings.follow,
            corrects_profile: settings.correct_profile,
            invitations,
            tickets: Mutex::default(),
            redirects: Mutex::default(),
            clock: Clock::start(),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            runtime: Handle::current(),
            first: (TaskTracker::new(), CancellationToken::new()),
            last: (TaskTracker::new(), CancellationToken::new()),
        });
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.listening
    }

    /// Serves until `stop` is cancelled, then closes every connection and waits for their end.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, shared } = self;
        let server = shared.server.clone();
        let (tasks, ending) = &shared.first;
        tasks.spawn(Arc::clone(&shared).accept(listener, server, ending.child_token()));
        stop.cancelled().await;
        for (tasks, ending) in [&shared.first, &shared.last] {
            ending.cancel();
            tasks.close();
            tasks.wait().await;
        }
    }
}

impl Shared {
    /// Serves the clients of one listener, whose notification server is `target`.
    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        target: String,
        stop: CancellationToken,
    ) {
        // A want of descriptors lasts, and need be told once.
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (client, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the client has gone already.
                    if !failing {
                        tracing::warn!(%error, "proxy: a client could not be accepted");
                    }
                    failing = true;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            failing = false;
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::warn!(%from, "proxy: too many connections");
                continue;
            };
            prepare(&client);
            let (shared, target) = (Arc::clone(&self), target.clone());
            self.first.0.spawn(async move {
                shared.route(client, target, place).await;
            });
        }
    }

    /// Connects to `host:port`, each address the name has in turn.
    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in lookup_host(address).await? {
            match socket::tcp_connect(address, CONNECT).await {
                Ok(stream) => {
                    prepare(&stream);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        lock(&self.tickets)
    }
}

/// No delay, and a far end that has vanished without a word is noticed in the end.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "proxy: no TCP_NODELAY");
    }
    if let Err(error) = rustix::net::sockopt::set_socket_keepalive(stream, true) {
        tracing::debug!(%error, "proxy: no keepalive");
    }
}

/// As it is written where a client reads it. A client that reached an IPv4 address through an IPv6
/// socket knows only the former.
fn written(ip: IpAddr, port: u16) -> String {
    SocketAddr::new(ip.to_canonical(), port).to_string()
}

/// A thread that panicked while it held the lock left values that are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
