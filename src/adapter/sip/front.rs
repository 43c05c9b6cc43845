//! The two calls and what joins them: a back-to-back agent without socket or clock.
//!
//! One call faces the peer's RTC, the other the user's agent on this machine. Neither side's
//! dialect, addresses or description reaches the other: an offer is read, and one of our own is
//! made of what both can do (APPLICATIONS.md 1.6). Who calls whom is settled here too (1.2).

mod agent_side;
mod calling;
mod peer_side;

use core::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use crate::{
    config::Caller,
    endpoint::policy::{Policy, Refusal},
    media::{
        sdp::{self, Direction, Format, Line, Ours, Session},
        sip::{
            Host, Message, Method, Now, Request, Token, Uri,
            call::{self, Call, Ended, Local, Transport, Where, stray},
            reason,
        },
    },
    negotiation::Role,
};

/// How long a transport may give no answer at all before the next one is tried: an INVITE is sent
/// three times in it (RFC 3261 section 17.1.1.2), and with two addresses the user knows within 15 s
/// that the peer cannot be reached.
const SILENCE: Duration = Duration::from_secs(2);
/// How long, after no address has answered, until all are tried again.
const NEXT_ROUND: Duration = Duration::from_secs(4);
/// How long an agent on this machine may give no answer at all.
const AGENT_SILENCE: Duration = Duration::from_secs(5);
/// How long, after everything was tried, the peer may still call, and is tried again.
const PATIENCE: Duration = Duration::from_secs(45);
/// Why it is over then.
const NEVER: &str = "the peer cannot be reached and did not call";
/// Most dialogs kept that only repeat answers.
const MAX_FADING: usize = 8;
/// After two calls crossed and both were taken back, how long until the inviter calls again.
const AGAIN: Duration = Duration::from_millis(500);

/// How a message travels on the peer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    /// To and from this address.
    Udp(SocketAddrV4),
    /// On this connection.
    Tcp(u64),
}

/// What the front is told once.
pub(super) struct Setup {
    pub role: Role,
    pub caller: Caller,
    /// How long to wait for the peer's call before placing ours.
    pub delay: Duration,
    /// Where we listen for the peer.
    pub own: SocketAddrV4,
    /// Where we listen for the agent.
    pub inside: SocketAddrV4,
    /// The peer's addresses that policy allows, best first: where to call it.
    pub candidates: Vec<SocketAddrV4>,
    /// What the user is told when none of them answers.
    pub unreachable: String,
    /// The peer's hosts that policy allows: where media may go.
    pub hosts: Vec<Ipv4Addr>,
    /// Our RTP port on the peer's side.
    pub peer_rtp: u16,
    /// Our RTP port on the agent's side.
    pub agent_rtp: u16,
    /// Our RTP port for the peer's video, if anything can take it.
    pub video: Option<Line>,
    /// Unguessable bytes, fresh at every call.
    pub seeds: Box<dyn FnMut() -> [u8; 24] + Send>,
}

/// Who takes the sound on this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agent {
    /// A SIP agent at this address of this machine.
    Sip {
        /// Name for people.
        name: String,
        /// User part of its address.
        user: Option<Token>,
        /// Its address.
        at: SocketAddrV4,
    },
    /// Our own, which needs no call.
    BuiltIn,
}

impl Agent {
    fn name(&self) -> &str {
        match self {
            Self::Sip { name, .. } => name,
            Self::BuiltIn => "the built-in agent",
        }
    }
}

/// What happens to the front.
pub(super) enum Input<'a> {
    /// A message from the peer's address.
    Peer {
        message: &'a Message,
        hop: Hop,
        source: SocketAddrV4,
    },
    /// A message from this machine.
    Agent {
        message: &'a Message,
        source: SocketAddrV4,
    },
    /// An agent can be called.
    AgentReady(Agent),
    /// [`Output::NextAgent`] cannot be answered: there is none.
    NoAgent(String),
    /// The agent's program has ended.
    AgentGone,
    /// [`Output::Connect`] has an outcome.
    Stream(Option<u64>),
    /// A connection of the peer is gone.
    StreamClosed(u64),
    /// Nothing comes from the peer any more.
    Dead(Duration),
    /// The peer's messages come from there now.
    Moved(SocketAddrV4),
    /// End everything.
    HangUp,
    /// [`Front::next_timeout`] has come.
    Timeout,
}

/// The RTP and the RTCP address of one end.
pub(super) type Place = (SocketAddrV4, SocketAddrV4);

/// Where media goes; every address is on the peer's negotiated host or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// The peer's end of the sound.
    pub peer: Place,
    /// The agent's; nothing for the built-in one.
    pub agent: Option<Place>,
    /// The peer does not want to hear us: a call on hold.
    pub held: bool,
    /// The audio agreed on, best first.
    pub audio: Vec<Format>,
    /// The peer's picture, if it sends one that something here takes.
    pub video: Option<Picture>,
}

impl Media {
    /// Why it may not go there. The hosts are those that were negotiated; the ports are new.
    pub(super) fn refused(&self, policy: &Policy) -> Option<Refusal> {
        let picture = self.video.as_ref().map(|video| video.at);
        [Some(self.peer), picture]
            .into_iter()
            .flatten()
            .flat_map(|(rtp, rtcp)| [rtp, rtcp])
            .find_map(|at| policy.check(*at.ip(), at.port()).err())
    }
}

/// The picture of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// The peer's end.
    pub at: Place,
    /// The formats agreed on, best first; at least one.
    pub formats: Vec<Format>,
}

/// What the front wants done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    ToPeer {
        bytes: Vec<u8>,
        hop: Hop,
    },
    ToAgent {
        bytes: Vec<u8>,
        to: SocketAddrV4,
    },
    /// Open a connection to the peer; answered by [`Input::Stream`].
    Connect(SocketAddrV4),
    /// The agent does not take calls: bring another; answered by [`Input::AgentReady`] or
    /// [`Input::NoAgent`].
    NextAgent,
    /// Media flows now, or flows elsewhere.
    Media(Media),
    /// A line for the user.
    Say(String),
    /// Everything is over. The front is still to be driven until [`Front::is_done`].
    Finished(String),
}

/// A call facing the peer.
struct PeerLeg {
    call: Call,
    there: Hop,
    /// Where its messages really come from.
    heard: Option<Ipv4Addr>,
    ours: bool,
    /// Their offer or answer, once known.
    theirs: Option<Session>,
}

/// The call facing the agent.
struct AgentLeg {
    call: Call,
    at: SocketAddrV4,
    /// Its answer, once known.
    answer: Option<Session>,
    /// When it is given up if nothing at all was heard.
    silent_until: Option<Now>,
}

/// How far calling the peer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calling {
    /// Not before then.
    At(Now),
    /// A call is out on UDP; TCP is tried then.
    Udp { candidate: usize, until: Now },
    /// A connection is being made, or a call is out on it.
    Tcp { candidate: usize, until: Now },
    /// Nothing left to try, or not ours to do: wait for the peer until then.
    Waiting(Now),
    /// A call stands or is being answered.
    Settled,
}

/// The front.
pub(super) struct Front {
    setup: Setup,
    bridge: Token,
    id: u32,
    version: u64,
    calling: Calling,
    peer: Option<PeerLeg>,
    agent: Option<AgentLeg>,
    available: Option<Agent>,
    wanted: Option<Vec<Format>>,
    /// Ended calls that may still have to repeat something.
    fading: Vec<(Call, FadingSide)>,
    crossed: bool,
    /// Our call gave way to the peer's once.
    gave_way: bool,
    /// The candidate that is being called.
    candidate: usize,
    /// No address has answered: until when they are tried again.
    give_up: Option<Now>,
    last_answer: Vec<u8>,
    finished: bool,
    ended_there: bool,
}

#[derive(Debug, Clone, Copy)]
enum FadingSide {
    Peer(Hop),
    Agent(SocketAddrV4),
}

impl Front {
    /// Begins; the handshake is complete at `now`.
    pub(super) fn new(mut setup: Setup, bridge: Token, now: Now) -> Self {
        let calls = match setup.caller {
            Caller::Auto => true,
            Caller::Inviter => setup.role == Role::Inviter,
            Caller::Invitee => setup.role == Role::Invitee,
        };
        let wait = match setup.caller {
            Caller::Auto => setup.delay,
            _ => Duration::ZERO,
        };
        let calling = if calls && !setup.candidates.is_empty() {
            Calling::At(now.saturating_add(wait))
        } else {
            Calling::Waiting(now.saturating_add(PATIENCE))
        };
        let seed = (setup.seeds)();
        let id = seed
            .iter()
            .take(4)
            .fold(0_u32, |id, byte| (id << 8) | u32::from(*byte));
        Self {
            setup,
            bridge,
            id: id >> 1,
            version: 1,
            calling,
            peer: None,
            agent: None,
            available: None,
            wanted: None,
            fading: Vec::new(),
            crossed: false,
            gave_way: false,
            candidate: 0,
            give_up: None,
            last_answer: Vec::new(),
            finished: false,
            ended_there: false,
        }
    }

    /// Where an established call's messages go, if by datagrams.
    pub(super) fn peer_datagrams(&self) -> Option<SocketAddrV4> {
        let leg = self.peer.as_ref().filter(|leg| leg.call.is_established())?;
        match leg.there {
            Hop::Udp(to) => Some(to),
            Hop::Tcp(_) => None,
        }
    }

    /// Whether a message is of the peer's call: it has names in it that nobody else was told.
    pub(super) fn is_of_call(&self, message: &Message) -> bool {
        self.peer.as_ref().is_some_and(|leg| leg.call.owns(message))
    }

    /// This is the peer's host as well: the router it is behind, or its new address.
    pub(super) fn meet(&mut self, host: Ipv4Addr) {
        self.setup.hosts.push(host);
    }

    /// Whether the call is over and everybody who must know has confirmed that they do.
    pub(super) fn is_done(&self) -> bool {
        self.finished && !self.fading.iter().any(|(call, _)| call.awaits_answer())
    }

    /// Whether the peer ended the call, and so may end it again if our answer was lost.
    pub(super) fn was_ended_there(&self) -> bool {
        self.ended_there
    }

    /// Whether [`Output::Finished`] was given.
    #[cfg(test)]
    fn is_finished(&self) -> bool {
        self.finished
    }

    /// When [`Input::Timeout`] is to be pushed.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        let calling = match self.calling {
            _ if self.finished => None,
            Calling::At(at) | Calling::Waiting(at) => Some(at),
            Calling::Udp { until, .. } | Calling::Tcp { until, .. } => Some(until),
            Calling::Settled => None,
        };
        let peer = self.peer.as_ref().and_then(|leg| leg.call.next_timeout());
        let agent = self.agent.as_ref().and_then(|leg| {
            [leg.call.next_timeout(), leg.silent_until]
                .into_iter()
                .flatten()
                .min()
        });
        let fading = self
            .fading
            .iter()
            .filter_map(|(call, _)| call.next_timeout())
            .min();
        [calling, peer, agent, fading].into_iter().flatten().min()
    }

    /// Drives the front.
    pub(super) fn handle(&mut self, input: Input<'_>, now: Now, out: &mut Vec<Output>) {
        match input {
            Input::Peer {
                message,
                hop,
                source,
            } => self.peer_says(message, hop, source, now, out),
            Input::Agent { message, source } => self.agent_says(message, source, now, out),
            Input::AgentReady(agent) => {
                self.available = Some(agent);
                self.try_agent(now, out);
            }
            Input::NoAgent(why) => self.end(format!("nobody here takes the call: {why}"), now, out),
            Input::AgentGone => self.agent_gone(now, out),
            Input::Stream(stream) => self.stream(stream, now, out),
            Input::StreamClosed(stream) => self.stream_closed(stream),
            Input::Dead(silence) => {
                let seconds = silence.as_secs();
                let why = format!("nothing has come from the contact for {seconds} s");
                self.end(why, now, out);
            }
            Input::Moved(to) => {
                if let Some(leg) = &mut self.peer
                    && matches!(leg.there, Hop::Udp(_))
                {
                    leg.there = Hop::Udp(to);
                }
            }
            Input::HangUp => self.end("ended here".to_owned(), now, out),
            Input::Timeout => self.timeout(now, out),
        }
        self.fading.retain(|(call, _)| !call.finished());
    }

    /// Says where media goes, once both sides are known.
    fn media(&mut self, _now: Now, out: &mut Vec<Output>) {
        if self.finished {
            return;
        }
        let Some(theirs) = self.peer.as_ref().and_then(|leg| leg.theirs.as_ref()) else {
            return;
        };
        let agent = match (&self.available, &self.agent) {
            (Some(Agent::BuiltIn), _) => None,
            (_, Some(leg)) => {
                let Some(audio) = leg.answer.as_ref().and_then(Session::audio) else {
                    return;
                };
                // The agent is on this machine, whatever it writes.
                let ip = Ipv4Addr::LOCALHOST;
                Some((
                    SocketAddrV4::new(ip, audio.port),
                    SocketAddrV4::new(ip, audio.rtcp_port),
                ))
            }
            _ => return,
        };
        let Some(audio) = theirs.audio() else { return };
        let Some(ip) = self.peer_media_ip(audio.ip) else {
            return;
        };
        let video = match (theirs.video(), &self.setup.video) {
            (Some(video), Some(line)) => {
                let formats = sdp::common(&video.formats, &line.formats);
                let ip = self.peer_media_ip(video.ip).unwrap_or(ip);
                (!formats.is_empty()).then(|| Picture {
                    at: (
                        SocketAddrV4::new(ip, video.port),
                        SocketAddrV4::new(ip, video.rtcp_port),
                    ),
                    formats,
                })
            }
            _ => None,
        };
        out.push(Output::Media(Media {
            peer: (
                SocketAddrV4::new(ip, audio.port),
                SocketAddrV4::new(ip, audio.rtcp_port),
            ),
            agent,
            // RFC 3264 section 8.4, and the older way of RFC 2543.
            held: matches!(audio.direction, Direction::SendOnly | Direction::Inactive)
                || audio.ip.is_some_and(|ip| ip.is_unspecified()),
            audio: self.agreed(),
            video,
        }));
    }

    /// The peer's media host: where its messages come from, because behind a router it writes an
    /// address that leads nowhere; otherwise what it wrote, if that is one of the addresses it
    /// negotiated (which policy has allowed). A description cannot point us at a third machine.
    fn peer_media_ip(&self, written: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let heard = self.peer.as_ref().and_then(|leg| leg.heard);
        if let Some(ip) = heard.filter(|ip| self.setup.hosts.contains(ip)) {
            return Some(ip);
        }
        if let Some(ip) = written.filter(|ip| self.setup.hosts.contains(ip)) {
            return Some(ip);
        }
        match self.peer.as_ref().map(|leg| leg.there) {
            Some(Hop::Udp(at)) => Some(*at.ip()),
            _ => self.setup.hosts.first().copied(),
        }
    }

    fn end(&mut self, why: String, now: Now, out: &mut Vec<Output>) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.drop_peer(now, out);
        self.drop_agent(now, out);
        out.push(Output::Finished(why));
    }

    fn timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        match self.calling {
            _ if self.finished => {}
            Calling::At(at) if now >= at => match self.give_up {
                Some(until) if now >= until => self.end(NEVER.to_owned(), now, out),
                _ => self.start_candidate(0, now, out),
            },
            Calling::Udp { until, .. } | Calling::Tcp { until, .. } if now >= until => {
                self.next_transport(now, out);
            }
            Calling::Waiting(until) if now >= until && self.peer.is_none() => {
                self.end(NEVER.to_owned(), now, out);
            }
            _ => {}
        }
        if self
            .peer
            .as_ref()
            .is_some_and(|leg| leg.call.next_timeout().is_some_and(|at| now >= at))
        {
            self.act_on_peer(call::Input::Timeout, now, out);
        }
        if let Some(leg) = &mut self.agent {
            if leg.silent_until.is_some_and(|until| now >= until) {
                self.another_agent("it does not answer", now, out);
            } else if leg.call.next_timeout().is_some_and(|at| now >= at) {
                let mut calls = Vec::new();
                leg.call.handle(call::Input::Timeout, now, &mut calls);
                self.agent_outputs(calls, None, now, out);
            }
        }
        for (call, side) in &mut self.fading {
            let mut calls = Vec::new();
            call.handle(call::Input::Timeout, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(match *side {
                        FadingSide::Peer(hop) => Output::ToPeer { bytes, hop },
                        FadingSide::Agent(to) => Output::ToAgent { bytes, to },
                    });
                }
            }
        }
    }
}

/// Reads an agent's address: `sip:user@127.0.0.1:5060`. It must be on this machine, because the
/// media relay's inner side is.
pub(super) fn agent_address(text: &str) -> Option<(Option<Token>, SocketAddrV4)> {
    let rest = text.strip_prefix("sip:")?;
    let rest = rest.split(';').next()?;
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(Token::new(user).ok()?), place),
        None => (None, rest),
    };
    let (host, port) = place.split_once(':').unwrap_or((place, "5060"));
    let Host::V4(ip) = Host::new(host).ok()? else {
        return None;
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    ip.is_loopback()
        .then(|| (user, SocketAddrV4::new(ip, port)))
}

#[cfg(test)]
mod tests;
