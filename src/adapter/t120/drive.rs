//! Listens, gives the call its sockets and the time, and ends with whichever ends first: the call,
//! the T.120 connection, the program or the invitation.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use super::{
    arrival::{Arrival, Event, Taker},
    call::{Front, Hop, Output, Setup},
    taker::{self, Found, seed},
};
use crate::{
    adapter::{
        Order, Report, Task,
        one_program::{self, Started},
        relay_tcp,
    },
    clock::Clock,
    endpoint::socket,
    event::{Party, Signal, SignalKind},
    launch::Exit,
    media::sip::{self, Message, Now, Token, frame::MAX_MESSAGE},
    negotiation::Announced,
    shown,
};

/// Most connections of the peer at a time.
const MAX_CONNECTIONS: usize = 16;
/// Most lines about what was turned away: the peer could send more for ever.
const MAX_SAID: usize = 8;
/// How long, after the last T.120 connection, another may come: MCS opens several for one domain.
const REOPEN: Duration = Duration::from_secs(5);
/// How long, after the end, a BYE may wait for its answer.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long, after the end, a BYE that is repeated because our answer was lost is answered again:
/// a little more than T1 (RFC 3261 section 17.1.1.1).
const LINGER: Duration = Duration::from_millis(700);

/// Serves the session: the peer's addresses are known, its call is to come.
pub(super) async fn run(mut task: Task, peers: Vec<Ipv4Addr>) {
    let Some(found) = taker::find(&mut task).await else {
        return;
    };
    let user = Token::new("bridge").map_err(|error| error.to_string());
    let bound = Listening::bind(task.own_ip, found.port).await;
    match user.and_then(|user| Ok((user, bound?))) {
        Ok((user, listening)) => Driver::new(task, peers, user, listening, found).run().await,
        Err(why) => {
            task.fail(why);
            if let Some(program) = found.program {
                one_program::leave(&task, program, None).await;
            }
        }
    }
}

/// The sockets for the peer, all there before the address of the first is told.
struct Listening {
    udp: UdpSocket,
    /// SIP's, and T.120's.
    tcp: [TcpListener; 2],
    sip: SocketAddrV4,
    t120: SocketAddrV4,
}

impl Listening {
    async fn bind(own: Ipv4Addr, port: u16) -> Result<Self, String> {
        let t120 = SocketAddrV4::new(own, port);
        let listener = socket::tcp_listen(t120.into()).await;
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "TCP port {port} at {own} is taken by another program, or by another whiteboard or \
                 application sharing; the contact's client knows no other port: end that first"
            ),
            _ => format!("cannot listen at {t120}: {error}"),
        })?;
        let pair = async {
            let (udp, tcp) = socket::udp_tcp_pair(own).await?;
            let port = udp.local_addr()?.port();
            io::Result::Ok((udp, tcp, SocketAddrV4::new(own, port)))
        };
        let (udp, tcp, sip) = pair
            .await
            .map_err(|error| format!("no port to listen on at {own}: {error}"))?;
        Ok(Self {
            udp,
            tcp: [tcp, listener],
            sip,
            t120,
        })
    }
}

/// How it ends.
enum End {
    /// Asked for by the dispatcher.
    Ordered,
    /// The peer has hung up.
    There,
    /// By itself.
    Words(String),
    /// Our program ended.
    Program(Exit),
}

/// A connection, where it is from, and the port it came to.
type Arrived = (TcpStream, SocketAddr, u16);

struct Driver {
    task: Task,
    peers: Vec<Ipv4Addr>,
    clock: Clock,
    front: Front,
    udp: UdpSocket,
    taker: Taker,
    program: Option<Started>,
    /// Where connections arrive, and T.120's own.
    sip: SocketAddrV4,
    t120: SocketAddrV4,
    arrivals: (mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>),
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    /// Connections; those that turned out to be SIP, with the way out.
    streams: HashMap<u64, Option<mpsc::Sender<Vec<u8>>>>,
    next_stream: u64,
    said: HashSet<String>,
    /// T.120 connections that are open, and until when another is awaited when none is.
    open: usize,
    reopen_until: Option<Now>,
    begun: bool,
    /// Dropped at the end, which ends every connection.
    tasks: JoinSet<()>,
}

impl Driver {
    fn new(
        task: Task,
        peers: Vec<Ipv4Addr>,
        user: Token,
        listening: Listening,
        found: Found,
    ) -> Self {
        let Listening {
            udp,
            tcp,
            sip,
            t120,
        } = listening;
        let arrivals = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        for (listener, port) in tcp.into_iter().zip([sip.port(), t120.port()]) {
            tasks.spawn(relay_tcp::accept(listener, port, arrivals.0.clone()));
        }
        let setup = Setup {
            own: sip,
            port: t120.port(),
            user,
            seeds: Box::new(seed),
        };
        Self {
            task,
            peers,
            clock: Clock::start(),
            front: Front::new(setup),
            udp,
            taker: found.taker,
            program: found.program,
            sip,
            t120,
            arrivals,
            events: mpsc::channel(32),
            streams: HashMap::new(),
            next_stream: 0,
            said: HashSet::new(),
            open: 0,
            reopen_until: None,
            begun: false,
            tasks,
        }
    }

    fn ready(&self) {
        let announced = Announced::new(*self.sip.ip(), Some(self.sip.port()));
        self.task.report(Report::Ready(announced));
    }

    async fn run(mut self) {
        self.ready();
        let mut datagram = vec![0; MAX_MESSAGE + 1];
        let end = loop {
            if let Some(end) = self.step(&mut datagram).await {
                break end;
            }
        };
        let program = self.program.take();
        self.farewell(matches!(end, End::There), &mut datagram)
            .await;
        self.tasks.shutdown().await;
        let (exit, words) = match end {
            End::Ordered => (None, None),
            End::There => (None, Some("the other side ended it".to_owned())),
            End::Words(words) => (None, Some(words)),
            End::Program(exit) => (Some(exit), None),
        };
        if let Some(program) = program {
            one_program::leave(&self.task, program, exit).await;
        }
        if let Some(words) = words {
            self.task.report(Report::Finished(words));
        }
    }

    /// Until something ends it.
    async fn step(&mut self, datagram: &mut [u8]) -> Option<End> {
        let now = self.clock.now();
        let wake = [self.front.next_timeout(), self.reopen_until];
        let wake = wake.into_iter().flatten().min();
        tokio::select! {
            order = self.task.orders.recv() => match order {
                Some(Order::End) | None => return Some(End::Ordered),
                Some(Order::Prepare(_)) => self.ready(),
                Some(Order::Connected(_) | Order::Context(_)) => {}
            },
            // A closed port there shows up here as an error: nothing to do about it.
            got = self.udp.recv_from(datagram) => {
                if let Ok((n, SocketAddr::V4(from))) = got {
                    let bytes = datagram.get(..n).unwrap_or_default();
                    return self.datagram(bytes, from).await;
                }
            }
            Some((stream, from, port)) = self.arrivals.1.recv() => self.arrived(stream, from, port),
            Some(event) = self.events.1.recv() => return self.event(event).await,
            exit = ended(&mut self.program) => return Some(End::Program(exit)),
            () = pause(wake.map(|at| at.saturating_sub(now))) => return self.time().await,
        }
        None
    }

    async fn time(&mut self) -> Option<End> {
        let now = self.clock.now();
        if self.open == 0 && self.reopen_until.is_some_and(|until| now >= until) {
            return Some(End::Words("the T.120 connection was closed".to_owned()));
        }
        let mut out = Vec::new();
        self.front.timeout(now, &mut out);
        self.obey(out).await
    }

    /// Ends the call, and stays as long as the other side may still need an answer.
    async fn farewell(&mut self, ended_there: bool, datagram: &mut [u8]) {
        let mut out = Vec::new();
        self.front.hang_up(self.clock.now(), &mut out);
        let _ = self.obey(out).await;
        let left = async {
            // An answer to it may be lost too: it is repeated when they repeat.
            while ended_there || !self.front.is_done() {
                if let Some(End::Ordered) = self.step(datagram).await {
                    std::future::pending::<()>().await;
                }
            }
        };
        let within = if ended_there { LINGER } else { FAREWELL };
        let _ = tokio::time::timeout(within, left).await;
    }

    /// Whether a stranger speaks. Only the host the peer negotiated is listened to.
    fn is_peer(&self, from: SocketAddr) -> Option<SocketAddrV4> {
        match from {
            SocketAddr::V4(v4) if self.peers.contains(v4.ip()) => Some(v4),
            _ => {
                tracing::debug!(invitation = self.task.invitation.0, %from, "a stranger; ignored");
                None
            }
        }
    }

    fn arrived(&mut self, stream: TcpStream, from: SocketAddr, port: u16) {
        let Some(from) = self.is_peer(from) else {
            return;
        };
        if self.streams.len() >= MAX_CONNECTIONS {
            return;
        }
        self.next_stream += 1;
        self.streams.insert(self.next_stream, None);
        let arrival = Arrival {
            id: self.next_stream,
            stream,
            from,
            own: SocketAddrV4::new(*self.sip.ip(), port),
            taker: self.taker.clone(),
            events: self.events.0.clone(),
        };
        self.tasks.spawn(arrival.serve());
    }

    async fn event(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Sip(id, line) => {
                self.streams.insert(id, Some(line));
            }
            Event::Message(id, bytes, from) => {
                return self.message(&bytes, Hop::Tcp(id), from).await;
            }
            Event::Begun => {
                self.open += 1;
                self.reopen_until = None;
                if !self.begun {
                    self.begun = true;
                    self.task.report(Report::Running);
                    self.task.report(Report::Signal(Signal {
                        with: Party::Peer,
                        sent: false,
                        kind: SignalKind::Media,
                        text: format!("T.120 on {}", self.t120.port()),
                    }));
                }
            }
            Event::Over(words) => {
                self.open = self.open.saturating_sub(1);
                if let Some(words) = words {
                    return Some(End::Words(words));
                }
                if self.open == 0 {
                    self.reopen_until = Some(self.clock.now().saturating_add(REOPEN));
                }
            }
            Event::Say(line) => self.say_once(line),
            Event::Gone(id) => {
                self.streams.remove(&id);
                self.front.lost(id);
                while self.tasks.try_join_next().is_some() {}
            }
        }
        None
    }

    fn say_once(&mut self, line: String) {
        if self.said.len() < MAX_SAID && self.said.insert(line.clone()) {
            self.task.say(line);
        }
    }

    async fn datagram(&mut self, bytes: &[u8], from: SocketAddrV4) -> Option<End> {
        let from = self.is_peer(from.into())?;
        self.message(bytes, Hop::Udp(from), from).await
    }

    async fn message(&mut self, bytes: &[u8], hop: Hop, source: SocketAddrV4) -> Option<End> {
        let mut out = Vec::new();
        match sip::read(bytes) {
            Ok(message) => {
                self.signal(false, &message);
                let now = self.clock.now();
                self.front.message(&message, hop, source, now, &mut out);
            }
            Err(sip::Error::Refused(refusal)) => {
                tracing::debug!(invitation = self.task.invitation.0, %refusal, "refused");
                let answer = refusal.response().map(|bytes| Output::Send { bytes, hop });
                out.extend(answer);
            }
            Err(error) => {
                tracing::debug!(invitation = self.task.invitation.0, %error, "ignored");
            }
        }
        self.obey(out).await
    }

    /// Does what the call wants.
    async fn obey(&mut self, out: Vec<Output>) -> Option<End> {
        let mut end = None;
        for output in out {
            match output {
                Output::Send { bytes, hop } => {
                    if let Ok(message) = sip::read(&bytes) {
                        self.signal(true, &message);
                    }
                    match hop {
                        Hop::Udp(to) => {
                            if let Err(error) = self.udp.send_to(&bytes, to).await {
                                tracing::debug!(%to, %error, "not sent");
                            }
                        }
                        // A peer that does not read is not waited for.
                        Hop::Tcp(id) => {
                            if let Some(Some(line)) = self.streams.get(&id) {
                                let _ = line.try_send(bytes);
                            }
                        }
                    }
                }
                Output::Say(line) => self.say_once(line),
                Output::Finished => end = Some(End::There),
            }
        }
        end
    }

    fn signal(&self, sent: bool, message: &Message) {
        let text = match message {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => {
                shown::line(&format!("{} {}", response.status, response.reason), 30)
            }
        };
        self.task.report(Report::Signal(Signal {
            with: Party::Peer,
            sent,
            kind: SignalKind::Sip,
            text,
        }));
    }
}

/// The end of our program, if one was started.
async fn ended(program: &mut Option<Started>) -> Exit {
    match program {
        Some(program) => program.ended().await,
        None => std::future::pending().await,
    }
}

async fn pause(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}
