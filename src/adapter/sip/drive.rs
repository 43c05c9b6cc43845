//! Gives the front what it has not: sockets, the time, programs, media; and the dispatcher a
//! listener that stands before its address is announced.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket, tcp::OwnedReadHalf},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::{
    adapter::{Order, Report, Task},
    bridge::{Handoff, Value, Values},
    clock::Clock,
    endpoint::{
        callers::Callers,
        mapping::Door,
        place::{Network, Opened},
        policy::Allowed,
        socket,
        whereabouts::{self, Neighbourhood, Whereabouts},
    },
    event::{Party, Signal, SignalKind},
    media::{
        audio::source::Source,
        sdp::{self, Line},
        sip::{self, Host, Message, Method, Now, Token, frame::MAX_MESSAGE},
    },
    negotiation::{Announced, Remote},
    shown,
};

mod agent;
mod alive;
mod flow;
mod listening;
mod peer;

use listening::{Early, Listening, prepare};

use super::{
    agents::{Contender, Contenders, Event, Runner, player_plan, question},
    builtin::BuiltIn,
    front::{Agent, Front, Hop, Input, Media, Output, Picture, Setup},
    sound::Sound,
};

/// Most datagrams kept that come before the handshake is complete: whose they are is not known
/// yet. A peer repeats an INVITE anyway.
const MAX_EARLY: usize = 4;
/// Most connections of the peer at a time.
const MAX_STREAMS: usize = 4;
/// How long one that may turn out to be the peer may take to say so.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to take a message of ours,
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// and all that waits, once it says no more itself.
const LAST_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection to the peer may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// How often an agent is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long we wait for the peer's call when the configuration says nothing usable.
const WAIT: Duration = Duration::from_secs(3);
/// How long a socket that fails is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(20);
/// The attempt number of a player, which no agent has.
const PICTURE: usize = 0;
/// How often, in a call, the way for its messages is kept open through routers, and whether the peer is
/// still heard is looked at. Routers close a way of UDP after 30 s of silence, and more.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// What routers see and nobody answers (RFC 5626 section 3.5.1).
const KEEP_ALIVE: &[u8] = b"\r\n\r\n";
/// How long, after the end, a BYE that is repeated because our answer was lost is answered again:
/// a little more than T1 (RFC 3261 section 17.1.1.1).
const LINGER: Duration = Duration::from_millis(700);
/// How long, after the end, a BYE may wait for its answer.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves one invitation to talk.
pub async fn run(mut task: Task) {
    let mut listening = None;
    let mut early = Early::default();
    let remote = loop {
        let order = tokio::select! {
            biased;
            order = task.orders.recv() => order,
            () = early.gather(listening.as_ref()) => continue,
        };
        match order {
            Some(Order::Prepare(_)) => match prepare(&mut listening, &task.network).await {
                Ok(announced) => {
                    let _ = task.reports.send(Report::Ready(announced));
                }
                Err(error) => {
                    let why = format!("no port to listen on at {}: {error}", task.own_ip());
                    return fail(&task, why);
                }
            },
            Some(Order::Connected(remote)) => break remote,
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    };
    // An inviter of a kind that announces nothing has not been asked to prepare.
    if let Err(error) = prepare(&mut listening, &task.network).await {
        return fail(&task, format!("no port to listen on: {error}"));
    }
    let Some(listening) = listening else { return };
    match Driver::new(task, listening, &remote).await {
        Ok(driver) => driver.run(early).await,
        Err((task, why)) => fail(&task, why),
    }
}

/// What the user is told when no address of the peer answers: where each lies, and which of ours the
/// peer would have to reach.
fn unreachable(targets: &[Allowed], near: &[Neighbourhood], announced: Ipv4Addr) -> String {
    let places: Vec<String> = targets
        .iter()
        .take(2)
        .map(|at| format!("{at} ({})", whereabouts::of(at.ip(), near)))
        .collect();
    format!(
        "no answer from {} and no call to {announced}: a router may keep calls out, see \
         `msn-handoff doctor --network`; still trying",
        places.join(" or ")
    )
}

fn fail(task: &Task, why: String) {
    let _ = task.reports.send(Report::Failed {
        not_installed: false,
        why,
    });
}

/// What a connection of the peer tells.
enum StreamEvent {
    /// One of ours was made, or could not be.
    Made(Option<(TcpStream, SocketAddrV4)>),
    /// A message arrived.
    Message(u64, Vec<u8>, SocketAddrV4),
    /// It is gone.
    Closed(u64),
}

/// An agent being asked whether it is there.
struct Asking {
    agent: Agent,
    next: Now,
    until: Now,
    number: u32,
}

/// Both ends of what agents and players tell, each with the number of its attempt.
type AgentEvents = (
    mpsc::UnboundedSender<(usize, Event)>,
    mpsc::UnboundedReceiver<(usize, Event)>,
);

struct Driver {
    task: Task,
    clock: Clock,
    contenders: Contenders,
    listening: Listening,
    inside: UdpSocket,
    inside_at: SocketAddrV4,
    front: Front,
    sound: Sound,
    callers: Callers,
    targets: Vec<Allowed>,
    streams: HashMap<u64, mpsc::Sender<Vec<u8>>>,
    next_stream: u64,
    stream_events: (mpsc::Sender<StreamEvent>, mpsc::Receiver<StreamEvent>),
    tasks: JoinSet<()>,
    /// Programs that the call goes on without, on their way to their end. The call waits for that at
    /// its own: dropped, they would be killed, and nobody told.
    stopping: JoinSet<()>,
    agent_events: AgentEvents,
    runner: Option<Runner>,
    attempt: usize,
    /// The program for the picture, and the one that runs.
    player: Option<Handoff>,
    playing: Option<Runner>,
    /// The picture goes somewhere.
    shown: bool,
    values: Values,
    asking: Option<Asking>,
    asking_id: Token,
    finished: Option<(String, Now)>,
    near: Vec<Neighbourhood>,
    /// When to look whether the line lives; once media flows.
    look: Option<Now>,
}

impl Driver {
    async fn new(
        mut task: Task,
        listening: Listening,
        remote: &Remote,
    ) -> Result<Self, (Task, String)> {
        let near = whereabouts::neighbourhoods();
        task.policy.add_own(listening.at.into());
        task.policy.add_own(listening.told.at.into());
        let allowed = match task.policy.those_allowed(remote.told()) {
            Ok(allowed) => allowed,
            Err(error) => return Err((task, error.to_string())),
        };
        // Without a port the peer cannot be called, but may call.
        let callable = allowed.iter().filter(|(_, port)| port.is_some());
        let targets: Vec<_> = callable.map(|(at, _)| *at).collect();
        let mut hosts: Vec<_> = allowed.iter().map(|(at, _)| at.ip()).collect();
        hosts.dedup();
        let mut values = Values::default().with("own.ip", Value::Ip(task.own_ip()));
        if let Some(target) = targets.first() {
            values.set("peer.ip", Value::Ip(target.ip()));
            values.set("peer.port", Value::Port(target.port()));
        }
        // A handle that no program should get is not given to one.
        if let Ok(peer) = Value::word("peer", &task.peer) {
            values.set("peer", peer);
        }
        let contenders = Contenders::new(
            task.bridge.clone(),
            task.role,
            task.call.prefer.clone(),
            values.clone(),
        );
        let player = contenders.player();
        let built_in = built_in(&task);
        let bound = async {
            let inside = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await?;
            let port = inside.local_addr()?.port();
            let (own, limit) = (&task.network.bind, task.bandwidth.media);
            let sound = Sound::bind(own, limit, player.is_some(), built_in).await?;
            Ok::<_, std::io::Error>((inside, port, sound))
        };
        let (inside, port, sound) = match bound.await {
            Ok(bound) => bound,
            Err(error) => return Err((task, format!("no ports for the call: {error}"))),
        };
        let inside_at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let rtp = task.open(&Door::rtp(sound.peer_port())).await;
        let video = match sound.video_port() {
            Some(port) => Some(task.open(&Door::rtp(port)).await),
            None => None,
        };
        let (Some(bridge), Some(asking_id)) = (Token::new("bridge").ok(), token()) else {
            return Err((task, "no randomness".to_owned()));
        };
        let clock = Clock::start();
        let setup = Setup {
            role: task.role,
            caller: task.call.caller,
            delay: Duration::try_from_secs_f32(task.call.wait).unwrap_or(WAIT),
            own: listening.told.at,
            inside: inside_at,
            candidates: targets
                .iter()
                .map(|target| SocketAddrV4::new(target.ip(), target.port()))
                .collect(),
            unreachable: unreachable(&targets, &near, *listening.told.at.ip()),
            hosts: hosts.clone(),
            peer_rtp: rtp.at.port(),
            agent_rtp: sound.agent_port(),
            video: video.map(|told| Line {
                port: told.at.port(),
                formats: sdp::plain_video(),
            }),
            seeds: Box::new(seed),
        };
        let front = Front::new(setup, bridge, clock.now());
        Ok(Self {
            task,
            clock,
            contenders,
            listening,
            inside,
            inside_at,
            front,
            sound,
            callers: Callers::new(hosts, near.clone()),
            near,
            look: None,
            targets,
            streams: HashMap::new(),
            next_stream: 0,
            stream_events: mpsc::channel(32),
            tasks: JoinSet::new(),
            stopping: JoinSet::new(),
            agent_events: mpsc::unbounded_channel(),
            runner: None,
            attempt: 0,
            player,
            playing: None,
            shown: false,
            values,
            asking: None,
            asking_id,
            finished: None,
        })
    }

    async fn run(mut self, early: Early) {
        if !self.next_agent().await {
            let why = self.contenders.why_none();
            self.feed(Input::NoAgent(why)).await;
        }
        for (stream, from) in early.streams {
            self.take_stream(stream, from);
        }
        for (bytes, from) in early.datagrams {
            self.datagram(&bytes, from).await;
        }
        let mut peer = vec![0; MAX_MESSAGE + 1];
        let mut agent = vec![0; MAX_MESSAGE + 1];
        while !self.is_over() {
            let now = self.clock.now();
            let pause = self.next_timeout().map(|at| at.saturating_sub(now));
            tokio::select! {
                order = self.task.orders.recv() => match order {
                    Some(Order::End) | None => self.feed(Input::HangUp).await,
                    Some(Order::Prepare(_)) => {
                        self.report(Report::Ready(self.listening.told.announced));
                    }
                    Some(Order::Connected(_) | Order::Context(_)) => {}
                },
                // A closed port there shows up here as an error: nothing to do about it.
                got = self.listening.udp.recv_from(&mut peer) => {
                    if let Ok((n, SocketAddr::V4(from))) = got {
                        let bytes = peer.get(..n).unwrap_or_default().to_vec();
                        self.datagram(&bytes, from).await;
                    }
                }
                got = self.listening.tcp.accept() => match got {
                    Ok((stream, SocketAddr::V4(from))) => self.take_stream(stream, from),
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                // Connections come and go as the peer likes: what is over is forgotten.
                Some(_) = self.tasks.join_next() => {}
                Some(_) = self.stopping.join_next() => {}
                got = self.inside.recv_from(&mut agent) => {
                    if let Ok((n, SocketAddr::V4(from))) = got {
                        let bytes = agent.get(..n).unwrap_or_default().to_vec();
                        self.agent_says(&bytes, from).await;
                    }
                }
                Some(event) = self.stream_events.1.recv() => self.stream_event(event).await,
                Some((attempt, event)) = self.agent_events.1.recv() => {
                    self.agent_event(attempt, event).await;
                }
                () = pause_for(pause) => self.timeout().await,
            }
        }
        self.leave().await;
    }

    /// Ends what was started, and tells the end last.
    async fn leave(mut self) {
        let running = [self.playing.take(), self.runner.take()];
        for runner in running.into_iter().flatten() {
            self.stopping.spawn(runner.stop());
        }
        while self.stopping.join_next().await.is_some() {}
        let over = self.sound.end().await;
        while let Ok((_, event)) = self.agent_events.1.try_recv() {
            let report = match event {
                Event::Started { name, pid } => Report::Started { program: name, pid },
                Event::Ended { name, how } => Report::ProgramEnded { program: name, how },
                Event::Up { .. } | Event::Failed(_) => continue,
            };
            let _ = self.task.reports.send(report);
        }
        if let Some((why, _)) = self.finished.take() {
            let made: Vec<String> = over
                .recordings
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let recorded =
                (!made.is_empty()).then(|| format!("recorded in {}", made.join(" and ")));
            let text: Vec<String> = [Some(why), over.quality, recorded]
                .into_iter()
                .flatten()
                .collect();
            let _ = self.task.reports.send(Report::Finished(text.join("; ")));
        }
    }

    /// Whether nothing is to be started any more: the call is over, or its end was ordered and waits
    /// for its turn.
    fn is_ending(&mut self) -> bool {
        self.finished.is_some() || self.task.orders.is_over()
    }

    fn is_over(&self) -> bool {
        self.finished
            .as_ref()
            .is_some_and(|(_, at)| self.clock.now() >= at.saturating_add(self.farewell()))
    }

    /// How long the sockets stay open after the end.
    fn farewell(&self) -> Duration {
        if !self.front.is_done() {
            FAREWELL
        } else if self.front.was_ended_there() {
            LINGER
        } else {
            Duration::ZERO
        }
    }

    fn next_timeout(&self) -> Option<Now> {
        let asking = self
            .asking
            .as_ref()
            .map(|asking| asking.next.min(asking.until));
        let over = self
            .finished
            .as_ref()
            .map(|(_, at)| at.saturating_add(self.farewell()));
        [self.front.next_timeout(), asking, over, self.look]
            .into_iter()
            .flatten()
            .min()
    }

    fn report(&self, report: Report) {
        let _ = self.task.reports.send(report);
    }

    async fn timeout(&mut self) {
        let now = self.clock.now();
        if let Some(asking) = &mut self.asking {
            if now >= asking.until {
                let name = match &asking.agent {
                    Agent::Sip { name, at, .. } => format!("{name} does not answer at {at}"),
                    Agent::BuiltIn => "the built-in agent".to_owned(),
                };
                self.asking = None;
                self.contender_failed(name).await;
            } else if now >= asking.next {
                asking.next = now.saturating_add(ASK_EVERY);
                asking.number += 1;
                if let Agent::Sip { user, at, .. } = &asking.agent {
                    let bytes = question(
                        self.inside_at,
                        user.as_ref(),
                        *at,
                        &self.asking_id,
                        asking.number,
                    );
                    let _ = self.inside.send_to(&bytes, *at).await;
                }
            }
        }
        if self.look.is_some_and(|at| now >= at) {
            self.look_after(now).await;
        }
        self.feed(Input::Timeout).await;
    }

    /// Pushes into the front and does what it wants.
    async fn feed(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.front.handle(input, self.clock.now(), &mut out);
        for output in out {
            self.obey(output).await;
        }
    }

    async fn obey(&mut self, output: Output) {
        match &output {
            Output::ToPeer { bytes, .. } => self.signal(Party::Peer, bytes),
            Output::ToAgent { bytes, .. } => self.signal(Party::Program, bytes),
            _ => {}
        }
        match output {
            Output::ToPeer { bytes, hop } => match hop {
                Hop::Udp(to) => {
                    if let Err(error) = self.listening.udp.send_to(&bytes, to).await {
                        debug!(invitation = self.task.invitation.0, %to, %error, "not sent");
                    }
                }
                Hop::Tcp(stream) => {
                    if let Some(line) = self.streams.get(&stream) {
                        // A peer that does not read is not waited for.
                        let _ = line.try_send(bytes);
                    }
                }
            },
            Output::ToAgent { bytes, to } => {
                let _ = self.inside.send_to(&bytes, to).await;
            }
            Output::Connect(to) => self.connect(to),
            Output::NextAgent => self.change_agent().await,
            Output::Media(media) => self.flow(media).await,
            Output::Say(text) => {
                info!(invitation = self.task.invitation.0, text, "call");
                self.report(Report::Say(text));
            }
            Output::Finished(why) => {
                info!(invitation = self.task.invitation.0, why, "call over");
                let now = self.clock.now();
                self.finished.get_or_insert((why, now));
            }
        }
    }
}

fn trace_message(invitation: u64, side: &str, message: &Message) {
    let fields = message.fields();
    let what = match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => response.status.to_string(),
    };
    debug!(invitation, side, what, call = %fields.call_id, number = fields.cseq.number, "sip");
}

async fn pause_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// What the built-in agent would play and where it would record. The file's name is ours alone:
/// nothing of the peer's is in it (ANCHORS.md E.3 row 11).
fn built_in(task: &Task) -> BuiltIn {
    let seed = seed();
    let [a, b, c, d, e, f, g, h, i, j, ..] = seed;
    let play = match &task.call.play {
        Some(path) => Source::open(path).unwrap_or_else(|error| {
            warn!(path = %path.display(), %error, "cannot be played");
            Source::Silence
        }),
        None => Source::Silence,
    };
    let recording = task.recordings.join(format!("call-{}.wav", name()));
    BuiltIn::new(play, recording, [a, b, c, d, e, f, g, h, i, j])
}

/// Part of a recording's name that no other has.
fn name() -> String {
    seed()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Unguessable bytes. Without randomness (which Linux does not withhold) calls still work, only
/// their tags could be guessed; the peer's address is checked all the same.
fn seed() -> [u8; 24] {
    let mut bytes = [0; 24];
    if let Err(error) = getrandom::fill(&mut bytes) {
        warn!(%error, "no randomness");
    }
    bytes
}

fn token() -> Option<Token> {
    let hex: String = seed().iter().take(12).map(|b| format!("{b:02x}")).collect();
    Token::new(hex).ok()
}

#[cfg(test)]
mod tests;
