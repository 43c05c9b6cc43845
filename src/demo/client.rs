//! A minimal MSNP client (PROTOCOL.md section 12), enough to be the far end of the demo and of the
//! tests: it logs in by any version from MSNP2 to MSNP18, follows redirects, opens and answers
//! switchboards, and brings chat and invitation messages both ways. It is a [`Carrier`], so a
//! dispatcher can sit on it directly, without a proxy. It knows no passwords: it is for
//! [`super::server`].

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::wire::{Frame, FrameReader, Side, bare};
use crate::{
    dispatcher::{AccountId, Carrier, Delivery, Invitations, Verdict},
    endpoint::socket,
    invitation::is_invitation,
};

/// How long a reply of the server, or a contact that was called, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Redirects followed in one login.
const REDIRECTS: usize = 3;

/// Who logs in, where and how.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// A server, or a proxy in front of one.
    pub server: SocketAddr,
    /// Version of the protocol, 2 to 18.
    pub version: u8,
    /// The handle, an address (`ann@example.com`).
    pub handle: String,
    /// Ack letter of invitation messages (PROTOCOL.md 1.1).
    pub letter: Letter,
}

impl ClientSettings {
    /// MSNP12, and `N` for invitations.
    #[must_use]
    pub fn new(server: SocketAddr, handle: &str) -> Self {
        Self {
            server,
            version: 12,
            handle: handle.to_owned(),
            letter: Letter::N,
        }
    }
}

/// Which acknowledgement a message asks for (PROTOCOL.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// None.
    U,
    /// `NAK` only on failure.
    N,
    /// `ACK` or `NAK`.
    A,
    /// As [`Letter::A`].
    D,
    /// `ACK` only on success.
    S,
}

impl Letter {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::U => "U",
            Self::N => "N",
            Self::A => "A",
            Self::D => "D",
            Self::S => "S",
        }
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection could not be made.
    #[error("no connection to {addr}: {source}")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection ended.
    #[error("the server closed the connection")]
    Closed,
    /// No reply came in time.
    #[error("no answer to {verb}")]
    Silence {
        /// What was asked.
        verb: &'static str,
    },
    /// The reply is a refusal, or not the one the protocol has.
    #[error("{verb} was answered by {answer:?}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// The first words of the reply.
        answer: String,
    },
    /// The message was not delivered (`NAK`).
    #[error("the message was not delivered")]
    Undelivered,
    /// There is no switchboard with that person.
    #[error("no conversation with this contact")]
    NoConversation,
}

/// What happens to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// Somebody is online, or changed the status (`NLN`, `BSY` ...).
    Online {
        /// Who.
        handle: String,
        /// Status as the protocol spells it.
        status: String,
    },
    /// Somebody went offline.
    Offline {
        /// Who.
        handle: String,
    },
    /// Somebody is in a conversation with us.
    Joined {
        /// Number of the conversation within this client.
        board: u64,
        /// Who.
        handle: String,
    },
    /// Somebody left a conversation.
    Left {
        /// Number of the conversation.
        board: u64,
        /// Who.
        handle: String,
    },
    /// A message came.
    Message {
        /// Number of the conversation.
        board: u64,
        /// Who wrote it.
        from: String,
        /// Display name, as on the wire.
        nick: String,
        /// MIME header and body.
        payload: Vec<u8>,
    },
    /// A message given to [`Carrier::send`] did not arrive.
    Undelivered {
        /// Whom it was for.
        peer: String,
        /// Which message.
        delivery: Delivery,
    },
    /// The last conversation with exactly this person has ended.
    CarrierLost {
        /// Who.
        peer: String,
    },
    /// A line given to [`Carrier::show`].
    Shown {
        /// In whose window.
        peer: String,
        /// The line.
        line: String,
    },
    /// The connection to the server has ended; nothing follows.
    SignedOut,
}

impl ClientEvent {
    /// The text of a `text/plain` message.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let Self::Message { payload, .. } = self else {
            return None;
        };
        if media_type(payload)? != "text/plain" {
            return None;
        }
        let body = memchr::memmem::find(payload, b"\r\n\r\n")
            .and_then(|end| payload.get(end + 4..))
            .unwrap_or_default();
        Some(String::from_utf8_lossy(body).into_owned())
    }
}

/// The media type in a MIME header, in lower case.
fn media_type(payload: &[u8]) -> Option<String> {
    let header = memchr::memmem::find(payload, b"\r\n\r\n")
        .and_then(|end| payload.get(..end))
        .unwrap_or(payload);
    String::from_utf8_lossy(header).lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-type")
            .then(|| value.split(';').next().unwrap_or_default().trim())
            .map(str::to_ascii_lowercase)
    })
}

/// The payload of a chat message.
#[must_use]
pub fn text_payload(text: &str) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         X-MMS-IM-Format: FN=Arial; EF=; CO=0; CS=0; PF=22\r\n\r\n{text}"
    )
    .into_bytes()
}

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
        // Should this fail half way, the connection goes with the guard.
        let guard = cancel.clone().drop_guard();
        let mut server = settings.server;
        let mut left = REDIRECTS;
        let (notification, frames) = loop {
            let (line, frames) = Line::connect(server, &tasks, &cancel).await?;
            match authenticate(&line, &settings).await? {
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
            tasks,
        }));
        let inner = &client.0;
        inner.tasks.spawn(client.clone().watch_notification(frames));
        inner.tasks.spawn(client.clone().empty_outbox(queued));
        if let Err(error) = client.go_online().await {
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

    /// What comes between the login and being seen.
    async fn go_online(&self) -> Result<(), ClientError> {
        let Inner {
            notification: line,
            settings,
            ..
        } = &*self.0;
        match settings.version {
            0..=9 => {
                line.ask("SYN", |trid| format!("SYN {trid} 0\r\n")).await?;
            }
            10..=12 => {
                line.ask("SYN", |trid| format!("SYN {trid} 0 0\r\n"))
                    .await?;
            }
            _ => {
                let list = "<ml l=\"1\"></ml>";
                line.ask("ADL", |trid| format!("ADL {trid} {}\r\n{list}", list.len()))
                    .await?;
            }
        }
        let caps = match settings.version {
            0..=7 => "",
            8..=15 => " 0",
            _ => " 0:0",
        };
        let reply = line
            .ask("CHG", |trid| format!("CHG {trid} NLN{caps}\r\n"))
            .await?;
        expect("CHG", &reply, reply.verb() == "CHG")
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

    /// Cuts every connection without a word.
    pub fn cut(&self) {
        self.0.cancel.cancel();
    }

    fn boards(&self) -> MutexGuard<'_, Vec<Arc<Board>>> {
        self.0.boards.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (line, frames) = Line::connect(at, &self.0.tasks, &self.0.cancel).await?;
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
        self.deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

/// The login up to `USR OK`; `Some` is a redirect.
async fn authenticate(
    line: &Line,
    settings: &ClientSettings,
) -> Result<Option<SocketAddr>, ClientError> {
    let ClientSettings {
        version, handle, ..
    } = settings;
    let reply = line
        .ask("VER", |trid| format!("VER {trid} MSNP{version} CVR0\r\n"))
        .await?;
    expect("VER", &reply, reply.word(2) == format!("MSNP{version}"))?;
    // The proof is of the right form and proves nothing: the server has no passwords.
    let (scheme, proof) = match version {
        0..=7 => ("MD5", "00000000000000000000000000000000"),
        8..=14 => ("TWN", "t=demo&p="),
        _ => ("SSO", "t=demo&p= AAAA"),
    };
    if scheme == "MD5" {
        line.ask("INF", |trid| format!("INF {trid}\r\n")).await?;
    } else {
        line.ask("CVR", |trid| {
            format!("CVR {trid} 0x0409 linux 1.0 i386 MSNHANDOFF 0.1 msmsgs {handle}\r\n")
        })
        .await?;
    }
    let reply = line
        .ask("USR", |trid| format!("USR {trid} {scheme} I {handle}\r\n"))
        .await?;
    if reply.verb() == "XFR" && reply.word(2) == "NS" {
        return address("XFR", reply.word(3)).map(Some);
    }
    expect("USR", &reply, reply.word(3) == "S")?;
    let machine = match version {
        0..=15 => "",
        _ => " {00000000-0000-4000-8000-000000000001}",
    };
    let reply = line
        .ask("USR", |trid| {
            format!("USR {trid} {scheme} S {proof}{machine}\r\n")
        })
        .await?;
    expect("USR", &reply, reply.word(2) == "OK")?;
    Ok(None)
}

/// A connection: questions with their answers, and what comes unasked.
struct Line {
    queue: mpsc::UnboundedSender<Option<Vec<u8>>>,
    pending: Arc<Mutex<HashMap<u32, oneshot::Sender<Frame>>>>,
    next: AtomicU32,
    closed: CancellationToken,
}

impl Line {
    async fn connect(
        addr: SocketAddr,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Frame>), ClientError> {
        let failed = |source| ClientError::Connect { addr, source };
        let stream: TcpStream = socket::tcp_connect(addr).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
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
                let next = tokio::select! {
                    () = closed.cancelled() => break,
                    next = reader.next() => next,
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
    fn tell(&self, command: impl FnOnce(u32) -> Vec<u8>) {
        let trid = self.next.fetch_add(1, Ordering::Relaxed);
        let _ = self.queue.send(Some(command(trid)));
    }

    async fn ask(
        &self,
        verb: &'static str,
        command: impl FnOnce(u32) -> String,
    ) -> Result<Frame, ClientError> {
        self.ask_bytes(verb, |trid| command(trid).into_bytes())
            .await
    }

    /// Sends a command and waits for the reply with its number.
    async fn ask_bytes(
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
    fn end(&self) {
        let _ = self.queue.send(Some(b"OUT\r\n".to_vec()));
        let _ = self.queue.send(None);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server::{Server, ServerSettings};
    use crate::negotiation::InvitationId;

    const ANN: &str = "ann@example.com";
    const BOB: &str = "bob@example.com";
    const INVITE: &[u8] = include_bytes!("../../tests/vectors/V1.msg");

    type Events = mpsc::UnboundedReceiver<ClientEvent>;

    fn people() -> Vec<(String, String)> {
        vec![
            (ANN.into(), "Ann Example".into()),
            (BOB.into(), "Bob".into()),
        ]
    }

    async fn server(settings: ServerSettings) -> Server {
        Server::start(ServerSettings {
            people: people(),
            ..settings
        })
        .await
        .unwrap()
    }

    async fn log_in(server: &Server, handle: &str, version: u8) -> (Client, Events) {
        let settings = ClientSettings {
            version,
            ..ClientSettings::new(server.ns_addr(), handle)
        };
        Client::login(settings).await.unwrap()
    }

    /// The next event `wanted` makes something of. Nothing here waits on a clock of its own: a
    /// missing event ends the test by the limit.
    async fn next<T>(events: &mut Events, wanted: impl Fn(&ClientEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = events.recv().await.expect("the client ended");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), search)
            .await
            .expect("the event never came")
    }

    #[tokio::test]
    async fn every_version_logs_in_sees_presence_and_chats_both_ways() {
        let server = server(ServerSettings::default()).await;
        for version in 2..=18 {
            let (bob, mut bob_events) = log_in(&server, BOB, 20 - version).await;
            let (ann, mut ann_events) = log_in(&server, ANN, version).await;
            let online = |who: &'static str| {
                move |event: &ClientEvent| match event {
                    ClientEvent::Online { handle, .. } if handle == who => Some(()),
                    _ => None,
                }
            };
            next(&mut ann_events, online(BOB)).await;
            next(&mut bob_events, online(ANN)).await;

            ann.send_text(BOB, "hello \u{e9}").await.unwrap();
            let (text, nick) = next(&mut bob_events, |event| match event {
                ClientEvent::Message { from, nick, .. } if from == ANN => {
                    Some((event.text()?, nick.clone()))
                }
                _ => None,
            })
            .await;
            assert_eq!(
                (text.as_str(), nick.as_str()),
                ("hello \u{e9}", "Ann%20Example"),
                "MSNP{version}"
            );
            // The answer goes back through the same conversation.
            bob.send_text(ANN, "hi").await.unwrap();
            let text = next(&mut ann_events, ClientEvent::text).await;
            assert_eq!(text, "hi", "MSNP{version}");
            assert_eq!(server.sessions().len(), 1, "MSNP{version}");

            ann.sign_out().await;
            let gone = |event: &ClientEvent| match event {
                ClientEvent::Offline { handle } if handle == ANN => Some(()),
                _ => None,
            };
            next(&mut bob_events, gone).await;
            bob.sign_out().await;
            next(&mut bob_events, |event| {
                (*event == ClientEvent::SignedOut).then_some(())
            })
            .await;
            while !server.online().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn a_redirect_is_followed_in_the_form_of_each_version() {
        let server = server(ServerSettings {
            redirect: true,
            ..ServerSettings::default()
        })
        .await;
        for version in [2, 3, 7, 8, 12, 13, 15, 18] {
            let (ann, _events) = log_in(&server, ANN, version).await;
            assert_eq!(server.online(), [ANN], "MSNP{version}");
            ann.sign_out().await;
            while !server.online().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn the_highest_common_version_is_chosen_or_none() {
        let server = server(ServerSettings {
            versions: vec![8, 9],
            ..ServerSettings::default()
        })
        .await;
        let settings = ClientSettings::new(server.ns_addr(), ANN);
        let Err(error) = Client::login(settings).await else {
            panic!("MSNP12 was not on offer");
        };
        assert!(
            matches!(&error, ClientError::Refused { verb: "VER", answer } if answer == "VER 1 0"),
            "{error}"
        );
        let mut stream = socket::tcp_connect(server.ns_addr()).await.unwrap();
        stream
            .write_all(b"VER 1 MSNP18 MSNP8 MSNP9 MSNP7 CVR0\r\n")
            .await
            .unwrap();
        let mut reader = FrameReader::new(stream, Side::Server);
        let reply = reader.next().await.unwrap().unwrap();
        assert_eq!(reply.bytes(), b"VER 1 MSNP9\r\n");
    }

    #[tokio::test]
    async fn an_invitation_arrives_byte_for_byte_and_through_the_carrier() {
        let server = server(ServerSettings::default()).await;
        let (_bob, mut bob_events) = log_in(&server, BOB, 11).await;
        let (ann, _ann_events) = log_in(&server, ANN, 15).await;
        let delivery = Delivery(InvitationId(7));
        Carrier::send(&ann, BOB, INVITE.to_vec(), delivery);
        Carrier::send(&ann, BOB, b"second".to_vec(), delivery);
        let payload = |event: &ClientEvent| match event {
            ClientEvent::Message { payload, .. } => Some(payload.clone()),
            _ => None,
        };
        assert_eq!(next(&mut bob_events, payload).await, INVITE);
        assert_eq!(next(&mut bob_events, payload).await, b"second");
        assert_eq!(server.sessions().len(), 1);
    }

    #[tokio::test]
    async fn acknowledgements_follow_the_letter() {
        // What a raw switchboard connection gets back: alone in the room, and with somebody.
        let rows: &[(Letter, Option<&str>, Option<&str>)] = &[
            (Letter::U, None, None),
            (Letter::N, Some("NAK"), None),
            (Letter::A, Some("NAK"), Some("ACK")),
            (Letter::D, Some("NAK"), Some("ACK")),
            (Letter::S, None, Some("ACK")),
        ];
        let server = server(ServerSettings::default()).await;
        let (ann, _ann_events) = log_in(&server, ANN, 12).await;
        let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
        let reply = ann
            .0
            .notification
            .ask("XFR", |trid| format!("XFR {trid} SB\r\n"))
            .await
            .unwrap();
        let stream = socket::tcp_connect(server.sb_addr()).await.unwrap();
        let (reading, mut writing) = stream.into_split();
        let mut reader = FrameReader::new(reading, Side::Server);
        writing
            .write_all(format!("USR 1 {ANN} {}\r\n", reply.word(5)).as_bytes())
            .await
            .unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().word(2), "OK");
        for alone in [true, false] {
            if !alone {
                writing
                    .write_all(format!("CAL 2 {BOB}\r\n").as_bytes())
                    .await
                    .unwrap();
                for verb in ["CAL", "JOI"] {
                    assert_eq!(reader.next().await.unwrap().unwrap().verb(), verb);
                }
            }
            for (letter, when_alone, when_heard) in rows {
                writing
                    .write_all(&message(40, *letter, b"x"))
                    .await
                    .unwrap();
                // The next reply is to a question of known answer, so silence is seen at once.
                writing
                    .write_all(format!("CAL 41 {ANN}\r\n").as_bytes())
                    .await
                    .unwrap();
                let mut got = Vec::new();
                loop {
                    let frame = reader.next().await.unwrap().unwrap();
                    if frame.bytes() == b"215 41\r\n" {
                        break;
                    }
                    assert_eq!(frame.word(1), "40");
                    got.push(frame.verb().to_owned());
                }
                let want = if alone { when_alone } else { when_heard };
                assert_eq!(
                    got.first().map(String::as_str),
                    *want,
                    "{letter:?}, alone: {alone}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_strict_server_hangs_up_on_other_letters_and_on_long_payloads() {
        let rows: &[(Letter, usize, bool)] = &[
            (Letter::A, 1664, true),
            (Letter::A, 1665, false),
            (Letter::N, 10, true),
            (Letter::S, 10, false),
        ];
        for (letter, length, stays) in rows {
            let server = server(ServerSettings {
                strict: true,
                ..ServerSettings::default()
            })
            .await;
            let (ann, mut ann_events) = log_in(&server, ANN, 12).await;
            let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
            ann.open(BOB).await.unwrap();
            let _ = ann.send_payload(BOB, *letter, &vec![b'x'; *length]).await;
            if *stays {
                ann.send_text(BOB, "still there").await.unwrap();
                assert_eq!(server.sessions().len(), 1);
            } else {
                next(&mut ann_events, |event| {
                    matches!(event, ClientEvent::CarrierLost { peer } if peer == BOB).then_some(())
                })
                .await;
            }
        }
    }

    #[tokio::test]
    async fn a_contact_who_is_offline_cannot_be_called() {
        let server = server(ServerSettings::default()).await;
        let (ann, mut events) = log_in(&server, ANN, 12).await;
        let error = ann.open(BOB).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused { verb: "CAL", answer } if answer.starts_with("217")),
            "{error}"
        );
        let delivery = Delivery(InvitationId(3));
        Carrier::send(&ann, BOB, INVITE.to_vec(), delivery);
        let lost = next(&mut events, |event| match event {
            ClientEvent::Undelivered { peer, delivery } => Some((peer.clone(), *delivery)),
            _ => None,
        })
        .await;
        assert_eq!(lost, (BOB.to_owned(), delivery));
    }

    #[tokio::test]
    async fn a_cut_switchboard_is_told_and_the_next_message_opens_another() {
        let server = server(ServerSettings::default()).await;
        let (ann, mut ann_events) = log_in(&server, ANN, 12).await;
        let (_bob, mut bob_events) = log_in(&server, BOB, 12).await;
        ann.send_text(BOB, "one").await.unwrap();
        let (session, members) = server.sessions().remove(0);
        assert_eq!(members, [ANN, BOB]);
        assert!(server.drop_switchboard(session));
        let lost = |event: &ClientEvent| match event {
            ClientEvent::CarrierLost { peer } => Some(peer.clone()),
            _ => None,
        };
        assert_eq!(next(&mut ann_events, lost).await, BOB);
        assert_eq!(next(&mut bob_events, lost).await, ANN);
        ann.send_text(BOB, "two").await.unwrap();
        assert_eq!(next(&mut bob_events, ClientEvent::text).await, "two");
    }

    #[tokio::test]
    async fn one_who_is_cut_off_is_offline_for_everybody() {
        let server = server(ServerSettings::default()).await;
        let (_bob, mut bob_events) = log_in(&server, BOB, 12).await;
        let (_ann, mut ann_events) = log_in(&server, ANN, 12).await;
        assert_eq!(server.drop_user(ANN), 1);
        next(&mut ann_events, |event| {
            (*event == ClientEvent::SignedOut).then_some(())
        })
        .await;
        next(&mut bob_events, |event| {
            matches!(event, ClientEvent::Offline { handle } if handle == ANN).then_some(())
        })
        .await;
        assert_eq!(server.online(), [BOB]);
    }

    #[tokio::test]
    async fn a_second_login_ends_the_first() {
        let server = server(ServerSettings::default()).await;
        let (_first, mut first_events) = log_in(&server, ANN, 12).await;
        let (_second, _second_events) = log_in(&server, ANN, 12).await;
        next(&mut first_events, |event| {
            (*event == ClientEvent::SignedOut).then_some(())
        })
        .await;
        assert_eq!(server.online(), [ANN]);
    }

    /// Takes every invitation and writes down what it is told.
    #[derive(Default)]
    struct Hub(Mutex<Vec<String>>);

    impl Invitations for Hub {
        fn attach(&self, account: &str, _: Arc<dyn Carrier>) -> AccountId {
            lock(&self.0).push(format!("attach {account}"));
            AccountId(1)
        }
        fn detach(&self, _: AccountId) {
            lock(&self.0).push("detach".to_owned());
        }
        fn received(&self, _: AccountId, peer: &str, payload: &[u8]) -> Verdict {
            lock(&self.0).push(format!("received {peer} {}", payload.len()));
            Verdict::Taken
        }
        fn typed(&self, _: AccountId, _: &str, _: &str) -> Verdict {
            Verdict::Pass
        }
        fn carrier_lost(&self, _: AccountId, peer: &str) {
            lock(&self.0).push(format!("lost {peer}"));
        }
        fn undelivered(&self, _: AccountId, delivery: Delivery) {
            lock(&self.0).push(format!("undelivered {}", delivery.0.0));
        }
    }

    #[tokio::test]
    async fn a_dispatcher_on_a_client_gets_the_invitations_and_nothing_else() {
        let server = server(ServerSettings::default()).await;
        let (bob, events) = log_in(&server, BOB, 12).await;
        let hub = Arc::new(Hub::default());
        let (_, mut passed) = join(&bob, events, Arc::<Hub>::clone(&hub));
        let (ann, _ann_events) = log_in(&server, ANN, 12).await;
        ann.send_payload(BOB, Letter::A, INVITE).await.unwrap();
        ann.send_text(BOB, "hello").await.unwrap();
        assert_eq!(next(&mut passed, ClientEvent::text).await, "hello");
        ann.leave(BOB);
        next(&mut passed, |event| {
            matches!(event, ClientEvent::CarrierLost { .. }).then_some(())
        })
        .await;
        Carrier::send(
            &bob,
            "nobody@example.com",
            INVITE.to_vec(),
            Delivery(InvitationId(9)),
        );
        next(&mut passed, |event| {
            matches!(event, ClientEvent::Undelivered { .. }).then_some(())
        })
        .await;
        bob.sign_out().await;
        assert_eq!(
            *lock(&hub.0),
            [
                format!("attach {BOB}"),
                format!("received {ANN} {}", INVITE.len()),
                format!("lost {ANN}"),
                "undelivered 9".to_owned(),
                "detach".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn the_tap_tells_every_command_with_its_payload() {
        let server = server(ServerSettings::default()).await;
        let mut tap = server.tap();
        let (ann, _ann_events) = log_in(&server, ANN, 12).await;
        let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
        ann.send_payload(BOB, Letter::A, INVITE).await.unwrap();
        let mut seen = Vec::new();
        while let Ok(tapped) = tap.try_recv() {
            if tapped.line().starts_with("MSG") && tapped.payload() == INVITE {
                seen.push((tapped.who.clone(), tapped.from, tapped.session.is_some()));
            }
        }
        assert_eq!(
            seen,
            [
                (ANN.to_owned(), Side::Client, true),
                (BOB.to_owned(), Side::Server, true)
            ]
        );
    }
}
