//! The other end of the control socket: what the command line uses, and another program may.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
};

use super::protocol::{Done, Greeting, Happened, Line, Request, VERSION, Verb};
use crate::endpoint::socket;

/// How long it may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// A connection to a running `msn-handoff`.
#[derive(Debug)]
pub struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    last: u64,
    /// Events that came while an answer was waited for.
    early: Vec<Happened>,
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "msn-handoff is not running (nobody listens at {0}); start it with `msn-handoff proxy`"
    )]
    NotRunning(String),
    /// It is a version that we do not understand.
    #[error(
        "the running msn-handoff speaks version {0} of the control protocol, this one {VERSION}"
    )]
    Version(u32),
    /// It said no; its sentence.
    #[error("{message}")]
    Refused {
        /// The word for programs.
        reason: String,
        /// The sentence for people.
        message: String,
    },
    /// Something else answers there.
    #[error("what answers there is no msn-handoff: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The connection broke.
    #[error("the connection to msn-handoff broke: {0}")]
    Io(#[from] io::Error),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody we understand is there.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = socket::unix_connect(path)
            .await
            .map_err(|_| ClientError::NotRunning(path.display().to_string()))?;
        let (reader, writer) = stream.into_split();
        let mut client = Self {
            lines: BufReader::new(reader).lines(),
            writer,
            last: 0,
            early: Vec::new(),
        };
        let greeting = tokio::time::timeout(GREETING, client.line())
            .await
            .map_err(|_| ClientError::NotRunning(path.display().to_string()))??;
        if let Ok(Line::Refused { error, .. }) = serde_json::from_str(&greeting) {
            return Err(ClientError::Refused {
                reason: error.reason,
                message: error.message,
            });
        }
        let greeting: Greeting = serde_json::from_str(&greeting)?;
        if greeting.protocol != VERSION {
            return Err(ClientError::Version(greeting.protocol));
        }
        Ok(client)
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// When it was not done.
    pub async fn ask(&mut self, verb: Verb) -> Result<Done, ClientError> {
        self.last += 1;
        let ours = serde_json::Value::from(self.last);
        let request = Request {
            id: ours.clone(),
            verb,
        };
        let mut bytes = serde_json::to_vec(&request)?;
        bytes.push(b'\n');
        self.writer.write_all(&bytes).await?;
        loop {
            match serde_json::from_str(&self.line().await?)? {
                Line::Done { id, ok } if id == ours => return Ok(ok),
                Line::Refused { error, .. } => {
                    return Err(ClientError::Refused {
                        reason: error.reason,
                        message: error.message,
                    });
                }
                Line::Event { event } => self.early.push(event),
                Line::Done { .. } | Line::Missed { .. } => {}
            }
        }
    }

    /// The next event, after [`Verb::Events`].
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn event(&mut self) -> Result<Happened, ClientError> {
        if !self.early.is_empty() {
            return Ok(self.early.remove(0));
        }
        loop {
            match serde_json::from_str(&self.line().await?)? {
                Line::Event { event } => return Ok(event),
                Line::Missed { missed } => tracing::warn!(missed, "events are missing"),
                Line::Done { .. } | Line::Refused { .. } => {}
            }
        }
    }

    async fn line(&mut self) -> Result<String, ClientError> {
        let line = self.lines.next_line().await?;
        line.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}
