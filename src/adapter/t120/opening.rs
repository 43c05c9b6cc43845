//! Keeps how a T.120 connection begins, for those who would study it: a pcap file with what went
//! each way, which Wireshark reads (`-d tcp.port==1503,tpkt`).

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    net::SocketAddrV4,
    path::Path,
    time::Duration,
};

use crate::media::record;

/// How much is kept of each way, in bytes.
pub(super) const LIMIT: usize = 64 * 1024;
/// IPv4 packets without a link layer, in the registry of link types.
const LINKTYPE_IPV4: u32 = 228;
/// Length of an IPv4 and a TCP header, both without options.
const HEADERS: usize = 40;
/// Most payload of a packet.
const MAX_PAYLOAD: usize = 32 * 1024;
/// TCP flags (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// One of the two directions.
#[derive(Debug)]
struct Half {
    from: SocketAddrV4,
    next: u32,
    kept: usize,
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Opening {
    file: BufWriter<File>,
    theirs: Half,
    ours: Half,
}

impl Opening {
    /// Begins a file that only we can read, about a connection from `peer` to `own`.
    pub(super) fn create(path: &Path, peer: SocketAddrV4, own: SocketAddrV4) -> io::Result<Self> {
        let mut file = BufWriter::new(record::create(path)?);
        // Magic number for microseconds, version 2.4, no time zone, no accuracy, longest packet.
        for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, LINKTYPE_IPV4] {
            file.write_all(&word.to_be_bytes())?;
        }
        let half = |from| Half {
            from,
            next: 0,
            kept: 0,
        };
        let mut opening = Self {
            file,
            theirs: half(peer),
            ours: half(own),
        };
        // The three packets with which every connection begins.
        opening.packet(Way::In, SYN, &[], Duration::ZERO)?;
        opening.packet(Way::Out, SYN | ACK, &[], Duration::ZERO)?;
        opening.packet(Way::In, ACK, &[], Duration::ZERO)?;
        opening.file.flush()?;
        Ok(opening)
    }

    /// Keeps what went that way, `at` so long after the beginning, as far as there is room.
    pub(super) fn keep(&mut self, way: Way, bytes: &[u8], at: Duration) -> io::Result<()> {
        let kept = match way {
            Way::In => self.theirs.kept,
            Way::Out => self.ours.kept,
        };
        let room = LIMIT.saturating_sub(kept).min(bytes.len());
        for part in bytes.get(..room).unwrap_or_default().chunks(MAX_PAYLOAD) {
            self.packet(way, PSH | ACK, part, at)?;
        }
        self.file.flush()
    }

    /// How much came in.
    pub(super) fn received(&self) -> usize {
        self.theirs.kept
    }

    fn packet(&mut self, way: Way, flags: u8, payload: &[u8], at: Duration) -> io::Result<()> {
        let (from, to) = match way {
            Way::In => (&mut self.theirs, &self.ours),
            Way::Out => (&mut self.ours, &self.theirs),
        };
        // Payloads are far below what these hold.
        let whole = u16::try_from(payload.len() + HEADERS).unwrap_or(u16::MAX);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        for word in [seconds, at.subsec_micros(), whole.into(), whole.into()] {
            self.file.write_all(&word.to_be_bytes())?;
        }
        // IPv4 (RFC 791): no options, no fragments, time to live 64, TCP; then TCP (RFC 9293). The
        // checksums are left out: this was never on a wire in this form.
        self.file.write_all(&[0x45, 0])?;
        self.file.write_all(&whole.to_be_bytes())?;
        self.file.write_all(&[0, 0, 0, 0, 64, 6, 0, 0])?;
        self.file.write_all(&from.from.ip().octets())?;
        self.file.write_all(&to.from.ip().octets())?;
        self.file.write_all(&from.from.port().to_be_bytes())?;
        self.file.write_all(&to.from.port().to_be_bytes())?;
        self.file.write_all(&from.next.to_be_bytes())?;
        let acknowledged = if flags & ACK == 0 { 0 } else { to.next };
        self.file.write_all(&acknowledged.to_be_bytes())?;
        self.file
            .write_all(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0])?;
        self.file.write_all(payload)?;
        from.next = from.next.wrapping_add(length + u32::from(flags & SYN != 0));
        from.kept += payload.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, os::unix::fs::PermissionsExt};

    use super::*;

    const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 2000);
    const OWN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 1503);

    #[test]
    fn the_file_is_private_and_holds_no_more_than_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/t120.pcap");
        let mut opening = Opening::create(&path, PEER, OWN).unwrap();
        let beginning = std::fs::metadata(&path).unwrap().len();
        assert_eq!(beginning, 24 + 3 * 56);
        opening
            .keep(Way::In, b"abc", Duration::from_millis(7))
            .unwrap();
        opening
            .keep(Way::Out, b"d", Duration::from_millis(8))
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 24 + 3 * 56 + 59 + 57);
        assert_eq!(bytes[24 + 3 * 56 + 56..][..3], *b"abc");
        // What came first is acknowledged by what went out after it.
        assert_eq!(bytes[24 + 3 * 56 + 59 + 16 + 20 + 8..][..4], [0, 0, 0, 4]);
        opening
            .keep(Way::In, &vec![0; 3 * LIMIT], Duration::ZERO)
            .unwrap();
        assert_eq!(opening.received(), LIMIT);
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(
            length,
            24 + 3 * 56 + 57 + 3 * 56 + u64::try_from(LIMIT).unwrap()
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Opening::create(&path, PEER, OWN).is_err());
    }
}
