//! One direction of a connection: reads here, writes there, and asks a handler about what passes.
//! What is read in one go is written in one go. Things of our own go in between commands only
//! (PROTOCOL.md 12.5). A lane reads nothing while it writes, so a slow reader slows the writer down as
//! it would without us.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::account::Outgoing;
use crate::msnp::frame::{Item, Side, Splitter};

/// Bytes read in one go.
const CHUNK: usize = 16 * 1024;
/// What waits to be written between commands of one lane.
pub(super) const QUEUE: usize = 256;
/// How long the last words of a lane that is stopped may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Looks at what passes.
pub(super) trait Handler: Send {
    /// Appends to `out` what goes on: the item as it is, something else, or nothing.
    fn item(&mut self, item: Item<'_>, out: &mut Vec<u8>) -> impl Future<Output = ()> + Send;
}

/// Something of ours, whole commands, for one lane.
pub(super) struct Injection {
    pub(super) bytes: Vec<u8>,
    /// The message in it, if it is one for a peer.
    pub(super) outgoing: Option<Outgoing>,
}

impl Injection {
    /// Bytes whose loss nobody minds.
    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            outgoing: None,
        }
    }
}

/// Where a lane's injections wait.
pub(super) type Injections = (mpsc::Sender<Injection>, mpsc::Receiver<Injection>);

/// An empty queue.
pub(super) fn injections() -> Injections {
    mpsc::channel(QUEUE)
}

/// One direction.
pub(super) struct Lane<R, W, H> {
    pub(super) reading: R,
    pub(super) writing: W,
    pub(super) handler: H,
    /// Who is read.
    pub(super) from: Side,
    /// What was read already.
    pub(super) first: Vec<u8>,
    pub(super) injections: mpsc::Receiver<Injection>,
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The source said that it is done, and the destination was told.
    Finished,
    /// The source is broken: it can neither be read nor written.
    Broken,
    /// The destination takes nothing more. The lane that reads it will learn why.
    Refused,
    /// We were stopped.
    Stopped,
}

/// A lane that ended, with the messages that were not written.
struct Ended {
    end: End,
    left: Vec<Outgoing>,
}

/// Runs both lanes of a connection until both have ended. `first_ended` is called when one has: the
/// connection is of no more use for anything of ours. Gives the messages that were not written.
pub(super) async fn both<R1, W1, H1, R2, W2, H2>(
    one: Lane<R1, W1, H1>,
    other: Lane<R2, W2, H2>,
    stop: CancellationToken,
    first_ended: impl FnOnce() + Send,
) -> Vec<Outgoing>
where
    R1: AsyncRead + Unpin + Send,
    W1: AsyncWrite + Unpin + Send,
    H1: Handler,
    R2: AsyncRead + Unpin + Send,
    W2: AsyncWrite + Unpin + Send,
    H2: Handler,
{
    let (one, other) = (one.run(&stop), other.run(&stop));
    tokio::pin!(one, other);
    let (first, is_one) = tokio::select! {
        ended = &mut one => (ended, true),
        ended = &mut other => (ended, false),
    };
    first_ended();
    if first.end == End::Broken {
        stop.cancel();
    }
    let mut left = first.left;
    let second = if is_one { other.await } else { one.await };
    left.extend(second.left);
    left
}

impl<R, W, H> Lane<R, W, H>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
    H: Handler,
{
    async fn run(mut self, stop: &CancellationToken) -> Ended {
        let end = self.pass(stop).await;
        self.injections.close();
        let mut left = Vec::new();
        while let Ok(injection) = self.injections.try_recv() {
            left.extend(injection.outgoing);
        }
        Ended { end, left }
    }

    async fn pass(&mut self, stop: &CancellationToken) -> End {
        let mut splitter = Splitter::new(self.from);
        let mut chunk = vec![0; CHUNK];
        let mut out = Vec::new();
        let first = std::mem::take(&mut self.first);
        self.look(&mut splitter, &first, &mut out).await;
        loop {
            if !out.is_empty() {
                let written = tokio::select! {
                    biased;
                    written = self.writing.write_all(&out) => written,
                    () = stop.cancelled() => return End::Stopped,
                };
                if written.is_err() {
                    return End::Refused;
                }
                out.clear();
                out.shrink_to(2 * CHUNK);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let last_words = self.last_words(&splitter);
                    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
                    return End::Stopped;
                }
                Some(injection) = self.injections.recv(), if splitter.at_boundary() => {
                    out.extend_from_slice(&injection.bytes);
                }
                read = self.reading.read(&mut chunk) => match read {
                    Ok(count) if count > 0 => {
                        let input = chunk.get(..count).unwrap_or_default();
                        self.look(&mut splitter, input, &mut out).await;
                    }
                    ended => {
                        out.append(&mut splitter.take_held());
                        let finish = async {
                            self.writing.write_all(&out).await?;
                            self.writing.shutdown().await
                        };
                        let finished = tokio::select! {
                            finished = finish => finished,
                            () = stop.cancelled() => return End::Stopped,
                        };
                        return match (ended, finished) {
                            (Err(_), _) => End::Broken,
                            (Ok(_), Ok(())) => End::Finished,
                            (Ok(_), Err(_)) => End::Refused,
                        };
                    }
                },
            }
        }
    }

    async fn look(&mut self, splitter: &mut Splitter, mut input: &[u8], out: &mut Vec<u8>) {
        while let Some(item) = splitter.next(&mut input) {
            self.handler.item(item, out).await;
            // What the item led to goes right behind it, before what was read with it.
            while splitter.at_boundary()
                && let Ok(injection) = self.injections.try_recv()
            {
                out.extend_from_slice(&injection.bytes);
            }
        }
    }

    /// What was queued before the end still goes out.
    async fn last_words(&mut self, splitter: &Splitter) -> std::io::Result<()> {
        self.injections.close();
        while let Some(injection) = self.injections.recv().await {
            if splitter.at_boundary() {
                self.writing.write_all(&injection.bytes).await?;
            }
        }
        self.writing.shutdown().await
    }
}
