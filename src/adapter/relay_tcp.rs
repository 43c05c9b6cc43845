//! What relays of TCP share: who may connect, accepting, and carrying both ways.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::Task;
use crate::{
    clock::Clock,
    endpoint::{callers::Callers, socket, whereabouts},
    negotiation::Remote,
};

/// Most connections at a time.
pub(super) const MAX_RELAYS: usize = 32;
/// Most connections that wait to be looked at.
pub(super) const MAX_WAITING: usize = 8;
/// How long our side may take to take a connection.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How much is carried at a time, each way of each connection, in bytes.
const CHUNK: usize = 16 * 1024;
/// How long an accept that failed is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is served.
pub(super) fn peers(task: &Task, remote: &Remote) -> Result<Callers, String> {
    // The port from which the peer comes is its own affair.
    let hosts = remote.told().map(|(ip, _)| (ip, None));
    let hosts = task.policy.those_allowed(hosts);
    let hosts = hosts.map_err(|error| error.to_string())?;
    let hosts = hosts.iter().map(|(at, _)| at.ip()).collect();
    Ok(Callers::new(hosts, whereabouts::neighbourhoods()))
}

/// When something was last carried.
pub(super) struct Activity {
    clock: Clock,
    /// Milliseconds of the clock.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn start() -> Self {
        Self {
            clock: Clock::start(),
            last: AtomicU64::new(0),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn touch(&self) {
        self.last.store(self.millis(), Ordering::Relaxed);
    }

    /// How long nothing was carried.
    pub(super) fn silence(&self) -> Duration {
        Duration::from_millis(
            self.millis()
                .saturating_sub(self.last.load(Ordering::Relaxed)),
        )
    }
}

/// Accepts for ever; each connection is told with the port it came to.
pub(super) async fn accept(
    listener: TcpListener,
    port: u16,
    arrivals: mpsc::Sender<(TcpStream, SocketAddr, u16)>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if arrivals.send((stream, from, port)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(port, %error, "not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Stands before a program of ours: what one of `peers` connects goes on to `to`. It has no end.
pub(super) async fn gate(listener: TcpListener, mut peers: Callers, to: SocketAddr) {
    let activity = Arc::new(Activity::start());
    let (sender, mut arrivals) = mpsc::channel(MAX_WAITING);
    let accepting = accept(listener, to.port(), sender);
    let serving = async {
        let mut relays = JoinSet::new();
        loop {
            tokio::select! {
                Some((outside, from, _)) = arrivals.recv() => {
                    let is_peer = matches!(from.ip(), IpAddr::V4(ip) if peers.admit(ip));
                    if !is_peer || relays.len() >= MAX_RELAYS {
                        tracing::info!(%from, is_peer, "turned away");
                        continue;
                    }
                    let activity = Arc::clone(&activity);
                    relays.spawn(async move {
                        match socket::tcp_connect(to, CONNECT_WITHIN).await {
                            Ok(inside) => join(outside, inside, &[], &activity).await,
                            Err(error) => tracing::warn!(%to, %error, "our program takes no connection"),
                        }
                    });
                }
                Some(_) = relays.join_next() => {}
            }
        }
    };
    tokio::join!(accepting, serving);
}

/// Carries what comes on either of two connections to the other, unchanged, until both ends have
/// closed. `first` was read from `outside` already.
pub(super) async fn join(
    outside: TcpStream,
    mut inside: TcpStream,
    first: &[u8],
    activity: &Activity,
) {
    // A relay should not make small messages wait for each other, nor keep a port for a machine that
    // is gone.
    let _ = outside.set_nodelay(true);
    let _ = socket::keep_alive(&outside);
    if inside.write_all(first).await.is_err() {
        return;
    }
    let (outside_in, outside_out) = outside.into_split();
    let (inside_in, inside_out) = inside.into_split();
    tokio::join!(
        carry(outside_in, inside_out, activity),
        carry(inside_in, outside_out, activity),
    );
}

/// Carries one way until its end, which is passed on; the other way may go on.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        activity.touch();
        if to
            .write_all(chunk.get(..n).unwrap_or_default())
            .await
            .is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}
