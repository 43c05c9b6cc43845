//! One invitation: what follows from each event in each state (PROTOCOL.md section 7). The match in
//! [`Session::on`] is the table; the functions after it are its actions.

use core::fmt;
use std::sync::Arc;

use crate::{
    invitation::{CancelCode, Capabilities, Connection, Cookie, Medium, Message},
    negotiation::{
        Announced, Announcement, Application, EndReason, FailureKind, InvitationId, Now, Output,
        Remote, Role, Settings, Summary, Waiting, compose,
        timer::{Alarm, Alarms, Timers},
    },
};

/// So many context messages are kept that overtook the ACCEPT before them.
const EARLY_CONTEXTS: usize = 8;

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// INVITE is out or in; nobody has answered.
    Offered,
    /// Accepted by the invitee; our adapter is finding out where we listen.
    Preparing,
    /// Invitee: ACCEPT #1 is out.
    Accepted,
    /// Inviter: ACCEPT #2 is out, the address that matters comes with the context message.
    AwaitingContext,
    /// Both addresses are known; nothing runs yet.
    Connected,
    /// As connected; our adapter is finding out which address the context message tells.
    PreparingContext,
    /// Handed over.
    Running,
}

impl State {
    /// Whether the handshake is complete, so that switchboards no longer matter.
    pub fn is_connected(self) -> bool {
        matches!(
            self,
            Self::Connected | Self::PreparingContext | Self::Running
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offered => "offered",
            Self::Preparing => "preparing",
            Self::Accepted => "accepted",
            Self::AwaitingContext => "awaiting context",
            Self::Connected => "connected",
            Self::PreparingContext => "preparing context",
            Self::Running => "running",
        })
    }
}

/// What happens to one invitation.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// ACCEPT from the peer: #1 or #2, as our role says.
    PeerAccepts(&'a Message<'a>),
    /// CANCEL from the peer.
    PeerCancels(Option<CancelCode>),
    /// Context data from the peer.
    PeerTells(&'a [u8]),
    /// A message of the peer's that says nothing.
    PeerMumbles,
    /// The user's yes.
    Accept,
    /// The user's no.
    Decline(CancelCode),
    /// We listen here.
    Ready(Announced),
    /// The adapter cannot go on.
    Failed(FailureKind),
    /// Handed over.
    Running,
    /// The program ended.
    ProgramEnded,
    /// The user wants it over.
    HangUp,
    /// Context data of our program.
    Tell(&'a [u8]),
    /// No switchboard is left.
    CarrierLost,
    /// The peer came into a switchboard.
    CarrierBack,
    /// We leave the peer.
    Closing,
    /// Our last message was lost.
    Undelivered,
    /// An alarm rang.
    Rang(Alarm),
}

/// How an invitation goes on.
#[derive(Debug)]
#[must_use]
pub(super) enum Step {
    /// It lives.
    Stay,
    /// It is over.
    End(EndReason, Farewell),
}

/// What the peer is told at the end.
#[derive(Debug)]
pub(super) enum Farewell {
    /// CANCEL with this code.
    Say(CancelCode),
    /// Nothing now, for it cannot be delivered; CANCEL with this code should the peer come back.
    IfAsked(CancelCode),
    /// Nothing: the peer knows.
    Nothing,
}

/// A message of ours that may have to be sent again.
#[derive(Debug)]
struct Sent {
    command: &'static str,
    payload: Vec<u8>,
    at: Now,
}

/// One invitation.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: InvitationId,
    pub(super) role: Role,
    /// Handle of the peer as the server spells it, without machine GUID.
    pub(super) peer: String,
    /// The same, folded for comparison.
    pub(super) peer_key: String,
    pub(super) application: Arc<Application>,
    pub(super) cookie: Cookie,
    /// The inviter's; `None` is mirrored as none.
    pub(super) session_id: Option<String>,
    /// Whether the inviter spoke SM1.
    pub(super) sm1: bool,
    /// Content of the INVITE we got.
    pub(super) fingerprint: Option<u64>,
    /// Media both sides named.
    pub(super) media: Vec<Medium>,
    /// The `Conn-Type` block we announced.
    pub(super) connection: Option<Connection>,
    pub(super) alarms: Alarms,
    state: State,
    since: Now,
    remote: Remote,
    /// The last message the peer has not answered yet.
    last: Option<Sent>,
    tries_left: u8,
    /// When our ACCEPT #2 went out, or would have.
    second_at: Option<Now>,
    second_repeated: bool,
    second_wanted: bool,
    /// `Running` was told before `Connected`.
    running_early: bool,
    /// The peer sent a CANCEL that did not end it.
    peer_left: bool,
    contexts_sent: usize,
    /// Program data went one way or the other.
    exchanged: bool,
    early: Vec<Vec<u8>>,
    held: Vec<Vec<u8>>,
}

/// What a session may use besides itself while it handles an event.
pub(super) struct Desk<'a> {
    pub(super) now: Now,
    pub(super) settings: &'a Settings,
    pub(super) out: &'a mut Vec<Output>,
}

impl Desk<'_> {
    fn timers(&self) -> &Timers {
        &self.settings.timers
    }
}

/// What is known when an invitation begins.
pub(super) struct Beginning {
    pub(super) id: InvitationId,
    pub(super) role: Role,
    pub(super) peer: String,
    pub(super) peer_key: String,
    pub(super) application: Arc<Application>,
    pub(super) cookie: Cookie,
    pub(super) session_id: Option<String>,
    pub(super) sm1: bool,
    pub(super) fingerprint: Option<u64>,
    pub(super) media: Vec<Medium>,
    pub(super) connection: Option<Connection>,
    pub(super) remote: Remote,
}

impl Session {
    /// An invitation that has just been offered, by us or to us.
    pub(super) fn begin(start: Beginning, desk: &Desk<'_>) -> Self {
        let mut session = Self {
            id: start.id,
            role: start.role,
            peer: start.peer,
            peer_key: start.peer_key,
            application: start.application,
            cookie: start.cookie,
            session_id: start.session_id,
            sm1: start.sm1,
            fingerprint: start.fingerprint,
            media: start.media,
            connection: start.connection,
            alarms: Alarms::default(),
            state: State::Offered,
            since: desk.now,
            remote: start.remote,
            last: None,
            tries_left: desk.timers().retries,
            second_at: None,
            second_repeated: false,
            second_wanted: true,
            running_early: false,
            peer_left: false,
            contexts_sent: 0,
            exchanged: false,
            early: Vec::new(),
            held: Vec::new(),
        };
        let patience = match session.role {
            Role::Inviter => desk.timers().invite,
            Role::Invitee => desk.timers().offer,
        };
        session
            .alarms
            .set(Alarm::Deadline, Some(desk.now + patience));
        session.keep_alive(desk);
        session
    }

    /// Its state.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// What people may know of it.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            id: self.id,
            peer: self.peer.clone(),
            role: self.role,
            application: self.application.id.clone(),
            state: self.state,
            since: self.since,
        }
    }

    /// The peer was heard, or came, in whatever switchboard.
    pub(super) fn heard(&mut self, desk: &Desk<'_>) {
        self.alarms.set(Alarm::Grace, None);
        if !self.state.is_connected() && !self.alarms.is_set(Alarm::KeepAlive) {
            self.keep_alive(desk);
        }
    }

    /// The table of PROTOCOL.md section 7.
    pub(super) fn on(&mut self, event: Event<'_>, desk: &mut Desk<'_>) -> Step {
        use {Event as E, Role::*, State as S};
        match (self.state, self.role, event) {
            // The handshake, in order. Which ACCEPT it is says our role, never the fields.
            (S::Offered, Invitee, E::Accept) => self.prepare(S::Preparing, desk),
            (S::Offered, Inviter, E::PeerAccepts(accept)) => {
                self.learn(accept);
                self.second_wanted = self.sm1 || accept.requests_ip_address();
                self.prepare(S::Preparing, desk)
            }
            (S::Preparing, Invitee, E::Ready(own)) => self.send_first(&own, desk),
            (S::Preparing, Inviter, E::Ready(own)) => self.send_second(&own, desk),
            (S::Accepted, Invitee, E::PeerAccepts(accept)) => {
                self.learn(accept);
                self.connect(desk)
            }
            (S::PreparingContext, _, E::Ready(own)) => self.send_address(&own, desk),
            (S::Connected, _, E::Running) => self.enter_running(desk),
            (S::Running, _, E::Running) => Step::Stay,
            (_, _, E::Running) => {
                self.running_early = true;
                Step::Stay
            }

            // Context data.
            (S::AwaitingContext, _, E::PeerTells(data)) => self.learn_address(data, desk),
            (state, _, E::PeerTells(data)) if state.is_connected() => self.told(data, desk),
            (S::Accepted, _, E::PeerTells(data)) => {
                if self.early.len() < EARLY_CONTEXTS {
                    self.early.push(data.to_vec());
                }
                Step::Stay
            }
            (S::Connected | S::Running, _, E::Tell(data)) => self.tell(data, desk),
            (_, _, E::Tell(data)) => {
                // One more than may be sent: it ends the invitation when its turn comes.
                if self.held.len() <= desk.settings.limits.contexts {
                    self.held.push(data.to_vec());
                }
                Step::Stay
            }

            // Doubled and unasked messages.
            (S::AwaitingContext | S::Connected, Inviter, E::PeerAccepts(_)) => {
                self.repeat_second(desk)
            }
            (_, _, E::PeerAccepts(_) | E::PeerTells(_) | E::PeerMumbles) => Step::Stay,
            (_, _, E::Accept | E::Ready(_)) => Step::Stay,

            // The peer cancels. It is never answered.
            (_, _, E::PeerCancels(_))
                if self.exchanged && self.application.has_opaque_context() =>
            {
                Step::End(EndReason::Completed, Farewell::Nothing)
            }
            (_, _, E::PeerCancels(code)) => self.cancelled(code, desk),

            // We end it.
            (S::Offered, Invitee, E::HangUp) => {
                Step::End(EndReason::DeclinedHere, Farewell::Say(CancelCode::Reject))
            }
            (S::Offered | S::Preparing | S::Accepted, Invitee, E::Decline(code)) => {
                let reason = match code {
                    CancelCode::RejectNotInstalled => EndReason::NotInstalledHere,
                    _ => EndReason::DeclinedHere,
                };
                Step::End(reason, Farewell::Say(code))
            }
            (S::Offered | S::Preparing | S::Accepted, _, E::HangUp | E::Decline(_)) => {
                Step::End(EndReason::HungUp, Farewell::Say(CancelCode::Timeout))
            }
            (_, _, E::HangUp | E::Decline(_)) => self.end_ours(EndReason::HungUp),
            (S::Offered | S::Preparing, Invitee, E::Failed(FailureKind::NotInstalled)) => {
                Step::End(
                    EndReason::NotInstalledHere,
                    Farewell::Say(CancelCode::RejectNotInstalled),
                )
            }
            (_, _, E::Failed(_)) => self.fail(EndReason::ProgramFailed),
            (state, _, E::ProgramEnded) if state.is_connected() => {
                self.end_ours(EndReason::ProgramEnded)
            }
            (_, _, E::ProgramEnded) => self.fail(EndReason::ProgramEnded),

            // The carrier.
            (state, _, E::Closing) if state.is_connected() => Step::Stay,
            (state, _, E::CarrierLost) if state.is_connected() => self.repeat_in_flight(desk),
            (_, _, E::Closing) => Step::End(
                EndReason::CarrierLost,
                Farewell::Say(CancelCode::OutbandCancel),
            ),
            // What we have yet to send opens another switchboard; only who waits for the peer
            // may wait in vain.
            (S::Offered, Invitee, E::CarrierLost) | (S::Preparing, _, E::CarrierLost) => {
                self.alarms.set(Alarm::KeepAlive, None);
                Step::Stay
            }
            // Our invitation goes on ringing: the peer's client closes an idle switchboard long
            // before its user has answered (PROTOCOL.md 5.0), and answers by another.
            (S::Offered, Inviter, E::CarrierLost) => {
                self.alarms.set(Alarm::KeepAlive, None);
                self.repeat_in_flight(desk)
            }
            (_, _, E::CarrierLost) => self.wait_for_carrier(desk),
            (_, _, E::CarrierBack) => {
                self.heard(desk);
                Step::Stay
            }
            (state, role, E::Undelivered) => {
                if self.retry_later(desk) || state == S::Running {
                    return Step::Stay;
                }
                // An invitation nobody got needs no CANCEL. Any other message may have come
                // through at an earlier try.
                let farewell = match (state, role) {
                    (S::Offered, Inviter) => Farewell::IfAsked(CancelCode::Timeout),
                    _ => Farewell::Say(CancelCode::OutbandCancel),
                };
                Step::End(EndReason::CarrierLost, farewell)
            }

            // Alarms.
            (_, _, E::Rang(Alarm::Retry)) => self.repeat_last(desk),
            (_, _, E::Rang(Alarm::KeepAlive)) => {
                desk.out.push(Output::KeepAlive {
                    id: self.id,
                    peer: self.peer.clone(),
                });
                self.keep_alive(desk);
                Step::Stay
            }
            (_, _, E::Rang(Alarm::Grace)) => Step::End(
                EndReason::CarrierLost,
                Farewell::Say(CancelCode::OutbandCancel),
            ),
            (state, role, E::Rang(Alarm::Deadline)) => too_late(state, role),
        }
    }

    // What follows, one action per function.

    fn enter(&mut self, state: State, deadline: Option<Now>, now: Now) {
        self.state = state;
        self.since = now;
        self.alarms.set(Alarm::Deadline, deadline);
    }

    fn keep_alive(&mut self, desk: &Desk<'_>) {
        let next = desk.timers().keep_alive.map(|every| desk.now + every);
        self.alarms.set(Alarm::KeepAlive, next);
    }

    fn prepare(&mut self, state: State, desk: &mut Desk<'_>) -> Step {
        // What we sent before is answered: it is never sent again.
        self.last = None;
        self.alarms.set(Alarm::Retry, None);
        let patience = desk.timers().prepare;
        let patience = self
            .application
            .prepare
            .map_or(patience, |needed| needed.max(patience));
        self.enter(state, Some(desk.now + patience), desk.now);
        let announcement = match state {
            State::PreparingContext => Announcement::Context,
            _ => Announcement::Accept,
        };
        desk.out.push(Output::Prepare {
            id: self.id,
            announcement,
        });
        Step::Stay
    }

    /// What the peer's ACCEPT says.
    fn learn(&mut self, accept: &Message<'_>) {
        let candidates = accept.addresses().to_vec();
        if !candidates.is_empty() {
            self.remote.candidates = candidates;
        }
        if let Some(connection) = accept.connection() {
            self.remote.connection = Some(connection);
        }
        if self.role == Role::Inviter
            && let Some(answer) = accept.capabilities()
        {
            let named = |medium: &Medium| answer.requested.contains(medium);
            if self.media.iter().any(named) {
                self.media.retain(named);
            }
        }
    }

    fn send_first(&mut self, own: &Announced, desk: &mut Desk<'_>) -> Step {
        match compose::accept(self, own) {
            Ok(payload) => {
                self.remember_own(own);
                self.send("ACCEPT", payload, desk);
                self.enter(
                    State::Accepted,
                    Some(desk.now + desk.timers().accept),
                    desk.now,
                );
                Step::Stay
            }
            Err(why) => self.fail(EndReason::Failed(why)),
        }
    }

    fn send_second(&mut self, own: &Announced, desk: &mut Desk<'_>) -> Step {
        if self.second_wanted {
            match compose::accept(self, own) {
                Ok(payload) => {
                    self.remember_own(own);
                    self.send("ACCEPT", payload, desk);
                }
                Err(why) => return self.fail(EndReason::Failed(why)),
            }
        }
        self.second_at = Some(desk.now);
        if self.application.awaits_address_context(self.role) {
            let deadline = desk.now + desk.timers().context;
            self.enter(State::AwaitingContext, Some(deadline), desk.now);
            return Step::Stay;
        }
        self.connect(desk)
    }

    fn remember_own(&mut self, own: &Announced) {
        if self.application.connection {
            self.connection = own.connection.or(self.connection);
        }
    }

    /// Both addresses are known.
    fn connect(&mut self, desk: &mut Desk<'_>) -> Step {
        self.alarms.set(Alarm::Grace, None);
        self.alarms.set(Alarm::KeepAlive, None);
        if self.role == Role::Invitee {
            self.last = None;
            self.alarms.set(Alarm::Retry, None);
        }
        self.remote.media = self.media.clone();
        desk.out.push(Output::Connected {
            id: self.id,
            remote: self.remote.clone(),
        });
        self.enter(
            State::Connected,
            Some(desk.now + desk.timers().start),
            desk.now,
        );
        for data in core::mem::take(&mut self.early) {
            let _ = self.told(&data, desk);
        }
        if self.application.sends_address_context(self.role) {
            return self.prepare(State::PreparingContext, desk);
        }
        self.settle(desk)
    }

    /// Connected with nothing left to announce: what was held back happens now.
    fn settle(&mut self, desk: &mut Desk<'_>) -> Step {
        for data in core::mem::take(&mut self.held) {
            match self.tell(&data, desk) {
                Step::Stay => {}
                end => return end,
            }
        }
        if self.running_early {
            self.enter_running(desk)
        } else {
            Step::Stay
        }
    }

    fn enter_running(&mut self, desk: &mut Desk<'_>) -> Step {
        self.enter(State::Running, None, desk.now);
        Step::Stay
    }

    fn send_address(&mut self, own: &Announced, desk: &mut Desk<'_>) -> Step {
        let Some(port) = own.port.filter(|&port| port != 0) else {
            return self.fail(EndReason::Failed("no port to announce".to_owned()));
        };
        let address = format!("{}:{port}", own.ip);
        self.enter(
            State::Connected,
            Some(desk.now + desk.timers().start),
            desk.now,
        );
        match self.tell(address.as_bytes(), desk) {
            Step::Stay => self.settle(desk),
            end => end,
        }
    }

    /// Sends context data, in as many messages as it takes.
    fn tell(&mut self, data: &[u8], desk: &mut Desk<'_>) -> Step {
        if self.peer_left {
            return Step::Stay;
        }
        let parts = compose::split_context(data);
        if self.contexts_sent + parts.len() > desk.settings.limits.contexts {
            let why = "the program has more to tell than context messages may carry";
            return self.fail(EndReason::Failed(why.to_owned()));
        }
        for part in parts {
            match compose::context(self, part) {
                Ok(payload) => self.send("CONTEXT", payload, desk),
                Err(why) => return self.fail(EndReason::Failed(why)),
            }
            self.contexts_sent += 1;
            self.exchanged = true;
        }
        Step::Stay
    }

    fn told(&mut self, data: &[u8], desk: &mut Desk<'_>) -> Step {
        self.exchanged = true;
        desk.out.push(Output::Context {
            id: self.id,
            data: data.to_vec(),
        });
        Step::Stay
    }

    /// Context data while we wait for an address in it. Anything else is passed on, and we go on
    /// waiting.
    fn learn_address(&mut self, data: &[u8], desk: &mut Desk<'_>) -> Step {
        let _ = self.told(data, desk);
        match compose::address(data) {
            Some(candidate) => {
                self.remote.candidates.insert(0, candidate);
                self.connect(desk)
            }
            None => Step::Stay,
        }
    }

    /// A second ACCEPT #1. A copy made under way is ignored; one that comes later than that asks
    /// for what got lost, and gets it once.
    fn repeat_second(&mut self, desk: &mut Desk<'_>) -> Step {
        let lost = self
            .second_at
            .is_some_and(|at| desk.now >= at + desk.timers().retry);
        if lost && !self.second_repeated {
            self.second_repeated = true;
            return self.repeat_last(desk);
        }
        Step::Stay
    }

    fn cancelled(&mut self, code: Option<CancelCode>, desk: &mut Desk<'_>) -> Step {
        let reason = match (&code, self.role) {
            (Some(CancelCode::Reject), Role::Inviter) if !self.state.is_connected() => {
                EndReason::DeclinedThere
            }
            (Some(CancelCode::RejectNotInstalled), Role::Inviter) => EndReason::NotInstalledThere,
            _ => EndReason::CancelledThere(code.clone()),
        };
        let ends = self.state != State::Running
            || match code {
                Some(CancelCode::Timeout) => self.second_may_be_lost(desk),
                _ => desk.settings.cancel_ends_running,
            };
        if ends {
            return Step::End(reason, Farewell::Nothing);
        }
        if !self.peer_left {
            self.peer_left = true;
            desk.out.push(Output::PeerLeft { id: self.id, code });
        }
        Step::Stay
    }

    /// Whether a `TIMEOUT` may mean that the invitee still waited for our ACCEPT #2.
    fn second_may_be_lost(&self, desk: &Desk<'_>) -> bool {
        let timers = desk.timers();
        self.role == Role::Inviter
            && self
                .second_at
                .is_some_and(|at| desk.now <= at + timers.accept + timers.slack)
    }

    /// Our own end of a handover. `TIMEOUT` would not do: a peer like us takes a late one for
    /// Kopete's and goes on.
    fn end_ours(&self, reason: EndReason) -> Step {
        self.end(reason, CancelCode::OutbandCancel)
    }

    fn fail(&self, reason: EndReason) -> Step {
        self.end(reason, CancelCode::Fail)
    }

    fn end(&self, reason: EndReason, code: CancelCode) -> Step {
        let farewell = if self.peer_left {
            Farewell::Nothing
        } else {
            Farewell::Say(code)
        };
        Step::End(reason, farewell)
    }

    // The carrier.

    fn send(&mut self, command: &'static str, payload: Vec<u8>, desk: &mut Desk<'_>) {
        desk.out.push(Output::Send {
            id: self.id,
            peer: self.peer.clone(),
            command,
            payload: payload.clone(),
        });
        self.last = Some(Sent {
            command,
            payload,
            at: desk.now,
        });
        self.tries_left = desk.timers().retries;
        self.alarms.set(Alarm::Retry, None);
        // It goes through another switchboard if the last one is gone.
        self.alarms.set(Alarm::Grace, None);
    }

    /// Sends our INVITE; fails with a text for people.
    pub(super) fn send_invite(
        &mut self,
        asked: Option<&Capabilities>,
        desk: &mut Desk<'_>,
    ) -> Result<(), String> {
        let payload = compose::invite(self, asked)?;
        self.send("INVITE", payload, desk);
        Ok(())
    }

    fn repeat_last(&mut self, desk: &mut Desk<'_>) -> Step {
        if let Some(last) = &mut self.last {
            last.at = desk.now;
            desk.out.push(Output::Send {
                id: self.id,
                peer: self.peer.clone(),
                command: last.command,
                payload: last.payload.clone(),
            });
        }
        Step::Stay
    }

    /// A message so young that it may have gone down with its switchboard is sent once more.
    fn repeat_in_flight(&mut self, desk: &mut Desk<'_>) -> Step {
        let young = self
            .last
            .as_ref()
            .is_some_and(|last| desk.now < last.at + desk.timers().in_flight);
        // One that is known to be lost has its next try already.
        let young = young && !self.alarms.is_set(Alarm::Retry);
        if young && self.state != State::Running && self.tries_left > 0 {
            self.tries_left -= 1;
            return self.repeat_last(desk);
        }
        Step::Stay
    }

    fn wait_for_carrier(&mut self, desk: &mut Desk<'_>) -> Step {
        self.alarms.set(Alarm::KeepAlive, None);
        if !self.alarms.is_set(Alarm::Grace) {
            self.alarms
                .set(Alarm::Grace, Some(desk.now + desk.timers().carrier_grace));
        }
        self.repeat_in_flight(desk)
    }

    /// Plans another try of the last message; false when there is none left. A report about a
    /// message that has been answered since is not about the last one.
    fn retry_later(&mut self, desk: &mut Desk<'_>) -> bool {
        if self.last.is_none() || self.alarms.is_set(Alarm::Retry) {
            return true;
        }
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        self.alarms
            .set(Alarm::Retry, Some(desk.now + desk.timers().retry));
        true
    }
}

/// What a state that lasted too long ends with.
fn too_late(state: State, role: Role) -> Step {
    let (waiting, code) = match (state, role) {
        (State::Offered, Role::Invitee) => (Waiting::User, CancelCode::Timeout),
        (State::Offered, Role::Inviter) => (Waiting::Answer, CancelCode::Timeout),
        (State::Preparing | State::PreparingContext, _) => (Waiting::Ready, CancelCode::Fail),
        (State::Accepted, _) => (Waiting::SecondAccept, CancelCode::Timeout),
        // Not TIMEOUT: the invitee may be running by now, and would take that for Kopete's.
        (State::AwaitingContext, _) => (Waiting::Context, CancelCode::OutbandCancel),
        (State::Connected, _) => (Waiting::Start, CancelCode::OutbandCancel),
        // Running has no deadline.
        (State::Running, _) => return Step::Stay,
    };
    Step::End(EndReason::TimedOut(waiting), Farewell::Say(code))
}
