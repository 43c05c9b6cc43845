//! The driver's half that looks after connections.

use std::{
    net::{SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpStream;

use super::{Driver, End};
use crate::{
    adapter::{
        Report,
        t120::{
            arrival::{Arrival, Event},
            call::Hop,
        },
    },
    event::{Party, Signal, SignalKind},
};

/// Most connections of the peer at a time.
const MAX_CONNECTIONS: usize = 16;
/// Most lines about what was turned away: the peer could send more for ever.
const MAX_SAID: usize = 8;
/// How long, after the last T.120 connection, another may come: MCS opens several for one domain.
const REOPEN: Duration = Duration::from_secs(5);

impl Driver {
    /// Whether a stranger speaks. Only the host the peer negotiated is listened to.
    pub(super) fn is_peer(&mut self, from: SocketAddr) -> Option<SocketAddrV4> {
        match from {
            SocketAddr::V4(v4) if self.peers.admit(*v4.ip()) => Some(v4),
            _ => {
                tracing::debug!(invitation = self.task.invitation.0, %from, "a stranger; ignored");
                None
            }
        }
    }

    pub(super) fn arrived(&mut self, stream: TcpStream, from: SocketAddr, port: u16) {
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
            activity: Arc::clone(&self.activity),
            events: self.events.0.clone(),
        };
        self.tasks.spawn(arrival.serve());
    }

    pub(super) async fn event(&mut self, event: Event) -> Option<End> {
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

    pub(super) fn say_once(&mut self, line: String) {
        if self.said.len() < MAX_SAID && self.said.insert(line.clone()) {
            self.task.say(line);
        }
    }
}
