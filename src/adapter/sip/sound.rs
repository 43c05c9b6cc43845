//! Carries the media: between the peer's side and the agent's.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use tokio::{net::UdpSocket, sync::watch, task::JoinSet};

use crate::endpoint::socket;

use super::front::Media;

/// The sockets of one call, bound before anything is announced.
pub(super) struct Sound {
    peer: (Arc<UdpSocket>, Arc<UdpSocket>),
    agent: (Arc<UdpSocket>, Arc<UdpSocket>),
    plan: watch::Sender<Option<Media>>,
    lines: JoinSet<()>,
}

impl Sound {
    pub(super) async fn bind(own: Ipv4Addr) -> io::Result<Self> {
        let (a, b) = socket::rtp_pair(own).await?;
        let (c, d) = socket::rtp_pair(Ipv4Addr::LOCALHOST).await?;
        Ok(Self {
            peer: (a.into(), b.into()),
            agent: (c.into(), d.into()),
            plan: watch::Sender::new(None),
            lines: JoinSet::new(),
        })
    }

    pub(super) fn peer_port(&self) -> u16 {
        self.peer.0.local_addr().map_or(0, |a| a.port())
    }

    pub(super) fn agent_port(&self) -> u16 {
        self.agent.0.local_addr().map_or(0, |a| a.port())
    }

    /// Media flows so from now on.
    pub(super) fn flow(&mut self, media: Media) {
        let first = self.plan.borrow().is_none();
        self.plan.send_replace(Some(media));
        if first {
            for rtcp in [false, true] {
                let (peer, agent) = if rtcp {
                    (&self.peer.1, &self.agent.1)
                } else {
                    (&self.peer.0, &self.agent.0)
                };
                self.lines.spawn(line(
                    peer.clone(),
                    agent.clone(),
                    self.plan.subscribe(),
                    rtcp,
                ));
            }
        }
    }
}

async fn line(
    peer: Arc<UdpSocket>,
    agent: Arc<UdpSocket>,
    plan: watch::Receiver<Option<Media>>,
    rtcp: bool,
) {
    let mut a = [0_u8; 2048];
    let mut b = [0_u8; 2048];
    let mut learned: Option<SocketAddr> = None;
    loop {
        let Some(media) = plan.borrow().clone() else {
            return;
        };
        let to_peer: SocketAddrV4 = if rtcp { media.peer.1 } else { media.peer.0 };
        let to_agent = media
            .agent
            .map(|agent| if rtcp { agent.1 } else { agent.0 });
        tokio::select! {
            got = peer.recv_from(&mut a) => {
                let Ok((n, from)) = got else { continue };
                if from.ip() != *to_peer.ip() || learned.is_some_and(|have| have != from) { continue }
                learned = Some(from);
                if let (Some(to), Some(packet)) = (to_agent, a.get(..n)) { let _ = agent.send_to(packet, to).await; }
            }
            got = agent.recv_from(&mut b) => {
                let Ok((n, _)) = got else { continue };
                if let Some(packet) = b.get(..n) { let _ = peer.send_to(packet, learned.unwrap_or(to_peer.into())).await; }
            }
        }
    }
}
