//! A conversation with one contact in which we are one of the ends, because a switchboard of the
//! client's is missing (PROTOCOL.md 12.6).
//!
//! The room has two sides. *Up* is a switchboard that we opened to send something of ours; the room
//! is its client. *Down* is a switchboard that we lend the client to show it something: we ring it,
//! and the room is the server it finds. As soon as both sides are there they are joined, and the room
//! only copies.
//!
//! With up alone, chat that arrives rings the client, which then gets it. With down alone, the first
//! thing the client says opens up; if that fails the client gets a `NAK`. When the client leaves, the
//! switchboard is left, as without us. A client that does not answer in time misses the lines.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncWriteExt, DuplexStream, copy_bidirectional, duplex},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    account::{Account, Outgoing},
    lock,
    opening::{self, Frames, OpenError, PIPE, Piece, Upstream},
    switchboard::{self, Board, Kind},
    tickets::{Key, Ticket},
};
use crate::msnp::{
    frame::{Side, word},
    rewrite::{self, Ring},
    text,
};

/// Orders that wait.
pub(super) const MAX_ORDERS: usize = 64;
/// Messages kept for a client that has been rung and has not come yet.
const MAX_BACKLOG: usize = 64;
/// How long a client that has been rung may take.
const RING: Duration = Duration::from_secs(60);

/// What a room is told.
pub(super) enum Order {
    /// Send this to the peer.
    Deliver(Outgoing),
    /// Show this payload to the client.
    Show(Vec<u8>),
    /// The client comes.
    Enter(DuplexStream),
}

/// A message for the client.
struct Kept {
    /// Who wrote it: handle and display name, as on the wire.
    from: (String, String),
    payload: Vec<u8>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Upstream, OpenError>> + Send>>;

struct Room {
    account: Arc<Account>,
    peer: String,
    /// Our own door, to be hung at a ticket.
    door: mpsc::Sender<Order>,
    opening: Option<Opening>,
    up: Option<Upstream>,
    down: Option<Frames<DuplexStream>>,
    /// The client has been let in.
    entered: bool,
    /// Until when the client is waited for, and its ticket.
    rung: Option<(Instant, Key)>,
    /// What is for the client.
    backlog: VecDeque<Kept>,
    /// Messages of ours that wait for up.
    queue: VecDeque<Outgoing>,
    /// What the client said that needs up.
    said: Option<Vec<u8>>,
}

/// Serves one contact's room until it is of no more use.
pub(super) async fn serve(
    account: Arc<Account>,
    peer: String,
    door: mpsc::Sender<Order>,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut room = Room {
        account: Arc::clone(&account),
        peer: peer.clone(),
        door,
        opening: None,
        up: None,
        down: None,
        entered: false,
        rung: None,
        backlog: VecDeque::new(),
        queue: VecDeque::new(),
        said: None,
    };
    let stop = account.stop.clone();
    let joined = tokio::select! {
        () = stop.cancelled() => false,
        joined = room.live(&mut orders) => joined,
    };
    account.close_room(&peer);
    room.unring();
    orders.close();
    let mut left: Vec<Outgoing> = room.queue.drain(..).collect();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Deliver(outgoing) => left.push(outgoing),
            Order::Show(payload) => lines.push(payload),
            Order::Enter(_) => {}
        }
    }
    // They came while the room was closing.
    account.again(left);
    for line in lines {
        account.show(&peer, line);
    }
    if joined {
        tokio::select! {
            () = stop.cancelled() => {}
            () = room.copy() => {}
        }
    }
}

/// Leads a client that answers our ring into its room.
pub(super) async fn lend(
    client: TcpStream,
    first: Vec<u8>,
    door: mpsc::Sender<Order>,
    account: Arc<Account>,
) {
    let (near, far) = duplex(PIPE);
    if door.send(Order::Enter(near)).await.is_err() {
        return;
    }
    // The room knows the client only once the line it answers with has come through.
    let board = Board::new(Kind::Lent, &account);
    let lanes = (client.into_split(), tokio::io::split(far), first);
    let stop = account.stop.child_token();
    switchboard::serve(board, lanes, stop).await;
}

impl Room {
    /// Gives whether both sides are there and are to be joined.
    async fn live(&mut self, orders: &mut mpsc::Receiver<Order>) -> bool {
        loop {
            if self.is_joined() {
                return true;
            }
            let until = self.rung.as_ref().map(|(until, _)| *until);
            tokio::select! {
                // Whatever was ordered before something happened is dealt with before it.
                biased;
                Some(order) = orders.recv() => self.order(order).await,
                opened = opened(&mut self.opening) => self.opened(opened).await,
                piece = next(self.up.as_mut().map(|up| &mut up.frames)) => {
                    self.peer_said(piece).await
                }
                // What the client says next waits for what it has said.
                piece = next(self.down.as_mut().filter(|_| self.said.is_none())) => {
                    self.client_said(piece).await
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    tracing::info!(peer = self.peer, "proxy: the client did not answer");
                    self.unring();
                    self.backlog.clear();
                }
            }
            let idle = self.up.is_none()
                && self.down.is_none()
                && self.opening.is_none()
                && self.rung.is_none();
            if idle && orders.is_empty() {
                return false;
            }
        }
    }

    /// Both sides are there, and both are between two commands: the rest of a payload whose beginning
    /// was not passed on would be read as commands.
    fn is_joined(&self) -> bool {
        let down = self.down.as_ref();
        let up = self.up.as_ref();
        self.entered
            && down.is_some_and(|down| down.splitter.at_boundary())
            && up.is_some_and(|up| up.frames.splitter.at_boundary())
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Deliver(outgoing) => {
                self.queue.push_back(outgoing);
                self.flush();
            }
            Order::Show(payload) => {
                let nick = self.account.nick(&self.peer);
                let from = (self.peer.clone(), nick);
                self.show(Kept { from, payload }).await;
            }
            Order::Enter(stream) => {
                self.unring();
                self.down = Some(Frames::new(stream, Side::Client));
            }
        }
    }

    /// Messages of ours go out, or up is opened for them.
    fn flush(&mut self) {
        let Some(up) = &self.up else {
            if !self.queue.is_empty() || self.said.is_some() {
                self.open();
            }
            return;
        };
        let board = Arc::clone(&up.board);
        while let Some(mut outgoing) = self.queue.pop_front() {
            let delivery = outgoing.delivery;
            // It may have closed just now, and if somebody else is there now they must not read it.
            let of_use = board.is_with(&self.peer);
            if !of_use && !outgoing.again {
                outgoing.again = true;
                self.queue.push_front(outgoing);
                self.up = None;
                return self.open();
            }
            if !of_use || board.deliver(outgoing).is_err() {
                self.account.undelivered(delivery);
            }
            self.account.settled(&self.peer, 1);
        }
    }

    fn open(&mut self) {
        if self.opening.is_none() {
            let opening = opening::open(Arc::clone(&self.account), self.peer.clone());
            self.opening = Some(Box::pin(opening));
        }
    }

    async fn opened(&mut self, opened: Result<Upstream, OpenError>) {
        self.opening = None;
        match opened {
            Ok(mut up) => {
                let said = self.said.take().unwrap_or_default();
                let passed = up.frames.stream.write_all(&said).await;
                self.up = Some(up);
                self.flush();
                // A switchboard that is gone already is found out by reading it.
                drop(passed);
            }
            Err(error) => {
                tracing::info!(peer = self.peer, %error, "proxy: no switchboard");
                let lost = self.queue.len();
                while let Some(outgoing) = self.queue.pop_front() {
                    self.account.undelivered(outgoing.delivery);
                }
                self.account.settled(&self.peer, lost);
                if let Some(said) = self.said.take() {
                    self.refuse(&said).await;
                }
            }
        }
    }

    /// What the client said reaches nobody.
    async fn refuse(&mut self, said: &[u8]) {
        let trid = word(said, 1);
        match (word(said, 0), word(said, 2)) {
            ("CAL", _) => self.tell(format!("217 {trid}\r\n").as_bytes()).await,
            ("MSG", "A" | "D" | "N") => self.tell(format!("NAK {trid}\r\n").as_bytes()).await,
            _ => {}
        }
    }

    /// To the client, if it is there.
    async fn tell(&mut self, bytes: &[u8]) {
        let Some(down) = &mut self.down else {
            return;
        };
        if down.stream.write_all(bytes).await.is_err() {
            self.client_left();
        }
    }

    async fn show(&mut self, message: Kept) {
        self.keep(message);
        if self.entered {
            let kept = self.kept();
            self.tell(&kept).await;
        } else {
            self.ring();
        }
    }

    fn keep(&mut self, message: Kept) {
        if self.backlog.len() >= MAX_BACKLOG {
            self.backlog.pop_front();
        }
        self.backlog.push_back(message);
    }

    /// Rings the client, unless it has been rung or is here.
    fn ring(&mut self) {
        if self.down.is_some() || self.rung.is_some() {
            return;
        }
        let (Some(session), Some(one), Some(two)) = (random(), random(), random()) else {
            tracing::error!("proxy: no randomness for a cookie");
            return;
        };
        let key = Key {
            // As servers make them: numbers and dots.
            cookie: format!("{one}.{two}"),
            session: Some(session.to_string()),
        };
        let account = &self.account;
        let ring = Ring {
            session: session.to_string(),
            address: account.address.clone(),
            cookie: key.cookie.clone(),
            inviter: self.peer.clone(),
            nick: account.nick(&self.peer),
        };
        let ticket = Ticket::Lent {
            room: self.door.clone(),
            account: Arc::clone(account),
        };
        let now = account.shared.clock.now();
        lock(&account.shared.tickets).insert(key.clone(), ticket, now);
        if account.tell_client(rewrite::ring(account.version, &ring)) {
            self.rung = Some((Instant::now() + RING, key));
        } else {
            account.shared.tickets().remove(&key);
        }
    }

    fn unring(&mut self) {
        if let Some((_, key)) = self.rung.take() {
            self.account.shared.tickets().remove(&key);
        }
    }

    /// Up said something, and the client is not here yet.
    async fn peer_said(&mut self, piece: Read) {
        match piece {
            Ok(Some(Piece::Message { whole, line })) => {
                let payload = whole.get(line..).unwrap_or_default().to_vec();
                let from = self.sender(whole.get(..line).unwrap_or_default());
                match text::content_type(&payload).to_ascii_lowercase().as_str() {
                    // Somebody types: of no use later.
                    "text/x-msmsgscontrol" => {}
                    "text/x-clientcaps" => self.keep(Kept { from, payload }),
                    _ => self.show(Kept { from, payload }).await,
                }
            }
            Ok(Some(Piece::Line(line))) if word(&line, 0) == "BYE" => {
                let up = self.up.take_if(|up| !up.board.reaches(&self.peer));
                if let Some(mut up) = up {
                    // Nobody is left there. If it is gone already, that is as good.
                    let _ = up.frames.stream.write_all(b"OUT\r\n").await;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                self.up = None;
                // The client may still come for what was said; it then finds the contact gone.
            }
        }
    }

    /// Who wrote a message: not always the contact, for others may have been called in.
    fn sender(&self, line: &[u8]) -> (String, String) {
        let handle = match word(line, 1) {
            "" => &self.peer,
            handle => handle,
        };
        let nick = match word(line, 2) {
            "" => self.account.nick(handle),
            nick => nick.to_owned(),
        };
        (handle.to_owned(), nick)
    }

    /// The client said something, and up is not there or the client is not in yet.
    async fn client_said(&mut self, piece: Read) {
        let piece = match piece {
            Ok(Some(piece)) => piece,
            Ok(None) | Err(_) => return self.client_left(),
        };
        match piece {
            Piece::Line(line) => match word(&line, 0) {
                "ANS" => self.let_in(word(&line, 1)).await,
                "OUT" => self.client_left(),
                "CAL" if self.entered => self.needs_peer(line),
                // Its payload is too long to be kept, and for a switchboard.
                "MSG" if self.entered => self.refuse(&line).await,
                _ => {}
            },
            Piece::Message { whole, line } if self.entered => {
                let payload = whole.get(line..).unwrap_or_default();
                let about = text::content_type(payload).to_ascii_lowercase();
                if !matches!(about.as_str(), "text/x-msmsgscontrol" | "text/x-clientcaps") {
                    return self.needs_peer(whole);
                }
                // Not worth a switchboard.
                match word(&whole, 2) {
                    "A" | "D" | "S" => {
                        let ack = format!("ACK {}\r\n", word(&whole, 1));
                        self.tell(ack.as_bytes()).await;
                    }
                    _ => {}
                }
            }
            Piece::Message { .. } | Piece::Raw => {}
        }
    }

    fn needs_peer(&mut self, said: Vec<u8>) {
        self.said = Some(said);
        self.open();
    }

    fn client_left(&mut self) {
        self.down = None;
        self.entered = false;
        self.said = None;
    }

    /// The client finds the contact here and whoever else came, and what was said meanwhile.
    async fn let_in(&mut self, trid: &str) {
        let up = self.up.as_ref();
        let mut everybody = up.map(|up| up.board.everybody()).unwrap_or_default();
        if everybody.is_empty() {
            everybody.push(self.peer.clone());
        }
        let capabilities = match self.account.version {
            0..=11 => "",
            12..=15 => " 0",
            _ => " 0:0",
        };
        let mut welcome = String::new();
        let count = everybody.len();
        for (number, peer) in (1..).zip(&everybody) {
            let nick = self.account.nick(peer);
            welcome += &format!("IRO {trid} {number} {count} {peer} {nick}{capabilities}\r\n");
        }
        welcome += &format!("ANS {trid} OK\r\n");
        self.entered = true;
        let mut welcome = welcome.into_bytes();
        welcome.extend(self.kept());
        self.tell(&welcome).await;
    }

    /// What was kept for the client, as commands.
    fn kept(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Kept { from, payload } in self.backlog.drain(..) {
            let line = format!("MSG {} {} {}\r\n", from.0, from.1, payload.len());
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(&payload);
        }
        bytes
    }

    /// Copies until either side leaves. The room has no door any more: both sides are ordinary
    /// switchboards now, and whatever is for this contact finds them.
    async fn copy(&mut self) {
        let (Some(up), Some(down)) = (&mut self.up, &mut self.down) else {
            return;
        };
        let (for_peer, for_client) = (down.rest(), up.frames.rest());
        let (up, down) = (&mut up.frames.stream, &mut down.stream);
        let copied = async {
            up.write_all(&for_peer).await?;
            down.write_all(&for_client).await?;
            copy_bidirectional(up, down).await
        };
        if let Err(error) = copied.await {
            tracing::debug!(%error, "proxy: a lent conversation broke");
        }
    }
}

/// What reading gave.
type Read = std::io::Result<Option<Piece>>;

async fn next(frames: Option<&mut Frames<DuplexStream>>) -> Read {
    match frames {
        Some(frames) => frames.next().await,
        None => std::future::pending().await,
    }
}

async fn opened(opening: &mut Option<Opening>) -> Result<Upstream, OpenError> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

/// A number as servers use them for sessions and in cookies.
fn random() -> Option<u32> {
    getrandom::u32().ok().map(|number| number >> 1)
}
