//! Moves bytes between a client and a server, and lets a [`Link`] look at them on the way.
//!
//! One task serves both directions of a connection, so that the link sees one order of events; but
//! each direction has its own buffer, so that one side which does not read never stops the other.
//! An idle connection holds no buffer.

use std::io;

use tokio::{io::Interest, net::TcpStream, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// A side that has so much waiting for it makes us stop reading for it.
const HIGH_WATER: usize = 64 * 1024;
/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// To the client.
    pub(super) to_client: Vec<u8>,
    /// To the server.
    pub(super) to_server: Vec<u8>,
}

/// Looks at what passes, and puts what goes on into [`Out`].
pub(super) trait Link {
    /// What others may ask of this connection.
    type Request;
    /// The client sent bytes.
    fn client_sent(&mut self, bytes: &[u8], out: &mut Out);
    /// The server sent bytes.
    fn server_sent(&mut self, bytes: &[u8], out: &mut Out);
    /// The client sends no more.
    fn client_ended(&mut self, out: &mut Out);
    /// The server sends no more.
    fn server_ended(&mut self, out: &mut Out);
    /// Somebody asks for something. A stream that is returned becomes the client.
    fn requested(&mut self, request: Self::Request, out: &mut Out) -> Option<TcpStream>;
}

/// One side of the connection.
struct Side {
    stream: TcpStream,
    /// It will send more.
    reads: bool,
    /// It takes more.
    writes: bool,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        // Small messages and no waiting: chat.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            reads: true,
            writes: true,
        }
    }
}

/// Which side something happened on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Client,
    Server,
}

/// Pumps until both directions have ended, one side is reset, or it is stopped. The client may
/// come later (a switchboard that we opened).
pub(super) async fn pump<L: Link>(
    client: Option<TcpStream>,
    server: TcpStream,
    link: &mut L,
    requests: &mut mpsc::UnboundedReceiver<L::Request>,
    mut out: Out,
    stop: &CancellationToken,
) {
    let mut client = client.map(Side::new);
    let mut server = Side::new(server);
    loop {
        if flush(client.as_mut(), &mut out.to_client).is_err()
            || flush(Some(&mut server), &mut out.to_server).is_err()
        {
            return;
        }
        end_of_writing(client.as_mut(), server.reads, &out.to_client);
        let client_reads = client.as_ref().is_none_or(|side| side.reads);
        end_of_writing(Some(&mut server), client_reads, &out.to_server);
        let over = !server.reads && client.as_ref().is_none_or(|side| !side.reads);
        if over && out.to_server.is_empty() && (out.to_client.is_empty() || client.is_none()) {
            return;
        }
        let wait_client = wanted(client.as_ref(), &out.to_client, &out.to_server);
        let wait_server = wanted(Some(&server), &out.to_server, &out.to_client);
        let at = tokio::select! {
            ready = ready(client.as_ref(), wait_client) => ready.map(|()| At::Client),
            ready = ready(Some(&server), wait_server) => ready.map(|()| At::Server),
            Some(request) = requests.recv() => {
                if let Some(stream) = link.requested(request, &mut out) {
                    client = Some(Side::new(stream));
                }
                continue;
            }
            () = stop.cancelled() => return,
        };
        let done = match at {
            Err(error) => Err(error),
            Ok(At::Client) => match client.as_mut() {
                Some(side) if side.reads && out.to_server.len() < HIGH_WATER => {
                    read(side, At::Client, link, &mut out)
                }
                _ => Ok(()),
            },
            Ok(At::Server) if server.reads && out.to_client.len() < HIGH_WATER => {
                read(&mut server, At::Server, link, &mut out)
            }
            Ok(At::Server) => Ok(()),
        };
        if done.is_err() {
            return;
        }
    }
}

/// What to wait for on one side: to write what waits for it, to read what the other side has room
/// for. `None`: nothing.
fn wanted(side: Option<&Side>, waiting: &[u8], other: &[u8]) -> Option<Interest> {
    let side = side?;
    let read = side.reads && other.len() < HIGH_WATER;
    let write = side.writes && !waiting.is_empty();
    match (read, write) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}

async fn ready(side: Option<&Side>, interest: Option<Interest>) -> io::Result<()> {
    match (side, interest) {
        (Some(side), Some(interest)) => side.stream.ready(interest).await.map(drop),
        _ => std::future::pending().await,
    }
}

/// Reads once and gives it to the link. The buffer is on the stack, so an idle connection has none.
fn read<L: Link>(side: &mut Side, at: At, link: &mut L, out: &mut Out) -> io::Result<()> {
    let mut chunk = [0; CHUNK];
    match side.stream.try_read(&mut chunk) {
        Ok(0) => {
            side.reads = false;
            match at {
                At::Client => link.client_ended(out),
                At::Server => link.server_ended(out),
            }
            Ok(())
        }
        Ok(count) => {
            let bytes = chunk.get(..count).unwrap_or_default();
            match at {
                At::Client => link.client_sent(bytes, out),
                At::Server => link.server_sent(bytes, out),
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes as much as the side takes now.
fn flush(side: Option<&mut Side>, waiting: &mut Vec<u8>) -> io::Result<()> {
    let Some(side) = side else { return Ok(()) };
    if !side.writes {
        waiting.clear();
    }
    let mut written = 0;
    while let Some(rest) = waiting.get(written..).filter(|rest| !rest.is_empty()) {
        match side.stream.try_write(rest) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if written == waiting.len() {
        *waiting = Vec::new();
    } else {
        waiting.drain(..written);
    }
    Ok(())
}

/// Passes the end on: once the other side sends no more and all of it has been written, neither do
/// we.
fn end_of_writing(side: Option<&mut Side>, other_sends: bool, waiting: &[u8]) {
    if let Some(side) = side
        && side.writes
        && !other_sends
        && waiting.is_empty()
    {
        side.writes = false;
        let _ = rustix::net::shutdown(&side.stream, rustix::net::Shutdown::Write);
    }
}
