//! Carries RTP and RTCP between a peer and an agent on this machine.
//!
//! Each side is an RTP port and the next one for RTCP. A side is deaf until it is connected; then it
//! hears one host at one port ([`super::lock`]). A packet goes on as it came, once or not at all, so
//! never more leaves than entered. Everything else is counted and dropped, and datagrams that came
//! before the call stood are gone by then: the sockets are always read.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet};

use super::{
    limit::Limit,
    lock::{Lock, is_one_place, rtcp_beside},
    rtp::{self, Datagram},
    statistics::{Meter, Statistics, Summary},
};
use crate::{
    clock::Clock,
    endpoint::{place::Place, socket},
};

/// Largest packet carried; RTC's are at most 1500 with headers (APPLICATIONS.md 1.4).
const MAX_PACKET: usize = 2048;
/// Most datagrams of each side that are carried after the end.
const MAX_LEFT: usize = 256;
/// How long a socket that fails is left alone.
const PAUSE: Duration = Duration::from_millis(20);

/// What came in at one side, RTP and RTCP together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets that went on to the other side.
    pub carried: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
    /// Packets from another address than the one that is heard.
    pub foreign: u64,
    /// Packets that came before both sides were connected.
    pub early: u64,
    /// Datagrams of the right address that are neither RTP nor RTCP, or too long.
    pub unfit: u64,
    /// Packets that could not be sent on.
    pub failed: u64,
    /// Packets dropped because more came than is carried in a second ([`super::limit`]).
    pub over: u64,
    /// Of the RTP stream that is heard.
    pub stream: Summary,
}

/// Statistics of both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStatistics {
    /// What the peer sent.
    pub from_peer: Traffic,
    /// What the agent sent.
    pub from_agent: Traffic,
}

/// A relay; it ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    ports: [u16; 2],
    peer_ip: Ipv4Addr,
    /// Both sides of both channels.
    lines: [Line; 2],
    /// Ends its tasks when it is dropped.
    tasks: JoinSet<()>,
}

/// Index of a side and of a channel.
const PEER: usize = 0;
const AGENT: usize = 1;

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Our own sockets.
    own: [SocketAddr; 4],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    peer: Side,
    agent: Side,
    /// The peer does not want to hear the agent.
    held: bool,
}

#[derive(Debug, Default)]
struct Side {
    rtp: Option<Lock>,
    rtcp: Option<Lock>,
    traffic: Traffic,
    /// How much of it may go on, RTP and RTCP together.
    limit: Limit,
    stream: Statistics,
    /// When the last packet of the stream came.
    last: Duration,
    /// When anything was last carried.
    heard: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Channel {
    Rtp,
    Rtcp,
}

/// The sockets of one channel: the peer's side and the agent's.
#[derive(Debug)]
struct Line {
    channel: Channel,
    sockets: [Arc<UdpSocket>; 2],
}

impl Relay {
    /// Opens both sides, each at an even port that the system chooses and at the next one. Nothing
    /// is carried yet.
    ///
    /// # Errors
    /// As [`socket::rtp_pair`].
    pub async fn open(peer_side: impl Into<Place>, agent_side_ip: Ipv4Addr) -> io::Result<Self> {
        let peer_side = peer_side.into();
        let peer_side_ip = peer_side.ip;
        let (peer_rtp, peer_rtcp) = socket::rtp_pair(peer_side).await?;
        let (agent_rtp, agent_rtcp) = socket::rtp_pair(agent_side_ip).await?;
        let own = [
            peer_rtp.local_addr()?,
            peer_rtcp.local_addr()?,
            agent_rtp.local_addr()?,
            agent_rtcp.local_addr()?,
        ];
        let [peer, _, agent, _] = own;
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            own,
            state: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let lines = [
            (Channel::Rtp, peer_rtp, agent_rtp),
            (Channel::Rtcp, peer_rtcp, agent_rtcp),
        ]
        .map(|(channel, peer, agent)| Line {
            channel,
            sockets: [Arc::new(peer), Arc::new(agent)],
        });
        for line in &lines {
            let [peer, agent] = &line.sockets;
            for (side, from, to) in [(PEER, peer, agent), (AGENT, agent, peer)] {
                let (from, to) = (from.clone(), to.clone());
                tasks.spawn(carry(shared.clone(), side, line.channel, from, to));
            }
        }
        Ok(Self {
            shared,
            ports: [peer.port(), agent.port()],
            peer_ip: peer_side_ip,
            lines,
            tasks,
        })
    }

    /// RTP port of the peer's side; RTCP is at the next one.
    #[must_use]
    pub fn peer_port(&self) -> u16 {
        self.ports[PEER]
    }

    /// Address of the peer's side.
    #[must_use]
    pub fn peer_ip(&self) -> Ipv4Addr {
        self.peer_ip
    }

    /// RTP port of the agent's side; RTCP is at the next one.
    #[must_use]
    pub fn agent_port(&self) -> u16 {
        self.ports[AGENT]
    }

    /// The peer is there from now on, at an address that policy has allowed. RTCP is at the next
    /// port unless it is named. Saying it again, with any address, lets its port be learned anew.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an address that is not one host and port, or is a
    /// socket of this relay, which would answer itself for ever. Nothing has changed then.
    pub fn connect_peer(&self, rtp: SocketAddr, rtcp: Option<SocketAddr>) -> io::Result<()> {
        let (rtp, rtcp) = self.locks(rtp, rtcp)?;
        let mut state = self.shared.state();
        (state.peer.rtp, state.peer.rtcp) = (Some(rtp), rtcp);
        state.peer.heard = self.shared.clock.now();
        Ok(())
    }

    /// The agent is there from now on. Otherwise as [`Self::connect_peer`].
    ///
    /// # Errors
    /// As [`Self::connect_peer`].
    pub fn connect_agent(&self, rtp: SocketAddr, rtcp: Option<SocketAddr>) -> io::Result<()> {
        let (rtp, rtcp) = self.locks(rtp, rtcp)?;
        let mut state = self.shared.state();
        (state.agent.rtp, state.agent.rtcp) = (Some(rtp), rtcp);
        Ok(())
    }

    fn locks(&self, rtp: SocketAddr, rtcp: Option<SocketAddr>) -> io::Result<(Lock, Option<Lock>)> {
        let rtcp = rtcp.or_else(|| rtcp_beside(rtp));
        let fits =
            |address: &SocketAddr| is_one_place(*address) && !self.shared.own.contains(address);
        if !fits(&rtp) || !rtcp.as_ref().is_none_or(fits) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let now = self.shared.clock.now();
        Ok((Lock::new(rtp, now), rtcp.map(|rtcp| Lock::new(rtcp, now))))
    }

    /// Whether the peer is on hold: then it gets no sound, and reports go on.
    pub fn hold(&self, held: bool) {
        let mut state = self.shared.state();
        if state.held && !held {
            // It was silent because it was to be.
            state.peer.heard = self.shared.clock.now();
        }
        state.held = held;
    }

    /// Carries no more than that many bits per second in each direction from now on, without UDP and
    /// IP headers; [`super::limit::BITS_PER_SECOND`] unless it is said.
    pub fn limit(&self, bits_per_second: u32) {
        let mut state = self.shared.state();
        state.peer.limit = Limit::new(bits_per_second);
        state.agent.limit = Limit::new(bits_per_second);
    }

    /// What came so far.
    #[must_use]
    pub fn statistics(&self) -> RelayStatistics {
        self.shared.statistics()
    }

    /// For how long nothing at all has come from the peer; nothing while it holds the call.
    #[must_use]
    pub fn silence(&self) -> Duration {
        let state = self.shared.state();
        match state.held {
            true => Duration::ZERO,
            false => self.shared.clock.now().saturating_sub(state.peer.heard),
        }
    }

    /// Where the peer is, as far as its packets tell.
    #[must_use]
    pub fn peer_there(&self) -> Option<SocketAddr> {
        self.shared.state().peer.rtp.map(|lock| lock.there())
    }

    /// What comes from the peer, to be read at any time.
    #[must_use]
    pub fn meter(&self) -> Meter {
        let shared = self.shared.clone();
        Meter::new(move || shared.statistics().from_peer.stream)
    }

    /// Ends it: what has arrived is still carried (a BYE is the last word of a call), then the
    /// sockets are closed. Dropping ends it as well, a moment later, and carries nothing more.
    pub async fn close(mut self) -> RelayStatistics {
        self.tasks.shutdown().await;
        let statistics = self.shared.clone();
        for Line { channel, sockets } in self.lines {
            let [Some(peer), Some(agent)] = sockets.map(Arc::into_inner) else {
                continue;
            };
            // What the runtime has not seen yet is there all the same.
            if let (Ok(peer), Ok(agent)) = (peer.into_std(), agent.into_std()) {
                self.shared.empty(PEER, channel, &peer, &agent);
                self.shared.empty(AGENT, channel, &agent, &peer);
            }
        }
        statistics.statistics()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn statistics(&self) -> RelayStatistics {
        let state = self.state();
        let traffic = |side: &Side| Traffic {
            stream: side.stream.summary(),
            ..side.traffic
        };
        RelayStatistics {
            from_peer: traffic(&state.peer),
            from_agent: traffic(&state.agent),
        }
    }

    /// Carries what one side has already received; the sockets do not wait.
    fn empty(
        &self,
        side: usize,
        channel: Channel,
        from: &std::net::UdpSocket,
        to: &std::net::UdpSocket,
    ) {
        let mut buffer = [0_u8; MAX_PACKET + 1];
        for _ in 0..MAX_LEFT {
            let (length, source) = match from.recv_from(&mut buffer) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to an earlier packet.
                Err(_) => continue,
            };
            let datagram = buffer.get(..length).filter(|all| all.len() <= MAX_PACKET);
            if let (Some(target), Some(datagram)) =
                (self.judge(side, channel, datagram, source), datagram)
                && to.send_to(datagram, target).is_err()
            {
                self.failed(side, length);
            }
        }
    }

    /// Where a datagram of one side goes, if anywhere.
    fn judge(
        &self,
        side: usize,
        channel: Channel,
        datagram: Option<&[u8]>,
        from: SocketAddr,
    ) -> Option<SocketAddr> {
        let now = self.clock.now();
        let mut state = self.state();
        let state = &mut *state;
        let (source, target) = if side == PEER {
            (&mut state.peer, &state.agent)
        } else {
            (&mut state.agent, &state.peer)
        };
        let (lock, beside, target) = match channel {
            Channel::Rtp => (&mut source.rtp, &mut source.rtcp, target.rtp),
            Channel::Rtcp => (&mut source.rtcp, &mut source.rtp, target.rtcp),
        };
        let (Some(lock), Some(target)) = (lock, target) else {
            source.traffic.early += 1;
            return None;
        };
        let Some((datagram, packet)) = datagram
            .map(|datagram| (datagram, rtp::read(datagram)))
            .filter(|(_, packet)| *packet != Datagram::Other)
        else {
            // It may not settle the port either.
            let known = from.ip() == lock.there().ip();
            let count = if known {
                &mut source.traffic.unfit
            } else {
                &mut source.traffic.foreign
            };
            *count += 1;
            return None;
        };
        let fresh = *lock;
        if !lock.admits(from, now) {
            let goes_on = matches!(&packet, Datagram::Rtp(packet) if source.stream.goes_on(packet));
            let may_move = side == PEER && !self.own.contains(&from);
            if !may_move || !lock.follows(from, goes_on, source.last, now) {
                source.traffic.foreign += 1;
                return None;
            }
            tracing::info!(peer = side == PEER, %from, "the stream goes on from another address");
            *beside = rtcp_beside(from).map(|rtcp| Lock::new(rtcp, now));
        }
        if *lock != fresh && lock.is_moved() {
            tracing::debug!(peer = side == PEER, port = from.port(), "media moved");
        }
        if side == AGENT && state.held && matches!(packet, Datagram::Rtp(_)) {
            return None;
        }
        source.heard = now;
        if matches!(packet, Datagram::Rtp(_)) {
            // Also when it is dropped: a stream that floods has not fallen silent.
            source.last = now;
        }
        if !source.limit.admits(datagram.len(), now) {
            source.traffic.over += 1;
            if source.traffic.over == 1 {
                tracing::warn!(
                    peer = side == PEER,
                    "more comes than is carried; the rest is dropped"
                );
            }
            return None;
        }
        source.traffic.carried += 1;
        source.traffic.bytes += datagram.len() as u64;
        if let Datagram::Rtp(packet) = packet {
            source.stream.arrived(&packet, now);
        }
        Some(target.there())
    }

    fn failed(&self, side: usize, bytes: usize) {
        let mut state = self.state();
        let traffic = if side == PEER {
            &mut state.peer.traffic
        } else {
            &mut state.agent.traffic
        };
        traffic.carried = traffic.carried.saturating_sub(1);
        traffic.bytes = traffic.bytes.saturating_sub(bytes as u64);
        traffic.failed += 1;
    }
}

/// One channel, one way.
async fn carry(
    shared: Arc<Shared>,
    side: usize,
    channel: Channel,
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
) {
    // A datagram that fills it was cut off.
    let mut buffer = [0_u8; MAX_PACKET + 1];
    loop {
        let Ok((length, source)) = from.recv_from(&mut buffer).await else {
            // Nothing that a later datagram must suffer for, but no reason to spin.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let datagram = buffer.get(..length).filter(|all| all.len() <= MAX_PACKET);
        if let (Some(target), Some(datagram)) =
            (shared.judge(side, channel, datagram, source), datagram)
            && to.send_to(datagram, target).await.is_err()
        {
            shared.failed(side, length);
        }
    }
}

#[cfg(test)]
mod tests;
