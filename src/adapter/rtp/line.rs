//! The session's two ports at work: what comes in is heard, what is due is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    doors::Doors,
    reception::{Heard, Reception},
};
use crate::{
    clock::Clock,
    endpoint::{
        callers::Callers,
        policy::{Allowed, Policy},
        whereabouts,
    },
    media::statistics::{Meter, Summary},
    negotiation::Remote,
};

/// The longest datagram that is read, in bytes.
const MAX_DATAGRAM: usize = 65_536;
/// How often the sender gets a report (RFC 3550 section 6.2), and a router sees that we are there.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// When it gets the first one.
const FIRST_REPORT: Duration = Duration::from_secs(1);
/// How often a peer that has not been heard is greeted: a router in between lets its picture in
/// only after something went out.
const GREET_EVERY: Duration = Duration::from_secs(2);
/// How long the first packet may take. The peer may still be looking for its camera.
const FIRST_WITHIN: Duration = Duration::from_secs(150);

/// How long packets are waited for that the sender's farewell has overtaken.
const STRAGGLERS: Duration = Duration::from_millis(250);
/// How many datagrams are still read when something has become late. On a busy machine what we
/// wait for may already be in the socket, which holds about as many; the limit keeps a flood from
/// putting the end off.
const OVERDUE_READS: usize = 1024;

/// What happened.
#[derive(Debug)]
pub(super) enum Happening {
    /// These packets are next, in order. Maybe none.
    Packets(Vec<Vec<u8>>),
    /// The sender leaves.
    Bye,
    /// Nothing came for too long.
    Silence,
}

/// A session's ports with all that is known of the sender.
pub(super) struct Line {
    doors: Doors,
    policy: Policy,
    peers: Vec<(Allowed, Option<u16>)>,
    reception: Reception,
    clock: Clock,
    next_report: Duration,
    /// How long the sender may be silent.
    idle: Duration,
    /// Until when packets are waited for that its farewell has overtaken.
    leaving: Option<Duration>,
    /// Datagrams read since something has become late.
    overdue: usize,
    rtp: Vec<u8>,
    rtcp: Vec<u8>,
    /// What others are told of it.
    summary: Arc<Mutex<Summary>>,
}

impl Line {
    /// Begins to listen to the peer, of whose picture so many bits per second go on at most. The error is for people.
    pub(super) fn open(
        doors: Doors,
        policy: &Policy,
        remote: &Remote,
        limit: u32,
    ) -> Result<Self, String> {
        let peers = policy.those_allowed(remote.told());
        let peers = peers.map_err(|error| error.to_string())?;
        let mut own = [0; 4];
        getrandom::fill(&mut own).map_err(|error| format!("no randomness: {error}"))?;
        let hosts = peers.iter().map(|(at, _)| at.ip()).collect();
        let hosts = Callers::new(hosts, whereabouts::neighbourhoods());
        Ok(Self {
            doors,
            policy: policy.clone(),
            peers,
            reception: Reception::new(hosts, u32::from_be_bytes(own), limit),
            clock: Clock::start(),
            next_report: Duration::ZERO,
            idle: FIRST_WITHIN,
            leaving: None,
            overdue: 0,
            rtp: vec![0; MAX_DATAGRAM],
            rtcp: vec![0; MAX_DATAGRAM],
            summary: Arc::default(),
        })
    }

    /// What is known of the sender.
    pub(super) fn reception(&self) -> &Reception {
        &self.reception
    }

    /// Time of this session.
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// How the picture arrives, to be read at any time.
    pub(super) fn meter(&self) -> Meter {
        let summary = Arc::clone(&self.summary);
        Meter::new(move || *summary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the picture arrives.
    pub(super) fn own(&self) -> Option<SocketAddr> {
        self.doors.own()
    }

    /// How long the sender may be silent.
    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// How long the sender may be silent from now on.
    pub(super) fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// The next thing that happens. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Happening {
        loop {
            let now = self.clock.now();
            if now >= self.next_report {
                self.send(now);
            }
            let silent = self.silent();
            let due = self.reception.due().unwrap_or(silent);
            let wake = due
                .min(silent)
                .min(self.next_report)
                .min(self.leaving.unwrap_or(silent));
            if wake > now {
                self.overdue = 0;
            } else if self.overdue >= OVERDUE_READS
                && let Some(late) = self.late(now)
            {
                return late;
            }
            let arrival = tokio::select! {
                biased;
                arrival = self.doors.next(&mut self.rtp, &mut self.rtcp) => arrival,
                () = tokio::time::sleep(wake.saturating_sub(now)) => match self.late(self.clock.now()) {
                    Some(late) => return late,
                    None => continue,
                },
            };
            self.overdue += 1;
            let Some(arrival) = arrival else { continue };
            let buffer = if arrival.at_rtp {
                &self.rtp
            } else {
                &self.rtcp
            };
            let bytes = buffer.get(..arrival.length).unwrap_or_default();
            let now = self.clock.now();
            let was_locked = self.reception.is_locked();
            let heard = self.reception.datagram(bytes, arrival.from, now);
            *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = self.reception.summary();
            if self.reception.is_locked() && !was_locked {
                tracing::info!(from = %arrival.from, "the picture's sender");
                self.next_report = now + FIRST_REPORT;
            }
            match heard {
                Heard::Nothing => {}
                Heard::Packets(packets) => return Happening::Packets(packets),
                Heard::Bye => {
                    self.leaving.get_or_insert(now + STRAGGLERS);
                }
            }
        }
    }

    /// When the sender will have been silent for too long.
    fn silent(&self) -> Duration {
        self.reception.last().unwrap_or_default() + self.idle
    }

    /// What has become due by `now`: packets held back for a missing one, the end after a farewell,
    /// or silence.
    fn late(&mut self, now: Duration) -> Option<Happening> {
        if self.reception.due().is_some_and(|due| due <= now) {
            return Some(Happening::Packets(self.reception.flush()));
        }
        if self.leaving.is_some_and(|until| until <= now) {
            return Some(Happening::Bye);
        }
        (self.silent() <= now).then_some(Happening::Silence)
    }

    fn send(&mut self, now: Duration) {
        if let Some((to, report)) = self.reception.report(false, now) {
            self.next_report = now + REPORT_EVERY;
            self.send_rtcp(&report, to);
            // The way of the picture itself is kept open as well.
            if let Some(SocketAddr::V4(there)) = self.reception.there()
                && let Ok(there) = self.policy.check(*there.ip(), there.port())
            {
                self.doors.send_rtp(&[], there);
            }
            return;
        }
        self.next_report = now + GREET_EVERY;
        let greeting = self.reception.greeting();
        for (there, port) in &self.peers {
            let Some(port) = *port else { continue };
            self.doors.send_rtp(&[], *there);
            let beside = port.checked_add(1);
            if let Some(Ok(there)) = beside.map(|port| self.policy.check(there.ip(), port)) {
                self.doors.send_rtcp(&greeting, there);
            }
        }
    }

    fn send_rtcp(&self, bytes: &[u8], to: SocketAddr) {
        if let SocketAddr::V4(to) = to
            && let Ok(to) = self.policy.check(*to.ip(), to.port())
        {
            self.doors.send_rtcp(bytes, to);
        }
    }

    /// Tells the sender that we leave. What was held back comes first.
    pub(super) fn close(&mut self) -> Vec<Vec<u8>> {
        let now = self.clock.now();
        if let Some((to, report)) = self.reception.report(true, now) {
            self.send_rtcp(&report, to);
        }
        self.reception.flush()
    }

    /// How it was, in words.
    pub(super) fn words(&self) -> String {
        let summary = self.reception.summary();
        let seconds = self.reception.duration().as_secs();
        let jitter = summary.jitter.as_millis();
        let expected = summary.received.saturating_add(summary.lost).max(1);
        let permille = summary.lost.saturating_mul(1000) / expected;
        format!(
            "{} packets in {seconds} s, {} lost ({}.{} %), jitter {jitter} ms",
            summary.received,
            summary.lost,
            permille / 10,
            permille % 10,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        endpoint::{place::Place, socket},
        invitation::{AddressSource, Candidate},
        media::rtp,
    };

    fn packet(sequence: u16) -> Vec<u8> {
        rtp::write(&rtp::Packet {
            payload_type: 34,
            marker: false,
            sequence,
            timestamp: 0,
            source: 1,
            payload: b"picture",
        })
        .unwrap()
    }

    fn packets(happening: Happening) -> Vec<Vec<u8>> {
        match happening {
            Happening::Packets(packets) => packets,
            other => panic!("{other:?}"),
        }
    }

    /// A line with its sender, packet 1 read, and packet 3 held back for 2.
    async fn waiting_for_2() -> (Line, impl Fn(Vec<u8>)) {
        let (own, there) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
        let doors = Doors::bind(Place::from(own)).await.unwrap();
        let to = doors.own().unwrap();
        let sender = socket::udp((there, 0).into()).await.unwrap();
        sender.writable().await.unwrap();
        let remote = Remote {
            candidates: vec![Candidate {
                ip: there,
                port: Some(sender.local_addr().unwrap().port()),
                source: AddressSource::IpAddress,
            }],
            ..Remote::default()
        };
        let mut line = Line::open(doors, &Policy::new(own, Vec::new()), &remote, 1 << 20).unwrap();
        line.set_idle(Duration::from_secs(1));
        let send = move |packet: Vec<u8>| {
            sender.try_send_to(&packet, to).unwrap();
        };
        send(packet(1));
        assert_eq!(packets(line.next().await), [packet(1)]);
        send(packet(3));
        assert_eq!(packets(line.next().await), [] as [Vec<u8>; 0]);
        (line, send)
    }

    /// As when the machine has too much to do: the whole thread sleeps, the clock goes on, and
    /// nothing is read.
    fn sleep() {
        std::thread::sleep(Duration::from_millis(1500));
    }

    #[tokio::test]
    async fn what_came_while_we_slept_is_read_before_it_counts_as_late() {
        for _ in 0..3 {
            let (mut line, send) = waiting_for_2().await;
            let asleep = async {
                sleep();
                send(packet(2));
            };
            // It waits for both, the datagram and the time, and both come at once.
            let (happening, ()) = tokio::join!(biased; line.next(), asleep);
            assert_eq!(packets(happening), [packet(2), packet(3)]);
        }
    }

    #[tokio::test]
    async fn a_flood_puts_nothing_off() {
        let (mut line, send) = waiting_for_2().await;
        sleep();
        line.overdue = OVERDUE_READS - 1;
        send(b"not of this stream".to_vec());
        send(packet(2));
        assert_eq!(packets(line.next().await), [packet(3)]);
    }
}
