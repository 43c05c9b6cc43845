//! The way between a sender and the adapters: it loses packets and changes their order, always the
//! same ones, and keeps what comes back.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use msn_handoff::{
    endpoint::socket,
    media::{
        rtcp,
        rtp::{self, Datagram},
    },
};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle};

/// What the way did.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    /// Packets that went on, by their place in the stream.
    pub(crate) passed: BTreeSet<u32>,
    pub(crate) lost: BTreeSet<u32>,
    /// The time of each picture, and whether all of its packets went on.
    pictures: Vec<(u32, bool)>,
    pub(crate) swapped: usize,
    pub(crate) source: Option<u32>,
    pub(crate) bye: bool,
    /// What came back to the RTCP port, and from where.
    pub(crate) reports: Vec<(SocketAddr, Vec<u8>)>,
}

impl Log {
    /// Lost packets that a receiver can know of: others came after them.
    pub(crate) fn lost_for_sure(&self) -> usize {
        let last = self.passed.last().copied().unwrap_or(0);
        self.lost.range(..last).count()
    }

    /// For each picture whether it can be seen as it was sent: it went on whole, and so did those
    /// before it in its group.
    pub(crate) fn whole(&self, group: usize) -> Vec<bool> {
        let groups = self.pictures.chunks(group).flat_map(|pictures| {
            pictures.iter().scan(true, |whole, (_, passed)| {
                *whole &= passed;
                Some(*whole)
            })
        });
        groups.collect()
    }

    fn picture(&mut self, time: u32, passed: bool) {
        match self.pictures.last_mut() {
            Some((last, whole)) if *last == time => *whole &= passed,
            _ => self.pictures.push((time, passed)),
        }
    }

    /// The last report of the receiver at that RTP port.
    pub(crate) fn last_report(&self, receiver: SocketAddr) -> Option<rtcp::Report> {
        let from = SocketAddr::new(receiver.ip(), receiver.port() + 1);
        let own = self.reports.iter().filter(|(it, _)| *it == from);
        own.filter_map(|(_, bytes)| rtcp::read(bytes))
            .rfind(|report| !report.heard.is_empty())
    }
}

pub(crate) struct Wire {
    /// Where the sender sends to.
    pub(crate) port: u16,
    /// Where it goes on from.
    pub(crate) out: SocketAddr,
    log: Arc<Mutex<Log>>,
    forged: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

/// What becomes of each packet on its way.
pub(crate) type Bend = fn(&[u8]) -> Vec<u8>;

/// How bad it is: the chances of loss and of a swap, in 1000.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Badness {
    pub(crate) seed: u32,
    pub(crate) loss: u32,
    pub(crate) swap: u32,
}

struct Held {
    packet: Vec<u8>,
    time: u32,
    count: u32,
}

struct Passing {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    to: Vec<SocketAddr>,
    badness: Badness,
    log: Arc<Mutex<Log>>,
    /// One that others overtake, and how many still do. Only packets of its own picture do, or the
    /// first of the next: they are sent at once, and however long the sender then takes, nobody has
    /// a reason to give up the one that is held.
    held: Option<Held>,
}

impl Wire {
    /// From a port of this machine to these receivers, by `ip`.
    pub(crate) async fn lay(ip: Ipv4Addr, to: &[SocketAddr], badness: Badness) -> Self {
        Self::bent(ip, to, badness, <[u8]>::to_vec).await
    }

    /// The same, and packets are changed on their way.
    pub(crate) async fn bent(
        ip: Ipv4Addr,
        to: &[SocketAddr],
        badness: Badness,
        bend: Bend,
    ) -> Self {
        let (forged, mut forgeries) = mpsc::unbounded_channel::<Vec<u8>>();
        let (rtp_in, rtcp_in) = socket::rtp_pair(Ipv4Addr::LOCALHOST).await.unwrap();
        let (rtp, rtcp) = socket::rtp_pair(ip).await.unwrap();
        let log: Arc<Mutex<Log>> = Arc::default();
        let mut wire = Self {
            port: rtp_in.local_addr().unwrap().port(),
            out: rtp.local_addr().unwrap(),
            log: Arc::clone(&log),
            forged,
            task: tokio::spawn(async {}),
        };
        let mut passing = Passing {
            rtp,
            rtcp,
            to: to.to_vec(),
            badness,
            log,
            held: None,
        };
        wire.task = tokio::spawn(async move {
            let (mut one, mut two, mut back) = (vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]);
            let mut sender_rtcp = None;
            let mut place = 0;
            loop {
                tokio::select! {
                    biased;
                    Ok((n, _)) = rtp_in.recv_from(&mut one) => {
                        place += 1;
                        passing.packet(place, &bend(&one[..n])).await;
                    }
                    Ok((n, from)) = rtcp_in.recv_from(&mut two) => {
                        sender_rtcp = Some(from);
                        passing.report(&two[..n]).await;
                    }
                    Some(forgery) = forgeries.recv() => passing.send(&forgery).await,
                    Ok((n, from)) = passing.rtcp.recv_from(&mut back) => {
                        passing.log().reports.push((from, back[..n].to_vec()));
                        if let Some(sender) = sender_rtcp {
                            let _ = rtcp_in.send_to(&back[..n], sender).await;
                        }
                    }
                }
            }
        });
        wire
    }

    /// Sends a packet that is not the sender's, from the sender's own address and port.
    pub(crate) fn forge(&self, packet: Vec<u8>) {
        self.forged.send(packet).unwrap();
    }

    pub(crate) fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Passing {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    async fn packet(&mut self, place: u32, bytes: &[u8]) {
        let Datagram::Rtp(rtp) = rtp::read(bytes) else {
            return;
        };
        self.log().source = Some(rtp.source);
        // The first ones come as they are: before them nobody knows of the stream.
        let chance = if place < 4 { 1000 } else { self.chance(place) };
        let Badness { loss, swap, .. } = self.badness;
        self.log().picture(rtp.timestamp, chance >= loss);
        if chance < loss {
            self.log().lost.insert(place);
            return;
        }
        self.log().passed.insert(place);
        if chance < loss + swap && self.held.is_none() {
            self.log().swapped += 1;
            self.held = Some(Held {
                packet: bytes.to_vec(),
                time: rtp.timestamp,
                count: 1 + place % 3,
            });
            return;
        }
        self.send(bytes).await;
        if let Some(mut held) = self.held.take() {
            held.count -= 1;
            if held.count == 0 || rtp.marker || held.time != rtp.timestamp {
                self.send(&held.packet).await;
            } else {
                self.held = Some(held);
            }
        }
    }

    /// 0 to 999, the same for the same place: a step of splitmix64.
    fn chance(&self, place: u32) -> u32 {
        let mut z = (u64::from(self.badness.seed) << 32 | u64::from(place))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % 1000).unwrap()
    }

    async fn report(&mut self, bytes: &[u8]) {
        if rtcp::read(bytes).is_some_and(|report| report.bye) {
            if let Some(held) = self.held.take() {
                self.send(&held.packet).await;
            }
            self.log().bye = true;
        }
        for to in &self.to {
            let beside = SocketAddr::new(to.ip(), to.port() + 1);
            self.rtcp.send_to(bytes, beside).await.unwrap();
        }
    }

    async fn send(&self, bytes: &[u8]) {
        for to in &self.to {
            self.rtp.send_to(bytes, to).await.unwrap();
        }
    }
}
