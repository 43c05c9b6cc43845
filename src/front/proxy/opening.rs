//! Opens a switchboard of our own, through the client's notification connection
//! (PROTOCOL.md 12.6). The contact sees an ordinary new conversation.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    CONNECT_WITHIN, Hub,
    account::{Account, NotificationRequest},
    connection,
    pipe::{self, Link, Out},
    switchboard::{FIRST_TRANSACTION, Switchboard},
};
use crate::msnp::{
    frame::{Origin, Piece, Splitter},
    word,
};

/// How long the contact may take to join.
const JOIN_WITHIN: Duration = Duration::from_secs(30);

/// Why it could not be opened.
#[derive(Debug, thiserror::Error)]
enum OpeningError {
    #[error("{0}")]
    NoTicket(String),
    #[error("the notification connection is gone")]
    SignedOut,
    #[error("the switchboard: {0}")]
    Io(#[from] io::Error),
    #[error("the switchboard answered {0}")]
    Refused(String),
    #[error("nobody joined in time")]
    TimedOut,
}

/// Opens one with that contact and serves it. What waits for the contact goes out when it joins.
pub(super) async fn open(hub: Arc<Hub>, account: Arc<Account>, peer: String) {
    match timeout(JOIN_WITHIN, join(&account, &peer))
        .await
        .unwrap_or(Err(OpeningError::TimedOut))
    {
        Ok((stream, joined, rest)) => {
            let (requests, mut asked) = mpsc::unbounded_channel();
            let mut board = Switchboard::of_ours(account, requests, &joined);
            let mut out = Out::default();
            board.server_sent(&rest, &mut out);
            pipe::pump(None, stream, &mut board, &mut asked, out, &hub.stop).await;
            board.close();
        }
        Err(error) => {
            tracing::info!(account = account.handle, peer, %error, "no switchboard");
            account.opening_failed(&peer);
        }
    }
}

/// Until the contact has joined: the connection, the command that says so, and what came behind.
async fn join(
    account: &Account,
    peer: &str,
) -> Result<(TcpStream, Vec<u8>, Vec<u8>), OpeningError> {
    let (asker, answer) = oneshot::channel();
    account
        .notification
        .send(NotificationRequest::Ticket(asker))
        .map_err(|_| OpeningError::SignedOut)?;
    let ticket = answer
        .await
        .map_err(|_| OpeningError::SignedOut)?
        .map_err(OpeningError::NoTicket)?;
    let mut stream = connection::connect(&ticket.address, CONNECT_WITHIN).await?;
    let (first, second) = (FIRST_TRANSACTION, FIRST_TRANSACTION + 1);
    let hello = format!("USR {first} {} {}\r\n", account.handle, ticket.cookie);
    stream.write_all(hello.as_bytes()).await?;
    let mut splitter = Splitter::new(Origin::Server);
    let mut called = false;
    let mut joined = None;
    let mut rest = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut refused = None;
        let mut call = false;
        splitter.push(
            chunk.get(..count).unwrap_or_default(),
            |piece| match piece {
                _ if joined.is_some() => rest.extend_from_slice(bytes(&piece)),
                Piece::Command { line, .. } => match word(line, 0) {
                    Some("USR") => call = word(line, 2) == Some("OK"),
                    Some("JOI") => joined = Some(line.to_vec()),
                    Some(code) if code.bytes().all(|byte| byte.is_ascii_digit()) => {
                        refused = Some(code.to_owned());
                    }
                    _ => {}
                },
                Piece::Raw(_) => {}
            },
        );
        if let Some(code) = refused {
            return Err(OpeningError::Refused(code));
        }
        if call && !called {
            called = true;
            stream
                .write_all(format!("CAL {second} {peer}\r\n").as_bytes())
                .await?;
        }
        if let Some(joined) = joined {
            splitter.finish(|piece| rest.extend_from_slice(bytes(&piece)));
            return Ok((stream, joined, rest));
        }
    }
}

fn bytes<'a>(piece: &Piece<'a>) -> &'a [u8] {
    match piece {
        Piece::Command { whole, .. } => whole,
        Piece::Raw(raw) => raw,
    }
}
