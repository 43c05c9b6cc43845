//! What arrives at the two sockets, from the peer's addresses only.

use std::{
    net::{SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
};

use crate::endpoint::callers::Callers;

/// Room for the longest datagram.
const LONGEST: usize = 65_536;
/// How much of a connection is read at a time.
const CHUNK: usize = 16 * 1024;
/// How many pieces may wait to be kept. Beyond that the connections wait.
const WAITING: usize = 16;
/// How long an accept that failed is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// The sockets, and the connections that were taken.
pub(super) struct Ears {
    udp: UdpSocket,
    tcp: TcpListener,
    peers: Callers,
    buffer: Vec<u8>,
    /// Dropped at the end, which closes every connection.
    readers: JoinSet<()>,
    pieces: (mpsc::Sender<Heard>, mpsc::Receiver<Heard>),
}

/// Something that arrived.
pub(super) enum Heard {
    /// A datagram.
    Datagram(SocketAddrV4, Vec<u8>),
    /// A connection. It is read only once it was given to [`Ears::read`].
    Connection(SocketAddrV4, TcpStream),
    /// Bytes of the connection with that number.
    Bytes(u16, Vec<u8>),
    /// Its end: closed, or broken off.
    Closed(u16, bool),
}

impl Ears {
    pub(super) fn new(udp: UdpSocket, tcp: TcpListener, peers: Callers) -> Self {
        Self {
            udp,
            tcp,
            peers,
            buffer: vec![0; LONGEST],
            readers: JoinSet::new(),
            pieces: mpsc::channel(WAITING),
        }
    }

    /// The peer's address; what others send is dropped.
    fn of_peer(&mut self, from: SocketAddr) -> Option<SocketAddrV4> {
        match from {
            SocketAddr::V4(from) if self.peers.admit(*from.ip()) => Some(from),
            _ => {
                tracing::debug!(%from, "turned away");
                None
            }
        }
    }

    /// The next that arrives. Nothing is lost when it is not waited for to the end.
    pub(super) async fn heard(&mut self) -> Heard {
        loop {
            tokio::select! {
                // An error is an ICMP answer, and we never send.
                got = self.udp.recv_from(&mut self.buffer) => {
                    if let Ok((length, from)) = got
                        && let Some(from) = self.of_peer(from)
                    {
                        let bytes = self.buffer.get(..length).unwrap_or_default();
                        return Heard::Datagram(from, bytes.to_vec());
                    }
                }
                taken = self.tcp.accept() => match taken {
                    Ok((stream, from)) => {
                        if let Some(from) = self.of_peer(from) {
                            return Heard::Connection(from, stream);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "not accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(piece) = self.pieces.1.recv() => return piece,
                Some(_) = self.readers.join_next() => {}
            }
        }
    }

    /// Reads that connection from now on, under that number.
    pub(super) fn read(&mut self, number: u16, stream: TcpStream) {
        let pieces = self.pieces.0.clone();
        self.readers.spawn(read(number, stream, pieces));
    }
}

async fn read(number: u16, mut stream: TcpStream, pieces: mpsc::Sender<Heard>) {
    let mut chunk = vec![0; CHUNK];
    let orderly = loop {
        match stream.read(&mut chunk).await {
            Ok(0) => break true,
            Ok(length) => {
                let bytes = chunk.get(..length).unwrap_or_default().to_vec();
                if pieces.send(Heard::Bytes(number, bytes)).await.is_err() {
                    return;
                }
            }
            Err(_) => break false,
        }
    };
    let _ = pieces.send(Heard::Closed(number, orderly)).await;
}
