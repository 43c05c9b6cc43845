//! The two calls and what joins them: a back-to-back agent without socket or clock.
//!
//! One call faces the peer's RTC, the other the user's agent on this machine. Neither side's
//! dialect, addresses or description reaches the other: an offer is read, and one of our own is
//! made of what both can do (APPLICATIONS.md 1.6). Who calls whom is settled here too (1.2).

use core::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use crate::{
    config::Caller,
    media::{
        sdp::{self, Format, Line, Ours, Session},
        sip::{
            Host, Message, Method, Now, Request, Token, Uri,
            call::{self, Call, Ended, Local, Transport, Where, stray},
            reason,
        },
    },
    negotiation::Role,
};

/// How long a transport may give no answer at all before the next one is tried.
const SILENCE: Duration = Duration::from_secs(4);
/// How long an agent on this machine may give no answer at all.
const AGENT_SILENCE: Duration = Duration::from_secs(5);
/// How long, after everything was tried, the peer may still call.
const PATIENCE: Duration = Duration::from_secs(45);
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
    /// End everything.
    HangUp,
    /// [`Front::next_timeout`] has come.
    Timeout,
}

/// Where media goes; every address is on the peer's negotiated host or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// The peer's RTP and RTCP addresses.
    pub peer: (SocketAddrV4, SocketAddrV4),
    /// The agent's RTP and RTCP addresses; nothing for the built-in one.
    pub agent: Option<(SocketAddrV4, SocketAddrV4)>,
    /// The audio agreed on, best first.
    pub audio: Vec<Format>,
    /// The video agreed on, best first; empty without.
    pub video: Vec<Format>,
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
    last_answer: Vec<u8>,
    since: Option<Now>,
    finished: bool,
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
            last_answer: Vec::new(),
            since: None,
            finished: false,
        }
    }

    /// Whether the call is over and everybody who must know has confirmed that they do.
    pub(super) fn is_done(&self) -> bool {
        self.finished && !self.fading.iter().any(|(call, _)| call.awaits_answer())
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
            } => self.from_peer(message, hop, source, now, out),
            Input::Agent { message, source } => self.from_agent(message, source, now, out),
            Input::AgentReady(agent) => {
                self.available = Some(agent);
                self.try_agent(now, out);
            }
            Input::NoAgent(why) => self.end(format!("nobody here takes the call: {why}"), now, out),
            Input::AgentGone => self.agent_gone(now, out),
            Input::Stream(stream) => self.stream(stream, now, out),
            Input::StreamClosed(stream) => self.stream_closed(stream),
            Input::HangUp => self.end("ended here".to_owned(), now, out),
            Input::Timeout => self.timeout(now, out),
        }
        self.fading.retain(|(call, _)| !call.finished());
    }

    // ---- the peer's side -------------------------------------------------------------------

    fn peer_local(&mut self, transport: Transport) -> Local {
        Local {
            ip: *self.setup.own.ip(),
            port: self.setup.own.port(),
            transport,
            user: self.bridge.clone(),
            seed: (self.setup.seeds)(),
        }
    }

    fn from_peer(
        &mut self,
        message: &Message,
        hop: Hop,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(leg) = self.peer.as_mut().filter(|leg| leg.call.owns(message)) {
            match message {
                Message::Request(request) if request.method == Method::Invite => leg.there = hop,
                Message::Request(_) => {}
                // Something is there: no other address or transport is tried.
                Message::Response(_) => self.calling = Calling::Settled,
            }
            let mut calls = Vec::new();
            let input = call::Input::Message { message, source };
            leg.call.handle(input, now, &mut calls);
            return self.peer_outputs(calls, Some(hop), now, out);
        }
        if let Some((call, _)) = self.fading.iter_mut().find(|(call, _)| call.owns(message)) {
            let mut calls = Vec::new();
            call.handle(call::Input::Message { message, source }, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToPeer { bytes, hop });
                }
            }
            return;
        }
        let Message::Request(request) = message else {
            return;
        };
        let busy = self.finished
            || self
                .peer
                .as_ref()
                .is_some_and(|leg| !leg.ours || leg.call.is_established());
        if request.method != Method::Invite || request.fields.to.tag.is_some() || busy {
            let status = if request.fields.to.tag.is_some() {
                481
            } else {
                486
            };
            if let Some(bytes) = stray(request, status, source, None) {
                out.push(Output::ToPeer { bytes, hop });
            }
            return;
        }
        // Two of us would each take their own call back and lose both. The inviter's call stands.
        let one_of_us = request
            .fields
            .other("User-Agent")
            .is_some_and(|agent| agent.as_str().starts_with("msn-handoff/"));
        if self.peer.is_some() && one_of_us && self.setup.role == Role::Inviter {
            if let Some(bytes) = stray(request, 491, source, None) {
                out.push(Output::ToPeer { bytes, hop });
            }
            return;
        }
        self.take_call(request, hop, source, now, out);
    }

    /// The peer calls. If we are calling too, theirs is answered and ours taken back.
    fn take_call(
        &mut self,
        invite: &Request,
        hop: Hop,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if self.peer.is_some() {
            self.crossed = true;
            self.drop_peer(now, out);
        }
        let transport = match hop {
            Hop::Udp(_) => Transport::Udp,
            Hop::Tcp(_) => Transport::Tcp,
        };
        let local = self.peer_local(transport);
        let mut calls = Vec::new();
        let call = Call::incoming(local, invite, source, now, &mut calls);
        self.calling = Calling::Settled;
        self.peer = Some(PeerLeg {
            call,
            there: hop,
            ours: false,
            theirs: None,
        });
        self.peer_outputs(calls, Some(hop), now, out);
    }

    /// Hangs up towards the peer and lets the call fade.
    fn drop_peer(&mut self, now: Now, out: &mut Vec<Output>) {
        if let Some(mut leg) = self.peer.take() {
            let mut calls = Vec::new();
            leg.call.handle(call::Input::HangUp, now, &mut calls);
            send_peer(calls, leg.there, leg.there, out);
            self.fade(leg.call, FadingSide::Peer(leg.there));
        }
    }

    fn fade(&mut self, call: Call, side: FadingSide) {
        if !call.finished() && self.fading.len() < MAX_FADING {
            self.fading.push((call, side));
        }
    }

    fn peer_outputs(
        &mut self,
        calls: Vec<call::Output>,
        back: Option<Hop>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        for output in calls {
            match output {
                call::Output::Send { bytes, to } => {
                    let Some(leg) = &self.peer else { continue };
                    let hop = match to {
                        Where::Back => back.unwrap_or(leg.there),
                        Where::There => leg.there,
                    };
                    out.push(Output::ToPeer { bytes, hop });
                }
                call::Output::Incoming { offer } => self.peer_offers(&offer, now, out),
                call::Output::Ringing => {
                    self.calling = Calling::Settled;
                    out.push(Output::Say("the peer's side rings".to_owned()));
                }
                call::Output::Answered { answer } => self.peer_answers(&answer, now, out),
                call::Output::Confirmed { answer } => {
                    if !answer.is_empty()
                        && let Ok(session) = sdp::read(&answer)
                    {
                        self.peer_session(session, now, out);
                    }
                }
                call::Output::Reoffer { offer } => self.peer_reoffers(&offer, now, out),
                call::Output::Ended(how) => self.peer_ended(how, now, out),
            }
        }
    }

    fn act_on_peer(&mut self, input: call::Input<'_>, now: Now, out: &mut Vec<Output>) {
        let mut calls = Vec::new();
        if let Some(leg) = &mut self.peer {
            leg.call.handle(input, now, &mut calls);
        }
        self.peer_outputs(calls, None, now, out);
    }

    fn refuse_peer(&mut self, refusal: sdp::Refusal, now: Now, out: &mut Vec<Output>) {
        let refuse = call::Input::Refuse {
            status: 488,
            words: refusal.words(),
            warning: Some(refusal.warning()),
        };
        out.push(Output::Say(format!(
            "the peer's call cannot be taken: {refusal}"
        )));
        self.act_on_peer(refuse, now, out);
    }

    /// Their first offer: ring, and ask the agent for what both sides could do.
    fn peer_offers(&mut self, offer: &[u8], now: Now, out: &mut Vec<Output>) {
        let formats = if offer.is_empty() {
            // The caller wants our offer; it goes into the answer.
            sdp::plain_audio()
        } else {
            let Ok(session) = sdp::read(offer) else {
                return self.refuse_peer(sdp::Refusal::Nothing, now, out);
            };
            let ours = self.ours_for_peer(sdp::plain_audio());
            match sdp::answer(&session, &ours) {
                Ok(answer) if !answer.audio.is_empty() => {
                    if let Some(leg) = &mut self.peer {
                        leg.theirs = Some(session);
                    }
                    answer.audio
                }
                Ok(_) => return self.refuse_peer(sdp::Refusal::Nothing, now, out),
                Err(refusal) => return self.refuse_peer(refusal, now, out),
            }
        };
        out.push(Output::Say("the peer calls".to_owned()));
        self.act_on_peer(call::Input::Ring, now, out);
        self.wanted = Some(formats);
        self.try_agent(now, out);
    }

    fn peer_answers(&mut self, answer: &[u8], now: Now, out: &mut Vec<Output>) {
        self.calling = Calling::Settled;
        let session = sdp::read(answer).ok();
        let formats = session
            .as_ref()
            .and_then(Session::audio)
            .map(|audio| sdp::common(&audio.formats, &sdp::plain_audio()))
            .filter(|formats| formats.iter().any(|format| !format.is_events()));
        let (Some(session), Some(formats)) = (session, formats) else {
            return self.end(
                "the peer's answer has no sound we understand".to_owned(),
                now,
                out,
            );
        };
        if let Some(leg) = &mut self.peer {
            leg.theirs = Some(session);
        }
        out.push(Output::Say("the peer answered".to_owned()));
        self.wanted = Some(formats);
        self.try_agent(now, out);
    }

    fn peer_session(&mut self, session: Session, now: Now, out: &mut Vec<Output>) {
        if let Some(leg) = &mut self.peer {
            leg.theirs = Some(session);
        }
        self.media(now, out);
    }

    /// They change the session, to add video perhaps. Audio stays as it is.
    fn peer_reoffers(&mut self, offer: &[u8], now: Now, out: &mut Vec<Output>) {
        let formats = self.agreed();
        if offer.is_empty() {
            let again = sdp::offer(&self.ours_for_peer(formats));
            return self.act_on_peer(call::Input::Answer(&again), now, out);
        }
        let outcome = sdp::read(offer)
            .map_err(|_| sdp::Refusal::Nothing)
            .and_then(|session| {
                let mut ours = self.ours_for_peer(formats);
                let mut answer = sdp::answer(&session, &ours)?;
                // The version counts only real changes (RFC 3264 section 8).
                if answer.sdp != self.last_answer {
                    self.version += 1;
                    ours.version = self.version;
                    answer = sdp::answer(&session, &ours)?;
                }
                Ok((session, answer))
            });
        match outcome {
            Ok((session, answer)) => {
                self.last_answer.clone_from(&answer.sdp);
                self.act_on_peer(call::Input::Answer(&answer.sdp), now, out);
                self.peer_session(session, now, out);
            }
            Err(refusal) => {
                let refuse = call::Input::Refuse {
                    status: 488,
                    words: refusal.words(),
                    warning: Some(refusal.warning()),
                };
                self.act_on_peer(refuse, now, out);
            }
        }
    }

    fn peer_ended(&mut self, how: Ended, now: Now, out: &mut Vec<Output>) {
        let Some(leg) = self.peer.take() else { return };
        let ours = leg.ours;
        self.fade(leg.call, FadingSide::Peer(leg.there));
        if self.finished {
            return;
        }
        if ours && how == Ended::Unreachable {
            return self.next_transport(now, out);
        }
        if ours && how == Ended::Refused(491) {
            // Its own call is on the way.
            self.calling = Calling::Waiting(now.saturating_add(PATIENCE));
            return;
        }
        if how == Ended::Cancelled && self.crossed {
            // Both called, both took their call back. Once more, and not both at once.
            self.crossed = false;
            self.drop_agent(now, out);
            self.wanted = None;
            out.push(Output::Say("both sides called at once; again".to_owned()));
            self.calling = match self.setup.role {
                Role::Inviter => Calling::At(now.saturating_add(AGAIN)),
                Role::Invitee => Calling::At(now.saturating_add(AGAIN + SILENCE)),
            };
            return;
        }
        let why = match how {
            Ended::ByPeer => "the peer hung up".to_owned(),
            Ended::Cancelled => "the peer took its call back".to_owned(),
            Ended::ByUs => "the call was refused here".to_owned(),
            Ended::Refused(status) => {
                format!(
                    "the peer's side refused the call: {status} {}",
                    reason(status)
                )
            }
            Ended::Unreachable => "the peer cannot be reached".to_owned(),
            Ended::NotAnswered => "the peer did not answer".to_owned(),
            Ended::Unconfirmed => "the peer never confirmed the call".to_owned(),
        };
        self.end(why, now, out);
    }

    /// What we tell the peer about our media.
    fn ours_for_peer(&self, formats: Vec<Format>) -> Ours {
        Ours {
            ip: *self.setup.own.ip(),
            id: self.id,
            version: self.version,
            audio: Some(Line {
                port: self.setup.peer_rtp,
                formats,
            }),
            video: self.setup.video.clone(),
        }
    }

    /// The audio both legs agreed on.
    fn agreed(&self) -> Vec<Format> {
        let wanted = self.wanted.clone().unwrap_or_else(sdp::plain_audio);
        match self.agent.as_ref().and_then(|leg| leg.answer.as_ref()) {
            Some(answer) => answer
                .audio()
                .map(|audio| sdp::common(&wanted, &audio.formats))
                .unwrap_or(wanted),
            None => wanted,
        }
    }

    // ---- calling the peer ------------------------------------------------------------------

    fn place_call(&mut self, candidate: usize, hop: Hop, now: Now, out: &mut Vec<Output>) {
        let Some(target) = self.setup.candidates.get(candidate).copied() else {
            return;
        };
        let transport = match hop {
            Hop::Udp(_) => Transport::Udp,
            Hop::Tcp(_) => Transport::Tcp,
        };
        let local = self.peer_local(transport);
        let offer = sdp::offer(&self.ours_for_peer(sdp::plain_audio()));
        let mut calls = Vec::new();
        // Without a user, as aMSN dials it (TOOLS.md 4.1); RTC reads it as its own.
        let uri = Uri::userless(*target.ip(), target.port());
        let call = Call::outgoing(local, uri, &offer, now, &mut calls);
        self.peer = Some(PeerLeg {
            call,
            there: hop,
            ours: true,
            theirs: None,
        });
        self.peer_outputs(calls, None, now, out);
    }

    fn start_candidate(&mut self, candidate: usize, now: Now, out: &mut Vec<Output>) {
        let Some(target) = self.setup.candidates.get(candidate).copied() else {
            self.calling = Calling::Waiting(now.saturating_add(PATIENCE));
            out.push(Output::Say(
                "the peer does not answer at any of its addresses; waiting for its call".to_owned(),
            ));
            return;
        };
        out.push(Output::Say(format!("calling {target}")));
        self.calling = Calling::Udp {
            candidate,
            until: now.saturating_add(SILENCE),
        };
        self.place_call(candidate, Hop::Udp(target), now, out);
    }

    /// Nothing was heard on this one: the next.
    fn next_transport(&mut self, now: Now, out: &mut Vec<Output>) {
        self.drop_peer(now, out);
        match self.calling {
            Calling::Udp { candidate, .. } => {
                let Some(target) = self.setup.candidates.get(candidate).copied() else {
                    return;
                };
                self.calling = Calling::Tcp {
                    candidate,
                    until: now.saturating_add(SILENCE),
                };
                out.push(Output::Connect(target));
            }
            Calling::Tcp { candidate, .. } => self.start_candidate(candidate + 1, now, out),
            _ => self.end("the peer cannot be reached".to_owned(), now, out),
        }
    }

    fn stream(&mut self, stream: Option<u64>, now: Now, out: &mut Vec<Output>) {
        let Calling::Tcp { candidate, .. } = self.calling else {
            return;
        };
        match stream {
            Some(stream) if self.peer.is_none() => {
                self.calling = Calling::Tcp {
                    candidate,
                    until: now.saturating_add(SILENCE),
                };
                self.place_call(candidate, Hop::Tcp(stream), now, out);
            }
            Some(_) => {}
            None => self.next_transport(now, out),
        }
    }

    /// A connection is gone; the call is not. What is still to be said goes by UDP.
    fn stream_closed(&mut self, stream: u64) {
        let Some(instead) = self.setup.candidates.first().copied() else {
            return;
        };
        if let Some(leg) = &mut self.peer
            && leg.there == Hop::Tcp(stream)
        {
            leg.there = Hop::Udp(instead);
        }
        for (_, side) in &mut self.fading {
            if matches!(side, FadingSide::Peer(Hop::Tcp(have)) if *have == stream) {
                *side = FadingSide::Peer(Hop::Udp(instead));
            }
        }
    }

    // ---- the agent's side ------------------------------------------------------------------

    fn ours_for_agent(&self, formats: Vec<Format>) -> Ours {
        Ours {
            ip: *self.setup.inside.ip(),
            id: self.id,
            version: 1,
            audio: Some(Line {
                port: self.setup.agent_rtp,
                formats,
            }),
            video: None,
        }
    }

    /// Calls the agent, once there is a call to give it and an agent to take it.
    fn try_agent(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.finished || self.agent.is_some() || self.peer.is_none() {
            return;
        }
        let (Some(formats), Some(agent)) = (self.wanted.clone(), self.available.clone()) else {
            return;
        };
        match agent {
            Agent::BuiltIn => self.agent_took(now, out),
            Agent::Sip { user, at, .. } => {
                let local = Local {
                    ip: *self.setup.inside.ip(),
                    port: self.setup.inside.port(),
                    transport: Transport::Udp,
                    user: self.bridge.clone(),
                    seed: (self.setup.seeds)(),
                };
                let target = match &user {
                    Some(user) => Uri::of(user, *at.ip(), at.port()),
                    None => Uri::userless(*at.ip(), at.port()),
                };
                let offer = sdp::offer(&self.ours_for_agent(formats));
                let mut calls = Vec::new();
                let call = Call::outgoing(local, target, &offer, now, &mut calls);
                self.agent = Some(AgentLeg {
                    call,
                    at,
                    answer: None,
                    silent_until: Some(now.saturating_add(AGENT_SILENCE)),
                });
                self.agent_outputs(calls, None, now, out);
            }
        }
    }

    fn from_agent(
        &mut self,
        message: &Message,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(leg) = self.agent.as_mut().filter(|leg| leg.call.owns(message)) {
            leg.silent_until = None;
            let mut calls = Vec::new();
            let input = call::Input::Message { message, source };
            leg.call.handle(input, now, &mut calls);
            return self.agent_outputs(calls, Some(source), now, out);
        }
        if let Some((call, _)) = self.fading.iter_mut().find(|(call, _)| call.owns(message)) {
            let mut calls = Vec::new();
            call.handle(call::Input::Message { message, source }, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToAgent { bytes, to: source });
                }
            }
            return;
        }
        // A softphone that registers, subscribes or dials: answered, never served.
        if let Message::Request(request) = message
            && let Some(bytes) = stray(request, 403, source, None)
        {
            out.push(Output::ToAgent { bytes, to: source });
        }
    }

    fn agent_outputs(
        &mut self,
        calls: Vec<call::Output>,
        back: Option<SocketAddrV4>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        for output in calls {
            match output {
                call::Output::Send { bytes, to } => {
                    let Some(leg) = &self.agent else { continue };
                    let to = match to {
                        Where::Back => back.unwrap_or(leg.at),
                        Where::There => leg.at,
                    };
                    out.push(Output::ToAgent { bytes, to });
                }
                call::Output::Answered { answer } => {
                    let session = sdp::read(&answer).ok();
                    if let Some(leg) = &mut self.agent {
                        leg.answer = session;
                    }
                    self.agent_took(now, out);
                }
                call::Output::Reoffer { offer } => {
                    // Nothing of it concerns the peer: the same session again.
                    let ours = self.ours_for_agent(self.agreed());
                    let session = sdp::read(&offer).ok();
                    let again = session
                        .as_ref()
                        .and_then(|session| sdp::answer(session, &ours).ok())
                        .map_or_else(|| sdp::offer(&ours), |answer| answer.sdp);
                    let mut calls = Vec::new();
                    if let Some(leg) = &mut self.agent {
                        if session.is_some() {
                            leg.answer = session;
                        }
                        leg.call
                            .handle(call::Input::Answer(&again), now, &mut calls);
                    }
                    self.agent_outputs(calls, None, now, out);
                    self.media(now, out);
                }
                call::Output::Ended(how) => self.agent_ended(how, now, out),
                call::Output::Ringing
                | call::Output::Incoming { .. }
                | call::Output::Confirmed { .. } => {}
            }
        }
    }

    /// The agent is on the line: answer the peer, or join the two.
    fn agent_took(&mut self, now: Now, out: &mut Vec<Output>) {
        let formats = self.agreed();
        let sound = formats.iter().any(|format| !format.is_events());
        let has_audio = self.agent.as_ref().is_none_or(|leg| {
            leg.answer
                .as_ref()
                .is_some_and(|answer| answer.audio().is_some())
        });
        if !sound || !has_audio {
            return self.another_agent("it understands none of the peer's codecs", now, out);
        }
        let name = self.available.as_ref().map_or("", Agent::name).to_owned();
        self.since = Some(now);
        let Some(leg) = &self.peer else { return };
        if !leg.ours {
            let ours = self.ours_for_peer(formats);
            let answer = match &leg.theirs {
                Some(theirs) => match sdp::answer(theirs, &ours) {
                    Ok(answer) => answer.sdp,
                    Err(refusal) => return self.refuse_peer(refusal, now, out),
                },
                None => sdp::offer(&ours),
            };
            self.last_answer.clone_from(&answer);
            self.act_on_peer(call::Input::Answer(&answer), now, out);
        }
        out.push(Output::Say(format!("the call is on: {name} has it")));
        self.media(now, out);
    }

    fn agent_ended(&mut self, how: Ended, now: Now, out: &mut Vec<Output>) {
        let Some(leg) = self.agent.take() else { return };
        let took = leg.answer.is_some();
        self.fade(leg.call, FadingSide::Agent(leg.at));
        if self.finished {
            return;
        }
        if took {
            return self.end("hung up here".to_owned(), now, out);
        }
        let why = match how {
            Ended::Refused(status) => format!("{status} {}", reason(status)),
            Ended::NotAnswered => return self.end("nobody answered here".to_owned(), now, out),
            _ => "no answer".to_owned(),
        };
        self.another_agent(&why, now, out);
    }

    fn another_agent(&mut self, why: &str, now: Now, out: &mut Vec<Output>) {
        self.drop_agent(now, out);
        if let Some(agent) = self.available.take() {
            out.push(Output::Say(format!(
                "{} did not take the call: {why}",
                agent.name()
            )));
        }
        out.push(Output::NextAgent);
    }

    fn drop_agent(&mut self, now: Now, out: &mut Vec<Output>) {
        if let Some(mut leg) = self.agent.take() {
            let mut calls = Vec::new();
            leg.call.handle(call::Input::HangUp, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToAgent { bytes, to: leg.at });
                }
            }
            self.fade(leg.call, FadingSide::Agent(leg.at));
        }
    }

    fn agent_gone(&mut self, now: Now, out: &mut Vec<Output>) {
        let took = self.agent.as_ref().is_some_and(|leg| leg.answer.is_some());
        // Nobody is there to be told.
        self.agent = None;
        self.fading
            .retain(|(_, side)| matches!(side, FadingSide::Peer(_)));
        if self.finished {
            return;
        }
        if took {
            return self.end("the program ended".to_owned(), now, out);
        }
        self.available = None;
        out.push(Output::NextAgent);
    }

    // ---- both ------------------------------------------------------------------------------

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
            (Some(video), Some(line)) => sdp::common(&video.formats, &line.formats),
            _ => Vec::new(),
        };
        out.push(Output::Media(Media {
            peer: (
                SocketAddrV4::new(ip, audio.port),
                SocketAddrV4::new(ip, audio.rtcp_port),
            ),
            agent,
            audio: self.agreed(),
            video,
        }));
    }

    /// The peer's media host: what it wrote, if that is one of the addresses it negotiated (which
    /// policy has allowed); otherwise where its messages come from. A description cannot point us
    /// at a third machine.
    fn peer_media_ip(&self, written: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
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
        let text = match self.since {
            Some(since) => {
                let seconds = now.saturating_sub(since).as_secs();
                format!("{why} after {}:{:02}", seconds / 60, seconds % 60)
            }
            None => why,
        };
        out.push(Output::Finished(text));
    }

    fn timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        match self.calling {
            _ if self.finished => {}
            Calling::At(at) if now >= at => self.start_candidate(0, now, out),
            Calling::Udp { until, .. } | Calling::Tcp { until, .. } if now >= until => {
                self.next_transport(now, out);
            }
            Calling::Waiting(until) if now >= until && self.peer.is_none() => {
                self.end(
                    "the peer cannot be reached and did not call".to_owned(),
                    now,
                    out,
                );
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

fn send_peer(calls: Vec<call::Output>, there: Hop, back: Hop, out: &mut Vec<Output>) {
    for output in calls {
        if let call::Output::Send { bytes, to } = output {
            let hop = match to {
                Where::Back => back,
                Where::There => there,
            };
            out.push(Output::ToPeer { bytes, hop });
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
