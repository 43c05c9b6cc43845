//! The front for a client that starts us itself: it gives us the invitation messages that it
//! receives, and sends those that we give it. JSON Lines on standard input and output;
//! `docs/STDIO.md` is for authors of clients.

mod client;
mod lines;
pub mod protocol;

use std::{
    io::{self, Read},
    net::Ipv4Addr,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    sync::{broadcast, mpsc},
    task::JoinHandle,
};

use self::{
    client::Client,
    lines::{Lines, NoLine},
    protocol::{Told, Verdicts},
};
use crate::{
    control::{
        self,
        protocol::{Greeting, Happened, Line, Refusal, VERSION},
    },
    dispatcher::{Dispatcher, Invitations as _},
    event::Event,
    msnp::roster::{bare, is_word},
};

/// Most lines that wait until the client reads them.
const MAX_WAITING: usize = 4096;
/// How long a client may take to read the last lines.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why serving ended before the client did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StdioError {
    /// It does not read what it is told.
    #[error("the client does not read: {MAX_WAITING} lines wait for it")]
    Deaf,
    /// Standard output is gone.
    #[error("cannot write to the client: {0}")]
    Write(#[from] io::Error),
}

/// Lines for the client, in order.
pub(crate) type Outbox = mpsc::Sender<Vec<u8>>;

/// Serves one client until its side of `input` is closed or `stop` is done, then ends every invitation
/// and lets it know. With `follow` contacts are told the address that the client names.
///
/// # Errors
/// When the client cannot be served any more; every invitation has ended then, too.
pub async fn serve(
    dispatcher: &Dispatcher,
    follow: bool,
    input: impl Read + Send + 'static,
    output: impl tokio::io::AsyncWrite + Unpin + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), StdioError> {
    let (outbox, letters) = mpsc::channel(MAX_WAITING);
    let writing = tokio::spawn(write(letters, output));
    let greeting = Greeting {
        protocol: VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut session = Session {
        dispatcher,
        follow,
        outbox: outbox.clone(),
        client: None,
        events: None,
    };
    let served = match session.say(&greeting) {
        Ok(()) => session.run(read(input), stop).await,
        Err(error) => Err(error),
    };
    dispatcher.shutdown().await;
    session.last_events();
    if let Some(client) = session.client.take() {
        dispatcher.detach(client.account);
    }
    drop((session, outbox));
    let written = farewell(writing).await;
    served?;
    // A client that has closed its side may be gone altogether.
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Waits until everything is written, but not for ever: a client that does not read must not keep us.
async fn farewell(mut writing: JoinHandle<io::Result<()>>) -> io::Result<()> {
    match tokio::time::timeout(FAREWELL, &mut writing).await {
        Ok(written) => written.unwrap_or_else(|error| Err(io::Error::other(error))),
        Err(_) => {
            writing.abort();
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

struct Session<'a> {
    dispatcher: &'a Dispatcher,
    follow: bool,
    outbox: Outbox,
    client: Option<Client>,
    events: Option<broadcast::Receiver<Event>>,
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut lines: mpsc::Receiver<Result<String, NoLine>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), StdioError> {
        tokio::pin!(stop);
        let outbox = self.outbox.clone();
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(Ok(line)) => self.line(&line)?,
                    // It was left out; the next one is read as if nothing had been.
                    Some(Err(why)) => {
                        self.refuse(serde_json::Value::Null, "unreadable", &why.to_string())?;
                    }
                    None => return Ok(()),
                },
                event = next(self.events.as_mut()) => match event {
                    Ok(event) => self.event(&event)?,
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        self.say(&Line::Missed { missed })?;
                    }
                    Err(broadcast::error::RecvError::Closed) => self.events = None,
                },
                // Nobody reads any more.
                () = outbox.closed() => {
                    return Err(StdioError::Write(io::ErrorKind::BrokenPipe.into()));
                }
                () = &mut stop => return Ok(()),
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<(), StdioError> {
        // What is no report of a client's is a request as on the control socket.
        let told = match protocol::read(line) {
            Ok(Some(told)) => told,
            Ok(None) => return self.request(line),
            Err((id, why)) => return self.refuse(id, "unreadable", &why),
        };
        let id = told.id;
        if told.what.peer().is_some_and(|peer| !is_handle(peer)) {
            let message = "a contact is an address, such as alice@example.com";
            return self.refuse(id, "no-contact", message);
        }
        match (told.what, &self.client) {
            (Told::SignedIn { account, own_ip }, None) => self.sign_in(id, &account, own_ip),
            (Told::SignedIn { .. }, Some(_)) => {
                self.refuse(id, "signed-in", "an account is signed in already")
            }
            (Told::SignedOut, Some(client)) => {
                self.dispatcher.detach(client.account);
                self.client = None;
                self.done(id)
            }
            (_, None) => self.refuse(id, "nobody-signed-in", "tell \"signed-in\" first"),
            (Told::Message { from, payload }, Some(client)) => {
                let verdict = self
                    .dispatcher
                    .received(client.account, bare(&from), &payload);
                self.verdict(id, verdict.into())
            }
            (Told::Typed { to, text }, Some(client)) => {
                let verdict = self.dispatcher.typed(client.account, bare(&to), &text);
                self.verdict(id, verdict.into())
            }
            (Told::Left { peer }, Some(client)) => {
                self.dispatcher.carrier_lost(client.account, bare(&peer));
                self.done(id)
            }
            (Told::Undelivered { delivery }, Some(client)) => {
                let delivery = crate::dispatcher::Delivery(delivery.0);
                self.dispatcher.undelivered(client.account, delivery);
                self.done(id)
            }
        }
    }

    fn sign_in(
        &mut self,
        id: serde_json::Value,
        account: &str,
        own_ip: Option<Ipv4Addr>,
    ) -> Result<(), StdioError> {
        if !is_handle(account) {
            return self.refuse(
                id,
                "no-account",
                "an account is an address, such as me@example.com",
            );
        }
        let own_ip = own_ip.filter(|_| self.follow);
        let carrier = client::Window::new(self.outbox.clone(), own_ip);
        let known = self.dispatcher.attach(bare(account), Arc::new(carrier));
        self.client = Some(Client { account: known });
        self.done(id)
    }

    fn request(&mut self, line: &str) -> Result<(), StdioError> {
        // Before the answer: what happens because of it is told.
        let subscription = self.events.is_none().then(|| self.dispatcher.events());
        let (answer, wants_events) = control::answer(self.dispatcher, line);
        if wants_events && self.events.is_none() {
            self.events = subscription;
        }
        self.say(&answer)
    }

    fn event(&self, event: &Event) -> Result<(), StdioError> {
        match Happened::of(event) {
            Some(event) => self.say(&Line::Event { event }),
            None => Ok(()),
        }
    }

    fn last_events(&mut self) {
        let mut events = self.events.take();
        while let Some(Ok(event)) = events.as_mut().map(broadcast::Receiver::try_recv) {
            if self.event(&event).is_err() {
                return;
            }
        }
    }

    fn verdict(&self, id: serde_json::Value, verdict: Verdicts) -> Result<(), StdioError> {
        self.say(&protocol::Answer { id, verdict })
    }

    fn done(&self, id: serde_json::Value) -> Result<(), StdioError> {
        self.say(&Line::Done {
            id,
            ok: control::protocol::Done::default(),
        })
    }

    fn refuse(&self, id: serde_json::Value, reason: &str, message: &str) -> Result<(), StdioError> {
        let error = Refusal {
            reason: reason.to_owned(),
            message: crate::shown::line(message, 200),
        };
        self.say(&Line::Refused { id, error })
    }

    fn say(&self, line: &impl serde::Serialize) -> Result<(), StdioError> {
        queue(&self.outbox, line)
    }
}

/// An address that can stand in a command; a machine may follow it.
fn is_handle(text: &str) -> bool {
    bare(text).contains('@') && is_word(text)
}

/// Queues a line for the client.
fn queue(outbox: &Outbox, line: &impl serde::Serialize) -> Result<(), StdioError> {
    let mut bytes = serde_json::to_vec(line).map_err(io::Error::from)?;
    bytes.push(b'\n');
    outbox.try_send(bytes).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => StdioError::Deaf,
        mpsc::error::TrySendError::Closed(_) => StdioError::Write(io::ErrorKind::BrokenPipe.into()),
    })
}

async fn next(
    events: Option<&mut broadcast::Receiver<Event>>,
) -> Result<Event, broadcast::error::RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn write(
    mut letters: mpsc::Receiver<Vec<u8>>,
    mut output: impl tokio::io::AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(bytes) = letters.recv().await {
        output.write_all(&bytes).await?;
        if letters.is_empty() {
            output.flush().await?;
        }
    }
    Ok(())
}

/// Reads in a thread of its own: a terminal or a pipe cannot be waited for otherwise, and must not
/// hold up the end of the process.
fn read(mut input: impl Read + Send + 'static) -> mpsc::Receiver<Result<String, NoLine>> {
    let (sender, found) = mpsc::channel(1);
    thread::spawn(move || {
        let mut lines = Lines::default();
        let mut bytes = vec![0; 8 * 1024];
        loop {
            let count = match input.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got.unwrap_or(0),
            };
            let whole = lines.push(bytes.get(..count).unwrap_or_default());
            let last = (count == 0).then(|| lines.end()).flatten();
            for line in whole.into_iter().chain(last) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
            if count == 0 {
                return;
            }
        }
    });
    found
}
