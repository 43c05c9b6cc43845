//! Listens, gives the call its sockets and the time, and ends with whichever ends first: the call,
//! the T.120 connection, the program or the invitation.

mod connections;
mod messages;

use std::{
    collections::{HashMap, HashSet},
    net::{SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use super::{
    arrival::{Event, Taker},
    call::{Front, Setup},
    listening::Listening,
    taker::{self, Found, seed},
};
use crate::{
    adapter::{
        Order, Report, Task,
        one_program::{self, Started},
        relay_tcp::{self, Activity},
    },
    clock::Clock,
    endpoint::{callers::Callers, mapping::Door, place::Opened},
    launch::Exit,
    media::sip::{Now, Token, frame::MAX_MESSAGE},
    negotiation::Announced,
};

/// How long, after the end, a BYE may wait for its answer.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long, after the end, a BYE that is repeated because our answer was lost is answered again:
/// a little more than T1 (RFC 3261 section 17.1.1.1).
const LINGER: Duration = Duration::from_millis(700);

/// Serves the session: the peer's addresses are known, its call is to come.
pub(super) async fn run(mut task: Task, peers: Callers) {
    let Some(found) = taker::find(&mut task).await else {
        return;
    };
    let user = Token::new("bridge").map_err(|error| error.to_string());
    let bound = Listening::bind(&task.network.bind, found.port).await;
    match user.and_then(|user| Ok((user, bound?))) {
        Ok((user, listening)) => {
            let sip = task.open(&Door::both(listening.sip.port())).await;
            // The contact's client knows no other port for it than ours.
            let t120 = listening.t120.port();
            let opened = task.open(&[Door::tcp(t120)]).await;
            if opened.at.port() != t120 {
                task.say(format!(
                    "your router forwards its port {} instead of {t120}, which the contact's client \
                     does not know: forward {t120} by hand",
                    opened.at.port()
                ));
            }
            let driver = Driver::new(task, peers, user, listening, found, sip);
            driver.run().await;
        }
        Err(why) => {
            task.fail(why);
            if let Some(program) = found.program {
                one_program::leave(&task, program, None).await;
            }
        }
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

struct Driver {
    task: Task,
    peers: Callers,
    clock: Clock,
    front: Front,
    udp: UdpSocket,
    taker: Taker,
    activity: Arc<Activity>,
    program: Option<Started>,
    /// What the peer is told of where SIP is listened for.
    told: Announced,
    /// Where connections arrive, and T.120's own.
    sip: SocketAddrV4,
    t120: SocketAddrV4,
    arrivals: mpsc::Receiver<(TcpStream, SocketAddr, u16)>,
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
        peers: Callers,
        user: Token,
        listening: Listening,
        found: Found,
        told: Opened,
    ) -> Self {
        let Listening {
            udp,
            tcp,
            sip,
            t120,
        } = listening;
        let (arrived, arrivals) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        for (listener, port) in tcp.into_iter().zip([sip.port(), t120.port()]) {
            tasks.spawn(relay_tcp::accept(listener, port, arrived.clone()));
        }
        let setup = Setup {
            own: told.at,
            port: t120.port(),
            user,
            seeds: Box::new(seed),
        };
        let activity = Arc::new(Activity::start(task.bandwidth.forwarded));
        Self {
            task,
            peers,
            clock: Clock::start(),
            front: Front::new(setup),
            udp,
            taker: found.taker,
            activity,
            program: found.program,
            told: told.announced,
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
        self.task.report(Report::Ready(self.told));
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
            Some((stream, from, port)) = self.arrivals.recv() => self.arrived(stream, from, port),
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
        // No connection is waited for any more.
        self.reopen_until = None;
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
