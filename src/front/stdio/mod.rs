//! The front for a client that spawns us instead of being proxied: JSON Lines on standard input and
//! output. The client brings the invitation messages it receives and sends those it is given; every
//! verb and event of the control protocol comes over the same pipe. `docs/STDIO.md` is for its author.

mod accounts;
mod lines;
mod said;
mod told;

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    control::{
        answer,
        protocol::{Greeting, Happened, Line, VERSION},
    },
    dispatcher::Dispatcher,
    event::Event,
};
use accounts::Accounts;
pub use lines::{Lines, MAX_LINE, NoLine};

/// Lines for the client that wait. A `send` beyond that is undelivered.
const MAX_WAITING: usize = 1024;
/// How long an answer waits for a client that does not read. Then it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the client may take to read the last lines.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a client until its side is closed, or until `stop`. Then every invitation is ended, the
/// contacts are told through the client, and the last events are written. With `follows` the address
/// that the client tells is the one that contacts are told.
///
/// # Errors
/// When the client is gone before it closed its side, or does not read.
pub async fn serve(
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
    hub: Dispatcher,
    follows: bool,
    stop: CancellationToken,
) -> io::Result<()> {
    let (outbox, queue) = mpsc::channel(MAX_WAITING);
    let last = CancellationToken::new();
    let writing = tokio::spawn(write(output, queue, last.clone()));
    let (found, incoming) = mpsc::channel(1);
    let reading = tokio::spawn(read(input, found));
    let mut conversation = Conversation {
        accounts: Accounts::new(hub.clone(), outbox.clone(), follows),
        hub,
        outbox,
        events: None,
    };
    let result = conversation.hold(incoming, &stop).await;
    reading.abort();
    conversation.end().await;
    last.cancel();
    let written = farewell(writing).await;
    result.and(written)
}

async fn farewell(mut writing: JoinHandle<io::Result<()>>) -> io::Result<()> {
    match tokio::time::timeout(FAREWELL, &mut writing).await {
        Ok(joined) => joined.unwrap_or(Ok(())),
        Err(_) => {
            writing.abort();
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

struct Conversation {
    hub: Dispatcher,
    accounts: Accounts,
    outbox: mpsc::Sender<Vec<u8>>,
    events: Option<broadcast::Receiver<Event>>,
}

impl Conversation {
    async fn hold(
        &mut self,
        mut incoming: mpsc::Receiver<Result<String, NoLine>>,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let greeting = Greeting {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.say(&greeting).await?;
        let gone = self.outbox.clone();
        loop {
            let step = async {
                tokio::select! {
                    line = incoming.recv() => match line {
                        Some(line) => self.hear(line).await.map(|()| true),
                        None => Ok(false),
                    },
                    event = next(self.events.as_mut()) => self.tell(event).await.map(|()| true),
                }
            };
            tokio::select! {
                step = step => if !step? { return Ok(()) },
                () = gone.closed() => return Err(io::ErrorKind::BrokenPipe.into()),
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Obeys one line.
    async fn hear(&mut self, line: Result<String, NoLine>) -> io::Result<()> {
        let id = serde_json::Value::Null;
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                let error = said::unreadable(&error.to_string());
                return self.say(&Line::Refused { id, error }).await;
            }
        };
        match said::read(&line) {
            Ok(Some(request)) => match self.accounts.obey(&request) {
                Ok(ok) => self.say(&told::Answer { id: request.id, ok }).await,
                Err(error) => {
                    let id = request.id;
                    self.say(&Line::Refused { id, error }).await
                }
            },
            Ok(None) => {
                // Before the answer: what happens because of it is told.
                let subscription = self.events.is_none().then(|| self.hub.events());
                let (answer, wants_events) = answer(&self.hub, &line);
                if wants_events && self.events.is_none() {
                    self.events = subscription;
                }
                self.say(&answer).await
            }
            Err((id, error)) => self.say(&Line::Refused { id, error }).await,
        }
    }

    async fn tell(&self, event: Result<Event, RecvError>) -> io::Result<()> {
        match event {
            Ok(event) => match Happened::of(&event) {
                Some(event) => self.say(&Line::Event { event }).await,
                None => Ok(()),
            },
            Err(RecvError::Lagged(missed)) => self.say(&Line::Missed { missed }).await,
            Err(RecvError::Closed) => Ok(()),
        }
    }

    async fn say(&self, what: &impl serde::Serialize) -> io::Result<()> {
        let Some(line) = line(what) else {
            return Ok(());
        };
        match self.outbox.send_timeout(line, PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(io::ErrorKind::TimedOut.into()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The contacts are told while there is still a way to tell them.
    async fn end(&mut self) {
        self.hub.shutdown().await;
        self.accounts.end();
        let last_words = async {
            while let Some(event) = self.events.as_mut().map(broadcast::Receiver::try_recv) {
                let event = match event {
                    Ok(event) => Ok(event),
                    Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                        Err(RecvError::Lagged(missed))
                    }
                    Err(_) => return,
                };
                if self.tell(event).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, last_words).await;
    }
}

async fn next(events: Option<&mut broadcast::Receiver<Event>>) -> Result<Event, RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// One line of ours. Nothing that we write cannot be written.
fn line(what: &impl serde::Serialize) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(what).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

async fn read(mut input: impl AsyncRead + Unpin, found: mpsc::Sender<Result<String, NoLine>>) {
    let mut lines = Lines::default();
    let mut bytes = vec![0; 8 * 1024];
    loop {
        let count = input.read(&mut bytes).await.unwrap_or(0);
        let read = bytes.get(..count).unwrap_or_default();
        let told = lines.push(read).into_iter();
        let last = (count == 0).then(|| lines.end()).flatten();
        for line in told.chain(last) {
            if found.send(line).await.is_err() {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}

/// Writes what is queued, until `last`; then what is queued still.
async fn write(
    mut output: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
    last: CancellationToken,
) -> io::Result<()> {
    loop {
        let line = tokio::select! {
            line = queue.recv() => line,
            () = last.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        let Some(line) = line else {
            return Ok(());
        };
        output.write_all(&line).await?;
        output.flush().await?;
    }
}
