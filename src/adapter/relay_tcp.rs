//! What relays of TCP share: who may connect, accepting, and carrying both ways.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
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
    media::limit::Limit,
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

/// What the connections of one invitation share: when something was last carried, and how much may be.
pub(super) struct Activity {
    clock: Clock,
    /// Milliseconds of the clock.
    last: AtomicU64,
    inwards: Mutex<Limit>,
    outwards: Mutex<Limit>,
}

impl Activity {
    /// So many bits per second may be carried each way.
    pub(super) fn start(limit: u32) -> Self {
        Self {
            clock: Clock::start(),
            last: AtomicU64::new(0),
            inwards: Mutex::new(Limit::new(limit)),
            outwards: Mutex::new(Limit::new(limit)),
        }
    }

    /// Waits until so many bytes may go that way. Until then nothing more is read, so that the sender
    /// waits as well, and nothing is lost.
    async fn turn(&self, way: &Mutex<Limit>, bytes: usize) {
        let now = self.clock.now();
        // A number cannot be left half changed.
        let wait = way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait(bytes, now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
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

/// Stands before a program of ours: what one of `peers` connects goes on to `to`, so many bits per
/// second. It has no end.
pub(super) async fn gate(listener: TcpListener, mut peers: Callers, to: SocketAddr, limit: u32) {
    let activity = Arc::new(Activity::start(limit));
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
        carry(outside_in, inside_out, activity, &activity.inwards),
        carry(inside_in, outside_out, activity, &activity.outwards),
    );
}

/// Carries one way until its end, which is passed on; the other way may go on.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
    way: &Mutex<Limit>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        activity.touch();
        activity.turn(way, n).await;
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Two ends of a connection on this machine.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = socket::tcp_listen((Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap();
        let at = listener.local_addr().unwrap();
        let (made, taken) =
            tokio::join!(socket::tcp_connect(at, CONNECT_WITHIN), listener.accept());
        (made.unwrap(), taken.unwrap().0)
    }

    async fn received(mut from: TcpStream) -> usize {
        let mut all = Vec::new();
        from.read_to_end(&mut all).await.unwrap();
        assert!(all.iter().enumerate().all(|(at, byte)| *byte == part(at)));
        all.len()
    }

    fn part(at: usize) -> u8 {
        u8::try_from(at % 251).unwrap()
    }

    #[tokio::test]
    async fn a_forwarded_flood_is_held_back_over_all_connections_and_arrives_whole() {
        // A million bytes a second, half a million at once.
        let activity = Arc::new(Activity::start(8_000_000));
        let text: Vec<u8> = (0..500_000).map(part).collect();
        let clock = Clock::start();
        let mut relays = JoinSet::new();
        let mut inside = Vec::new();
        for _ in 0..2 {
            let ((mut peer, outside), (program, far)) = (pair().await, pair().await);
            let activity = Arc::clone(&activity);
            relays.spawn(async move { join(outside, program, &[], &activity).await });
            let text = text.clone();
            relays.spawn(async move { peer.write_all(&text).await.unwrap() });
            inside.push(far);
        }
        let mut lengths = Vec::new();
        for far in inside {
            lengths.push(received(far).await);
        }
        let took = clock.now();
        assert_eq!(lengths, [text.len(); 2]);
        assert!(took >= Duration::from_millis(490), "{took:?}");
        while let Some(ended) = relays.join_next().await {
            ended.unwrap();
        }
        // The other way had its own limit, and has all of it still.
        let wait = activity.outwards.lock().unwrap().wait(500_000, clock.now());
        assert_eq!(wait, Duration::ZERO);
    }
}
