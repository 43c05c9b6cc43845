//! Writes pcap files, which Wireshark and most tools read: IPv4 packets with the headers they would
//! have had on a wire, all checksums right. The format is draft-ietf-opsawg-pcap; the headers are
//! etherparse's.

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use etherparse::{PacketBuilder, err::packet::BuildWriteError};

use super::record;

/// IPv4 packets without a link layer, in the registry of link types.
const LINKTYPE_IPV4: u32 = 228;
/// Length of the file's header.
const FILE_HEADER: u64 = 24;
/// Length of what the file says before each packet.
const RECORD_HEADER: u64 = 16;
/// Time to live of the packets.
const TTL: u8 = 64;
/// The window that a synthetic segment tells of.
const WINDOW: u16 = u16::MAX;
/// The most bytes of a synthetic segment: what fits an Ethernet frame.
const SEGMENT: usize = 1460;

/// A pcap file being written. Only we can read it.
#[derive(Debug)]
pub struct Pcap {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    packet: Vec<u8>,
}

/// A TCP connection as a file shows it: what came from one side, with the handshake, the
/// acknowledgements and the end that belong to it. Segments are of our cutting.
#[derive(Debug)]
pub struct Stream {
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// The next sequence number of the side that sends.
    sequence: u32,
    /// That of the side that only acknowledges.
    answers: u32,
}

/// What a segment says besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Syn,
    Push,
    Fin,
    Reset,
    Plain,
}

impl Pcap {
    /// Begins a file.
    ///
    /// # Errors
    /// As [`record::create`].
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(record::create(path)?);
        // Magic number for microseconds, version 2.4, no time zone, no accuracy, longest packet.
        for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, LINKTYPE_IPV4] {
            file.write_all(&word.to_be_bytes())?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            written: FILE_HEADER,
            packet: Vec::new(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether it holds no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == FILE_HEADER
    }

    /// Writes a datagram. `at` is the time since 1970, or since any beginning.
    ///
    /// # Errors
    /// As the file system says; [`io::ErrorKind::InvalidInput`] when it is longer than a datagram
    /// can be.
    pub fn udp(
        &mut self,
        at: Duration,
        from: SocketAddrV4,
        to: SocketAddrV4,
        datagram: &[u8],
    ) -> io::Result<()> {
        let step = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL)
            .udp(from.port(), to.port());
        self.packet.clear();
        step.write(&mut self.packet, datagram).map_err(in_io)?;
        self.record(at)
    }

    /// Writes the beginning of a connection.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(
        &mut self,
        at: Duration,
        from: SocketAddrV4,
        to: SocketAddrV4,
    ) -> io::Result<Stream> {
        let mut stream = Stream {
            from,
            to,
            sequence: 0,
            answers: 0,
        };
        self.segment(at, &stream, Flag::Syn, false, &[])?;
        stream.sequence = 1;
        self.segment(at, &stream, Flag::Syn, true, &[])?;
        stream.answers = 1;
        self.segment(at, &stream, Flag::Plain, false, &[])?;
        Ok(stream)
    }

    /// Writes what came.
    ///
    /// # Errors
    /// As the file system says.
    pub fn data(&mut self, at: Duration, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        for segment in bytes.chunks(SEGMENT) {
            self.segment(at, stream, Flag::Push, false, segment)?;
            let length = u32::try_from(segment.len()).unwrap_or_default();
            stream.sequence = stream.sequence.wrapping_add(length);
        }
        self.segment(at, stream, Flag::Plain, true, &[])
    }

    /// Writes the end of a connection: closed by the side that sent, or broken off by the other.
    ///
    /// # Errors
    /// As the file system says.
    pub fn close(&mut self, at: Duration, mut stream: Stream, orderly: bool) -> io::Result<()> {
        if !orderly {
            return self.segment(at, &stream, Flag::Reset, true, &[]);
        }
        self.segment(at, &stream, Flag::Fin, false, &[])?;
        stream.sequence = stream.sequence.wrapping_add(1);
        self.segment(at, &stream, Flag::Fin, true, &[])?;
        stream.answers = stream.answers.wrapping_add(1);
        self.segment(at, &stream, Flag::Plain, false, &[])
    }

    /// Writes one segment, of the side that sends or as an `answer` to it.
    fn segment(
        &mut self,
        at: Duration,
        stream: &Stream,
        flag: Flag,
        answer: bool,
        bytes: &[u8],
    ) -> io::Result<()> {
        let (from, to, sequence, acknowledged) = if answer {
            (stream.to, stream.from, stream.answers, stream.sequence)
        } else {
            (stream.from, stream.to, stream.sequence, stream.answers)
        };
        let step = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL).tcp(
            from.port(),
            to.port(),
            sequence,
            WINDOW,
        );
        let step = match flag {
            Flag::Syn => step.syn(),
            Flag::Push => step.psh(),
            Flag::Fin => step.fin(),
            Flag::Reset => step.rst(),
            Flag::Plain => step,
        };
        // Only the very first segment acknowledges nothing.
        let step = if flag == Flag::Syn && !answer {
            step
        } else {
            step.ack(acknowledged)
        };
        self.packet.clear();
        step.write(&mut self.packet, bytes).map_err(in_io)?;
        self.record(at)
    }

    /// Writes `self.packet`.
    fn record(&mut self, at: Duration) -> io::Result<()> {
        let length = u32::try_from(self.packet.len()).unwrap_or_default();
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        for word in [seconds, at.subsec_micros(), length, length] {
            self.file.write_all(&word.to_be_bytes())?;
        }
        self.file.write_all(&self.packet)?;
        self.written += RECORD_HEADER + u64::from(length);
        Ok(())
    }

    /// Brings all of it to the file system.
    ///
    /// # Errors
    /// As the file system says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Completes the file; `None` when it holds no packet, and then there is no file.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(mut self) -> io::Result<Option<PathBuf>> {
        self.file.flush()?;
        if self.is_empty() {
            std::fs::remove_file(&self.path)?;
            return Ok(None);
        }
        Ok(Some(self.path))
    }
}

fn in_io(error: BuildWriteError) -> io::Error {
    match error {
        BuildWriteError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
    }
}
