//! One connection of the client: questions with their answers, and what comes unasked.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ClientError, PATIENCE};
use crate::{
    demo::wire::{Frame, FrameReader, Side},
    endpoint::socket,
};

/// A connection: questions with their answers, and what comes unasked.
pub(super) struct Line {
    queue: mpsc::UnboundedSender<Option<Vec<u8>>>,
    pending: Arc<Mutex<HashMap<u32, oneshot::Sender<Frame>>>>,
    next: AtomicU32,
    /// Cancelled when the connection has ended; cancelling it ends the connection.
    pub(super) closed: CancellationToken,
}

impl Line {
    /// Connects, and gives the line and what comes unasked. Nothing is read while `reads` is false.
    pub(super) async fn connect(
        addr: SocketAddr,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
        mut reads: watch::Receiver<bool>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Frame>), ClientError> {
        let failed = |source| ClientError::Connect { addr, source };
        let stream: TcpStream = socket::tcp_connect(addr, PATIENCE).await.map_err(failed)?;
        let (reading, writing) = stream.into_split();
        let (queue, queued) = mpsc::unbounded_channel();
        let (unasked, frames) = mpsc::unbounded_channel();
        let line = Self {
            queue,
            pending: Arc::default(),
            next: AtomicU32::new(1),
            closed: cancel.child_token(),
        };
        let closed = line.closed.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = write_all(writing, queued) => {}
            }
        });
        let (closed, pending) = (line.closed.clone(), Arc::clone(&line.pending));
        tasks.spawn(async move {
            let mut reader = FrameReader::new(reading, Side::Server);
            loop {
                let reading = async {
                    // A client that is gone has closed the line.
                    let _ = reads.wait_for(|reads| *reads).await;
                    reader.next().await
                };
                let next = tokio::select! {
                    () = closed.cancelled() => break,
                    next = reading => next,
                };
                let Ok(Some(frame)) = next else { break };
                let asked = answers(&frame).and_then(|trid| lock(&pending).remove(&trid));
                match asked {
                    // Both may have stopped listening; then it is of no interest.
                    Some(asker) => drop(asker.send(frame)),
                    None => drop(unasked.send(frame)),
                }
            }
            closed.cancel();
            lock(&pending).clear();
        });
        Ok((line, frames))
    }

    /// Sends a command and does not wait.
    pub(super) fn tell(&self, command: impl FnOnce(u32) -> Vec<u8>) {
        let trid = self.next.fetch_add(1, Ordering::Relaxed);
        let _ = self.queue.send(Some(command(trid)));
    }

    /// Sends a command without payload and waits for the reply with its number.
    pub(super) async fn ask(
        &self,
        verb: &'static str,
        command: impl FnOnce(u32) -> String,
    ) -> Result<Frame, ClientError> {
        self.ask_bytes(verb, |trid| command(trid).into_bytes())
            .await
    }

    /// Sends a command and waits for the reply with its number.
    pub(super) async fn ask_bytes(
        &self,
        verb: &'static str,
        command: impl FnOnce(u32) -> Vec<u8>,
    ) -> Result<Frame, ClientError> {
        let trid = self.next.fetch_add(1, Ordering::Relaxed);
        let (asker, answer) = oneshot::channel();
        lock(&self.pending).insert(trid, asker);
        let _ = self.queue.send(Some(command(trid)));
        tokio::select! {
            // An answer that came with the end of the connection counts.
            biased;
            answer = tokio::time::timeout(PATIENCE, answer) => match answer {
                Ok(Ok(frame)) => Ok(frame),
                Ok(Err(_)) => Err(ClientError::Closed),
                Err(_) => Err(ClientError::Silence { verb }),
            },
            () = self.closed.cancelled() => Err(ClientError::Closed),
        }
    }

    /// Says goodbye and closes after what is queued.
    pub(super) fn end(&self) {
        let _ = self.queue.send(Some(b"OUT\r\n".to_vec()));
        let _ = self.queue.send(None);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes until told to stop; then the other side sees the end and closes.
async fn write_all(
    mut writing: OwnedWriteHalf,
    mut queued: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
) {
    while let Some(Some(bytes)) = queued.recv().await {
        if writing.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = writing.shutdown().await;
}

/// The number of the command this answers, if it is an answer.
fn answers(frame: &Frame) -> Option<u32> {
    const UNASKED: &[&str] = &[
        "RNG", "NLN", "FLN", "ILN", "MSG", "JOI", "BYE", "IRO", "OUT", "QNG", "UBX", "CHL", "NOT",
    ];
    if UNASKED.contains(&frame.verb()) {
        return None;
    }
    frame.word(1).parse().ok()
}
