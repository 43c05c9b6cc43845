//! What is kept: a pcap file of every packet, a text of what each one is, both within bounds.

use std::{fmt, io, net::SocketAddrV4, path::Path, time::Duration};

use super::{
    ears::{Ears, Heard},
    flows::Flows,
    notes::{self, Notes, Subject, looks_like},
};
use crate::{
    bridge::Keep,
    media::{
        pcap::{Pcap, Stream},
        sniff::{self, Protocol, Seen},
    },
};

/// Length of a segment without bytes in the file: the file's own header, IPv4's and TCP's.
const SEGMENT: u64 = 56;
/// What a datagram costs besides its bytes.
const DATAGRAM: u64 = 44;
/// What the end of a connection may cost.
const END: u64 = 3 * SEGMENT;

/// Most context messages that are written down; more are only counted.
const MAX_CONTEXTS: u64 = 64;

/// A bound that was reached.
pub(super) enum Full {
    Bytes(u64),
    Time(Duration),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "the recording has its {} MB", bytes >> 20),
            Self::Time(time) => write!(f, "the recording has its {} s", time.as_secs()),
        }
    }
}

/// One TCP connection.
struct Connection {
    from: SocketAddrV4,
    /// `None` when it is over.
    stream: Option<Stream>,
    /// Its beginning, while it is not known what it is.
    beginning: Vec<u8>,
    seen: Seen,
    bytes: usize,
}

/// A recording.
pub(super) struct Keeping {
    subject: Subject,
    bounds: Keep,
    pcap: Pcap,
    notes: Notes,
    connections: Vec<Connection>,
    turned_away: u64,
    flows: Flows,
    contexts: u64,
    /// Every protocol that came, and those of which nobody was told.
    protocols: Vec<Protocol>,
    news: Vec<Protocol>,
}

impl Keeping {
    /// Begins both files, which only we can read.
    pub(super) fn create(
        folder: &Path,
        subject: Subject,
        bounds: Keep,
        at: Duration,
    ) -> io::Result<Self> {
        let name = format!(
            "{}-{}-{}",
            subject.id,
            notes::stamp(at),
            subject.invitation.0
        );
        let pcap = Pcap::create(&folder.join(format!("{name}.pcap")))?;
        let notes = Notes::create(folder.join(format!("{name}.txt")), &subject, at)?;
        Ok(Self {
            subject,
            bounds,
            pcap,
            notes,
            connections: Vec::new(),
            turned_away: 0,
            flows: Flows::default(),
            contexts: 0,
            protocols: Vec::new(),
            news: Vec::new(),
        })
    }

    pub(super) fn pcap(&self) -> &Path {
        self.pcap.path()
    }

    pub(super) fn text(&self) -> &Path {
        self.notes.path()
    }

    pub(super) fn at(&self) -> SocketAddrV4 {
        self.subject.at
    }

    /// Protocols that were recognised since this was last asked, each once.
    pub(super) fn recognised(&mut self) -> Vec<Protocol> {
        std::mem::take(&mut self.news)
    }

    /// Keeps something, unless a bound forbids it.
    pub(super) fn keep(
        &mut self,
        ears: &mut Ears,
        heard: Heard,
        at: Duration,
    ) -> io::Result<Result<(), Full>> {
        let cost = match &heard {
            Heard::Datagram(_, bytes) => DATAGRAM + bytes.len() as u64,
            Heard::Connection(..) => 3 * SEGMENT + END,
            // As many segments as it takes, and the answer.
            Heard::Bytes(_, bytes) => {
                let segments = bytes.len() / 1460 + 2;
                bytes.len() as u64 + segments as u64 * SEGMENT
            }
            // Its room was kept.
            Heard::Closed(..) => 0,
        };
        let open = self.connections.iter().filter(|it| it.stream.is_some());
        if self.pcap.len() + cost + open.count() as u64 * END > self.bounds.bytes {
            return Ok(Err(Full::Bytes(self.bounds.bytes)));
        }
        match heard {
            Heard::Datagram(from, bytes) => self.datagram(from, &bytes, at)?,
            Heard::Connection(from, stream) => match self.opened(from, at)? {
                Some(number) => ears.read(number, stream),
                // Dropped, and so closed.
                None => self.turned_away += 1,
            },
            Heard::Bytes(number, bytes) => self.came(number, &bytes, at)?,
            Heard::Closed(number, orderly) => self.closed(number, orderly, at)?,
        }
        Ok(Ok(()))
    }

    fn datagram(&mut self, from: SocketAddrV4, bytes: &[u8], at: Duration) -> io::Result<()> {
        self.pcap.udp(at, from, self.subject.at, bytes)?;
        let protocol = sniff::udp(bytes);
        if !self.flows.add(from, protocol, bytes.len()) {
            return Ok(());
        }
        self.is_here(protocol);
        let (length, looks_like) = (bytes.len(), looks_like(protocol));
        let line = format!("UDP from {from}: {length} bytes, {looks_like}");
        self.notes.tell(at, &line, bytes, 0)
    }

    /// Gives the connection a number, unless there are too many.
    fn opened(&mut self, from: SocketAddrV4, at: Duration) -> io::Result<Option<u16>> {
        let Some(number) = u16::try_from(self.connections.len())
            .ok()
            .filter(|number| *number < self.bounds.connections)
        else {
            return Ok(None);
        };
        let stream = self.pcap.open(at, from, self.subject.at)?;
        self.connections.push(Connection {
            from,
            stream: Some(stream),
            beginning: Vec::new(),
            seen: sniff::tcp(&[]),
            bytes: 0,
        });
        let line = format!("TCP connection {} from {from}", number + 1);
        self.notes.tell(at, &line, &[], 0)?;
        Ok(Some(number))
    }

    fn came(&mut self, number: u16, bytes: &[u8], at: Duration) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(usize::from(number)) else {
            return Ok(());
        };
        if let Some(stream) = &mut connection.stream {
            self.pcap.data(at, stream, bytes)?;
        }
        let offset = connection.bytes;
        connection.bytes += bytes.len();
        if offset < notes::SHOWN && !bytes.is_empty() {
            let line = format!("TCP connection {}: {} bytes", number + 1, bytes.len());
            self.notes.tell(at, &line, bytes, offset)?;
        }
        if !matches!(connection.seen, Seen::NeedMore(_)) {
            return Ok(());
        }
        let room = sniff::MOST.saturating_sub(connection.beginning.len());
        let more = bytes.get(..room).unwrap_or(bytes);
        connection.beginning.extend_from_slice(more);
        connection.seen = sniff::tcp(&connection.beginning);
        if matches!(connection.seen, Seen::NeedMore(_)) {
            return Ok(());
        }
        connection.beginning = Vec::new();
        let protocol = connection.seen.protocol();
        let line = format!("TCP connection {} {}", number + 1, looks_like(protocol));
        self.notes.tell(at, &line, &[], 0)?;
        self.is_here(protocol);
        Ok(())
    }

    fn closed(&mut self, number: u16, orderly: bool, at: Duration) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(usize::from(number)) else {
            return Ok(());
        };
        if let Some(stream) = connection.stream.take() {
            self.pcap.close(at, stream, orderly)?;
        }
        connection.beginning = Vec::new();
        let how = if orderly { "closed" } else { "broken off" };
        let (number, bytes) = (number + 1, connection.bytes);
        let line = format!("TCP connection {number} {how} after {bytes} bytes");
        self.notes.tell(at, &line, &[], 0)
    }

    /// Context data, which comes through the chat and not through our port.
    pub(super) fn context(&mut self, data: &[u8], at: Duration) -> io::Result<()> {
        self.contexts += 1;
        if self.contexts > MAX_CONTEXTS {
            return Ok(());
        }
        let line = format!("context data by way of the chat: {} bytes", data.len());
        self.notes.tell(at, &line, data, 0)
    }

    fn is_here(&mut self, protocol: Option<Protocol>) {
        if let Some(protocol) = protocol
            && !self.protocols.contains(&protocol)
        {
            self.protocols.push(protocol);
            self.news.push(protocol);
        }
    }

    /// Brings what was kept to the file system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.pcap.flush()?;
        self.notes.flush()
    }

    /// Completes both files and says how much is in them. When nothing came there are none.
    pub(super) fn finish(mut self, at: Duration) -> io::Result<Option<String>> {
        for number in 0..u16::try_from(self.connections.len()).unwrap_or_default() {
            let open = self.connections.get(usize::from(number));
            if open.is_some_and(|connection| connection.stream.is_some()) {
                self.closed(number, false, at)?;
            }
        }
        let (connections, datagrams) = (self.connections.len(), self.flows.total());
        let by_tcp: u64 = self.connections.iter().map(|it| it.bytes as u64).sum();
        self.summary()?;
        self.notes.flush()?;
        let text = self.notes.path();
        Ok(match self.pcap.finish()? {
            Some(pcap) => Some(format!(
                "recorded {} bytes ({connections} connections, {} datagrams) in {} and {}",
                by_tcp + datagrams.bytes,
                datagrams.pieces,
                pcap.display(),
                text.display()
            )),
            None if self.contexts > 0 => {
                Some(format!("recorded only context data, in {}", text.display()))
            }
            None => {
                std::fs::remove_file(text)?;
                None
            }
        })
    }

    fn summary(&mut self) -> io::Result<()> {
        self.notes.sum("\nIn all:")?;
        for (number, connection) in self.connections.iter().enumerate() {
            self.notes.sum(&format!(
                "TCP connection {} from {}: {} bytes, {}",
                number + 1,
                connection.from,
                connection.bytes,
                looks_like(connection.seen.protocol())
            ))?;
        }
        for line in self.flows.lines() {
            self.notes.sum(&line)?;
        }
        if self.turned_away > 0 {
            let line = format!("{} more connections were turned away", self.turned_away);
            self.notes.sum(&line)?;
        }
        Ok(())
    }
}
