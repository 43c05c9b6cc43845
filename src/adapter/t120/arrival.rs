//! One TCP connection of the peer's, to either of our ports: what it is shows in its first bytes.
//! SIP is read message by message, T.120 is handed over, HTTP is turned away in its own words.

mod kept;

use std::{
    net::{SocketAddr, SocketAddrV4},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
    time::timeout,
};

use super::taker::seed;
use crate::{
    adapter::relay_tcp::{self, Activity},
    endpoint::socket,
    media::{
        sip,
        sniff::{self, Protocol, Seen},
    },
    shown,
};

/// How long the first bytes may take. Who waits for us to speak is none of those we know.
const FIRST_WITHIN: Duration = Duration::from_secs(30);
/// How long a program of ours may take to take a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What a web server says that has nothing (RFC 9112).
const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Where T.120 goes.
#[derive(Debug, Clone)]
pub(super) enum Taker {
    /// To a program, unchanged.
    Program(SocketAddr),
    /// Into a new file in that folder.
    Folder(PathBuf),
}

/// What a connection tells.
pub(super) enum Event {
    /// It is SIP; what is to be sent on it goes here.
    Sip(u64, mpsc::Sender<Vec<u8>>),
    /// A SIP message came on it.
    Message(u64, Vec<u8>, SocketAddrV4),
    /// It is T.120, and taken.
    Begun,
    /// It was T.120, and is over. What is to be told, if anything.
    Over(Option<String>),
    /// Something for the user: it was turned away.
    Say(String),
    /// Nothing more will come of it.
    Gone(u64),
}

/// A connection.
pub(super) struct Arrival {
    pub id: u64,
    pub stream: TcpStream,
    pub from: SocketAddrV4,
    /// Where it arrived.
    pub own: SocketAddrV4,
    pub taker: Taker,
    /// Shared by all connections of the session.
    pub activity: Arc<Activity>,
    pub events: mpsc::Sender<Event>,
}

impl Arrival {
    /// Serves it until its end.
    pub(super) async fn serve(mut self) {
        let mut first = Vec::new();
        let known = timeout(FIRST_WITHIN, look(&mut self.stream, &mut first)).await;
        let (id, events) = (self.id, self.events.clone());
        match known {
            Ok(Some(Seen::Known(Protocol::Sip))) => self.sip(&first).await,
            Ok(Some(Seen::Known(Protocol::T120Request))) => self.t120(first).await,
            Ok(Some(Seen::Known(Protocol::Http | Protocol::UpnpEvent))) => self.http(&first).await,
            Ok(Some(other)) => {
                let what = match other {
                    Seen::Known(protocol) => protocol.to_string(),
                    _ => "something unknown".to_owned(),
                };
                let at = self.own.port();
                let say = format!("{what} came to port {at}; it was turned away");
                let _ = events.send(Event::Say(say)).await;
            }
            Ok(None) | Err(_) => {}
        }
        let _ = events.send(Event::Gone(id)).await;
    }

    async fn sip(self, first: &[u8]) {
        let (mut read, write) = self.stream.into_split();
        let (line, outgoing) = mpsc::channel(16);
        if self.events.send(Event::Sip(self.id, line)).await.is_err() {
            return;
        }
        let reading = async {
            let mut frames = sip::frame::Stream::default();
            frames.push(first);
            let mut buffer = vec![0; 4096];
            loop {
                // What comes after an error is no SIP any more.
                while let Some(bytes) = frames.next().ok()? {
                    let event = Event::Message(self.id, bytes, self.from);
                    self.events.send(event).await.ok()?;
                }
                let n = read.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
                frames.push(buffer.get(..n).unwrap_or_default());
            }
        };
        tokio::select! {
            None::<()> = reading => {}
            () = writing(write, outgoing) => {}
        }
    }

    async fn http(mut self, first: &[u8]) {
        let line = first.split(|byte| matches!(byte, b'\r' | b'\n')).next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        let say = format!(
            "HTTP came to port {} (\"{}\") and was answered 404: nothing of this speaks HTTP",
            self.own.port(),
            shown::line(&line, 60)
        );
        let _ = self.events.send(Event::Say(say)).await;
        let answered = async {
            self.stream.write_all(NOT_FOUND).await?;
            self.stream.shutdown().await?;
            // Closing with the rest of the request unread would take the answer back.
            let mut rest = vec![0; 4096];
            while self.stream.read(&mut rest).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = timeout(CONNECT_WITHIN, answered).await;
    }

    async fn t120(self, first: Vec<u8>) {
        let events = self.events.clone();
        let end = match self.taker.clone() {
            Taker::Program(at) => self.relay(&first, at).await,
            Taker::Folder(folder) => {
                let name: String = seed()
                    .iter()
                    .take(6)
                    .map(|it| format!("{it:02x}"))
                    .collect();
                self.keep(first, folder.join(format!("t120-{name}.pcap")))
                    .await
            }
        };
        let _ = events.send(end).await;
    }

    /// Carries it to a program and back, unchanged.
    async fn relay(self, first: &[u8], at: SocketAddr) -> Event {
        let inside = match socket::tcp_connect(at, CONNECT_WITHIN).await {
            Ok(inside) => inside,
            Err(error) => {
                let say = format!("T.120 came, but nothing takes it at {at}: {error}");
                return Event::Say(say);
            }
        };
        if self.events.send(Event::Begun).await.is_ok() {
            relay_tcp::join(self.stream, inside, first, &self.activity).await;
        }
        Event::Over(None)
    }
}

/// Reads until it shows what it is; nothing when it ends before.
async fn look(stream: &mut TcpStream, first: &mut Vec<u8>) -> Option<Seen> {
    let mut buffer = [0; 2048];
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        first.extend_from_slice(buffer.get(..n).unwrap_or_default());
        match sniff::tcp(first) {
            Seen::NeedMore(_) => {}
            seen => return Some(seen),
        }
    }
}

async fn writing(mut write: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = outgoing.recv().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
