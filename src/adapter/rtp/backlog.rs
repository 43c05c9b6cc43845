//! The packets on their way to a player: since the last picture with which it can begin until it
//! is there, and then all of them. Pure.

use std::collections::VecDeque;

use crate::media::{
    picture::{self, Coding},
    rtp::{self, Datagram},
};

/// Most bytes that wait: fifteen seconds, the longest time between two such pictures
/// (APPLICATIONS.md 1.4), at over 2 Mbit/s.
const MAX_BYTES: usize = 4 << 20;
/// Most packets that wait.
const MAX_PACKETS: usize = 8192;
/// After how many packets a player is shown whatever comes: a stream in which no picture is known
/// for one to begin with is better than none.
const MAX_WITHHELD: usize = 1024;

/// A queue to a player.
#[derive(Debug)]
pub(super) struct Backlog {
    coding: Option<Coding>,
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    is_live: bool,
    /// What came before was too much, so nothing is of use until a picture to begin with.
    withheld: Option<usize>,
}

impl Backlog {
    /// For a stream so coded, and a player that is not there yet.
    pub(super) fn new(coding: Option<Coding>) -> Self {
        Self {
            coding,
            packets: VecDeque::new(),
            bytes: 0,
            is_live: false,
            withheld: None,
        }
    }

    /// The player is there: nothing is left out any more.
    pub(super) fn go_live(&mut self) {
        self.is_live = true;
    }

    /// Takes the next packet of the stream.
    pub(super) fn push(&mut self, packet: Vec<u8>) {
        let begins = matches!(
            (self.coding, rtp::read(&packet)),
            (Some(coding), Datagram::Rtp(rtp)) if picture::begins_key_picture(coding, rtp.payload)
        );
        if begins && !self.is_live {
            self.clear();
        }
        match &mut self.withheld {
            Some(count) if !begins && *count < MAX_WITHHELD => {
                *count += 1;
                return;
            }
            _ => self.withheld = None,
        }
        self.bytes += packet.len();
        self.packets.push_back(packet);
        if self.bytes > MAX_BYTES || self.packets.len() > MAX_PACKETS {
            self.clear();
            self.withheld = Some(0);
        }
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }

    /// Whether something waits.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The next packet for the player.
    pub(super) fn first(&self) -> Option<&[u8]> {
        self.packets.front().map(Vec::as_slice)
    }

    /// Takes it away.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet of JPEG that begins a picture, or not.
    fn jpeg(sequence: u16, begins: bool, size: usize) -> Vec<u8> {
        let mut payload = vec![0, 0, 0, u8::from(!begins), 1, 50, 2, 2];
        payload.resize(8 + size, 7);
        rtp::write(&rtp::Packet {
            payload_type: 26,
            marker: false,
            sequence,
            timestamp: 0,
            source: 1,
            payload: &payload,
        })
        .unwrap()
    }

    fn numbers(backlog: &mut Backlog) -> Vec<u16> {
        std::iter::from_fn(|| backlog.pop())
            .map(|packet| u16::from_be_bytes([packet[2], packet[3]]))
            .collect()
    }

    #[test]
    fn a_late_player_gets_all_since_a_picture_it_can_begin_with() {
        let mut backlog = Backlog::new(Some(Coding::Jpeg));
        for (sequence, begins) in [(1, true), (2, false), (3, true), (4, false)] {
            backlog.push(jpeg(sequence, begins, 1));
        }
        backlog.go_live();
        for (sequence, begins) in [(5, true), (6, false)] {
            backlog.push(jpeg(sequence, begins, 1));
        }
        assert_eq!(numbers(&mut backlog), [3, 4, 5, 6]);
    }

    #[test]
    fn what_is_not_known_is_kept_from_the_beginning() {
        let mut backlog = Backlog::new(None);
        for sequence in 1..5 {
            backlog.push(jpeg(sequence, true, 1));
        }
        backlog.go_live();
        assert_eq!(numbers(&mut backlog), [1, 2, 3, 4]);
    }

    #[test]
    fn too_much_is_dropped_until_the_next_picture_to_begin_with() {
        let mut backlog = Backlog::new(Some(Coding::Jpeg));
        for sequence in 0..100 {
            backlog.push(jpeg(sequence, sequence == 0, 60_000));
        }
        backlog.go_live();
        backlog.push(jpeg(200, false, 1));
        backlog.push(jpeg(201, true, 1));
        backlog.push(jpeg(202, false, 1));
        assert_eq!(numbers(&mut backlog), [201, 202]);
    }

    proptest! {
        #[test]
        fn whatever_comes_little_is_kept(sizes in prop::collection::vec((0..60_000_usize, any::<bool>()), 0..200)) {
            let mut backlog = Backlog::new(Some(Coding::Jpeg));
            for (size, begins) in sizes {
                backlog.push(jpeg(0, begins, size));
                let bytes: usize = backlog.packets.iter().map(Vec::len).sum();
                prop_assert_eq!(bytes, backlog.bytes);
                prop_assert!(bytes <= MAX_BYTES);
            }
        }
    }
}
