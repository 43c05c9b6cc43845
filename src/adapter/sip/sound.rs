//! Carries the media between the peer's side and this machine's.
//!
//! The peer's side is locked (ANCHORS.md E.3 row 6): only the negotiated host is heard, its port is
//! learned once from its first packet (a router may have changed it) and again only when signalling
//! says so, nothing is sent that was not received, and nothing before the call stands.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::UdpSocket, sync::watch, task::JoinSet};

use crate::{
    clock::Clock,
    endpoint::socket,
    media::{
        record::Dump,
        rtp::{self, Datagram},
    },
};

use super::{builtin::BuiltIn, front::Media};

/// Largest packet carried; RTC's are at most 1500 with headers (APPLICATIONS.md 1.4).
pub(super) const MAX_PACKET: usize = 2048;

/// How long the lines may take to end; they do at once.
const FAREWELL: Duration = Duration::from_secs(1);

/// An RTP socket and its RTCP neighbour.
type Pair = [Arc<UdpSocket>; 2];

/// The sockets of one call, bound before anything is said of them.
pub(super) struct Sound {
    peer: Pair,
    agent: Pair,
    video: Option<Pair>,
    plan: watch::Sender<Option<Media>>,
    lines: JoinSet<Option<PathBuf>>,
    built_in: Option<BuiltIn>,
}

async fn pair(ip: Ipv4Addr) -> io::Result<Pair> {
    let (rtp, rtcp) = socket::rtp_pair(ip).await?;
    Ok([rtp.into(), rtcp.into()])
}

fn port(pair: &Pair) -> u16 {
    let [rtp, _] = pair;
    rtp.local_addr().map_or(0, |at| at.port())
}

impl Sound {
    /// Binds the peer's side at `own` and the agent's on loopback.
    pub(super) async fn bind(own: Ipv4Addr, video: bool, built_in: BuiltIn) -> io::Result<Self> {
        Ok(Self {
            peer: pair(own).await?,
            agent: pair(Ipv4Addr::LOCALHOST).await?,
            video: if video { Some(pair(own).await?) } else { None },
            plan: watch::Sender::new(None),
            lines: JoinSet::new(),
            built_in: Some(built_in),
        })
    }

    /// RTP port of the peer's side.
    pub(super) fn peer_port(&self) -> u16 {
        port(&self.peer)
    }

    /// RTP port of the agent's side.
    pub(super) fn agent_port(&self) -> u16 {
        port(&self.agent)
    }

    /// RTP port for the peer's picture.
    pub(super) fn video_port(&self) -> Option<u16> {
        self.video.as_ref().map(port)
    }

    /// Media flows so from now on; says whether none did before.
    pub(super) fn flow(&mut self, media: Media) -> bool {
        let alone = media.agent.is_none();
        let first = self.plan.send_replace(Some(media)).is_none();
        if !first {
            return false;
        }
        if alone {
            if let Some(built_in) = self.built_in.take() {
                let plan = self.plan.subscribe();
                self.lines.spawn(built_in.serve(self.peer.clone(), plan));
            }
            return true;
        }
        for (rtcp, (peer, agent)) in [false, true]
            .into_iter()
            .zip(self.peer.iter().zip(&self.agent))
        {
            let (peer, agent) = (peer.clone(), agent.clone());
            self.lines
                .spawn(carry(peer, agent, self.plan.subscribe(), rtcp));
        }
        true
    }

    /// Ends it. Gives the recordings that were made.
    pub(super) async fn end(&mut self) -> Vec<PathBuf> {
        self.plan.send_replace(None);
        let mut made = Vec::new();
        let all = async {
            while let Some(line) = self.lines.join_next().await {
                made.extend(line.ok().flatten());
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
        made
    }

    /// The peer's picture goes into a file.
    pub(super) fn keep_picture(&mut self, path: &Path, peer: SocketAddrV4) -> io::Result<()> {
        let Some([rtp, _]) = &self.video else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let SocketAddr::V4(own) = rtp.local_addr()? else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let dump = Dump::create(path, peer, own)?;
        self.lines
            .spawn(keep(rtp.clone(), self.plan.subscribe(), dump));
        Ok(())
    }

    /// The peer's picture goes to the player at `to`.
    pub(super) fn show(&mut self, to: SocketAddrV4) {
        let [_, out] = &self.agent;
        for (socket, to) in self
            .video
            .iter()
            .flatten()
            .zip([to, SocketAddrV4::new(*to.ip(), to.port().saturating_add(1))])
        {
            let (socket, out) = (socket.clone(), out.clone());
            self.lines
                .spawn(picture(socket, out, self.plan.subscribe(), to));
        }
    }
}

/// The peer's end of a line: who is heard, and where to answer.
pub(super) struct Lock {
    host: Ipv4Addr,
    said: SocketAddrV4,
    learned: Option<SocketAddr>,
}

impl Lock {
    pub(super) fn new(said: SocketAddrV4) -> Self {
        Self {
            host: *said.ip(),
            said,
            learned: None,
        }
    }

    /// New signalling: the port may be learned again.
    pub(super) fn turn(&mut self, said: SocketAddrV4) {
        if said != self.said {
            *self = Self::new(said);
        }
    }

    pub(super) fn admits(&mut self, from: SocketAddr) -> bool {
        if let Some(learned) = self.learned {
            return learned == from;
        }
        let ours = from.ip() == self.host;
        if ours {
            self.learned = Some(from);
        }
        ours
    }

    pub(super) fn there(&self) -> SocketAddr {
        self.learned.unwrap_or(self.said.into())
    }
}

fn places(media: &Media, rtcp: bool) -> (SocketAddrV4, Option<SocketAddrV4>) {
    if rtcp {
        (media.peer.1, media.agent.map(|agent| agent.1))
    } else {
        (media.peer.0, media.agent.map(|agent| agent.0))
    }
}

/// One line, both ways, until the call is over.
async fn carry(
    peer: Arc<UdpSocket>,
    agent: Arc<UdpSocket>,
    mut plan: watch::Receiver<Option<Media>>,
    rtcp: bool,
) -> Option<PathBuf> {
    let mut from_peer = [0_u8; MAX_PACKET];
    let mut from_agent = [0_u8; MAX_PACKET];
    let (said, mut to_agent) = current(&mut plan, rtcp)?;
    let mut lock = Lock::new(said);
    loop {
        tokio::select! {
            changed = plan.changed() => {
                changed.ok()?;
                let (said, agent) = current(&mut plan, rtcp)?;
                lock.turn(said);
                to_agent = agent;
            }
            // An error is an ICMP answer to an earlier packet: the next one may arrive.
            got = peer.recv_from(&mut from_peer) => {
                if let (Ok((n, from)), Some(to)) = (got, to_agent)
                    && let Some(packet) = from_peer.get(..n)
                    && rtp::read(packet) != Datagram::Other
                    && lock.admits(from)
                {
                    let _ = agent.send_to(packet, to).await;
                }
            }
            got = agent.recv_from(&mut from_agent) => {
                if let Ok((n, from)) = got
                    && from.ip().is_loopback()
                    && let Some(packet) = from_agent.get(..n)
                    && rtp::read(packet) != Datagram::Other
                {
                    let _ = peer.send_to(packet, lock.there()).await;
                }
            }
        }
    }
}

fn current(
    plan: &mut watch::Receiver<Option<Media>>,
    rtcp: bool,
) -> Option<(SocketAddrV4, Option<SocketAddrV4>)> {
    plan.borrow_and_update()
        .as_ref()
        .map(|media| places(media, rtcp))
}

/// The picture, one way, to a player.
async fn picture(
    from: Arc<UdpSocket>,
    out: Arc<UdpSocket>,
    mut plan: watch::Receiver<Option<Media>>,
    to: SocketAddrV4,
) -> Option<PathBuf> {
    let mut buffer = [0_u8; MAX_PACKET];
    while let Some(packet) = of_picture(&from, &mut plan, &mut buffer).await {
        let _ = out.send_to(packet, to).await;
    }
    None
}

/// The picture, into a file. Gives the file, unless nothing came.
async fn keep(
    from: Arc<UdpSocket>,
    mut plan: watch::Receiver<Option<Media>>,
    mut dump: Dump,
) -> Option<PathBuf> {
    let clock = Clock::start();
    let mut buffer = [0_u8; MAX_PACKET];
    let mut kept = Ok(());
    while let Some(packet) = of_picture(&from, &mut plan, &mut buffer).await {
        if kept.is_ok() {
            kept = dump.keep(packet, clock.now());
        }
    }
    match kept.and_then(|()| dump.finish()) {
        Ok(path) => path,
        Err(error) => {
            tracing::warn!(%error, "the recording of the picture is incomplete");
            None
        }
    }
}

/// The next packet of the peer's picture; `None` when the call is over.
async fn of_picture<'a>(
    from: &UdpSocket,
    plan: &mut watch::Receiver<Option<Media>>,
    buffer: &'a mut [u8; MAX_PACKET],
) -> Option<&'a [u8]> {
    let length = loop {
        let got = tokio::select! {
            changed = plan.changed() => {
                changed.ok()?;
                plan.borrow_and_update().as_ref()?;
                continue;
            }
            got = from.recv_from(buffer) => got,
        };
        let Ok((length, source)) = got else { continue };
        let host = plan.borrow().as_ref().map(|media| *media.peer.0.ip());
        let packet = buffer.get(..length).unwrap_or_default();
        if host.is_some_and(|host| source.ip() == host) && rtp::read(packet) != Datagram::Other {
            break length;
        }
    };
    buffer.get(..length)
}
