//! What a connection is, from its first command, and where it goes.

use std::{io, sync::Arc};

use tokio::{io::AsyncReadExt, net::TcpStream, sync::OwnedSemaphorePermit};

use super::{
    Shared, notification, room,
    switchboard::{self, Board, Kind},
    tickets::{Key, Ticket},
};
use crate::msnp::frame::MAX_LINE;

/// How long a client may take to say its first command; servers give as much (PROTOCOL.md section 11).
const SILENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// What the client said before it was known where it belongs.
struct Opening {
    bytes: Vec<u8>,
    key: Option<Key>,
}

impl Shared {
    /// Serves one client. `place` is given back when it has gone.
    pub(super) async fn route(
        self: Arc<Self>,
        client: TcpStream,
        server: String,
        place: OwnedSemaphorePermit,
    ) {
        let mut client = client;
        let opening = tokio::select! {
            () = self.first.1.cancelled() => return,
            opening = tokio::time::timeout(SILENCE, first_command(&mut client)) => opening,
        };
        let opening = match opening {
            Ok(Ok(Some(opening))) => opening,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, "proxy: a client left before its first command");
                return;
            }
        };
        let ticket = opening
            .key
            .as_ref()
            .and_then(|key| self.tickets().find(key, self.clock.now()));
        match ticket {
            None => notification::serve(self, client, &server, opening.bytes).await,
            Some(ticket) => {
                // A conversation outlives the notification connections when the proxy ends.
                let shared = Arc::clone(&self);
                self.last.0.spawn(async move {
                    shared.enter(client, ticket, opening).await;
                    drop(place);
                });
            }
        }
    }

    /// Into a switchboard.
    async fn enter(self: Arc<Self>, client: TcpStream, ticket: Ticket, opening: Opening) {
        match ticket {
            Ticket::Server { address, account } => {
                let server = tokio::select! {
                    () = self.last.1.cancelled() => return,
                    server = self.connect(&address) => server,
                };
                match server {
                    Ok(server) => {
                        let stop = self.last.1.child_token();
                        let (client, server) = (client.into_split(), server.into_split());
                        match account {
                            Some(account) => {
                                let board = Board::new(Kind::Through, &account);
                                let lanes = (client, server, opening.bytes);
                                switchboard::serve(board, lanes, stop).await;
                            }
                            None => switchboard::pass(client, server, opening.bytes, stop).await,
                        }
                    }
                    Err(error) => {
                        tracing::warn!(address, %error, "proxy: no connection to the switchboard");
                    }
                }
            }
            Ticket::Lent { room, account } => {
                if let Some(key) = &opening.key {
                    self.tickets().remove(key);
                }
                room::lend(client, opening.bytes, room, account).await;
            }
        }
    }
}

/// Reads as much as tells a switchboard connection from another one; `None` when the client left.
async fn first_command(client: &mut TcpStream) -> io::Result<Option<Opening>> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let enters = |verb: &[u8]| {
            let seen = bytes.len().min(verb.len());
            bytes.get(..seen) == verb.get(..seen)
        };
        let line = memchr::memchr(b'\n', &bytes).and_then(|end| bytes.get(..=end));
        let key = match line {
            Some(line) => Key::shown(line),
            None if bytes.len() > MAX_LINE || !(enters(b"USR ") || enters(b"ANS ")) => None,
            None => continue,
        };
        return Ok(Some(Opening { bytes, key }));
    }
}
