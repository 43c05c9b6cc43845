//! The table of invitations of one account: which of them a message is for, how many there may be,
//! and what is remembered of the ended ones.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use crate::{
    invitation::{
        CancelCode, Capabilities, Command, Connection, Cookie, Dialect as MessageDialect, Message,
    },
    negotiation::{
        Application, Dialect, Disposition, EndReason, Input, InvitationId, Now, Offer, Output,
        Remote, Role, Summary, Timers, Treatment, compose,
        memory::{self, Again, Key, Memory, Past},
        pace::Pace,
        session::{Beginning, Desk, Event, Farewell, Session, State, Step},
    },
};

/// How much one account may hold (ANCHORS: threats 8 and 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Invitations at once, both directions, any state.
    pub sessions: usize,
    /// Unanswered questions to our user at once.
    pub pending: usize,
    /// Unanswered questions from one peer at once.
    pub pending_per_peer: usize,
    /// Unanswered questions from one peer about one application at once. One more takes the place
    /// of the oldest, which its inviter has most likely given up.
    pub pending_per_application: usize,
    /// Questions from one peer per minute.
    pub offers_per_minute: u32,
    /// Questions of one peer per minute that are declined with an answer. What exceeds it is dropped
    /// without one, and not remembered: a flood would have us write as much as it does, and push out
    /// what is remembered of others.
    pub declines_per_minute: u32,
    /// Context messages we send per invitation (PROTOCOL.md 1.4).
    pub contexts: usize,
    /// Ended invitations remembered.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 256,
            pending: 64,
            pending_per_peer: 8,
            pending_per_application: 1,
            offers_per_minute: 20,
            declines_per_minute: 60,
            contexts: 5,
            remembered: 256,
        }
    }
}

/// Timers, limits and policy of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long each thing may take.
    pub timers: Timers,
    /// How much there may be.
    pub limits: Limits,
    /// Whether a CANCEL with another code than `TIMEOUT` ends what runs. Otherwise it is only told
    /// ([`Output::PeerLeft`]).
    pub cancel_ends_running: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            limits: Limits::default(),
            cancel_ends_running: true,
        }
    }
}

/// The invitations of one signed-in account.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    next: u64,
    sessions: BTreeMap<InvitationId, Session>,
    memory: Memory,
    /// Of what is asked, and of what is declined.
    pace: Pace,
    declines: Pace,
}

impl Engine {
    /// An empty table whose invitations get the ids from `first` on.
    pub fn new(settings: Settings, first: InvitationId) -> Self {
        Self {
            settings,
            next: first.0,
            sessions: BTreeMap::new(),
            memory: Memory::default(),
            pace: Pace::default(),
            declines: Pace::default(),
        }
    }

    /// The id the next invitation gets, whichever side it comes from.
    pub fn next_id(&self) -> InvitationId {
        InvitationId(self.next)
    }

    /// When to push [`Input::Timeout`]: the earliest alarm, or never.
    pub fn next_timeout(&self) -> Option<Now> {
        self.sessions
            .values()
            .filter_map(|session| session.alarms.next())
            .min()
    }

    /// Every live invitation, oldest first.
    pub fn sessions(&self) -> impl Iterator<Item = Summary> + '_ {
        self.sessions.values().map(Session::summary)
    }

    /// Takes one input and appends what is to be done, in order.
    pub fn handle(&mut self, input: Input<'_>, now: Now, out: &mut Vec<Output>) -> Disposition {
        self.memory.forget(now);
        match input {
            Input::Received {
                peer,
                message,
                application,
            } => self.received(peer, message, application, now, out),
            Input::Invite {
                application,
                peer,
                cookie,
                session_id,
                capabilities,
                connection,
            } => {
                let cookie = Cookie::new(cookie);
                let call = Invited {
                    application,
                    peer,
                    cookie,
                    session_id,
                    connection,
                };
                self.invite(call, capabilities, now, out);
                Disposition::Taken
            }
            Input::Accept(id) => self.tell(id, Event::Accept, now, out),
            Input::Decline(id, code) => self.tell(id, Event::Decline(code), now, out),
            Input::Ready(id, announced) => self.tell(id, Event::Ready(announced), now, out),
            Input::Failed(id, kind) => self.tell(id, Event::Failed(kind), now, out),
            Input::Running(id) => self.tell(id, Event::Running, now, out),
            Input::ProgramEnded(id) => self.tell(id, Event::ProgramEnded, now, out),
            Input::HangUp(id) => self.tell(id, Event::HangUp, now, out),
            Input::SendContext(id, data) => self.tell(id, Event::Tell(&data), now, out),
            Input::CarrierLost { peer } => self.tell_peer(peer, || Event::CarrierLost, now, out),
            Input::CarrierBack { peer } => self.tell_peer(peer, || Event::CarrierBack, now, out),
            Input::Closing { peer } => self.tell_peer(peer, || Event::Closing, now, out),
            Input::Undelivered(id) => self.undelivered(id, now, out),
            Input::Timeout => self.time_passed(now, out),
        }
    }

    // Messages from the peer.

    fn received(
        &mut self,
        peer: &str,
        message: &Message<'_>,
        application: Option<Treatment>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        match message.command() {
            Command::Invite => self.invited(peer, message, application, now, out),
            Command::Accept => self.deliver(peer, message, Event::PeerAccepts(message), now, out),
            Command::Cancel => {
                let event = Event::PeerCancels(message.cancel_code());
                self.deliver(peer, message, event, now, out)
            }
            // ayttm's spelling of a decline (PROTOCOL.md section 2).
            Command::Other(word)
                if word.eq_ignore_ascii_case("REJECT") && message.context_data().is_none() =>
            {
                let event = Event::PeerCancels(Some(CancelCode::Reject));
                self.deliver(peer, message, event, now, out)
            }
            // Nobody has seen the context message's own word: any will do (PROTOCOL.md 2.4).
            Command::Context | Command::Other(_) => {
                let event = message
                    .context_data()
                    .map_or(Event::PeerMumbles, Event::PeerTells);
                self.deliver(peer, message, event, now, out)
            }
        }
    }

    /// A message about an invitation that should exist.
    fn deliver(
        &mut self,
        peer: &str,
        message: &Message<'_>,
        event: Event<'_>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        let key = memory::fold(peer);
        if let Some(id) = self.route(&key, message, &event) {
            return self.tell_heard(id, event, now, out);
        }
        self.after_the_end(key, message.cookie(), &event, out)
    }

    /// Which live invitation a message is for. Nearly always the cookie says it. When both sides
    /// invited with the same number, the `Session-ID` decides if it can, then what each of the two
    /// waits for.
    fn route(&self, peer: &str, message: &Message<'_>, event: &Event<'_>) -> Option<InvitationId> {
        let cookie = message.cookie();
        let by_role = |role| self.live(peer, cookie, role);
        let (ours, theirs) = match (by_role(Role::Inviter), by_role(Role::Invitee)) {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (one, other) => return one.or(other).map(|session| session.id),
        };
        let named = message.session_id();
        let is_named =
            |session: &Session| named.is_some() && session.session_id.as_deref() == named;
        let is_ours = match (is_named(ours), is_named(theirs)) {
            (true, false) => true,
            (false, true) => false,
            _ => match event {
                Event::PeerAccepts(accept) => {
                    let waits = (
                        ours.state() == State::Offered,
                        theirs.state() == State::Accepted,
                    );
                    match waits {
                        (true, false) => true,
                        (false, true) => false,
                        _ => accept.requests_ip_address() || accept.session_protocol().is_some(),
                    }
                }
                Event::PeerCancels(code) => matches!(
                    code,
                    Some(CancelCode::Reject | CancelCode::RejectNotInstalled)
                ),
                _ => ours.state() == State::AwaitingContext || ours.state().is_connected(),
            },
        };
        Some(if is_ours { ours.id } else { theirs.id })
    }

    fn live(&self, peer: &str, cookie: Cookie, role: Role) -> Option<&Session> {
        self.sessions.values().find(|session| {
            session.role == role && session.peer_key == peer && session.cookie == cookie
        })
    }

    /// A message for an invitation that has ended: ours, and nothing comes of it. Only a peer that
    /// accepts what is over is told so, once.
    fn after_the_end(
        &mut self,
        peer: String,
        cookie: Cookie,
        event: &Event<'_>,
        out: &mut Vec<Output>,
    ) -> Disposition {
        let mut key = Key {
            peer,
            cookie,
            role: Role::Inviter,
        };
        if self.memory.find(&key).is_none() {
            key.role = Role::Invitee;
        }
        let Some(past) = self.memory.find(&key) else {
            return Disposition::NotOurs;
        };
        if let Event::PeerAccepts(_) = event
            && let Some(again) = past.again.take()
        {
            out.push(again_output(past.id, again));
        }
        Disposition::Taken
    }

    /// An INVITE.
    fn invited(
        &mut self,
        peer: &str,
        message: &Message<'_>,
        application: Option<Treatment>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        if message.dialect() == MessageDialect::FileTransfer {
            return Disposition::NotOurs;
        }
        let key = Key {
            peer: memory::fold(peer),
            cookie: message.cookie(),
            role: Role::Invitee,
        };
        let fingerprint = fingerprint(message);
        if let Some(session) = self.live(&key.peer, key.cookie, Role::Invitee) {
            let (id, same) = (session.id, session.fingerprint == Some(fingerprint));
            if same || session.state() != State::Offered {
                return Disposition::Taken;
            }
            self.sessions.remove(&id);
            out.push(Output::Ended {
                id,
                reason: EndReason::Replaced,
            });
        } else if self
            .memory
            .find(&key)
            .is_some_and(|past| past.fingerprint == Some(fingerprint))
        {
            return Disposition::Taken;
        }
        let mut replaced = Vec::new();
        let refusal = match &application {
            None => return Disposition::NotOurs,
            Some(_) if message.dialect() == MessageDialect::Unknown => Some(CancelCode::Fail),
            Some(Treatment::RefuseNotInstalled) => Some(CancelCode::RejectNotInstalled),
            Some(Treatment::Negotiate(wanted)) => match self.room_for(&key.peer, wanted, now) {
                Some(in_its_place) => {
                    replaced = in_its_place;
                    None
                }
                None => Some(CancelCode::Reject),
            },
        };
        for id in replaced {
            // In silence: its inviter has most likely given it up, and a CANCEL now might look like the
            // answer to the new one.
            self.end(id, EndReason::Replaced, Farewell::Nothing, now, out);
        }
        match (application, refusal) {
            (Some(Treatment::Negotiate(application)), None) => {
                self.offer(peer, key, fingerprint, application, message, now, out);
            }
            (_, refusal) => {
                let code = refusal.unwrap_or(CancelCode::Reject);
                self.refuse(peer, key, fingerprint, code, message, now, out);
            }
        }
        Disposition::Taken
    }

    /// The unanswered questions that must go for one more, oldest first; `None` when it is one too
    /// many all the same.
    fn room_for(
        &mut self,
        peer: &str,
        application: &Application,
        now: Now,
    ) -> Option<Vec<InvitationId>> {
        let limits = &self.settings.limits;
        let (mut pending, mut of_peer, mut the_same) = (0, 0, Vec::new());
        for session in self.sessions.values() {
            if session.role == Role::Invitee && session.state() == State::Offered {
                pending += 1;
                if session.peer_key == peer {
                    of_peer += 1;
                    if session.application.id == application.id {
                        the_same.push(session.id);
                    }
                }
            }
        }
        let keep = limits.pending_per_application.checked_sub(1)?;
        let going = the_same.len().saturating_sub(keep);
        the_same.truncate(going);
        let room = self.sessions.len() - going < limits.sessions
            && pending - going < limits.pending
            && of_peer - going < limits.pending_per_peer
            && self.pace.allows(peer, limits.offers_per_minute, now);
        room.then_some(the_same)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one INVITE")]
    fn offer(
        &mut self,
        peer: &str,
        key: Key,
        fingerprint: u64,
        application: Arc<Application>,
        message: &Message<'_>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let id = self.take_id();
        let capabilities = message.capabilities();
        let candidates = message.addresses().to_vec();
        let connection = message.connection();
        let session_id = message.session_id().map(str::to_owned);
        let offer = Offer {
            peer: memory::handle(peer).to_owned(),
            application: Arc::clone(&application),
            name: message.application_name().map(|name| name.into_owned()),
            url: message.application_url().map(str::to_owned),
            capabilities,
            candidates: candidates.clone(),
            connection,
            cookie: key.cookie.as_str().to_owned(),
            session_id: session_id.clone(),
        };
        let desk = Desk {
            now,
            settings: &self.settings,
            out,
        };
        let session = Session::begin(
            Beginning {
                id,
                role: Role::Invitee,
                peer: offer.peer.clone(),
                peer_key: key.peer,
                application,
                cookie: key.cookie,
                session_id,
                sm1: message.speaks_sm1(),
                fingerprint: Some(fingerprint),
                media: offer.media(),
                connection: None,
                remote: Remote {
                    candidates,
                    media: Vec::new(),
                    connection,
                },
            },
            &desk,
        );
        self.sessions.insert(id, session);
        out.push(Output::Offered { id, offer });
    }

    /// Says no without asking anybody, and remembers it.
    #[allow(clippy::too_many_arguments, reason = "the parts of one INVITE")]
    fn refuse(
        &mut self,
        peer: &str,
        key: Key,
        fingerprint: u64,
        code: CancelCode,
        message: &Message<'_>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let per_minute = self.settings.limits.declines_per_minute;
        if !self.declines.allows(&key.peer, per_minute, now) {
            return;
        }
        let id = self.take_id();
        if let Some(payload) = compose::cancel(key.cookie, message.session_id(), code, None) {
            let peer = memory::handle(peer).to_owned();
            out.push(Output::Send {
                id,
                peer,
                command: "CANCEL",
                payload,
            });
        }
        let until = now + self.settings.timers.memory;
        let past = Past {
            id,
            key,
            fingerprint: Some(fingerprint),
            again: None,
            until,
        };
        self.memory.keep(past, self.settings.limits.remembered);
    }

    // Our own side.

    fn invite(
        &mut self,
        call: Invited,
        capabilities: Option<Capabilities>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let id = self.take_id();
        let key = Key {
            peer: memory::fold(&call.peer),
            cookie: call.cookie,
            role: Role::Inviter,
        };
        let taken = self.live(&key.peer, key.cookie, Role::Inviter).is_some()
            || self.memory.find(&key).is_some();
        let refused = match taken {
            true => Some(EndReason::CookieInUse),
            false if self.sessions.len() >= self.settings.limits.sessions => {
                Some(EndReason::TooMany)
            }
            false => None,
        };
        if let Some(reason) = refused {
            out.push(Output::Ended { id, reason });
            return;
        }
        let sm1 = call.application.dialect == Dialect::Sm1;
        let asked = capabilities
            .as_ref()
            .map(|asked| asked.requested.as_slice());
        let beginning = Beginning {
            id,
            role: Role::Inviter,
            peer: memory::handle(&call.peer).to_owned(),
            peer_key: key.peer,
            media: call.application.agreed_media(asked),
            connection: call.connection.filter(|_| call.application.connection),
            application: call.application,
            cookie: key.cookie,
            session_id: sm1.then_some(call.session_id),
            sm1,
            fingerprint: None,
            remote: Remote::default(),
        };
        let mut desk = Desk {
            now,
            settings: &self.settings,
            out,
        };
        let mut session = Session::begin(beginning, &desk);
        match session.send_invite(capabilities.as_ref(), &mut desk) {
            Ok(()) => {
                self.sessions.insert(id, session);
            }
            Err(why) => out.push(Output::Ended {
                id,
                reason: EndReason::Failed(why),
            }),
        }
    }

    fn take_id(&mut self) -> InvitationId {
        let id = InvitationId(self.next);
        self.next += 1;
        id
    }

    /// Gives one invitation an event of ours.
    fn tell(
        &mut self,
        id: InvitationId,
        event: Event<'_>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Disposition::NotOurs;
        };
        let mut desk = Desk {
            now,
            settings: &self.settings,
            out,
        };
        match session.on(event, &mut desk) {
            Step::Stay => {}
            Step::End(reason, farewell) => self.end(id, reason, farewell, now, out),
        }
        Disposition::Taken
    }

    /// Gives one invitation an event of the peer's.
    fn tell_heard(
        &mut self,
        id: InvitationId,
        event: Event<'_>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.heard(&Desk {
                now,
                settings: &self.settings,
                out,
            });
        }
        self.tell(id, event, now, out)
    }

    /// Gives every invitation with one peer an event.
    fn tell_peer(
        &mut self,
        peer: &str,
        event: impl Fn() -> Event<'static>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Disposition {
        let key = memory::fold(peer);
        let ids: Vec<InvitationId> = self
            .sessions
            .values()
            .filter(|session| session.peer_key == key)
            .map(|session| session.id)
            .collect();
        for &id in &ids {
            let _ = self.tell(id, event(), now, out);
        }
        if ids.is_empty() {
            Disposition::NotOurs
        } else {
            Disposition::Taken
        }
    }

    fn undelivered(&mut self, id: InvitationId, now: Now, out: &mut Vec<Output>) -> Disposition {
        if self.sessions.contains_key(&id) {
            return self.tell(id, Event::Undelivered, now, out);
        }
        let Some(past) = self.memory.by_id(id) else {
            return Disposition::NotOurs;
        };
        // The CANCEL itself was lost: it gets one more chance, over another switchboard.
        if let Some(again) = past.again.take_if(|again| again.said) {
            out.push(again_output(id, again));
        }
        Disposition::Taken
    }

    fn time_passed(&mut self, now: Now, out: &mut Vec<Output>) -> Disposition {
        let ids: Vec<InvitationId> = self.sessions.keys().copied().collect();
        for id in ids {
            while let Some(alarm) = self
                .sessions
                .get_mut(&id)
                .and_then(|session| session.alarms.take_due(now))
            {
                let _ = self.tell(id, Event::Rang(alarm), now, out);
            }
        }
        Disposition::Taken
    }

    /// Takes an invitation out of the table, tells the peer and remembers it.
    fn end(
        &mut self,
        id: InvitationId,
        reason: EndReason,
        farewell: Farewell,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        let (code, said) = match farewell {
            Farewell::Say(code) => (Some(code), true),
            Farewell::IfAsked(code) => (Some(code), false),
            Farewell::Nothing => (None, false),
        };
        let again = code
            .and_then(|code| compose::farewell(&session, code))
            .map(|payload| Again {
                peer: session.peer.clone(),
                payload,
                said,
            });
        if let Some(again) = again.as_ref().filter(|again| again.said) {
            out.push(Output::Send {
                id,
                peer: again.peer.clone(),
                command: "CANCEL",
                payload: again.payload.clone(),
            });
        }
        out.push(Output::Ended { id, reason });
        let past = Past {
            id,
            key: Key {
                peer: session.peer_key,
                cookie: session.cookie,
                role: session.role,
            },
            fingerprint: session.fingerprint,
            again,
            until: now + self.settings.timers.memory,
        };
        self.memory.keep(past, self.settings.limits.remembered);
    }
}

/// An invitation of ours, as it was ordered.
struct Invited {
    application: Arc<Application>,
    peer: String,
    cookie: Cookie,
    session_id: String,
    connection: Option<Connection>,
}

fn again_output(id: InvitationId, again: Again) -> Output {
    Output::Send {
        id,
        peer: again.peer,
        command: "CANCEL",
        payload: again.payload,
    }
}

/// The content of an INVITE as a number, to know a retransmission by. Names are compared without
/// case, values byte by byte.
fn fingerprint(message: &Message<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for field in message.fields() {
        field.name.to_ascii_lowercase().hash(&mut hasher);
        field.value.hash(&mut hasher);
    }
    hasher.finish()
}
