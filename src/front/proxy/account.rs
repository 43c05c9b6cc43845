//! A signed-in client as the dispatcher sees it: where a contact can be reached, and what to do when
//! nowhere. Locks are never held while the dispatcher is called.

use std::{
    collections::{HashMap, VecDeque},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Shared, lock,
    outbox::{Injection, Outbox},
    room::{self, Order},
    switchboard::{Board, Kind},
};
use crate::{
    dispatcher::{AccountId, Carrier, Delivery, Verdict},
    invitation::MAX_PAYLOAD,
    msnp::{roster, text},
};

/// Transaction ids from here to [`END_OF_OURS`] are ours; clients count from one (PROTOCOL.md 12.5).
pub(super) const FIRST_OF_OURS: u32 = 900_000_000;
const END_OF_OURS: u32 = 1_000_000_000;
/// Rooms of one account at a time.
const MAX_ROOMS: usize = 64;
/// Display names remembered.
const MAX_NICKS: usize = 1024;

/// Whether a transaction id is one of ours.
pub(super) fn is_ours(trid: &str) -> bool {
    trid.parse()
        .is_ok_and(|trid: u32| (FIRST_OF_OURS..END_OF_OURS).contains(&trid))
}

/// What of ours goes to both ends of a connection.
#[derive(Clone, Default)]
pub(super) struct Ways {
    pub(super) to_server: Outbox,
    pub(super) to_client: Outbox,
}

/// An invitation message for a peer.
pub(super) struct Outgoing {
    pub(super) peer: String,
    pub(super) payload: Vec<u8>,
    pub(super) delivery: Delivery,
    /// Its switchboard went away once before it was written.
    pub(super) again: bool,
}

/// What the server answers to our `XFR SB`: address and cookie, or the error.
pub(super) type Transferred = Result<(String, String), String>;

/// A signed-in client.
pub(super) struct Account {
    pub(super) shared: Arc<Shared>,
    id: OnceLock<AccountId>,
    handle: String,
    pub(super) version: u8,
    /// Where the client reaches us, as it is written.
    pub(super) address: String,
    /// The address of ours that leads to the server.
    leads: Option<Ipv4Addr>,
    /// Where the server sees that.
    seen: Mutex<Option<Ipv4Addr>>,
    notification: Ways,
    state: Mutex<State>,
    /// Cancelled when the client has signed out.
    pub(super) stop: CancellationToken,
}

#[derive(Default)]
struct State {
    closed: bool,
    boards: Vec<Arc<Board>>,
    rooms: HashMap<String, Room>,
    /// Our `XFR SB` that are not answered yet.
    transfers: HashMap<u32, oneshot::Sender<Transferred>>,
    last_transfer: u32,
    /// How the client names itself at switchboards: with a machine from MSNP16 on.
    signs_as: Option<String>,
    nicks: VecDeque<(String, String)>,
}

/// The door of a room.
struct Room {
    orders: mpsc::Sender<Order>,
    /// Messages it has not sent yet, oldest first; later ones must not overtake them.
    waiting: VecDeque<(Delivery, Vec<u8>)>,
}

/// What the dispatcher holds.
struct Handle(Arc<Account>);

impl Carrier for Handle {
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery) {
        self.0.deliver(Outgoing {
            peer: peer.to_owned(),
            payload,
            delivery,
            again: false,
        });
    }

    fn own_ip(&self) -> Option<Ipv4Addr> {
        self.0.leads.filter(|_| self.0.shared.follows)
    }

    fn seen_ip(&self) -> Option<Ipv4Addr> {
        *super::lock(&self.0.seen)
    }

    fn show(&self, peer: &str, line: &str) {
        self.0.show(peer, text::payload(line));
    }

    fn keep_alive(&self, peer: &str) {
        self.0.keep_alive(peer);
    }
}

impl Account {
    /// The client has signed in: the dispatcher is told.
    pub(super) fn open(
        shared: &Arc<Shared>,
        handle: &str,
        version: u8,
        address: String,
        leads: Option<Ipv4Addr>,
        notification: Ways,
    ) -> Arc<Self> {
        let account = Arc::new(Self {
            shared: Arc::clone(shared),
            id: OnceLock::new(),
            handle: roster::bare(handle).to_owned(),
            version,
            address,
            leads,
            seen: Mutex::default(),
            notification,
            state: Mutex::default(),
            stop: shared.last.1.child_token(),
        });
        let carrier = Arc::new(Handle(Arc::clone(&account)));
        let id = shared.invitations.attach(&account.handle, carrier);
        // Nobody else sets it.
        let _ = account.id.set(id);
        account
    }

    /// The server says where it sees us.
    pub(super) fn seen(&self, ip: Ipv4Addr) {
        *super::lock(&self.seen) = Some(ip);
    }

    /// The client has signed out. What the dispatcher still has to say goes to open switchboards.
    pub(super) fn close(&self) {
        if let Some(id) = self.id.get() {
            self.shared.invitations.detach(*id);
        }
        let mut state = self.state();
        state.closed = true;
        state.transfers.clear();
        drop(state);
        self.stop.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The dispatcher's name for this account, while it is signed in.
    fn id(&self) -> Option<AccountId> {
        self.id.get().copied().filter(|_| !self.state().closed)
    }

    pub(super) fn handle(&self) -> &str {
        &self.handle
    }

    /// As [`Invitations::received`](crate::dispatcher::Invitations::received).
    pub(super) fn received(&self, peer: &str, payload: &[u8]) -> Verdict {
        self.id().map_or(Verdict::Pass, |id| {
            self.shared.invitations.received(id, peer, payload)
        })
    }

    /// As [`Invitations::typed`](crate::dispatcher::Invitations::typed).
    pub(super) fn typed(&self, peer: &str, text: &str) -> Verdict {
        self.id().map_or(Verdict::Pass, |id| {
            self.shared.invitations.typed(id, peer, text)
        })
    }

    /// As [`Invitations::typed_elsewhere`](crate::dispatcher::Invitations::typed_elsewhere).
    pub(super) fn typed_elsewhere(&self, text: &str) -> Option<String> {
        let id = self.id()?;
        self.shared.invitations.typed_elsewhere(id, text)
    }

    /// As [`Invitations::undelivered`](crate::dispatcher::Invitations::undelivered). Not to be called
    /// from within a call of the dispatcher's.
    pub(super) fn undelivered(&self, delivery: Delivery) {
        if let Some(id) = self.id() {
            self.shared.invitations.undelivered(id, delivery);
        }
    }

    /// `peer` has left a switchboard, which [`Board::reaches`] knows already.
    pub(super) fn left(&self, peer: &str) {
        let reached = self.state().boards.iter().any(|board| board.reaches(peer));
        if let Some(id) = self.id().filter(|_| !reached) {
            self.shared.invitations.carrier_lost(id, peer);
        }
    }

    /// `peer` has come into a switchboard.
    pub(super) fn joined(&self, peer: &str) {
        if let Some(id) = self.id() {
            self.shared.invitations.carrier_back(id, peer);
        }
    }

    /// Keeps the latest switchboard with exactly that peer open.
    fn keep_alive(&self, peer: &str) {
        let state = self.state();
        let mut boards = state.boards.iter().rev();
        if let Some(board) = boards.find(|board| board.kind != Kind::Lent && board.is_with(peer)) {
            board.keep_alive();
        }
    }

    /// A switchboard has opened.
    pub(super) fn remember(&self, board: &Arc<Board>) {
        self.state().boards.push(Arc::clone(board));
    }

    /// A switchboard has closed.
    pub(super) fn forget(&self, board: &Arc<Board>) {
        self.state()
            .boards
            .retain(|known| !Arc::ptr_eq(known, board));
    }

    /// How the client names itself at a switchboard.
    pub(super) fn signs_as(&self, handle: &str) {
        if roster::same(handle, &self.handle) {
            self.state().signs_as = Some(handle.to_owned());
        }
    }

    /// How we name ourselves at a switchboard.
    pub(super) fn signature(&self) -> String {
        let known = self.state().signs_as.clone();
        known.unwrap_or_else(|| self.handle.clone())
    }

    /// The display name of `peer`, as on the wire.
    pub(super) fn called(&self, peer: &str, nick: String) {
        let mut state = self.state();
        state.nicks.retain(|(known, _)| !roster::same(known, peer));
        if state.nicks.len() >= MAX_NICKS {
            state.nicks.pop_front();
        }
        state.nicks.push_back((peer.to_owned(), nick));
    }

    /// The display name of `peer` to put on the wire.
    pub(super) fn nick(&self, peer: &str) -> String {
        let state = self.state();
        let known = state
            .nicks
            .iter()
            .find(|(known, _)| roster::same(known, peer));
        known.map_or_else(|| peer.to_owned(), |(_, nick)| nick.clone())
    }

    /// Sends a message over the latest switchboard with exactly that peer, or by a room.
    pub(super) fn deliver(self: &Arc<Self>, mut outgoing: Outgoing) {
        // The one would be another command, the other end the switchboard (PROTOCOL.md 1.4).
        if !roster::is_word(&outgoing.peer) || outgoing.payload.len() > MAX_PAYLOAD {
            tracing::warn!(peer = outgoing.peer, "proxy: a message that cannot be sent");
            return self.undelivered_later(vec![outgoing.delivery]);
        }
        let mut state = self.state();
        if state.closed {
            return;
        }
        let key = outgoing.peer.to_ascii_lowercase();
        let waiting = state.rooms.get(&key).map(|room| &room.waiting);
        let queued = waiting.is_some_and(|waiting| !waiting.is_empty());
        let same = |one: &(Delivery, Vec<u8>)| {
            (one.0, one.1.as_slice()) == (outgoing.delivery, outgoing.payload.as_slice())
        };
        if waiting.is_some_and(|waiting| waiting.iter().any(same)) {
            // The dispatcher took it for lost with its switchboard, but it was taken back.
            return;
        }
        if !queued {
            let boards = state.boards.iter().rev();
            for board in boards.filter(|board| board.kind != Kind::Lent) {
                if !board.is_with(&outgoing.peer) {
                    continue;
                }
                match board.deliver(outgoing) {
                    Ok(()) => return,
                    Err(back) => outgoing = back,
                }
            }
        }
        let delivery = outgoing.delivery;
        let accepted = self
            .room(&mut state, &key, &outgoing.peer.clone())
            .is_some_and(|room| {
                let waits = (delivery, outgoing.payload.clone());
                let accepted = room.orders.try_send(Order::Deliver(outgoing)).is_ok();
                room.waiting.extend(accepted.then_some(waits));
                accepted
            });
        drop(state);
        if !accepted {
            self.undelivered_later(vec![delivery]);
        }
    }

    /// Messages that were taken back from a switchboard when it closed: another one is tried, once.
    pub(super) fn again(self: &Arc<Self>, left: Vec<Outgoing>) {
        for mut outgoing in left {
            if outgoing.again {
                self.undelivered(outgoing.delivery);
            } else {
                outgoing.again = true;
                self.deliver(outgoing);
            }
        }
    }

    /// Tells the dispatcher when it has finished what it is doing.
    fn undelivered_later(self: &Arc<Self>, lost: Vec<Delivery>) {
        let account = Arc::clone(self);
        let telling = async move {
            for delivery in lost {
                account.undelivered(delivery);
            }
        };
        self.shared.last.0.spawn_on(telling, &self.shared.runtime);
    }

    /// Shows a payload in the client's window with `peer`: in an open switchboard, or by a room.
    pub(super) fn show(self: &Arc<Self>, peer: &str, payload: Vec<u8>) {
        if !roster::is_word(peer) {
            tracing::warn!(peer, "proxy: a line could not be shown");
            return;
        }
        let mut state = self.state();
        if state.closed {
            return;
        }
        let boards = state.boards.iter().rev();
        for board in boards.filter(|board| board.kind != Kind::Own) {
            if board.is_with(peer) && board.show(peer, &payload) {
                return;
            }
        }
        let key = peer.to_ascii_lowercase();
        let shown = self
            .room(&mut state, &key, peer)
            .is_some_and(|room| room.orders.try_send(Order::Show(payload)).is_ok());
        if !shown {
            tracing::warn!(peer, "proxy: a line could not be shown");
        }
    }

    /// The room for `peer`, opened if need be.
    fn room<'a>(
        self: &Arc<Self>,
        state: &'a mut State,
        key: &str,
        peer: &str,
    ) -> Option<&'a mut Room> {
        if !state.rooms.contains_key(key) {
            if state.rooms.len() >= MAX_ROOMS {
                tracing::warn!(peer, "proxy: too many conversations of ours");
                return None;
            }
            let (orders, queue) = mpsc::channel(room::MAX_ORDERS);
            let serving = room::serve(Arc::clone(self), peer.to_owned(), orders.clone(), queue);
            self.shared.last.0.spawn_on(serving, &self.shared.runtime);
            let room = Room {
                orders,
                waiting: VecDeque::new(),
            };
            state.rooms.insert(key.to_owned(), room);
        }
        state.rooms.get_mut(key)
    }

    /// A room has sent or lost so many messages, the oldest.
    pub(super) fn settled(&self, peer: &str, count: usize) {
        let key = peer.to_ascii_lowercase();
        if let Some(room) = self.state().rooms.get_mut(&key) {
            let count = count.min(room.waiting.len());
            room.waiting.drain(..count);
        }
    }

    /// A room closes: no order reaches it any more.
    pub(super) fn close_room(&self, peer: &str) {
        self.state().rooms.remove(&peer.to_ascii_lowercase());
    }

    /// Says something to the client between two commands of the notification server.
    pub(super) fn tell_client(&self, bytes: Vec<u8>) -> bool {
        let told = self.notification.to_client.put(Injection::plain(bytes));
        told.is_ok()
    }

    /// Asks the notification server for a switchboard (PROTOCOL.md 12.6).
    pub(super) fn ask_for_switchboard(&self) -> oneshot::Receiver<Transferred> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        if state.closed {
            return answered;
        }
        let count = state.last_transfer + 1;
        state.last_transfer = count % (END_OF_OURS - FIRST_OF_OURS - 1);
        let trid = FIRST_OF_OURS + count;
        let command = format!("XFR {trid} SB\r\n").into_bytes();
        let asked = self.notification.to_server.put(Injection::plain(command));
        if asked.is_ok() {
            // Those nobody waits for any more were never answered.
            state.transfers.retain(|_, waiting| !waiting.is_closed());
            state.transfers.insert(trid, answer);
        }
        answered
    }

    /// The answer to [`Account::ask_for_switchboard`].
    pub(super) fn transferred(&self, trid: &str, answer: Transferred) {
        let trid = trid.parse().unwrap_or(0);
        let waiting = self.state().transfers.remove(&trid);
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.send(answer);
        }
    }
}
