//! Watches the ports of NetMeeting that no program of ours has.
//!
//! A client such as Kopete calls although it invited. Until our program calls, such a call is
//! answered with "busy": two calls would cross. A program of ours that listens itself gets the port
//! instead. The T.120 connection is closed, which leaves the call as it is.

use std::{io, net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedSender,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    adapter::{
        Report, Task,
        h323::{
            self,
            q931::{self, Setup},
            tpkt,
        },
    },
    endpoint::{callers::Callers, socket},
    shown,
};

/// Where calls are set up.
const CALLS: u16 = 1720;
/// Where T.120 is spoken. Nothing can move it.
const T120: u16 = 1503;
/// How long a caller may take to say what it wants, and then to hear the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// How long an accept that failed is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);
/// How much of a name is shown.
const SHOWN: usize = 40;

/// The ports that are watched. Dropped, they are given back soon after.
pub(in crate::adapter) struct Watch {
    calls: JoinSet<()>,
    _t120: JoinSet<()>,
}

impl Watch {
    /// Watches for T.120 of those peers.
    pub(in crate::adapter) async fn t120(task: &Task, peers: &Callers) -> Self {
        let mut t120 = JoinSet::new();
        if let Some(post) = Post::at(T120, task, peers).await {
            t120.spawn(post.turn_t120_away());
        }
        Self {
            calls: JoinSet::new(),
            _t120: t120,
        }
    }

    /// Watches for calls of those peers as well.
    pub(in crate::adapter) async fn calls_and_t120(task: &Task, peers: &Callers) -> Self {
        let mut watch = Self::t120(task, peers).await;
        let port = task.bridge.application.port;
        let port = port.map_or(CALLS, |port| port.number);
        if let Some(post) = Post::at(port, task, peers).await {
            watch
                .calls
                .spawn(post.turn_calls_away("our own call is used"));
        }
        watch
    }

    /// Turns further calls of those peers away, which come to that port.
    /// `words` say what becomes of the one there is.
    pub(in crate::adapter) fn over(
        listener: TcpListener,
        task: &Task,
        peers: &Callers,
        words: &'static str,
    ) -> Self {
        let post = Post {
            listener,
            peers: peers.clone(),
            reports: task.reports.clone(),
            invitation: task.invitation.0,
        };
        let mut calls = JoinSet::new();
        calls.spawn(post.turn_calls_away(words));
        Self {
            calls,
            _t120: JoinSet::new(),
        }
    }

    /// Leaves the port of calls to a program; it is free when this returns.
    pub(in crate::adapter) async fn leave_calls(&mut self) {
        self.calls.shutdown().await;
    }
}

/// One watched port.
struct Post {
    listener: TcpListener,
    peers: Callers,
    reports: UnboundedSender<Report>,
    invitation: u64,
}

impl Post {
    /// None where the port is taken: whoever has it will be called.
    async fn at(port: u16, task: &Task, peers: &Callers) -> Option<Self> {
        let listener = socket::tcp_listen((task.own_ip(), port).into()).await;
        let invitation = task.invitation.0;
        let listener = listener
            .inspect_err(|error| tracing::info!(invitation, port, %error, "not watched"))
            .ok()?;
        Some(Self {
            listener,
            peers: peers.clone(),
            reports: task.reports.clone(),
            invitation,
        })
    }

    /// The next connection of the peer.
    async fn next(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => match from.ip() {
                    IpAddr::V4(ip) if self.peers.admit(ip) => return stream,
                    _ => tracing::info!(invitation = self.invitation, %from, "turned away"),
                },
                Err(error) => {
                    tracing::debug!(%error, "not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn say(&self, line: String) {
        // A dispatcher that is gone wants no words.
        let _ = self.reports.send(Report::Say(line));
    }

    async fn turn_calls_away(mut self, words: &'static str) {
        let mut told = false;
        loop {
            let mut stream = self.next().await;
            let turned_away = timeout(WITHIN, turn_away(&mut stream)).await;
            let call = match turned_away.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(call) => call,
                Err(error) => {
                    // Somebody looks whether we listen, or speaks something else.
                    tracing::info!(invitation = self.invitation, %error, "no call");
                    continue;
                }
            };
            tracing::info!(invitation = self.invitation, ?call, "turned away");
            if !std::mem::replace(&mut told, true) {
                let caller = call.caller.as_deref().unwrap_or("the other side");
                self.say(format!(
                    "{} calls with NetMeeting; {words}",
                    shown::line(caller, SHOWN)
                ));
            }
            let _ = timeout(WITHIN, hear_out(&mut stream)).await;
        }
    }

    async fn turn_t120_away(mut self) {
        let mut told = false;
        loop {
            drop(self.next().await);
            if !std::mem::replace(&mut told, true) {
                self.say(
                    "the other side offers NetMeeting's whiteboard or shared programs, which \
                     nothing here takes; the call goes on"
                        .to_owned(),
                );
            }
        }
    }
}

/// Reads the beginning of a call and answers it.
async fn turn_away(stream: &mut TcpStream) -> io::Result<Setup> {
    let foreign = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut header = [0; tpkt::HEADER];
    stream.read_exact(&mut header).await?;
    let length = tpkt::length(header).map_err(foreign)?;
    let mut message = vec![0; length.saturating_sub(header.len())];
    stream.read_exact(&mut message).await?;
    let setup = q931::read_setup(&message)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    stream.write_all(&h323::turned_away(&setup)).await?;
    Ok(setup)
}

/// Waits until the other side closes: a connection that is closed with something unread is reset,
/// and the answer is lost with it.
async fn hear_out(stream: &mut TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    let mut unread = tpkt::MAX_MESSAGE;
    while let Ok(n @ 1..) = stream.read(&mut rest).await {
        unread = unread.saturating_sub(n);
        if unread == 0 {
            break;
        }
    }
}
