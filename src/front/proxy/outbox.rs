//! What of ours waits to be put into one lane. Whoever knows that the connection is of no more use
//! takes it back, so that a message has one owner: it is written here, or sent by another way.
//!
//! Not a channel of tokio's: one keeps room for 32 messages from its beginning on, and nearly every
//! connection is idle nearly always.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
};

use super::{account::Outgoing, lock};

/// What waits to be written between commands of one lane, at most.
pub(super) const QUEUE: usize = 256;

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

/// A queue. All clones are one.
#[derive(Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Injection>,
    /// Messages that are being written.
    unwritten: Vec<Outgoing>,
    closed: bool,
    /// The lane, if it waits.
    lane: Option<Waker>,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.0)
    }

    /// Puts something in. Gives it back when it is full or closed.
    pub(super) fn put(&self, injection: Injection) -> Result<(), Injection> {
        let mut waiting = self.waiting();
        if waiting.closed || waiting.queue.len() >= QUEUE {
            return Err(injection);
        }
        waiting.queue.push_back(injection);
        let lane = waiting.lane.take();
        drop(waiting);
        if let Some(lane) = lane {
            lane.wake();
        }
        Ok(())
    }

    /// The next bytes to write, or `None` when it is closed and empty. May be dropped and called again.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            let mut waiting = self.waiting();
            match waiting.begin() {
                None if !waiting.closed => {
                    waiting.lane = Some(context.waker().clone());
                    Poll::Pending
                }
                next => Poll::Ready(next),
            }
        })
        .await
    }

    /// The next bytes to write, if there are any now.
    pub(super) fn next_now(&self) -> Option<Vec<u8>> {
        self.waiting().begin()
    }

    /// All bytes that were given have been written.
    pub(super) fn written(&self) {
        self.waiting().unwritten.clear();
    }

    /// Nothing more comes in.
    pub(super) fn close(&self) {
        self.waiting().close();
    }

    /// Closes it and gives the messages that are not known to have been written, oldest first. They
    /// are the caller's now.
    pub(super) fn take_back(&self) -> Vec<Outgoing> {
        let mut waiting = self.waiting();
        waiting.close();
        let mut left = std::mem::take(&mut waiting.unwritten);
        let queue = std::mem::take(&mut waiting.queue);
        left.extend(queue.into_iter().filter_map(|it| it.outgoing));
        left
    }
}

impl Waiting {
    fn begin(&mut self) -> Option<Vec<u8>> {
        let injection = self.queue.pop_front()?;
        if self.queue.is_empty() {
            // An idle connection needs no room for what was said once.
            self.queue = VecDeque::new();
        }
        self.unwritten.extend(injection.outgoing);
        Some(injection.bytes)
    }

    fn close(&mut self) {
        self.closed = true;
        if let Some(lane) = self.lane.take() {
            lane.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Injection {
        Injection::plain(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn what_is_put_in_comes_out_in_its_order_and_wakes_who_waits() {
        let outbox = Outbox::default();
        let waits = tokio::spawn({
            let outbox = outbox.clone();
            async move {
                (
                    outbox.next().await,
                    outbox.next().await,
                    outbox.next().await,
                )
            }
        });
        tokio::task::yield_now().await;
        assert!(outbox.put(plain("one")).is_ok());
        assert!(outbox.put(plain("two")).is_ok());
        tokio::task::yield_now().await;
        outbox.close();
        assert!(outbox.put(plain("late")).is_err());
        let (one, two, end) = waits.await.unwrap();
        assert_eq!(
            (one.unwrap(), two.unwrap(), end),
            (b"one".to_vec(), b"two".to_vec(), None)
        );
    }

    #[test]
    fn it_is_full_at_its_limit_and_has_room_again() {
        let outbox = Outbox::default();
        for _ in 0..QUEUE {
            assert!(outbox.put(plain("x")).is_ok());
        }
        assert_eq!(outbox.put(plain("more")).unwrap_err().bytes, b"more");
        assert!(outbox.next_now().is_some());
        assert!(outbox.put(plain("more")).is_ok());
    }
}
