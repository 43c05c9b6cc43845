//! A small MSNP server on real loopback TCP, MSNP2 to MSNP18, for the demo and the tests: a
//! notification server, a switchboard server and, when asked, a dispatch server that redirects.
//! Facts: PROTOCOL.md sections 1.1, 11 and 12. It has no passwords: whoever names a handle gets it,
//! and everybody is everybody's contact. Never to be reached from another machine.

mod forms;
mod notification;
mod switchboard;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::forms::Presence;
pub use super::wire::Side;
use super::wire::{Frame, FrameReader};
use crate::endpoint::socket;

/// How many frames a slow listener of [`Server::tap`] may lag behind.
const TAP_DEPTH: usize = 4096;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address it listens at, and tells in its redirections.
    pub listen: Ipv4Addr,
    /// The port that is connected to first; 0 for a free one. A server that comes back has the same.
    pub port: u16,
    /// Versions of the protocol it speaks (2 to 18).
    pub versions: Vec<u8>,
    /// People on everybody's contact list: handle and display name. Others may log in as well.
    pub people: Vec<(String, String)>,
    /// Puts a dispatch server in front, which redirects every login with `XFR NS`.
    pub redirect: bool,
    /// Disconnects on ack letters other than `U N A D` and on payloads of more than 1664 bytes, as
    /// Escargot does (PROTOCOL.md section 11).
    pub strict: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST,
            port: 0,
            versions: (2..=18).collect(),
            people: Vec::new(),
            redirect: false,
            strict: false,
        }
    }
}

/// Which of the three servers a connection goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only redirects.
    Dispatch,
    /// Login and presence.
    Notification,
    /// Conversations.
    Switchboard,
}

/// One command that went through the server.
#[derive(Debug, Clone)]
pub struct Tapped {
    /// Which server.
    pub kind: Kind,
    /// Number of the connection, unique within the server.
    pub connection: u64,
    /// Number of the conversation, on a switchboard after login.
    pub session: Option<u64>,
    /// Handle of the client, empty before it named itself.
    pub who: String,
    /// Who wrote it.
    pub from: Side,
    /// The command as it was on the wire, payload included.
    pub bytes: Arc<[u8]>,
}

impl Tapped {
    /// The command line without its payload and line end.
    #[must_use]
    pub fn line(&self) -> String {
        let line = self
            .bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(line).trim_end().to_owned()
    }

    /// What follows the command line.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        memchr::memchr(b'\n', &self.bytes)
            .and_then(|end| self.bytes.get(end + 1..))
            .unwrap_or_default()
    }
}

/// A running server. It ends with [`Server::stop`], or when it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    front_door: SocketAddr,
}

/// What all connections share.
struct Shared {
    settings: ServerSettings,
    notification: SocketAddr,
    switchboard: SocketAddr,
    state: Mutex<State>,
    tap: broadcast::Sender<Tapped>,
    cancel: CancellationToken,
    /// False: nothing is read.
    reads: watch::Sender<bool>,
    tasks: TaskTracker,
    numbers: AtomicU64,
}

#[derive(Default)]
struct State {
    online: BTreeMap<String, Online>,
    sessions: BTreeMap<u64, Vec<Member>>,
    /// What a cookie opens.
    tickets: HashMap<String, Ticket>,
    /// Every open connection.
    connections: HashMap<u64, Out>,
}

/// Somebody logged in.
struct Online {
    version: u8,
    out: Out,
    /// Unset until the first `CHG`.
    presence: Option<Presence>,
}

/// Somebody in a conversation.
struct Member {
    handle: String,
    version: u8,
    out: Out,
}

/// The right to enter a switchboard once.
struct Ticket {
    handle: String,
    version: u8,
    /// Set in the ticket of one who is called.
    session: Option<u64>,
}

impl Server {
    /// Starts a server at its address; only the port that is connected to first can be chosen.
    ///
    /// # Errors
    /// What the system says to listening.
    pub async fn start(settings: ServerSettings) -> io::Result<Self> {
        let free = SocketAddr::from((settings.listen, 0));
        let first = SocketAddr::from((settings.listen, settings.port));
        let (dispatch, notification) = if settings.redirect {
            let dispatch = socket::tcp_listen(first).await?;
            (Some(dispatch), socket::tcp_listen(free).await?)
        } else {
            (None, socket::tcp_listen(first).await?)
        };
        let switchboard = socket::tcp_listen(free).await?;
        let shared = Arc::new(Shared {
            settings,
            notification: notification.local_addr()?,
            switchboard: switchboard.local_addr()?,
            state: Mutex::default(),
            tap: broadcast::Sender::new(TAP_DEPTH),
            cancel: CancellationToken::new(),
            reads: watch::Sender::new(true),
            tasks: TaskTracker::new(),
            numbers: AtomicU64::new(1),
        });
        let front_door = match &dispatch {
            Some(listener) => listener.local_addr()?,
            None => shared.notification,
        };
        shared.listen(notification, |shared, stream| {
            notification::serve(shared, stream, false)
        });
        shared.listen(switchboard, switchboard::serve);
        if let Some(dispatch) = dispatch {
            shared.listen(dispatch, |shared, stream| {
                notification::serve(shared, stream, true)
            });
        }
        Ok(Self { shared, front_door })
    }

    /// Where a client connects first: the dispatch server if there is one.
    #[must_use]
    pub fn ns_addr(&self) -> SocketAddr {
        self.front_door
    }

    /// Where switchboards are.
    #[must_use]
    pub fn sb_addr(&self) -> SocketAddr {
        self.shared.switchboard
    }

    /// Everything that goes through from now on.
    #[must_use]
    pub fn tap(&self) -> broadcast::Receiver<Tapped> {
        self.shared.tap.subscribe()
    }

    /// Handles of those who are logged in, in order.
    #[must_use]
    pub fn online(&self) -> Vec<String> {
        self.shared.state().online.keys().cloned().collect()
    }

    /// The open conversations: number and the handles in it, in the order they came.
    #[must_use]
    pub fn sessions(&self) -> Vec<(u64, Vec<String>)> {
        let state = self.shared.state();
        let handles = |members: &Vec<Member>| members.iter().map(|m| m.handle.clone()).collect();
        state
            .sessions
            .iter()
            .map(|(session, members)| (*session, handles(members)))
            .collect()
    }

    /// Cuts every connection of one conversation, without a word. `false` when there is none.
    pub fn drop_switchboard(&self, session: u64) -> bool {
        let state = self.shared.state();
        let Some(members) = state.sessions.get(&session) else {
            return false;
        };
        for member in members {
            member.out.cut();
        }
        true
    }

    /// Cuts every connection of one person, without a word. Gives how many there were.
    pub fn drop_user(&self, handle: &str) -> usize {
        self.cut_where(|out| out.who() == handle)
    }

    /// Cuts every connection there is, without a word; the server goes on listening.
    pub fn drop_everybody(&self) -> usize {
        self.cut_where(|_| true)
    }

    fn cut_where(&self, which: impl Fn(&Out) -> bool) -> usize {
        let state = self.shared.state();
        let chosen = state.connections.values().filter(|out| which(out));
        chosen.map(Out::cut).count()
    }

    /// Sends raw bytes to a person's notification connection (tests: what a server may also say).
    /// `false` when that person is not logged in.
    pub fn say(&self, handle: &str, bytes: &[u8]) -> bool {
        let state = self.shared.state();
        let Some(online) = state.online.get(handle) else {
            return false;
        };
        online.out.send(bytes.to_vec());
        true
    }

    /// Reads what clients send, or leaves it in the sockets from the next command on (tests: a server
    /// that stands still).
    pub fn reads(&self, reads: bool) {
        self.shared.reads.send_replace(reads);
    }

    /// Closes everything and waits until it is closed.
    pub async fn stop(self) {
        self.shared.cancel.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
    }
}

impl Shared {
    fn listen<F, Served>(self: &Arc<Self>, listener: TcpListener, serve: F)
    where
        F: Fn(Arc<Self>, TcpStream) -> Served + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = shared.cancel.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, _)) => {
                        shared.tasks.spawn(serve(Arc::clone(&shared), stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "demo server: cannot accept");
                        return;
                    }
                }
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn session(&self) -> u64 {
        11_752_000 + self.number()
    }

    fn cookie(&self) -> String {
        format!("17262740.1050826919.{}", 32_000 + self.number())
    }

    fn nick(&self, handle: &str) -> String {
        self.settings
            .people
            .iter()
            .find(|(known, _)| known == handle)
            .map_or_else(|| handle.to_owned(), |(_, nick)| nick.clone())
    }

    fn contacts_of(&self, handle: &str) -> Vec<(String, String)> {
        let people = self.settings.people.iter();
        people
            .filter(|(known, _)| known != handle)
            .cloned()
            .collect()
    }

    /// Takes the writing half of a new connection and starts its writer.
    fn connection(self: &Arc<Self>, kind: Kind, writing: OwnedWriteHalf) -> Out {
        let (queue, queued) = mpsc::unbounded_channel();
        let out = Out(Arc::new(OutInner {
            id: self.number(),
            kind,
            label: Mutex::default(),
            queue,
            cancel: self.cancel.child_token(),
            reads: self.reads.subscribe(),
            tap: self.tap.clone(),
        }));
        self.state().connections.insert(out.id(), out.clone());
        let (shared, id, cancel) = (Arc::clone(self), out.id(), out.0.cancel.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = write_all(writing, queued) => cancel.cancel(),
            }
            shared.state().connections.remove(&id);
        });
        out
    }
}

/// Writes what is queued until told to close or the socket fails.
async fn write_all(mut writing: OwnedWriteHalf, mut queued: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing::Bytes(bytes)) = queued.recv().await {
        if writing.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // An error here means the client is gone, which is what is wanted.
    let _ = writing.shutdown().await;
}

enum Outgoing {
    Bytes(Vec<u8>),
    Close,
}

/// The way to one client.
#[derive(Clone)]
struct Out(Arc<OutInner>);

/// Gives each command of a client to `handle`, until that says no, the client ends or `out` does.
async fn serve_commands(
    reading: OwnedReadHalf,
    out: &Out,
    mut handle: impl FnMut(&Frame) -> bool,
) -> io::Result<()> {
    let mut reader = FrameReader::new(reading, Side::Client);
    let mut reads = out.0.reads.clone();
    loop {
        let reading = async {
            // A server that is gone cancels.
            let _ = reads.wait_for(|reads| *reads).await;
            reader.next().await
        };
        let next = tokio::select! {
            () = out.cancelled() => return Ok(()),
            next = reading => next?,
        };
        let Some(frame) = next else { return Ok(()) };
        out.tap(Side::Client, frame.bytes());
        if !handle(&frame) {
            return Ok(());
        }
    }
}

struct OutInner {
    id: u64,
    kind: Kind,
    label: Mutex<Label>,
    queue: mpsc::UnboundedSender<Outgoing>,
    cancel: CancellationToken,
    reads: watch::Receiver<bool>,
    tap: broadcast::Sender<Tapped>,
}

#[derive(Default, Clone)]
struct Label {
    who: String,
    session: Option<u64>,
}

impl Out {
    fn id(&self) -> u64 {
        self.0.id
    }

    /// Queues one command. What is queued for a connection that is gone is lost, as on a wire.
    fn send(&self, bytes: Vec<u8>) {
        self.tap(Side::Server, &bytes);
        let _ = self.0.queue.send(Outgoing::Bytes(bytes));
    }

    /// Ends the connection after what is queued.
    fn close(&self) {
        let _ = self.0.queue.send(Outgoing::Close);
    }

    /// Ends the connection now.
    fn cut(&self) {
        self.0.cancel.cancel();
    }

    async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    fn label(&self) -> MutexGuard<'_, Label> {
        self.0.label.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, who: &str) {
        who.clone_into(&mut self.label().who);
    }

    fn session(&self, session: u64) {
        self.label().session = Some(session);
    }

    fn who(&self) -> String {
        self.label().who.clone()
    }

    fn tap(&self, from: Side, bytes: &[u8]) {
        if self.0.tap.receiver_count() == 0 {
            return;
        }
        let label = self.label().clone();
        let _ = self.0.tap.send(Tapped {
            kind: self.0.kind,
            connection: self.0.id,
            session: label.session,
            who: label.who,
            from,
            bytes: Arc::from(bytes),
        });
    }
}
