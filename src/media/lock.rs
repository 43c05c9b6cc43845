//! Whose media is heard: one negotiated host, at one port (ANCHORS.md E.3 row 6).
//!
//! Its port may differ from the negotiated one, because a router may have changed it: it is learned
//! once, from the first packet, and only in the first seconds. Another host is heard only when its
//! address changes in mid-call: the old one is silent, and the same stream goes on from the new one.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long after the negotiation another port may be learned.
pub const WINDOW: Duration = Duration::from_secs(5);

/// How long the known address must be silent before its stream may go on from another one.
pub const SILENCE: Duration = Duration::from_secs(1);

/// A lock on one remote address. A new negotiation makes a new lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    negotiated: SocketAddr,
    learned: Option<SocketAddr>,
    until: Duration,
}

impl Lock {
    /// Locks on a negotiated address, at a time since any epoch that later calls use as well.
    #[must_use]
    pub fn new(negotiated: SocketAddr, now: Duration) -> Self {
        Self {
            negotiated,
            learned: None,
            until: now.saturating_add(WINDOW),
        }
    }

    /// Whether a packet is from there. The first one from that host settles the port.
    pub fn admits(&mut self, from: SocketAddr, now: Duration) -> bool {
        if let Some(learned) = self.learned {
            // After a new negotiation the old port may still be on its way (RFC 3264 section 8.3.1):
            // it gives way to the one that was negotiated.
            if from == self.negotiated && now < self.until {
                self.learned = Some(from);
            }
            return from == learned || self.learned == Some(from);
        }
        let admitted = if now < self.until {
            from.ip() == self.negotiated.ip() && from.port() != 0
        } else {
            from == self.negotiated
        };
        if admitted {
            self.learned = Some(from);
        }
        admitted
    }

    /// Whether the other side has another address now: nothing came from the old one since `last`,
    /// and the packet goes on with its stream: the same source, the next numbers. Whoever never saw
    /// the stream would have to guess 48 bits. Then the lock is on the new one.
    pub fn follows(
        &mut self,
        from: SocketAddr,
        goes_on: bool,
        last: Duration,
        now: Duration,
    ) -> bool {
        let follows = goes_on && now >= last.saturating_add(SILENCE) && is_one_place(from);
        if follows {
            *self = Self {
                negotiated: from,
                learned: Some(from),
                until: now,
            };
        }
        follows
    }

    /// Where to send.
    #[must_use]
    pub fn there(&self) -> SocketAddr {
        self.learned.unwrap_or(self.negotiated)
    }

    /// Whether another port than the negotiated one was learned.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.there() != self.negotiated
    }
}

/// The RTCP address that goes with an RTP address when none is named: the next port (RFC 3550
/// section 11). `None` behind the last port.
#[must_use]
pub fn rtcp_beside(rtp: SocketAddr) -> Option<SocketAddr> {
    let port = rtp.port().checked_add(1)?;
    Some(SocketAddr::new(rtp.ip(), port))
}

/// Whether media can be sent to an address at all: it is one host and one port.
#[must_use]
pub fn is_one_place(address: SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_stream_is_followed_to_another_host_only_when_the_old_one_is_silent() {
        let (old, new) = (at("192.0.2.1:4000"), at("198.51.100.7:9000"));
        let now = Duration::from_secs(20);
        let last = now - SILENCE;
        for (story, goes_on, last, from, followed) in [
            ("it goes on", true, last, new, true),
            ("another stream", false, last, new, false),
            ("the old one still sends", true, now, new, false),
            (
                "no place to send to",
                true,
                last,
                at("224.0.0.1:9000"),
                false,
            ),
        ] {
            let mut lock = Lock::new(old, Duration::ZERO);
            assert!(lock.admits(old, Duration::ZERO));
            assert_eq!(lock.follows(from, goes_on, last, now), followed, "{story}");
            assert_eq!(lock.there(), if followed { from } else { old }, "{story}");
            assert_eq!(lock.admits(old, now), !followed, "{story}");
        }
    }

    #[test]
    fn the_port_is_learned_once_in_time_and_the_host_never() {
        const SAID: &str = "192.0.2.1:4000";
        const MOVED: &str = "192.0.2.1:4999";
        const OTHER: &str = "192.0.2.1:5555";
        const FOREIGN: &str = "192.0.2.2:4000";
        for (story, steps) in [
            (
                "the negotiated port, and then no other",
                &[(0, SAID, true), (1, MOVED, false), (9, SAID, true)][..],
            ),
            (
                "another port, and then not even the negotiated one",
                &[
                    (0, FOREIGN, false),
                    (4, MOVED, true),
                    (4, OTHER, false),
                    (9, SAID, false),
                    (99, MOVED, true),
                ][..],
            ),
            (
                "the old port until the negotiated one is there",
                &[
                    (0, MOVED, true),
                    (1, OTHER, false),
                    (2, SAID, true),
                    (2, MOVED, false),
                    (9, SAID, true),
                ],
            ),
            (
                "late, only the negotiated port",
                &[(5, MOVED, false), (6, SAID, true), (7, MOVED, false)][..],
            ),
        ] {
            let mut lock = Lock::new(at(SAID), Duration::ZERO);
            for (second, from, want) in steps {
                let have = lock.admits(at(from), Duration::from_secs(*second));
                assert_eq!(have, *want, "{story}: {from} at {second} s");
            }
        }
    }

    #[test]
    fn a_packet_goes_where_the_host_was_heard() {
        let mut lock = Lock::new(at("192.0.2.1:4000"), Duration::ZERO);
        assert_eq!(lock.there(), at("192.0.2.1:4000"));
        assert!(lock.admits(at("192.0.2.1:4001"), Duration::ZERO));
        assert_eq!(lock.there(), at("192.0.2.1:4001"));
        assert!(lock.is_moved());
    }

    #[test]
    fn addresses_of_nobody_or_of_many_are_told() {
        for (address, want) in [
            ("192.0.2.1:4000", true),
            ("192.0.2.1:0", false),
            ("0.0.0.0:4000", false),
            ("224.0.0.1:4000", false),
            ("255.255.255.255:4000", false),
            ("[ff02::1]:4000", false),
        ] {
            assert_eq!(is_one_place(at(address)), want, "{address}");
        }
        assert_eq!(rtcp_beside(at("192.0.2.1:65535")), None);
        assert_eq!(
            rtcp_beside(at("192.0.2.1:4000")),
            Some(at("192.0.2.1:4001"))
        );
    }
}
