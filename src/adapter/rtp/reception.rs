//! What arrives at a picture's two ports, without sockets: who is heard, in which order, what is
//! told to the sender (RFC 3550 section 6).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    endpoint::callers::Callers,
    media::{
        limit::Limit,
        lock::{Lock, rtcp_beside},
        reorder::Reorder,
        rtcp::{self, Echo, Own},
        rtp::{self, Datagram},
        statistics::{Statistics, Summary},
    },
};

/// How many later packets a missing one is waited for. A frame of a webcam is about as many.
const DEPTH: usize = 32;
/// How long a missing packet is waited for: longer, and the picture stutters.
const PATIENCE: Duration = Duration::from_millis(250);
/// Our name in reports: it tells nothing about the user.
const NAME: &str = "msn-handoff";

/// The sender that was chosen.
#[derive(Debug)]
struct Sender {
    lock: Lock,
    source: u32,
    payload_type: u8,
    first: Duration,
    last: Duration,
    /// Where its reports come from.
    rtcp: Option<SocketAddr>,
    /// Its last report, and when it came.
    report: Option<(u32, Duration)>,
}

/// The receiving side of one session.
#[derive(Debug)]
pub(super) struct Reception {
    hosts: Callers,
    own: u32,
    sender: Option<Sender>,
    limit: Limit,
    reorder: Reorder<Vec<u8>>,
    statistics: Statistics,
    held_since: Option<Duration>,
    turned_away: u64,
    over: u64,
}

/// What a datagram meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet, or nothing for us.
    Nothing,
    /// These packets are next, in order, each as it came.
    Packets(Vec<Vec<u8>>),
    /// The sender leaves.
    Bye,
}

impl Reception {
    /// Only these hosts are heard; `own` is our source in reports. Of the picture no more than that
    /// many bits per second go on.
    pub(super) fn new(hosts: Callers, own: u32, limit: u32) -> Self {
        Self {
            hosts,
            own,
            sender: None,
            limit: Limit::new(limit),
            reorder: Reorder::new(DEPTH),
            statistics: Statistics::new(),
            held_since: None,
            turned_away: 0,
            over: 0,
        }
    }

    /// Whether the sender is settled.
    pub(super) fn is_locked(&self) -> bool {
        self.sender.is_some()
    }

    /// The payload type of its first packet, and its source.
    pub(super) fn stream(&self) -> Option<(u8, u32)> {
        let sender = self.sender.as_ref()?;
        Some((sender.payload_type, sender.source))
    }

    /// Where its picture comes from.
    pub(super) fn there(&self) -> Option<SocketAddr> {
        self.sender.as_ref().map(|sender| sender.lock.there())
    }

    /// When its last packet came.
    pub(super) fn last(&self) -> Option<Duration> {
        self.sender.as_ref().map(|sender| sender.last)
    }

    /// What arrived, in all.
    pub(super) fn summary(&self) -> Summary {
        self.statistics.summary()
    }

    /// From its first packet to its last.
    pub(super) fn duration(&self) -> Duration {
        let sender = self.sender.as_ref();
        sender.map_or(Duration::ZERO, |it| it.last.saturating_sub(it.first))
    }

    /// Datagrams that were not the sender's.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Packets of the sender's that were more than is carried.
    pub(super) fn over(&self) -> u64 {
        self.over
    }

    /// A datagram came to one of the two ports. Some senders put both kinds through the first.
    pub(super) fn datagram(&mut self, bytes: &[u8], from: SocketAddr, now: Duration) -> Heard {
        let known = matches!(from.ip(), IpAddr::V4(ip) if self.hosts.knows(ip) || self.sender.is_none() && self.hosts.may_be(ip));
        let heard = match rtp::read(bytes) {
            Datagram::Rtp(packet) if known || self.is_locked() => {
                self.rtp(&packet, bytes, from, now)
            }
            Datagram::Rtcp if known || self.there().is_some_and(|it| it.ip() == from.ip()) => {
                self.rtcp(bytes, from, now)
            }
            _ => None,
        };
        heard.unwrap_or_else(|| {
            self.turned_away += 1;
            Heard::Nothing
        })
    }

    fn rtp(
        &mut self,
        packet: &rtp::Packet<'_>,
        bytes: &[u8],
        from: SocketAddr,
        now: Duration,
    ) -> Option<Heard> {
        if self.sender.is_none() {
            // A packet that only keeps a router's way open decides nothing.
            if packet.payload.is_empty() {
                return Some(Heard::Nothing);
            }
            if let IpAddr::V4(ip) = from.ip() {
                self.hosts.admit(ip);
            }
            self.sender = Some(Sender {
                lock: Lock::new(from, now),
                source: packet.source,
                payload_type: packet.payload_type,
                first: now,
                last: now,
                rtcp: None,
                report: None,
            });
        }
        let sender = self.sender.as_mut()?;
        if packet.source != sender.source {
            return None;
        }
        if !sender.lock.admits(from, now) {
            let goes_on = self.statistics.goes_on(packet);
            if !sender.lock.follows(from, goes_on, sender.last, now) {
                return None;
            }
            tracing::info!(%from, "the picture goes on from another address");
            sender.rtcp = None;
        }
        // Also when it is dropped: a sender that floods has not fallen silent.
        sender.last = now;
        if !self.limit.admits(bytes.len(), now) {
            self.over += 1;
            if self.over == 1 {
                tracing::warn!(%from, "more of the picture comes than is carried; the rest is dropped");
            }
            return Some(Heard::Nothing);
        }
        self.statistics.arrived(packet, now);
        let packets = self.reorder.push(packet.sequence, bytes.to_vec());
        self.held_since = match (self.reorder.is_holding(), self.held_since) {
            (false, _) => None,
            (true, Some(since)) if packets.is_empty() => Some(since),
            (true, _) => Some(now),
        };
        Some(Heard::Packets(packets))
    }

    /// When what is held back should go on without what is missing.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.held_since?.saturating_add(PATIENCE))
    }

    /// What is held back, in order.
    pub(super) fn flush(&mut self) -> Vec<Vec<u8>> {
        self.held_since = None;
        self.reorder.flush()
    }

    fn rtcp(&mut self, bytes: &[u8], from: SocketAddr, now: Duration) -> Option<Heard> {
        let sender = self.sender.as_mut()?;
        let report = rtcp::read(bytes)?;
        let there = sender.lock.there();
        // Its reports come from a port of its own choosing, the same all the time.
        let place = sender.rtcp.unwrap_or(from);
        if from.ip() != there.ip() || (from != place && from != there) {
            return None;
        }
        if report.source == Some(sender.source) {
            sender.rtcp.get_or_insert(from);
            if let Some(middle) = report.middle() {
                sender.report = Some((middle, now));
            }
        }
        Some(if report.is_leaving(sender.source) {
            Heard::Bye
        } else {
            Heard::Nothing
        })
    }

    /// What to tell the sender, and where: where its reports come from, or beside its picture.
    pub(super) fn report(&mut self, bye: bool, now: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        let sender = self.sender.as_ref()?;
        let to = sender.rtcp.or_else(|| rtcp_beside(sender.lock.there()))?;
        let echo = sender.report.map(|(middle, at)| Echo {
            middle,
            delay: now.saturating_sub(at),
        });
        let heard = self.statistics.report();
        Some((to, self.write(heard, echo, bye)))
    }

    /// A report on nothing, for a peer that has not been heard yet.
    pub(super) fn greeting(&self) -> Vec<u8> {
        self.write(None, None, false)
    }

    fn write(
        &self,
        heard: Option<crate::media::statistics::Reception>,
        echo: Option<Echo>,
        bye: bool,
    ) -> Vec<u8> {
        rtcp::write(&Own {
            source: self.own,
            name: NAME,
            sent: None,
            heard,
            echo,
            bye,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::limit::BITS_PER_SECOND;

    const HOST: &str = "192.0.2.1";

    fn reception() -> Reception {
        limited(BITS_PER_SECOND)
    }

    fn limited(limit: u32) -> Reception {
        let hosts = Callers::new(vec![HOST.parse().unwrap()], Vec::new());
        Reception::new(hosts, 9, limit)
    }

    fn packet(source: u32, sequence: u16) -> Vec<u8> {
        rtp::write(&rtp::Packet {
            payload_type: 34,
            marker: false,
            sequence,
            timestamp: 0,
            source,
            payload: b"picture",
        })
        .unwrap()
    }

    fn report(source: u32, bye: bool) -> Vec<u8> {
        rtcp::write(&Own {
            source,
            name: "x",
            sent: None,
            heard: None,
            echo: None,
            bye,
        })
    }

    #[test]
    fn one_source_at_one_place_is_heard() {
        let mut reception = reception();
        let heard = |bytes: Vec<u8>| Heard::Packets(vec![bytes]);
        for (from, bytes, want) in [
            ("192.0.2.2:5004", packet(1, 1), Heard::Nothing),
            ("192.0.2.1:5005", report(1, true), Heard::Nothing),
            ("192.0.2.1:5004", packet(1, 1), heard(packet(1, 1))),
            ("192.0.2.1:5006", packet(1, 2), Heard::Nothing),
            ("192.0.2.1:5004", packet(2, 2), Heard::Nothing),
            ("192.0.2.1:5004", packet(1, 2), heard(packet(1, 2))),
            // Its reports come from a port of their own, and then from no other.
            ("192.0.2.1:7000", report(2, true), Heard::Nothing),
            ("192.0.2.1:7001", report(1, false), Heard::Nothing),
            ("192.0.2.1:7000", report(1, true), Heard::Nothing),
            ("192.0.2.2:7001", report(1, true), Heard::Nothing),
            ("192.0.2.1:7001", report(1, true), Heard::Bye),
            ("192.0.2.1:5004", report(1, true), Heard::Bye),
        ] {
            let have = reception.datagram(&bytes, from.parse().unwrap(), Duration::ZERO);
            assert_eq!(have, want, "{from}");
        }
        let (to, _) = reception.report(false, Duration::ZERO).unwrap();
        assert_eq!(to, "192.0.2.1:7001".parse().unwrap());
        assert_eq!(reception.turned_away(), 6);
    }

    #[test]
    fn what_is_missing_is_waited_for_only_so_long() {
        let mut reception = reception();
        let from = "192.0.2.1:5004".parse().unwrap();
        for (sequence, millis) in [(1, 0), (3, 40), (4, 80)] {
            reception.datagram(&packet(1, sequence), from, Duration::from_millis(millis));
        }
        assert_eq!(reception.due(), Some(Duration::from_millis(40) + PATIENCE));
        assert_eq!(reception.flush(), [packet(1, 3), packet(1, 4)]);
        assert_eq!((reception.due(), reception.summary().lost), (None, 1));
    }

    #[test]
    fn a_flood_of_pictures_goes_on_at_the_limit_and_no_faster() {
        let size = packet(1, 1).len();
        // Ten packets a second, five at once.
        let mut reception = limited(u32::try_from(size * 8 * 10).unwrap());
        let from: SocketAddr = "192.0.2.1:5004".parse().unwrap();
        let (mut passed, mut last) = (0, Duration::ZERO);
        for number in 0..1000_u16 {
            last = Duration::from_millis(number.into());
            if let Heard::Packets(packets) = reception.datagram(&packet(1, number), from, last) {
                passed += packets.len();
            }
            // What others send takes nothing away from the sender.
            let stranger = "192.0.2.1:5006".parse().unwrap();
            reception.datagram(&packet(2, number), stranger, last);
            if reception.due().is_some_and(|due| due <= last) {
                passed += reception.flush().len();
            }
        }
        passed += reception.flush().len();
        assert!((14..=15).contains(&passed), "{passed}");
        assert_eq!(reception.over(), 1000 - passed as u64);
        assert_eq!(reception.last(), Some(last), "it was not silent");
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(
            datagrams in prop::collection::vec((any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20)
        ) {
            let mut reception = reception();
            for (port, rtp, mut bytes) in datagrams {
                if let Some([first, second]) = bytes.first_chunk_mut() {
                    *first = 0x80 | (*first & 0x1f);
                    *second = if rtp { 34 } else { 200 | (*second & 3) };
                }
                let _ = reception.datagram(&bytes, (HOST.parse::<std::net::Ipv4Addr>().unwrap(), port).into(), Duration::ZERO);
                let _ = reception.report(true, Duration::ZERO);
            }
        }
    }
}
