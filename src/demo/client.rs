//! A minimal MSNP client (PROTOCOL.md section 12), enough to be the far end of the demo and of the
//! tests: it logs in by any version from MSNP2 to MSNP18, follows redirects, opens and answers
//! switchboards, and brings chat and invitation messages both ways. It is a [`Carrier`], so a
//! dispatcher can sit on it directly, without a proxy. It knows no passwords: it is for
//! [`super::server`].

mod event;
mod line;
mod login;
mod settings;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::line::{Line, lock};
pub use self::{
    event::{ClientEvent, text_payload},
    settings::{ClientError, ClientSettings, Letter},
};
use super::wire::{Frame, bare};
use crate::{
    dispatcher::{AccountId, Carrier, Delivery, Invitations, Verdict},
    invitation::is_invitation,
    msnp::text,
};

/// How long a reply of the server, or a contact that was called, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Redirects followed in one login.
const REDIRECTS: usize = 3;

/// A client that is logged in. Clones are the same client; it lives until [`Client::sign_out`],
/// [`Client::cut`] or the server's end, whatever becomes of the clones.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: ClientSettings,
    notification: Line,
    boards: Mutex<Vec<Arc<Board>>>,
    numbers: AtomicU64,
    events: mpsc::UnboundedSender<ClientEvent>,
    outbox: mpsc::UnboundedSender<Outbound>,
    /// One switchboard is opened at a time, so that two messages do not open two.
    opening: tokio::sync::Mutex<()>,
    cancel: CancellationToken,
    /// False: nothing is read.
    reads: watch::Sender<bool>,
    tasks: TaskTracker,
}

struct Outbound {
    peer: String,
    payload: Vec<u8>,
    delivery: Delivery,
}

/// A conversation.
struct Board {
    number: u64,
    line: Line,
    /// The others in it.
    others: watch::Sender<Vec<String>>,
    /// Transaction ids of invitation messages, to name the one a `NAK` is about.
    deliveries: Mutex<HashMap<u32, Delivery>>,
}

impl Client {
    /// Logs in and goes online. Gives the client and what happens to it from then on.
    ///
    /// # Errors
    /// [`ClientError`]: no connection, or the server says no.
    pub async fn login(
        settings: ClientSettings,
    ) -> Result<(Self, mpsc::UnboundedReceiver<ClientEvent>), ClientError> {
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let reads = watch::Sender::new(true);
        // Should this fail half way, the connection goes with the guard.
        let guard = cancel.clone().drop_guard();
        let mut server = settings.server;
        let mut left = REDIRECTS;
        let (notification, frames) = loop {
            let (line, frames) = Line::connect(server, &tasks, &cancel, reads.subscribe()).await?;
            match login::authenticate(&line, &settings).await? {
                None => break (line, frames),
                Some(other) if left > 0 => {
                    line.closed.cancel();
                    server = other;
                    left -= 1;
                }
                Some(_) => {
                    return Err(ClientError::Refused {
                        verb: "USR",
                        answer: "one redirect too many".to_owned(),
                    });
                }
            }
        };
        let (events, happened) = mpsc::unbounded_channel();
        let (outbox, queued) = mpsc::unbounded_channel();
        let client = Self(Arc::new(Inner {
            settings,
            notification,
            boards: Mutex::default(),
            numbers: AtomicU64::new(1),
            events,
            outbox,
            opening: tokio::sync::Mutex::new(()),
            cancel: guard.disarm(),
            reads,
            tasks,
        }));
        let inner = &client.0;
        inner.tasks.spawn(client.clone().watch_notification(frames));
        inner.tasks.spawn(client.clone().empty_outbox(queued));
        if let Err(error) = login::go_online(&inner.notification, &inner.settings).await {
            client.cut();
            return Err(error);
        }
        Ok((client, happened))
    }

    /// The handle it is logged in with.
    #[must_use]
    pub fn handle(&self) -> &str {
        &self.0.settings.handle
    }

    /// Opens a switchboard with `peer` and waits until `peer` is in it. An open one is used again.
    ///
    /// # Errors
    /// [`ClientError`]: the contact is offline, does not answer, or the server refuses.
    pub async fn open(&self, peer: &str) -> Result<(), ClientError> {
        self.board_for(peer).await.map(drop)
    }

    /// Sends a payload to `peer`, over the switchboard with exactly `peer` or a new one. With `A` or
    /// `D` waits for the acknowledgement.
    ///
    /// # Errors
    /// As [`Client::open`], and [`ClientError::Undelivered`] on `NAK`.
    pub async fn send_payload(
        &self,
        peer: &str,
        letter: Letter,
        payload: &[u8],
    ) -> Result<(), ClientError> {
        let board = self.board_for(peer).await?;
        if !matches!(letter, Letter::A | Letter::D) {
            board.line.tell(|trid| message(trid, letter, payload));
            return Ok(());
        }
        let reply = board
            .line
            .ask_bytes("MSG", |trid| message(trid, letter, payload))
            .await?;
        match reply.verb() {
            "ACK" => Ok(()),
            "NAK" => Err(ClientError::Undelivered),
            _ => expect("MSG", &reply, false),
        }
    }

    /// Sends a line of chat and waits for its `ACK`.
    ///
    /// # Errors
    /// As [`Client::send_payload`].
    pub async fn send_text(&self, peer: &str, text: &str) -> Result<(), ClientError> {
        self.send_payload(peer, Letter::A, &text_payload(text))
            .await
    }

    /// Leaves every conversation with `peer`.
    pub fn leave(&self, peer: &str) {
        let peer = bare(peer);
        let boards = self.boards();
        for board in boards.iter() {
            if board.others.borrow().contains(&peer) {
                board.line.end();
            }
        }
    }

    /// Says goodbye to everybody and waits until everything is closed.
    pub async fn sign_out(&self) {
        for board in self.boards().iter() {
            board.line.end();
        }
        self.0.notification.end();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Reads what comes, or leaves it in the sockets from the next command on (tests: a client that
    /// stands still).
    pub fn reads(&self, reads: bool) {
        self.0.reads.send_replace(reads);
    }

    /// Cuts every connection without a word.
    pub fn cut(&self) {
        self.0.cancel.cancel();
    }

    fn boards(&self) -> MutexGuard<'_, Vec<Arc<Board>>> {
        lock(&self.0.boards)
    }

    fn happened(&self, event: ClientEvent) {
        // Nobody listening is not an error.
        let _ = self.0.events.send(event);
    }

    fn open_board(&self, peer: &str) -> Option<Arc<Board>> {
        let boards = self.boards();
        let fits = |board: &&Arc<Board>| {
            !board.line.closed.is_cancelled()
                && matches!(board.others.borrow().as_slice(), [other] if other == peer)
        };
        boards.iter().find(fits).cloned()
    }

    /// The switchboard with exactly `peer`, opened if need be (PROTOCOL.md 5.0).
    async fn board_for(&self, peer: &str) -> Result<Arc<Board>, ClientError> {
        let peer = bare(peer);
        if let Some(board) = self.open_board(&peer) {
            return Ok(board);
        }
        let _one_at_a_time = self.0.opening.lock().await;
        if let Some(board) = self.open_board(&peer) {
            return Ok(board);
        }
        let reply = self
            .0
            .notification
            .ask("XFR", |trid| format!("XFR {trid} SB\r\n"))
            .await?;
        expect(
            "XFR",
            &reply,
            reply.verb() == "XFR" && reply.word(2) == "SB",
        )?;
        let (at, cookie) = (address("XFR", reply.word(3))?, reply.word(5).to_owned());
        let board = self.connect_board(at).await?;
        let entered = async {
            let own = &self.0.settings.handle;
            let reply = board
                .line
                .ask("USR", |trid| format!("USR {trid} {own} {cookie}\r\n"))
                .await?;
            expect("USR", &reply, reply.word(2) == "OK")?;
            let reply = board
                .line
                .ask("CAL", |trid| format!("CAL {trid} {peer}\r\n"))
                .await?;
            expect("CAL", &reply, reply.word(2) == "RINGING")?;
            let mut others = board.others.subscribe();
            let joined = others.wait_for(|others| others.contains(&peer));
            tokio::select! {
                () = board.line.closed.cancelled() => Err(ClientError::Closed),
                joined = tokio::time::timeout(PATIENCE, joined) => match joined {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(_)) => Err(ClientError::Closed),
                    Err(_) => Err(ClientError::Silence { verb: "CAL" }),
                },
            }
        }
        .await;
        if let Err(error) = entered {
            board.line.end();
            return Err(error);
        }
        Ok(board)
    }

    async fn connect_board(&self, at: SocketAddr) -> Result<Arc<Board>, ClientError> {
        let reads = self.0.reads.subscribe();
        let (line, frames) = Line::connect(at, &self.0.tasks, &self.0.cancel, reads).await?;
        let board = Arc::new(Board {
            number: self.0.numbers.fetch_add(1, Ordering::Relaxed),
            line,
            others: watch::Sender::default(),
            deliveries: Mutex::default(),
        });
        self.boards().push(Arc::clone(&board));
        let watching = self.clone().watch_board(Arc::clone(&board), frames);
        self.0.tasks.spawn(watching);
        Ok(board)
    }

    /// Goes where a `RNG` calls.
    async fn answer(self, session: String, at: String, cookie: String) {
        let answered = async {
            let board = self.connect_board(address("RNG", &at)?).await?;
            let own = &self.0.settings.handle;
            let reply = board
                .line
                .ask("ANS", |trid| {
                    format!("ANS {trid} {own} {cookie} {session}\r\n")
                })
                .await?;
            expect("ANS", &reply, reply.word(2) == "OK").inspect_err(|_| board.line.end())
        };
        if let Err(error) = answered.await {
            tracing::debug!(%error, "demo client: a call could not be answered");
        }
    }

    async fn watch_notification(self, mut frames: mpsc::UnboundedReceiver<Frame>) {
        while let Some(frame) = frames.recv().await {
            match frame.verb() {
                "RNG" => {
                    let [session, at, cookie] = [1, 2, 4].map(|index| frame.word(index).to_owned());
                    // Apart from this task: an answer needs frames of its own, not of this line,
                    // but the next call must not wait for it.
                    self.0.tasks.spawn(self.clone().answer(session, at, cookie));
                }
                "NLN" => self.happened(ClientEvent::Online {
                    status: frame.word(1).to_owned(),
                    handle: person(frame.word(2)),
                }),
                "ILN" => self.happened(ClientEvent::Online {
                    status: frame.word(2).to_owned(),
                    handle: person(frame.word(3)),
                }),
                "FLN" => self.happened(ClientEvent::Offline {
                    handle: person(frame.word(1)),
                }),
                _ => {}
            }
        }
        self.0.cancel.cancel();
        self.happened(ClientEvent::SignedOut);
    }

    async fn watch_board(self, board: Arc<Board>, mut frames: mpsc::UnboundedReceiver<Frame>) {
        let number = board.number;
        while let Some(frame) = frames.recv().await {
            match frame.verb() {
                "JOI" => self.joined(&board, frame.word(1)),
                "IRO" => self.joined(&board, frame.word(4)),
                "BYE" => {
                    let handle = bare(frame.word(1));
                    board
                        .others
                        .send_modify(|others| others.retain(|other| *other != handle));
                    let alone = board.others.borrow().is_empty();
                    if alone {
                        board.line.end();
                    }
                    self.happened(ClientEvent::Left {
                        board: number,
                        handle: handle.clone(),
                    });
                    self.lost(&handle);
                }
                "MSG" => self.happened(ClientEvent::Message {
                    board: number,
                    from: bare(frame.word(1)),
                    nick: frame.word(2).to_owned(),
                    payload: frame.payload().to_vec(),
                }),
                "NAK" => {
                    let trid: Option<u32> = frame.word(1).parse().ok();
                    let delivery = trid.and_then(|trid| board.deliveries().remove(&trid));
                    let peer = board.others.borrow().first().cloned().unwrap_or_default();
                    if let Some(delivery) = delivery {
                        self.happened(ClientEvent::Undelivered { peer, delivery });
                    }
                }
                _ => {}
            }
        }
        self.boards().retain(|other| other.number != number);
        let others = board.others.send_replace(Vec::new());
        for peer in others {
            self.lost(&peer);
        }
    }

    fn joined(&self, board: &Board, handle: &str) {
        let handle = bare(handle);
        // From MSNP16 on one person may be told twice (PROTOCOL.md 12.3).
        if handle == self.0.settings.handle || board.others.borrow().contains(&handle) {
            return;
        }
        board
            .others
            .send_modify(|others| others.push(handle.clone()));
        self.happened(ClientEvent::Joined {
            board: board.number,
            handle,
        });
    }

    /// Says so if there is no conversation left with `peer`.
    fn lost(&self, peer: &str) {
        let still = self
            .boards()
            .iter()
            .any(|board| board.others.borrow().iter().any(|other| other == peer));
        if !still {
            self.happened(ClientEvent::CarrierLost {
                peer: peer.to_owned(),
            });
        }
    }

    /// Sends what [`Carrier::send`] was given, in order.
    async fn empty_outbox(self, mut queued: mpsc::UnboundedReceiver<Outbound>) {
        loop {
            let outbound = tokio::select! {
                () = self.0.cancel.cancelled() => return,
                outbound = queued.recv() => match outbound {
                    Some(outbound) => outbound,
                    None => return,
                },
            };
            let Outbound {
                peer,
                payload,
                delivery,
            } = outbound;
            let letter = self.0.settings.letter;
            match self.board_for(&peer).await {
                Ok(board) => board.line.tell(|trid| {
                    board.deliveries().insert(trid, delivery);
                    message(trid, letter, &payload)
                }),
                Err(error) => {
                    tracing::debug!(%error, "demo client: an invitation message was not sent");
                    self.happened(ClientEvent::Undelivered { peer, delivery });
                }
            }
        }
    }
}

impl Carrier for Client {
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery) {
        let outbound = Outbound {
            peer: bare(peer),
            payload,
            delivery,
        };
        if let Err(mpsc::error::SendError(outbound)) = self.0.outbox.send(outbound) {
            self.happened(ClientEvent::Undelivered {
                peer: outbound.peer,
                delivery,
            });
        }
    }

    fn show(&self, peer: &str, line: &str) {
        self.happened(ClientEvent::Shown {
            peer: peer.to_owned(),
            line: line.to_owned(),
        });
    }

    fn keep_alive(&self, peer: &str) {
        if let Some(board) = self.open_board(&bare(peer)) {
            board
                .line
                .tell(|trid| message(trid, Letter::U, text::KEEP_ALIVE));
        }
    }
}

/// Puts a dispatcher on a client: invitation messages of the peer go to `hub`, and what `hub` does
/// not take comes out at the other end with every other event.
pub fn join(
    client: &Client,
    mut events: mpsc::UnboundedReceiver<ClientEvent>,
    hub: Arc<dyn Invitations>,
) -> (AccountId, mpsc::UnboundedReceiver<ClientEvent>) {
    let account = hub.attach(client.handle(), Arc::new(client.clone()));
    let (rest, passed) = mpsc::unbounded_channel();
    client.0.tasks.spawn(async move {
        while let Some(event) = events.recv().await {
            match &event {
                ClientEvent::Message { from, payload, .. }
                    if is_invitation(payload)
                        && hub.received(account, from, payload) == Verdict::Taken =>
                {
                    continue;
                }
                ClientEvent::CarrierLost { peer } => hub.carrier_lost(account, peer),
                ClientEvent::Joined { handle, .. } => hub.carrier_back(account, handle),
                ClientEvent::Undelivered { delivery, .. } => hub.undelivered(account, *delivery),
                _ => {}
            }
            let last = event == ClientEvent::SignedOut;
            // Nobody listening is not an error.
            let _ = rest.send(event);
            if last {
                hub.detach(account);
                return;
            }
        }
    });
    (account, passed)
}

impl Board {
    fn deliveries(&self) -> MutexGuard<'_, HashMap<u32, Delivery>> {
        lock(&self.deliveries)
    }
}

/// `1:ann@example.com`, as MSNP16+ writes people, without the number of the network.
fn person(word: &str) -> String {
    bare(word.split_once(':').map_or(word, |(_, handle)| handle))
}

fn address(verb: &'static str, word: &str) -> Result<SocketAddr, ClientError> {
    word.parse().map_err(|_| ClientError::Refused {
        verb,
        answer: "an address that is none".to_owned(),
    })
}

fn expect(verb: &'static str, reply: &Frame, fits: bool) -> Result<(), ClientError> {
    if fits {
        return Ok(());
    }
    let words = reply.words();
    Err(ClientError::Refused {
        verb,
        answer: words
            .get(..words.len().min(4))
            .unwrap_or_default()
            .join(" "),
    })
}

fn message(trid: u32, letter: Letter, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("MSG {trid} {} {}\r\n", letter.as_str(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests;
