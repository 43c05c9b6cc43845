//! A server and a client that say just enough MSNP for a proxy to know the conversation as one: what is
//! measured must be the proxy, so both do next to nothing.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

const COOKIE: &str = "17262740.1050826919.32308";
/// How much is sent to one that only listens.
pub(crate) const STREAM: usize = 256 << 20;

/// What the server does in a conversation; the client says it by the name that it signs in with.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// A message comes back as the contact's.
    Echo,
    /// The contact writes messages with so many bytes of text, [`STREAM`] in all.
    Write(usize),
}

impl Part {
    fn name(self) -> String {
        match self {
            Self::Echo => "echo".into(),
            Self::Write(bytes) => format!("write-{bytes}"),
        }
    }

    fn named(name: &str) -> Self {
        let bytes = name.strip_prefix("write-").and_then(|n| n.parse().ok());
        bytes.map_or(Self::Echo, Self::Write)
    }
}

/// Serves for as long as the process lives.
pub(crate) fn start() -> SocketAddr {
    let (told, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            told.send(address).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                // Who leaves in the middle is no matter here.
                tokio::spawn(async move {
                    let _ = serve(stream, address).await;
                });
            }
        });
    });
    address.recv().unwrap()
}

async fn serve(stream: tokio::net::TcpStream, own: SocketAddr) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match *words.as_slice() {
            ["VER", t, version, ..] => format!("VER {t} {version}\r\n"),
            ["USR", t, "TWN", "I", handle] => format!("USR {t} OK {handle} Ann 1 0\r\n"),
            ["XFR", t, "SB"] => format!("XFR {t} SB {own} CKI {COOKIE}\r\n"),
            ["USR", t, handle, COOKIE] => {
                let in_it = format!("USR {t} OK {handle} Ann\r\nJOI bob@example.com Bob\r\n");
                stream.write_all(in_it.as_bytes()).await?;
                match Part::named(handle) {
                    Part::Echo => String::new(),
                    Part::Write(bytes) => return write(stream, bytes).await,
                }
            }
            ["MSG", _, _, length] => {
                let mut payload = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut payload).await?;
                let mut back = format!("MSG bob@example.com Bob {length}\r\n").into_bytes();
                back.extend_from_slice(&payload);
                stream.write_all(&back).await?;
                String::new()
            }
            _ => String::new(),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

async fn write(mut stream: BufReader<tokio::net::TcpStream>, text: usize) -> std::io::Result<()> {
    let payload = payload(text);
    let mut one = format!("MSG bob@example.com Bob {}\r\n", payload.len()).into_bytes();
    one.extend_from_slice(&payload);
    let many = one.repeat((64 << 10) / one.len() + 1);
    let mut left = STREAM;
    while left > 0 {
        let some = many.len().min(left);
        stream.write_all(&many[..some]).await?;
        left -= some;
    }
    stream.shutdown().await
}

/// A chat message, with so many bytes of text.
fn payload(text: usize) -> Vec<u8> {
    let mut payload = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
        X-MMS-IM-Format: FN=Arial; EF=; CO=0; CS=0; PF=22\r\n\r\n"
        .to_vec();
    payload.resize(payload.len() + text, b'x');
    payload
}

/// A client in a conversation.
pub(crate) struct Chat {
    pub(crate) stream: TcpStream,
    line: Vec<u8>,
    back: Vec<u8>,
}

/// Signs in through a proxy and asks for a switchboard; stays signed in as long as it is kept.
pub(crate) fn sign_in(door: SocketAddr) -> TcpStream {
    let mut stream = connect(door);
    for (said, expected) in [
        ("VER 1 MSNP8 CVR0\r\n", "VER 1"),
        ("USR 2 TWN I ann@example.com\r\n", "USR 2 OK"),
        ("XFR 3 SB\r\n", "XFR 3 SB"),
    ] {
        stream.write_all(said.as_bytes()).unwrap();
        let answer = answer(&mut stream, 1);
        assert!(answer.starts_with(expected), "{answer}");
    }
    stream
}

fn connect(door: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(door).unwrap();
    stream.set_nodelay(true).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream
}

fn answer(stream: &mut TcpStream, lines: usize) -> String {
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < lines {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

impl Chat {
    /// Enters a switchboard.
    pub(crate) fn enter(door: SocketAddr, part: Part) -> Self {
        let mut stream = connect(door);
        let enter = format!("USR 1 {} {COOKIE}\r\n", part.name());
        stream.write_all(enter.as_bytes()).unwrap();
        let answer = answer(&mut stream, 2);
        assert!(answer.starts_with("USR 1 OK"), "{answer}");
        Self {
            stream,
            line: Vec::new(),
            back: Vec::new(),
        }
    }

    /// Writes a line of so many bytes and reads it as the contact's.
    pub(crate) fn say(&mut self, text: usize) {
        let payload = payload(text);
        self.line.clear();
        write!(self.line, "MSG 2 N {}\r\n", payload.len()).unwrap();
        self.line.extend_from_slice(&payload);
        self.stream.write_all(&self.line).unwrap();
        let head = format!("MSG bob@example.com Bob {}\r\n", payload.len());
        self.back.resize(head.len() + payload.len(), 0);
        self.stream.read_exact(&mut self.back).unwrap();
        assert!(self.back.starts_with(head.as_bytes()), "another message");
    }
}
