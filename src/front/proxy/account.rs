//! One signed-in client: its switchboards, and what the dispatcher can ask of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use tokio::sync::{mpsc, oneshot};

use super::{Hub, opening, switchboard};
use crate::{
    dispatcher::{AccountId, Carrier, Delivery},
    msnp,
};

/// Most lines that wait for a window with one contact.
const MAX_LINES: usize = 20;
/// Most messages that wait for a switchboard with one contact.
const MAX_LETTERS: usize = 32;

/// An invitation message on its way out.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) payload: Vec<u8>,
    pub(super) delivery: Delivery,
}

/// What the notification connection can be asked.
pub(super) enum NotificationRequest {
    /// A ticket for a switchboard of our own.
    Ticket(oneshot::Sender<Result<Ticket, String>>),
    /// Tell the client that somebody calls.
    Ring {
        cookie: String,
        session: u64,
        peer: String,
        nick: String,
    },
}

/// What leads to a new switchboard.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) address: String,
    pub(super) cookie: String,
}

/// One account.
pub(super) struct Account {
    pub(super) handle: String,
    pub(super) hub: Weak<Hub>,
    pub(super) notification: mpsc::UnboundedSender<NotificationRequest>,
    id: OnceLock<AccountId>,
    this: Weak<Account>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    boards: BTreeMap<u64, Board>,
    /// Waiting for a switchboard that is being opened, by contact.
    letters: BTreeMap<String, VecDeque<Letter>>,
    /// Waiting for a window, by contact.
    lines: BTreeMap<String, VecDeque<String>>,
}

/// A switchboard, as the account sees it.
struct Board {
    requests: mpsc::UnboundedSender<switchboard::Request>,
    /// The only other one in it, as compared.
    peer: Option<String>,
    /// The client sees it.
    has_window: bool,
}

impl Account {
    pub(super) fn new(
        handle: &str,
        hub: &Arc<Hub>,
        notification: mpsc::UnboundedSender<NotificationRequest>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            handle: handle.to_owned(),
            hub: Arc::downgrade(hub),
            notification,
            id: OnceLock::new(),
            this: this.clone(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number the dispatcher gave.
    pub(super) fn id(&self) -> Option<AccountId> {
        self.id.get().copied()
    }

    /// Signs in at the dispatcher.
    pub(super) fn attach(self: &Arc<Self>) {
        if let Some(hub) = self.hub.upgrade() {
            let id = hub
                .invitations
                .attach(&self.handle, Arc::clone(self) as Arc<dyn Carrier>);
            let _ = self.id.set(id);
        }
    }

    /// Signs out.
    pub(super) fn detach(&self) {
        if let (Some(hub), Some(id)) = (self.hub.upgrade(), self.id()) {
            hub.invitations.detach(id);
        }
    }

    /// A new switchboard; its number.
    pub(super) fn board_opened(
        &self,
        requests: mpsc::UnboundedSender<switchboard::Request>,
        has_window: bool,
    ) -> u64 {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.boards.insert(
            number,
            Board {
                requests,
                peer: None,
                has_window,
            },
        );
        number
    }

    /// Who is in a switchboard has changed. What waited for that contact goes out now.
    pub(super) fn board_peer(&self, number: u64, peer: Option<&str>) {
        let key = peer.map(msnp::handle);
        let mut state = self.state();
        let State {
            boards,
            letters,
            lines,
            ..
        } = &mut *state;
        let Some(board) = boards.get_mut(&number) else {
            return;
        };
        let before = std::mem::replace(&mut board.peer, key.clone());
        if let Some(key) = &key {
            for letter in letters.remove(key).unwrap_or_default() {
                let _ = board.requests.send(switchboard::Request::Send(letter));
            }
            if board.has_window {
                for line in lines.remove(key).unwrap_or_default() {
                    let _ = board.requests.send(switchboard::Request::Show(line));
                }
            }
        }
        drop(state);
        if let Some(before) = before.filter(|before| Some(before) != key.as_ref()) {
            self.tell_if_lost(&before);
        }
    }

    /// The client came to a switchboard that we had opened.
    pub(super) fn board_has_window(&self, number: u64) {
        if let Some(board) = self.state().boards.get_mut(&number) {
            board.has_window = true;
        }
    }

    /// A switchboard is gone.
    pub(super) fn board_closed(&self, number: u64) {
        let peer = self
            .state()
            .boards
            .remove(&number)
            .and_then(|board| board.peer);
        if let Some(peer) = peer {
            self.tell_if_lost(&peer);
        }
    }

    fn tell_if_lost(&self, peer: &str) {
        let still = self
            .state()
            .boards
            .values()
            .any(|board| board.peer.as_deref() == Some(peer));
        if let (false, Some(hub), Some(id)) = (still, self.hub.upgrade(), self.id()) {
            hub.invitations.carrier_lost(id, peer);
        }
    }

    /// The switchboard that was to be opened for a contact could not be.
    pub(super) fn opening_failed(&self, peer: &str) {
        let letters = self
            .state()
            .letters
            .remove(&msnp::handle(peer))
            .unwrap_or_default();
        for letter in letters {
            self.undelivered(letter.delivery);
        }
    }

    /// A message was refused.
    pub(super) fn undelivered(&self, delivery: Delivery) {
        if let (Some(hub), Some(id)) = (self.hub.upgrade(), self.id()) {
            hub.invitations.undelivered(id, delivery);
        }
    }

    /// Gives a client that answered a ring to the switchboard it was called to.
    pub(super) fn hand_client_to(
        &self,
        number: u64,
        request: switchboard::Request,
    ) -> Result<(), ()> {
        let state = self.state();
        let board = state.boards.get(&number).ok_or(())?;
        board.requests.send(request).map_err(drop)
    }
}

impl Carrier for Account {
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery) {
        let key = msnp::handle(peer);
        let letter = Letter { payload, delivery };
        let mut state = self.state();
        let board = state
            .boards
            .values()
            .find(|board| board.peer.as_ref() == Some(&key));
        if let Some(board) = board {
            let _ = board.requests.send(switchboard::Request::Send(letter));
            return;
        }
        let opening = state.letters.contains_key(&key);
        let waiting = state.letters.entry(key).or_default();
        if waiting.len() < MAX_LETTERS {
            waiting.push_back(letter);
        }
        if opening {
            return;
        }
        if let (Some(hub), Some(account)) = (self.hub.upgrade(), self.this.upgrade()) {
            let peer = peer.to_owned();
            hub.tasks
                .spawn(opening::open(Arc::clone(&hub), account, peer));
        }
    }

    fn show(&self, peer: &str, line: &str) {
        let key = msnp::handle(peer);
        let mut state = self.state();
        let window = state
            .boards
            .values()
            .find(|board| board.has_window && board.peer.as_ref() == Some(&key));
        if let Some(board) = window {
            let _ = board
                .requests
                .send(switchboard::Request::Show(line.to_owned()));
            return;
        }
        // No window: it is shown when there is one again. Opening one for a line would call the
        // contact to a conversation.
        let lines = state.lines.entry(key).or_default();
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}
