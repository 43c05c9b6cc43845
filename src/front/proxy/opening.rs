//! Opens a switchboard with a contact ourselves (PROTOCOL.md 12.6): a cookie by the client's
//! notification connection, then `USR`, `CAL`, and the contact joins. The contact sees an ordinary
//! new session.

use std::{io, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{
    account::Account,
    switchboard::{self, Board, Kind},
};
use crate::msnp::{
    frame::{Item, Side, Splitter, word},
    roster,
};

/// From the request to the contact's arrival.
const PATIENCE: Duration = Duration::from_secs(30);
/// What may lie between a room and its switchboard.
pub(super) const PIPE: usize = 64 * 1024;

/// Why there is no switchboard.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The server says no: 217, 713, 913 ...
    #[error("the server answered {0}")]
    Refused(String),
    /// A connection was lost, or could not be made.
    #[error("no connection: {0}")]
    Connection(#[from] io::Error),
    /// The contact does not come.
    #[error("the contact did not come in time")]
    Silence,
}

/// A switchboard of ours, seen from the room.
pub(super) struct Upstream {
    pub(super) board: Arc<Board>,
    pub(super) frames: Frames<DuplexStream>,
}

/// Opens a switchboard with `peer`.
pub(super) async fn open(account: Arc<Account>, peer: String) -> Result<Upstream, OpenError> {
    tokio::time::timeout(PATIENCE, call(&account, &peer))
        .await
        .unwrap_or(Err(OpenError::Silence))
}

async fn call(account: &Arc<Account>, peer: &str) -> Result<Upstream, OpenError> {
    let gone = || OpenError::Connection(io::ErrorKind::NotConnected.into());
    let answer = account.ask_for_switchboard().await.map_err(|_| gone())?;
    let (address, cookie) = answer.map_err(OpenError::Refused)?;
    let server = account.shared.connect(&address).await?;
    let (near, far) = duplex(PIPE);
    let board = Board::new(Kind::Own, account);
    let lanes = (tokio::io::split(far), server.into_split(), Vec::new());
    let stop = account.stop.child_token();
    let serving = switchboard::serve(Arc::clone(&board), lanes, stop);
    account.shared.last.0.spawn(serving);
    let mut frames = Frames::new(near, Side::Server);
    let signature = account.signature();
    let enter = format!("USR 1 {signature} {cookie}\r\n");
    frames.stream.write_all(enter.as_bytes()).await?;
    let is_in = |line: &[u8]| word(line, 0) == "USR" && word(line, 2) == "OK";
    frames.wait_for("1", is_in).await?;
    let call = format!("CAL 2 {peer}\r\n");
    frames.stream.write_all(call.as_bytes()).await?;
    let comes = |line: &[u8]| word(line, 0) == "JOI" && roster::same(word(line, 1), peer);
    frames.wait_for("2", comes).await?;
    Ok(Upstream { board, frames })
}

/// A piece of a stream.
pub(super) enum Piece {
    Line(Vec<u8>),
    Message {
        whole: Vec<u8>,
        /// Length of the line.
        line: usize,
    },
    /// Part of a long payload; of no interest.
    Raw,
}

/// A stream cut into pieces. [`Frames::next`] may be dropped and called again.
pub(super) struct Frames<S> {
    pub(super) stream: S,
    pub(super) splitter: Splitter,
    buffer: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    pub(super) fn new(stream: S, from: Side) -> Self {
        Self {
            stream,
            splitter: Splitter::new(from),
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// The next piece, or `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let mut input = self.buffer.get(self.taken..).unwrap_or_default();
            let piece = self.splitter.next(&mut input).map(|item| match item {
                Item::Line(line) => Piece::Line(line.to_vec()),
                Item::Message { line, whole, .. } => Piece::Message {
                    whole: whole.to_vec(),
                    line: line.len(),
                },
                Item::Raw(_) => Piece::Raw,
            });
            self.taken = self.buffer.len() - input.len();
            if piece.is_some() {
                return Ok(piece);
            }
            self.buffer.clear();
            self.taken = 0;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads on until `wanted`; an error with that transaction id ends the wait.
    async fn wait_for(
        &mut self,
        trid: &str,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        loop {
            match self.next().await? {
                Some(Piece::Line(line)) if wanted(&line) => return Ok(()),
                Some(Piece::Line(line)) => {
                    let verb = word(&line, 0);
                    let error = verb.starts_with(|first: char| first.is_ascii_digit());
                    if error && word(&line, 1) == trid {
                        return Err(OpenError::Refused(verb.to_owned()));
                    }
                }
                Some(_) => {}
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            }
        }
    }

    /// What was read and not given, in order.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.splitter.take_held();
        rest.extend_from_slice(self.buffer.get(self.taken..).unwrap_or_default());
        self.buffer.clear();
        self.taken = 0;
        rest
    }
}
