//! Who sent datagrams, of which kind and how many.

use std::{collections::BTreeMap, net::SocketAddrV4};

use super::notes::looks_like;
use crate::media::sniff::Protocol;

/// Most senders that are told apart, by port and protocol: a port costs nothing.
const MAX_FLOWS: usize = 256;

/// How much came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) pieces: u64,
    pub(super) bytes: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    known: BTreeMap<(SocketAddrV4, Option<Protocol>), Tally>,
    others: Tally,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.pieces += 1;
        self.bytes += bytes as u64;
    }
}

impl Flows {
    /// Counts a datagram; says whether it is the first of its kind from there.
    pub(super) fn add(&mut self, from: SocketAddrV4, kind: Option<Protocol>, bytes: usize) -> bool {
        let flow = (from, kind);
        if let Some(tally) = self.known.get_mut(&flow) {
            tally.add(bytes);
            return false;
        }
        if self.known.len() >= MAX_FLOWS {
            self.others.add(bytes);
            return false;
        }
        self.known.entry(flow).or_default().add(bytes);
        true
    }

    pub(super) fn total(&self) -> Tally {
        self.known.values().fold(self.others, |all, one| Tally {
            pieces: all.pieces + one.pieces,
            bytes: all.bytes + one.bytes,
        })
    }

    /// A line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        let told = |from: &str, tally: &Tally| {
            let Tally { pieces, bytes } = tally;
            format!("UDP from {from}: {pieces} datagrams, {bytes} bytes")
        };
        let known = self.known.iter().map(|((from, kind), tally)| {
            format!("{}, {}", told(&from.to_string(), tally), looks_like(*kind))
        });
        let mut lines: Vec<String> = known.collect();
        if self.others.pieces > 0 {
            lines.push(told("other ports", &self.others));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_beyond_the_bound_are_counted_together() {
        let mut flows = Flows::default();
        let from = |port| SocketAddrV4::new([192, 0, 2, 1].into(), port);
        for port in 1..=300 {
            assert_eq!(flows.add(from(port), None, 2), port <= 256);
        }
        assert!(!flows.add(from(7), None, 3));
        let total = flows.total();
        assert_eq!((total.pieces, total.bytes), (301, 603));
        let lines = flows.lines();
        assert_eq!(lines.len(), 257);
        let last = lines.last().map(String::as_str);
        assert_eq!(last, Some("UDP from other ports: 44 datagrams, 88 bytes"));
    }
}
