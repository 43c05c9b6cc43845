//! What is kept: a pcap file of every packet, a text of what each one is, both within bounds.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ears::{Ears, Heard},
    text,
};
use crate::{
    bridge::Keep,
    media::{
        pcap::{Pcap, Stream},
        record,
        sniff::{self, Protocol, Seen},
    },
    negotiation::InvitationId,
};

/// Most senders of datagrams that are told apart, by port and protocol: a port costs nothing.
const MAX_FLOWS: usize = 256;
/// Length of a segment without bytes in the file: the file's own header, IPv4's and TCP's.
const SEGMENT: u64 = 56;
/// What a datagram costs besides its bytes.
const DATAGRAM: u64 = 44;
/// What the end of a connection may cost.
const END: u64 = 3 * SEGMENT;

/// What is recorded, for the files.
pub(super) struct Subject {
    pub(super) application: String,
    pub(super) id: String,
    pub(super) invitation: InvitationId,
    pub(super) peer: String,
    pub(super) at: SocketAddrV4,
}

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

/// How much came.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    pieces: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.pieces += 1;
        self.bytes += bytes as u64;
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
    text: BufWriter<File>,
    text_path: PathBuf,
    connections: Vec<Connection>,
    turned_away: u64,
    flows: BTreeMap<(SocketAddrV4, Option<Protocol>), Tally>,
    other_flows: Tally,
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
            text::stamp(at),
            subject.invitation.0
        );
        let text_path = folder.join(format!("{name}.txt"));
        let pcap = Pcap::create(&folder.join(format!("{name}.pcap")))?;
        let mut file = BufWriter::new(record::create(&text_path)?);
        writeln!(
            file,
            "What {} sent for {} to {}, from {} on.\n",
            subject.peer,
            subject.application,
            subject.at,
            text::time(at)
        )?;
        Ok(Self {
            subject,
            bounds,
            pcap,
            text: file,
            text_path,
            connections: Vec::new(),
            turned_away: 0,
            flows: BTreeMap::new(),
            other_flows: Tally::default(),
            contexts: 0,
            protocols: Vec::new(),
            news: Vec::new(),
        })
    }

    pub(super) fn pcap(&self) -> &Path {
        self.pcap.path()
    }

    pub(super) fn text(&self) -> &Path {
        &self.text_path
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
        let flow = (from, protocol);
        if let Some(tally) = self.flows.get_mut(&flow) {
            tally.add(bytes.len());
            return Ok(());
        }
        if self.flows.len() >= MAX_FLOWS {
            self.other_flows.add(bytes.len());
            return Ok(());
        }
        self.flows.entry(flow).or_default().add(bytes.len());
        writeln!(
            self.text,
            "{} UDP from {from}: {} bytes, {}",
            text::time(at),
            bytes.len(),
            looks_like(protocol)
        )?;
        let shown = bytes.get(..text::SHOWN).unwrap_or(bytes);
        self.text.write_all(text::dump(shown, 0).as_bytes())?;
        self.is_here(protocol);
        Ok(())
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
        let time = text::time(at);
        writeln!(
            self.text,
            "{time} TCP connection {} from {from}",
            number + 1
        )?;
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
        let room = text::SHOWN.saturating_sub(offset);
        let shown = bytes.get(..room).unwrap_or(bytes);
        if !shown.is_empty() {
            let (time, number, length) = (text::time(at), number + 1, bytes.len());
            writeln!(self.text, "{time} TCP connection {number}: {length} bytes")?;
            self.text.write_all(text::dump(shown, offset).as_bytes())?;
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
        let (time, looks_like) = (text::time(at), looks_like(protocol));
        writeln!(
            self.text,
            "{time} TCP connection {} {looks_like}",
            number + 1
        )?;
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
        let (time, bytes) = (text::time(at), connection.bytes);
        let how = if orderly { "closed" } else { "broken off" };
        let number = number + 1;
        writeln!(
            self.text,
            "{time} TCP connection {number} {how} after {bytes} bytes"
        )
    }

    /// Context data, which comes through the chat and not through our port.
    pub(super) fn context(&mut self, data: &[u8], at: Duration) -> io::Result<()> {
        self.contexts += 1;
        let (time, length) = (text::time(at), data.len());
        writeln!(
            self.text,
            "{time} context data by way of the chat: {length} bytes"
        )?;
        let shown = data.get(..text::SHOWN).unwrap_or(data);
        self.text.write_all(text::dump(shown, 0).as_bytes())
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
        self.text.flush()
    }

    /// Completes both files and says how much is in them. When nothing came there are none.
    pub(super) fn finish(mut self, at: Duration) -> io::Result<Option<String>> {
        for number in 0..u16::try_from(self.connections.len()).unwrap_or_default() {
            let open = self.connections.get(usize::from(number));
            if open.is_some_and(|connection| connection.stream.is_some()) {
                self.closed(number, false, at)?;
            }
        }
        let (connections, datagrams) = (self.connections.len(), self.datagrams());
        let by_tcp: u64 = self.connections.iter().map(|it| it.bytes as u64).sum();
        self.summary()?;
        self.text.flush()?;
        let text = self.text_path;
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

    fn datagrams(&self) -> Tally {
        let mut all = self.other_flows;
        for tally in self.flows.values() {
            all.pieces += tally.pieces;
            all.bytes += tally.bytes;
        }
        all
    }

    fn summary(&mut self) -> io::Result<()> {
        writeln!(self.text, "\nIn all:")?;
        for (number, connection) in self.connections.iter().enumerate() {
            writeln!(
                self.text,
                "TCP connection {} from {}: {} bytes, {}",
                number + 1,
                connection.from,
                connection.bytes,
                looks_like(connection.seen.protocol())
            )?;
        }
        for ((from, protocol), tally) in &self.flows {
            let Tally { pieces, bytes } = tally;
            let looks_like = looks_like(*protocol);
            writeln!(
                self.text,
                "UDP from {from}: {pieces} datagrams, {bytes} bytes, {looks_like}"
            )?;
        }
        if self.other_flows.pieces > 0 {
            let Tally { pieces, bytes } = self.other_flows;
            writeln!(
                self.text,
                "UDP from other ports: {pieces} datagrams, {bytes} bytes"
            )?;
        }
        if self.turned_away > 0 {
            let n = self.turned_away;
            writeln!(self.text, "{n} more connections were turned away")?;
        }
        Ok(())
    }
}

fn looks_like(protocol: Option<Protocol>) -> String {
    protocol.map_or_else(
        || "looks like nothing known".to_owned(),
        |protocol| format!("looks like {protocol}"),
    )
}
