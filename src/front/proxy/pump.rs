//! One direction of a connection: reads here, writes there, and asks a handler about what passes.
//! What is read in one go is written in one go. Things of our own go in between commands only
//! (PROTOCOL.md 12.5). A lane reads nothing while it writes, so a slow reader slows the writer down as
//! it would without us. A lane that waits holds no buffer: most connections are idle most of the time.

use std::{future::poll_fn, io, pin::Pin, task::ready, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::{io::poll_read_buf, sync::CancellationToken};

use super::outbox::Outbox;
use crate::msnp::frame::{Item, Side, Splitter};

/// Bytes read in one go. Fewer cost more calls of the system (docs/PERFORMANCE.md).
const CHUNK: usize = 64 * 1024;
/// How long the last words of a lane that is stopped may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on as it is.
    Passes,
    /// It goes on as it is, and behind it, if it ends a command, goes what we have to say.
    Told,
    /// What the handler wrote goes on in its place.
    Replaced,
}

/// Looks at what passes.
pub(super) trait Handler: Send {
    /// Says what becomes of the item; what goes on in its place, if anything, is appended to `instead`.
    fn item(&mut self, item: Item<'_>, instead: &mut Vec<u8>) -> impl Future<Output = Fate> + Send;
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
    /// What of ours goes in between commands.
    pub(super) outbox: Outbox,
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The source said that it is done, and the destination was told.
    Finished,
    /// The source is broken: it can neither be read nor written.
    Broken,
    /// The destination takes nothing more. The lane that reads it will learn why.
    Refused,
    /// We were stopped.
    Stopped,
}

/// Runs both lanes of a connection until both have ended. `first_ended` is called when one has: the
/// connection is of no more use for anything of ours, except for the last words of who was stopped.
pub(super) async fn both<R1, W1, H1, R2, W2, H2>(
    one: Lane<R1, W1, H1>,
    other: Lane<R2, W2, H2>,
    stop: CancellationToken,
    first_ended: impl FnOnce(End) + Send,
) where
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
    first_ended(first);
    if first == End::Broken {
        stop.cancel();
    }
    if is_one {
        other.await;
    } else {
        one.await;
    }
}

impl<R, W, H> Lane<R, W, H>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
    H: Handler,
{
    async fn run(mut self, stop: &CancellationToken) -> End {
        let end = self.pass(stop).await;
        self.outbox.close();
        end
    }

    /// Messages of ours that are not known to have been written when it ends stay in the outbox.
    ///
    /// While it writes it does not see that its source has gone. That ends when the destination reads
    /// or goes, when the other lane finds its source broken, and with everything: what a destination
    /// holds that neither reads nor ends is two sockets, for as long as it holds its own.
    async fn pass(&mut self, stop: &CancellationToken) -> End {
        let mut splitter = Splitter::new(self.from);
        let first = std::mem::take(&mut self.first);
        let mut out = self.look(&mut splitter, first).await;
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
                out = Vec::new();
                self.outbox.written();
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let last_words = self.last_words(&splitter);
                    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
                    return End::Stopped;
                }
                Some(bytes) = self.outbox.next(), if splitter.at_boundary() => out = bytes,
                read = read(&mut self.reading) => match read {
                    Ok(input) if !input.is_empty() => {
                        out = self.look(&mut splitter, input).await;
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

    /// Gives what goes on of what was read: mostly the same, and then in the same place.
    async fn look(&mut self, splitter: &mut Splitter, mut read: Vec<u8>) -> Vec<u8> {
        let was_blind = splitter.is_blind();
        let mut input = read.as_slice();
        // So much from its front goes on as it is. From the first thing on that does not, all is copied.
        let mut same = 0;
        let mut copy: Option<Vec<u8>> = None;
        let mut instead = Vec::new();
        let begin = |same| read.get(..same).unwrap_or_default().to_vec();
        while let Some(item) = splitter.next(&mut input) {
            let fate = self.handler.item(item, &mut instead).await;
            let end = read.len() - input.len();
            let bytes = item.bytes();
            match fate {
                // One that began in an earlier read does not stand here as a whole.
                Fate::Passes | Fate::Told if copy.is_none() && same + bytes.len() == end => {
                    same = end
                }
                Fate::Passes | Fate::Told => copy
                    .get_or_insert_with(|| begin(same))
                    .extend_from_slice(bytes),
                Fate::Replaced => copy.get_or_insert_with(|| begin(same)).append(&mut instead),
            }
            // What the item led to goes right behind it, before what was read with it; and what waited
            // for the end of a payload, when the read ends in the next one.
            while fate != Fate::Passes
                && splitter.at_boundary()
                && let Some(bytes) = self.outbox.next_now()
            {
                copy.get_or_insert_with(|| begin(same))
                    .extend_from_slice(&bytes);
            }
        }
        if splitter.is_blind() && !was_blind {
            tracing::warn!(from = ?self.from, "proxy: this is no MSNP; the rest passes unread");
        }
        copy.unwrap_or_else(|| {
            read.truncate(same);
            read
        })
    }

    /// What was queued before the end still goes out, if a command has just ended.
    async fn last_words(&mut self, splitter: &Splitter) -> io::Result<()> {
        self.outbox.close();
        while splitter.at_boundary()
            && let Some(bytes) = self.outbox.next().await
        {
            self.writing.write_all(&bytes).await?;
            self.outbox.written();
        }
        self.writing.shutdown().await
    }
}

/// Reads once and gives what came, nothing at the end. While nothing comes it holds no buffer. May be
/// dropped and called again.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    poll_fn(|context| {
        let mut buffer = Vec::with_capacity(CHUNK);
        ready!(poll_read_buf(Pin::new(&mut *from), context, &mut buffer))?;
        Ok(buffer).into()
    })
    .await
}
