//! What of ours waits to be put into one lane. Whoever knows that the connection is of no more use
//! takes it back, so that a message has one owner: it is written here, or sent by another way.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::ready,
};

use tokio::sync::mpsc;

use super::{account::Outgoing, lock};

/// What waits to be written between commands of one lane.
pub(super) const QUEUE: usize = 256;

/// Something of ours, whole commands, for one lane.
pub(super) struct Injection {
    pub(super) bytes: Vec<u8>,
    /// The message in it, if it is one for a peer. Boxed, because every queue keeps room for several
    /// injections, and there are two queues to a connection.
    pub(super) outgoing: Option<Box<Outgoing>>,
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

/// The lane's end of the queue. All clones are one.
#[derive(Clone)]
pub(super) struct Outbox(Arc<Mutex<Waiting>>);

struct Waiting {
    queue: mpsc::Receiver<Injection>,
    /// Messages that are being written.
    unwritten: Vec<Outgoing>,
}

/// An empty queue.
pub(super) fn outbox() -> (mpsc::Sender<Injection>, Outbox) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let waiting = Waiting {
        queue,
        unwritten: Vec::new(),
    };
    (sender, Outbox(Arc::new(Mutex::new(waiting))))
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.0)
    }

    /// The next bytes to write, or `None` when nothing can come any more. May be dropped and called
    /// again.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            let mut waiting = self.waiting();
            let injection = ready!(waiting.queue.poll_recv(context));
            injection.map(|injection| waiting.begin(injection)).into()
        })
        .await
    }

    /// The next bytes to write, if there are any now.
    pub(super) fn next_now(&self) -> Option<Vec<u8>> {
        let mut waiting = self.waiting();
        let injection = waiting.queue.try_recv().ok()?;
        Some(waiting.begin(injection))
    }

    /// All bytes that were given have been written.
    pub(super) fn written(&self) {
        self.waiting().unwritten.clear();
    }

    /// Nothing more comes in.
    pub(super) fn close(&self) {
        self.waiting().queue.close();
    }

    /// Closes it and gives the messages that are not known to have been written, oldest first. They
    /// are the caller's now.
    pub(super) fn take_back(&self) -> Vec<Outgoing> {
        let mut waiting = self.waiting();
        waiting.queue.close();
        let mut left = std::mem::take(&mut waiting.unwritten);
        while let Ok(injection) = waiting.queue.try_recv() {
            left.extend(injection.outgoing.map(|boxed| *boxed));
        }
        left
    }
}

impl Waiting {
    fn begin(&mut self, injection: Injection) -> Vec<u8> {
        self.unwritten
            .extend(injection.outgoing.map(|boxed| *boxed));
        injection.bytes
    }
}
