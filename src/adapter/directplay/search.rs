//! Asks the host for its sessions, by TCP and UDP, until there is one (APPLICATIONS.md 5.2).

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::enumerate::{self, MAX_MESSAGE, QUESTION, Session};
use crate::{
    endpoint::{
        policy::{Allowed, Policy},
        socket,
    },
    negotiation::Remote,
};

/// Where DirectPlay takes answers: a router that lets games through lets these through.
const OUR_PORTS: std::ops::RangeInclusive<u16> = 2300..=2400;
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long. The host must find its way through the game's menus.
const ASK_FOR: Duration = Duration::from_secs(120);
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// A connection with a question stays open so long, for a host that reads it late.
const LINGER: Duration = Duration::from_secs(1);
/// How long an answer may take once its connection is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// So many questions were taken without an answer: no answer will come.
const TAKEN: usize = 10;
/// Most addresses of the peer that are asked.
const MAX_TARGETS: usize = 4;
/// Most connections of each kind at a time.
const MAX_CONNECTIONS: usize = 8;
/// Most bytes that are read of one connection: some sessions.
const MAX_STREAM: usize = 16 * MAX_MESSAGE;

/// What the search found.
pub(super) enum Outcome {
    /// A session of the game.
    Session(Allowed, Session),
    /// Questions are taken, but not answered.
    Silent(Allowed),
}

/// Where to ask: every allowed address of the peer.
pub(super) fn targets(policy: &Policy, remote: &Remote, port: u16) -> Result<Vec<Allowed>, String> {
    let told = remote.told().map(|(ip, _)| (ip, Some(port)));
    let allowed = policy
        .those_allowed(told)
        .map_err(|error| error.to_string())?;
    let targets = allowed.into_iter().map(|(at, _)| at);
    Ok(targets.take(MAX_TARGETS).collect())
}

/// The first session of that game.
pub(super) async fn search(
    own: Ipv4Addr,
    targets: &[Allowed],
    application: [u8; 16],
) -> Result<Outcome, String> {
    // Before the first question: the answer comes by a connection to us.
    let (tcp, udp, port) = listen(own).await?;
    let mut search = Search {
        own,
        targets,
        application,
        question: enumerate::question(application, port),
        asking: JoinSet::new(),
        answering: JoinSet::new(),
        taken: 0,
    };
    timeout(ASK_FOR, search.run(&tcp, &udp)).await.map_err(|_| {
        format!(
            "the other side hosted no game within {} s",
            ASK_FOR.as_secs()
        )
    })
}

async fn listen(own: Ipv4Addr) -> Result<(TcpListener, UdpSocket, u16), String> {
    for port in OUR_PORTS {
        let address = SocketAddr::from((own, port));
        let both = (
            socket::tcp_listen(address).await,
            socket::udp(address).await,
        );
        if let (Ok(tcp), Ok(udp)) = both {
            return Ok((tcp, udp, port));
        }
    }
    Err(format!("no port from 2300 to 2400 is free at {own}"))
}

struct Search<'a> {
    own: Ipv4Addr,
    targets: &'a [Allowed],
    application: [u8; 16],
    question: [u8; QUESTION],
    /// Connections with a question; each tells whether it was taken.
    asking: JoinSet<Option<Allowed>>,
    /// Connections with answers.
    answering: JoinSet<Option<(Allowed, Session)>>,
    taken: usize,
}

impl Search<'_> {
    async fn run(&mut self, tcp: &TcpListener, udp: &UdpSocket) -> Outcome {
        let mut interval = interval(ASK_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut datagram = vec![0; MAX_MESSAGE];
        loop {
            tokio::select! {
                _ = interval.tick() => self.ask(udp).await,
                // An error of one connection is none of the listener.
                accepted = tcp.accept() => if let Ok((stream, from)) = accepted {
                    self.accept(stream, from);
                },
                received = udp.recv_from(&mut datagram) => {
                    if let Ok((n, from)) = received
                        && let Some(target) = self.target(from)
                        && let Ok(session) = enumerate::answer(datagram.get(..n).unwrap_or_default())
                        && session.application == self.application
                    {
                        return Outcome::Session(target, session);
                    }
                }
                Some(asked) = self.asking.join_next() => {
                    if let Ok(Some(target)) = asked {
                        self.taken += 1;
                        if self.taken >= TAKEN && self.answering.is_empty() {
                            return Outcome::Silent(target);
                        }
                    }
                }
                Some(answered) = self.answering.join_next() => {
                    if let Ok(Some((target, session))) = answered {
                        return Outcome::Session(target, session);
                    }
                }
            }
        }
    }

    async fn ask(&mut self, udp: &UdpSocket) {
        for target in self.targets {
            if let Err(error) = udp.send_to(&self.question, target.address()).await {
                tracing::debug!(%target, %error, "question not sent");
            }
            if self.asking.len() < MAX_CONNECTIONS {
                self.asking.spawn(put(self.own, *target, self.question));
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        match self.target(from) {
            None => tracing::debug!(%from, "a connection from where we did not ask"),
            Some(target) if self.answering.len() < MAX_CONNECTIONS => {
                let session = session(stream, self.application);
                self.answering
                    .spawn(async move { Some((target, session.await?)) });
            }
            Some(_) => tracing::debug!(%from, "one connection too many"),
        }
    }

    /// Only whom we ask may answer; from what port is its own affair.
    fn target(&self, from: SocketAddr) -> Option<Allowed> {
        let asked = |target: &&Allowed| from.ip() == target.ip();
        self.targets.iter().find(asked).copied()
    }
}

/// Puts the question by TCP. Whether it was taken shows that DirectPlay runs there.
async fn put(own: Ipv4Addr, target: Allowed, question: [u8; QUESTION]) -> Option<Allowed> {
    let mut stream = socket::tcp_connect_peer_from(own, target, CONNECT_WITHIN)
        .await
        .ok()?;
    stream.write_all(&question).await.ok()?;
    sleep(LINGER).await;
    Some(target)
}

/// The session of that game, if a connection tells of one among its messages.
async fn session(stream: TcpStream, application: [u8; 16]) -> Option<Session> {
    let reading = read(stream, application);
    timeout(ANSWER_WITHIN, reading).await.ok().flatten()
}

async fn read(mut stream: TcpStream, application: [u8; 16]) -> Option<Session> {
    let mut bytes = Vec::with_capacity(MAX_MESSAGE);
    let mut total = 0;
    while total < MAX_STREAM {
        let n = stream.read_buf(&mut bytes).await.ok().filter(|n| *n > 0)?;
        total += n;
        let mut read = 0;
        loop {
            match enumerate::message(bytes.get(read..).unwrap_or_default()) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    read += message.len();
                    match enumerate::answer(message) {
                        Ok(session) if session.application == application => return Some(session),
                        Ok(_) => tracing::debug!("a session of another game"),
                        Err(why) => tracing::debug!(%why, "not an answer"),
                    }
                }
                Err(why) => {
                    tracing::debug!(%why, "the rest is not read");
                    return None;
                }
            }
        }
        bytes.drain(..read);
    }
    None
}
