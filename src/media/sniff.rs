//! What the first bytes of a TCP connection, or a UDP packet, are (APPLICATIONS.md section 9). Pure;
//! it names what the bytes look like, which is no promise that what follows is well-formed.

mod protocol;
#[cfg(test)]
mod tests;
mod tpkt;
mod words;

pub use protocol::Protocol;

use super::rtp::{self, Datagram};

/// What the first bytes of a connection show. Once a prefix is `Known` or `Unknown`, every longer
/// one is the same: it does not matter in which pieces the bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not told yet. Nothing is decided before there are so many bytes from the beginning, more
    /// than were shown; silence decides nothing either, the other side may wait for us.
    NeedMore(usize),
    /// This.
    Known(Protocol),
    /// Nothing of the table, whatever follows.
    Unknown,
}

impl Seen {
    /// The protocol, when it is known.
    #[must_use]
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Known(protocol) => Some(protocol),
            Self::NeedMore(_) | Self::Unknown => None,
        }
    }
}

/// The most bytes of a connection that are looked at: with so many, the answer is never
/// [`Seen::NeedMore`].
pub const MOST: usize = words::LONGEST_LINE;

/// Tells what a TCP connection is, from all bytes that came so far.
///
/// The rows of the table exclude each other, so that their order means nothing: the first that
/// knows is the only one that will.
#[must_use]
pub fn tcp(bytes: &[u8]) -> Seen {
    let rows = [tpkt::see(bytes), words::see(bytes), direct_play_4(bytes)];
    let mut fewest: Option<usize> = None;
    for row in rows {
        match row {
            Seen::Known(_) => return row,
            Seen::NeedMore(more) => fewest = Some(fewest.map_or(more, |least| least.min(more))),
            Seen::Unknown => {}
        }
    }
    fewest.map_or(Seen::Unknown, Seen::NeedMore)
}

/// Tells what a UDP packet is. It is whole, so that more of it never comes.
#[must_use]
pub fn udp(bytes: &[u8]) -> Option<Protocol> {
    // Before RTP: the size in the first two bytes may look like it.
    if let Seen::Known(protocol) = direct_play_4(bytes) {
        return Some(protocol);
    }
    match bytes {
        [0xff, 0xff, 0xff, 0xff, ..] => Some(Protocol::Quake3),
        // MC-DPL8R 2.2.1.1: the query's kind is 1 with an application's GUID, 2 without.
        [0, 2, _, _, 1 | 2, ..] => Some(Protocol::DirectPlay8Query),
        [0, 3, _, _, _, ..] => Some(Protocol::DirectPlay8Answer),
        [0x80..=0xbf, kind, ..] => match rtp::read(bytes) {
            Datagram::Rtp(packet) if matches!(packet.payload_type, 0..=34 | 96..=127) => {
                Some(Protocol::Rtp(packet.payload_type))
            }
            Datagram::Rtcp if matches!(kind, 200..=204) && bytes.len() >= 4 => {
                Some(Protocol::Rtcp(*kind))
            }
            _ => None,
        },
        _ => words::see(bytes)
            .protocol()
            .filter(|seen| matches!(seen, Protocol::Sip | Protocol::Http | Protocol::UpnpEvent)),
    }
}

/// DirectPlay 4 (MS-DPDX 2.2.1): size and token, a socket address of family 2, then `play`.
fn direct_play_4(bytes: &[u8]) -> Seen {
    const FIXED: [(usize, u8, u8); 8] = [
        (2, 0xf0, 0xb0),
        (3, 0xff, 0xfa),
        (4, 0xff, 2),
        (5, 0xff, 0),
        (20, 0xff, b'p'),
        (21, 0xff, b'l'),
        (22, 0xff, b'a'),
        (23, 0xff, b'y'),
    ];
    for (at, mask, is) in FIXED {
        match bytes.get(at) {
            None => return Seen::NeedMore(at + 1),
            Some(byte) if byte & mask != is => return Seen::Unknown,
            Some(_) => {}
        }
    }
    Seen::Known(Protocol::DirectPlay4)
}
