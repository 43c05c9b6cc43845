//! The control socket: a Unix socket that only its owner can use, JSON Lines.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        mpsc,
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    answer,
    protocol::{self, Greeting, Happened, Line, MAX_LINE, Refusal, VERSION},
};
use crate::{
    dispatcher::Dispatcher,
    endpoint::socket,
    event::Event,
    runtime_folder::{make_private, runtime_folder},
};

/// Most clients at a time.
const MAX_CLIENTS: usize = 32;
/// How long an accept that failed is left alone.
const PAUSE: Duration = Duration::from_millis(200);
/// How often is looked whether a client that only listens is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a client may take to read the last lines.
const FAREWELL: Duration = Duration::from_secs(1);

/// `$XDG_RUNTIME_DIR/msn-handoff/control`
#[must_use]
pub fn usual_place() -> PathBuf {
    runtime_folder().join("control")
}

/// A bound control socket. When this is dropped, it is removed, if it was made here.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: Option<PathBuf>,
}

impl From<UnixListener> for Door {
    /// One that the service manager made, and keeps.
    fn from(listener: UnixListener) -> Self {
        Self {
            listener,
            path: None,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Door {
    /// Binds it, in a folder that is ours alone.
    ///
    /// # Errors
    /// When somebody listens there already ([`io::ErrorKind::AddrInUse`]), the folder is somebody
    /// else's, or as the system says.
    pub async fn open(path: &Path) -> io::Result<Self> {
        make_private(path.parent().unwrap_or(path))?;
        Ok(Self {
            listener: socket::unix_listen(path).await?,
            path: Some(path.to_owned()),
        })
    }

    /// Serves clients until `stop`.
    pub async fn serve(self, dispatcher: Dispatcher, stop: CancellationToken) {
        let mut clients = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = clients.join_next() => continue,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) if !is_ours(&stream) => {
                    tracing::warn!("control: somebody else's process was turned away");
                }
                Ok((stream, _)) if clients.len() >= MAX_CLIENTS => {
                    tracing::warn!("control: too many clients");
                    turn_away(&stream);
                }
                Ok((stream, _)) => {
                    clients.spawn(serve(stream, dispatcher.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "control: no client could be let in");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let all = async { while clients.join_next().await.is_some() {} };
        // Who does not read is left behind.
        let _ = tokio::time::timeout(FAREWELL * 2, all).await;
    }
}

/// Tells one client too many what is wrong, if it takes that at once.
fn turn_away(stream: &UnixStream) {
    let error = Refusal {
        reason: "busy".to_owned(),
        message: format!("{MAX_CLIENTS} others are connected already"),
    };
    let id = serde_json::Value::Null;
    if let Ok(mut bytes) = serde_json::to_vec(&Line::Refused { id, error }) {
        bytes.push(b'\n');
        let _ = stream.try_write(&bytes);
    }
}

/// Whether our user's process is there. Root may do anything to us in any case.
fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|there| [0, geteuid().as_raw()].contains(&there.uid()))
}

async fn serve(stream: UnixStream, dispatcher: Dispatcher, stop: CancellationToken) {
    // An error is a client that has left.
    let _ = converse(stream, &dispatcher, &stop).await;
}

async fn converse(
    stream: UnixStream,
    dispatcher: &Dispatcher,
    stop: &CancellationToken,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let greeting = Greeting {
        protocol: VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    write(&mut writer, &greeting).await?;
    let (lines, mut incoming) = mpsc::channel(1);
    let mut reading = JoinSet::new();
    reading.spawn(read(reader, lines));
    let mut events: Option<broadcast::Receiver<Event>> = None;
    let mut said_all = false;
    loop {
        tokio::select! {
            line = incoming.recv(), if !said_all => match line {
                Some(Ok(line)) => {
                    // Before the answer: what happens because of it is told.
                    let subscription = events.is_none().then(|| dispatcher.events());
                    let (answer, wants_events) = answer(dispatcher, &line);
                    if wants_events && events.is_none() {
                        events = subscription;
                    }
                    write(&mut writer, &answer).await?;
                }
                Some(Err(refusal)) => {
                    let id = serde_json::Value::Null;
                    write(&mut writer, &Line::Refused { id, error: refusal }).await?;
                    writer.shutdown().await?;
                    // What it still writes is taken, or the system would take our words back.
                    let _ = tokio::time::timeout(FAREWELL, reading.join_next()).await;
                    return Ok(());
                }
                // Who only listens may have closed its side; it is gone when a line cannot be written.
                None if events.is_none() => return Ok(()),
                None => said_all = true,
            },
            // Nothing else tells that it is gone while nothing happens.
            () = tokio::time::sleep(LOOK_EVERY), if said_all => {
                if is_gone(&writer) {
                    return Ok(());
                }
            }
            event = next(events.as_mut()) => match event {
                Ok(event) => tell(&mut writer, &event).await?,
                Err(RecvError::Lagged(missed)) => {
                    write(&mut writer, &Line::Missed { missed }).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            () = stop.cancelled() => break,
        }
    }
    let last_words = async {
        while let Some(events) = &mut events {
            match events.try_recv() {
                Ok(event) => tell(&mut writer, &event).await?,
                Err(TryRecvError::Lagged(missed)) => {
                    write(&mut writer, &Line::Missed { missed }).await?;
                }
                Err(_) => break,
            }
        }
        Ok(())
    };
    let told = tokio::time::timeout(FAREWELL, last_words).await;
    told.unwrap_or(Ok(()))
}

/// Whether nobody is at the other end any more; one that only writes nothing more is there.
fn is_gone(writer: &OwnedWriteHalf) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut asked = [PollFd::new(writer.as_ref(), PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let found = poll(&mut asked, Some(&at_once)).is_ok();
    found
        && asked
            .iter()
            .any(|it| it.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

async fn next(events: Option<&mut broadcast::Receiver<Event>>) -> Result<Event, RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn tell(writer: &mut OwnedWriteHalf, event: &Event) -> io::Result<()> {
    match Happened::of(event) {
        Some(event) => write(writer, &Line::Event { event }).await,
        None => Ok(()),
    }
}

async fn write(writer: &mut OwnedWriteHalf, line: &impl serde::Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await
}

/// Reads lines until there are no more, or one that no client of ours would write.
async fn read(reader: OwnedReadHalf, lines: mpsc::Sender<Result<String, Refusal>>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut bytes = Vec::new();
        let most = u64::try_from(MAX_LINE)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let read = (&mut reader).take(most).read_until(b'\n', &mut bytes).await;
        if read.is_err() || bytes.is_empty() {
            return;
        }
        let line = protocol::line(bytes);
        let is_last = line.is_err();
        let line = line.map_err(|message| Refusal {
            reason: "unreadable".to_owned(),
            message,
        });
        if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
            continue;
        }
        if lines.send(line).await.is_err() {
            return;
        }
        if is_last {
            let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            return;
        }
    }
}
