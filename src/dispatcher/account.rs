//! One signed-in account: its engine, its adapters, and what follows from each output.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    AccountId, Carrier, Delivery, Open, Shared, VerbError, Verdict,
    handover::{self, HandOver},
    treatment::{self, Treated},
};
use crate::{
    adapter::{Order, Report},
    bridge::{AdapterKind, Bridge},
    consent::{Decision, chat},
    endpoint::whereabouts,
    event::{Event, What},
    invitation::{CancelCode, Command, Medium, Message},
    media::statistics::Meter,
    msnp::roster,
    negotiation::{
        Announcement, Disposition, EndReason, Engine, FailureKind, Input, InvitationId, Now, Offer,
        Output, Role, Settings, State, Summary,
    },
};

/// How far apart the invitation ids of two accounts are, so that an id names one invitation in
/// the whole process.
const IDS_PER_ACCOUNT: u64 = 1 << 32;

/// One account.
pub(super) struct Account {
    id: AccountId,
    handle: String,
    carrier: Arc<dyn Carrier>,
    engine: Engine,
    live: BTreeMap<InvitationId, Live>,
    /// The bridge of the INVITE that is being looked at.
    candidate: Option<Arc<Bridge>>,
    /// Offers that ended unanswered a moment ago: by whom, for what, when.
    taken_back: VecDeque<(String, String, Now)>,
    /// Whom the user was told of that we refused for want of a program, and when.
    told_refused: VecDeque<(String, Now)>,
    signed_out: bool,
}

/// A yes within so long after an offer was taken back may be meant for that one.
const IN_PLACE: Duration = Duration::from_secs(10);
/// How often the user is told that a contact's invitation was refused for want of a program.
const TELL_REFUSED: Duration = Duration::from_secs(60);
/// Most entries of those two lists.
const MAX_REMEMBERED: usize = 32;

/// What is known here of one live invitation.
struct Live {
    peer: String,
    role: Role,
    bridge: Arc<Bridge>,
    media: Vec<Medium>,
    hand_over: Option<HandOver>,
    /// Somebody or a rule said yes.
    accepted: bool,
    /// When the hand-over began to work.
    since: Option<Now>,
    meter: Option<Meter>,
    /// How many programs of its run.
    programs: usize,
    /// The adapter's own words for the end, when it had some.
    last_words: Option<String>,
    /// The negotiation has ended; the adapter may still be cleaning up and has the last word.
    over: bool,
}

impl Account {
    pub(super) fn new(
        id: AccountId,
        handle: &str,
        carrier: Arc<dyn Carrier>,
        settings: Settings,
    ) -> Self {
        Self {
            id,
            handle: handle.to_owned(),
            carrier,
            engine: Engine::new(settings, InvitationId(id.0 * IDS_PER_ACCOUNT + 1)),
            live: BTreeMap::new(),
            candidate: None,
            taken_back: VecDeque::new(),
            told_refused: VecDeque::new(),
            signed_out: false,
        }
    }

    pub(super) fn handle(&self) -> &str {
        &self.handle
    }

    pub(super) fn next_timeout(&self) -> Option<Now> {
        self.engine.next_timeout()
    }

    pub(super) fn time_passed(&mut self, shared: &Arc<Shared>, now: Now) {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.feed(shared, Input::Timeout);
        }
    }

    /// An invitation payload from the peer.
    pub(super) fn received(
        &mut self,
        shared: &Arc<Shared>,
        peer: &str,
        payload: &[u8],
        ending: bool,
    ) -> Verdict {
        let message = match Message::read(payload) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(account = self.handle, peer, %error, "unreadable invitation passed on");
                return Verdict::Pass;
            }
        };
        let treated = match message.command() {
            // What would end at once is not begun.
            Command::Invite if ending => Treated::Pass,
            Command::Invite => treatment::of(&shared.settings, &message),
            _ => Treated::Pass,
        };
        let application = treated.treatment();
        let refused = matches!(treated, Treated::Refuse);
        self.candidate = match treated {
            Treated::Take(bridge) => Some(bridge),
            Treated::Pass | Treated::Refuse => None,
        };
        let input = Input::Received {
            peer,
            message: &message,
            application,
        };
        match self.push(shared, input) {
            Disposition::Taken => {
                if let (true, Some(bridge)) = (refused, bridge_of(shared, &message))
                    && self.may_tell_refused(peer, shared.clock.now())
                {
                    let line = chat::refused(&bridge.application.name, bridge.note.as_deref());
                    self.carrier.show(peer, &line);
                }
                Verdict::Taken
            }
            Disposition::NotOurs => Verdict::Pass,
        }
    }

    /// A command typed in the chat with `peer`.
    pub(super) fn typed(&mut self, shared: &Arc<Shared>, peer: &str, command: &chat::Command) {
        let now = shared.clock.now();
        match command.choose(&self.with_peer(peer, now)) {
            chat::Choice::Accept(id) => self.accept(shared, id),
            chat::Choice::Decline(id) => self.decline(shared, id),
            chat::Choice::HangUp(ids) => {
                for id in ids {
                    self.hang_up(shared, id);
                }
            }
            chat::Choice::Answer(lines) => self.show(peer, &lines),
            chat::Choice::Invite(application) => {
                let registry = Arc::clone(&shared.settings.registry);
                let invited = registry
                    .meant(&application)
                    .and_then(|bridge| self.invite(shared, peer, bridge));
                if let Err(error) = invited {
                    self.show(peer, &[chat::not_obeyed(&error)]);
                }
            }
            chat::Choice::Applications => {
                let ids = shared.settings.registry.can_be_invited_to();
                self.show(peer, &[chat::invitable(&ids)]);
            }
        }
    }

    fn show(&self, peer: &str, lines: &[String]) {
        for line in lines {
            self.carrier.show(peer, line);
        }
    }

    /// Whether another offer of that contact was taken back just before.
    fn is_in_place(&self, open: &Open, now: Now) -> bool {
        self.taken_back.iter().any(|(peer, application, at)| {
            peer.eq_ignore_ascii_case(&open.peer)
                && *application != open.application
                && now.saturating_sub(*at) < IN_PLACE
        })
    }

    /// Whether the user is to be told: a contact could fill the window otherwise.
    fn may_tell_refused(&mut self, peer: &str, now: Now) -> bool {
        self.told_refused
            .retain(|(_, at)| now.saturating_sub(*at) < TELL_REFUSED);
        let told = |(known, _): &(String, Now)| known.eq_ignore_ascii_case(peer);
        if self.told_refused.iter().any(told) || self.told_refused.len() >= MAX_REMEMBERED {
            return false;
        }
        self.told_refused.push_back((peer.to_owned(), now));
        true
    }

    /// What is open, oldest first.
    pub(super) fn open(&self, now: Now) -> Vec<Open> {
        let open = |session: Summary| {
            let live = self.live.get(&session.id).filter(|live| !live.over)?;
            Some(Open {
                invitation: session.id,
                account: self.handle.clone(),
                peer: session.peer,
                application: session.application,
                name: live.bridge.application.name.clone(),
                role: session.role,
                state: session.state,
                shares: match session.role {
                    Role::Invitee => live.bridge.shares(Role::Invitee).map(str::to_owned),
                    Role::Inviter => None,
                },
                running: live.since.map(|since| now.saturating_sub(since)),
                heard: live.meter.as_ref().map(Meter::read),
            })
        };
        self.engine.sessions().filter_map(open).collect()
    }

    /// What is open with one peer, for the chat commands.
    fn with_peer(&self, peer: &str, now: Now) -> Vec<chat::Open> {
        self.open(Now::ZERO)
            .into_iter()
            .filter(|open| open.peer.eq_ignore_ascii_case(peer))
            .map(|open| chat::Open {
                id: open.invitation,
                asks_us: open.asks_us(),
                shares: open.shares.is_some(),
                in_place: self.is_in_place(&open, now),
                application: open.application,
                name: open.name,
                state: open.state.to_string(),
            })
            .collect()
    }

    pub(super) fn invite(
        &mut self,
        shared: &Arc<Shared>,
        peer: &str,
        bridge: &Arc<Bridge>,
    ) -> Result<InvitationId, VerbError> {
        let contact = roster::bare(peer);
        if !contact.contains('@') || !roster::is_word(contact) {
            return Err(VerbError::NoContact(peer.to_owned()));
        }
        let peer = contact;
        if !bridge.can_be_taken(Role::Inviter) {
            return Err(VerbError::NotInstalled {
                name: bridge.application.name.clone(),
                install: bridge.install.clone(),
            });
        }
        let entropy = handover::entropy()?;
        let id = self.engine.next_id();
        let media = bridge.application.media.clone();
        self.live.insert(
            id,
            Live::new(peer, Role::Inviter, Arc::clone(bridge), media),
        );
        self.tell(shared, id, What::Offered);
        self.feed(
            shared,
            Input::Invite {
                application: Arc::clone(&bridge.application),
                peer: peer.to_owned(),
                cookie: entropy.cookie,
                session_id: entropy.session_id,
                capabilities: None,
                connection: None,
            },
        );
        Ok(id)
    }

    pub(super) fn accept(&mut self, shared: &Arc<Shared>, id: InvitationId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.accepted = true;
            self.tell(shared, id, What::Accepted);
            self.feed(shared, Input::Accept(id));
        }
    }

    pub(super) fn decline(&mut self, shared: &Arc<Shared>, id: InvitationId) {
        self.feed(shared, Input::Decline(id, CancelCode::Reject));
    }

    pub(super) fn hang_up(&mut self, shared: &Arc<Shared>, id: InvitationId) {
        self.feed(shared, Input::HangUp(id));
    }

    pub(super) fn carrier_lost(&mut self, shared: &Arc<Shared>, peer: &str) {
        self.feed(shared, Input::CarrierLost { peer });
    }

    pub(super) fn carrier_back(&mut self, shared: &Arc<Shared>, peer: &str) {
        self.feed(shared, Input::CarrierBack { peer });
    }

    pub(super) fn undelivered(&mut self, shared: &Arc<Shared>, id: InvitationId) {
        self.feed(shared, Input::Undelivered(id));
    }

    /// Ends every invitation, telling the peers while there is still a carrier.
    fn hang_up_all(&mut self, shared: &Arc<Shared>) {
        let ids: Vec<InvitationId> = self.live.keys().copied().collect();
        for id in ids {
            self.hang_up(shared, id);
        }
    }

    /// Ends everything, also what outlived its invitation.
    pub(super) fn end_all(&mut self, shared: &Arc<Shared>) {
        self.hang_up_all(shared);
        for live in self.live.values().filter(|live| live.over) {
            live.end();
        }
    }

    /// The client is gone: every invitation ends. What was left running by one that completed has
    /// no need of the client.
    pub(super) fn sign_out(&mut self, shared: &Arc<Shared>) {
        // What runs needs no server (PROTOCOL.md section 7): a call goes on while the client signs
        // in again.
        let waiting: Vec<InvitationId> = self
            .engine
            .sessions()
            .filter(|session| session.state != State::Running)
            .map(|session| session.id)
            .collect();
        for id in waiting {
            self.hang_up(shared, id);
        }
        self.signed_out = true;
    }

    /// The client has signed in again.
    pub(super) fn come_back(&mut self, carrier: Arc<dyn Carrier>) {
        self.carrier = carrier;
        self.signed_out = false;
    }

    pub(super) fn is_signed_out(&self) -> bool {
        self.signed_out
    }

    /// Nothing more will be told of it.
    pub(super) fn is_over(&self) -> bool {
        self.signed_out && self.live.is_empty()
    }

    /// What an adapter says.
    pub(super) fn report(&mut self, shared: &Arc<Shared>, id: InvitationId, report: Report) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        match &report {
            Report::Started { .. } => live.programs += 1,
            Report::ProgramEnded { .. } => live.programs = live.programs.saturating_sub(1),
            _ => {}
        }
        if live.over {
            return self.report_after_end(shared, id, report);
        }
        match report {
            Report::Ready(announced) => {
                let at = match announced.port {
                    Some(port) => format!("{}:{port}", announced.ip),
                    None => announced.ip.to_string(),
                };
                self.tell(shared, id, What::Listening { at });
                self.feed(shared, Input::Ready(id, announced));
            }
            Report::Failed { not_installed, why } => {
                live.last_words = Some(why);
                let kind = if not_installed {
                    FailureKind::NotInstalled
                } else {
                    FailureKind::Failed
                };
                self.feed(shared, Input::Failed(id, kind));
            }
            Report::Started { program, pid } => {
                self.tell(shared, id, What::ProgramStarted { program, pid });
            }
            Report::Running => {
                live.since.get_or_insert_with(|| shared.clock.now());
                self.feed(shared, Input::Running(id));
            }
            Report::ProgramEnded { program, how } => {
                self.tell(shared, id, What::ProgramEnded { program, how });
            }
            Report::Media(meter) => live.meter = Some(meter),
            Report::Say(line) => self.tell(shared, id, What::Progress(line)),
            Report::Signal(signal) => self.tell(shared, id, What::Signal(signal)),
            Report::SendContext(data) => {
                self.feed(shared, Input::SendContext(id, data));
            }
            Report::Finished(words) => {
                live.last_words = Some(words);
                self.feed(shared, Input::ProgramEnded(id));
            }
        }
    }

    /// The adapter is asked to end, and tells how it went; or what it handed over lives on.
    fn report_after_end(&self, shared: &Arc<Shared>, id: InvitationId, report: Report) {
        match report {
            Report::ProgramEnded { program, how } => {
                self.tell(shared, id, What::ProgramEnded { program, how });
            }
            Report::Say(words) | Report::Finished(words) => {
                self.tell(shared, id, What::Progress(words));
            }
            Report::Signal(signal) => self.tell(shared, id, What::Signal(signal)),
            Report::Started { program, pid } => {
                self.tell(shared, id, What::ProgramStarted { program, pid });
            }
            Report::Failed { why, .. } => self.tell(shared, id, What::Progress(why)),
            Report::Running => {
                if let Some(live) = self.live.get(&id)
                    && live.only_keeps_a_file()
                {
                    live.end();
                }
            }
            Report::Ready(_) | Report::Media(_) | Report::SendContext(_) => {}
        }
    }

    /// The adapter has returned.
    pub(super) fn adapter_gone(&mut self, shared: &Arc<Shared>, id: InvitationId) {
        match self.live.get_mut(&id) {
            Some(live) if live.over => {
                self.live.remove(&id);
            }
            // It returned without being asked to and without `Finished`: the hand-over is over.
            Some(live) => {
                live.hand_over = None;
                self.feed(shared, Input::ProgramEnded(id));
            }
            None => {}
        }
    }

    /// As [`Self::push`], for what is certainly ours.
    fn feed(&mut self, shared: &Arc<Shared>, input: Input<'_>) {
        let _ = self.push(shared, input);
    }

    /// Gives the engine an input and carries out what it answers, in order.
    fn push(&mut self, shared: &Arc<Shared>, input: Input<'_>) -> Disposition {
        let mut outputs = Vec::new();
        let disposition = self.engine.handle(input, shared.clock.now(), &mut outputs);
        let mut queue = VecDeque::from(outputs);
        while let Some(output) = queue.pop_front() {
            if let Some(answer) = self.carry_out(shared, output) {
                let mut more = Vec::new();
                let _ = self.engine.handle(answer, shared.clock.now(), &mut more);
                queue.extend(more);
            }
        }
        shared.timers.notify_one();
        disposition
    }

    /// Carries out one output; what must be answered at once is returned.
    fn carry_out(&mut self, shared: &Arc<Shared>, output: Output) -> Option<Input<'static>> {
        match output {
            Output::Send {
                id,
                peer,
                payload,
                command,
            } => {
                tracing::debug!(
                    account = self.handle,
                    peer,
                    command,
                    "invitation message out"
                );
                self.carrier.send(&peer, payload, Delivery(id));
                None
            }
            Output::Offered { id, offer } => self.offered(shared, id, offer),
            Output::Prepare { id, announcement } => self.prepare(shared, id, announcement),
            Output::Connected { id, mut remote } => {
                let near = whereabouts::neighbourhoods();
                let ours = self.carrier.own_ip().unwrap_or(shared.settings.announce);
                // In a home it is the server that knows the router's.
                let public = [Some(ours), self.carrier.seen_ip()]
                    .into_iter()
                    .flatten()
                    .find(|ip| !whereabouts::is_private(*ip) && !ip.is_loopback());
                whereabouts::sort(&mut remote.candidates, &near, public);
                let to = remote.describe();
                let first = remote.candidates.first();
                let lies = first.map(|candidate| whereabouts::of(candidate.ip, &near));
                self.tell(shared, id, What::Connected { to, lies });
                self.order(id, Order::Connected(remote));
                None
            }
            Output::Context { id, data } => {
                let live = self.live.get_mut(&id);
                if let Some(hand_over) = live.and_then(|live| live.hand_over.as_mut()) {
                    hand_over.context(id, data);
                }
                None
            }
            Output::PeerLeft { id, code } => {
                let words = chat::peer_left(code.as_ref());
                self.tell(shared, id, What::Progress(words));
                None
            }
            Output::KeepAlive { peer, .. } => {
                self.carrier.keep_alive(&peer);
                None
            }
            Output::Ended { id, reason } => {
                self.ended(shared, id, &reason);
                None
            }
        }
    }

    /// An offer: a rule answers, or the user is asked.
    fn offered(
        &mut self,
        shared: &Arc<Shared>,
        id: InvitationId,
        offer: Offer,
    ) -> Option<Input<'static>> {
        let bridge = self.candidate.take()?;
        let live = Live::new(
            &offer.peer,
            Role::Invitee,
            Arc::clone(&bridge),
            offer.media(),
        );
        self.live.insert(id, live);
        self.tell(shared, id, What::Offered);
        match shared
            .settings
            .rules
            .decide(&offer.peer, bridge.for_rules())
        {
            Decision::Allow if bridge.shares(Role::Invitee).is_none() => {
                if let Some(live) = self.live.get_mut(&id) {
                    live.accepted = true;
                }
                self.tell(shared, id, What::Accepted);
                Some(Input::Accept(id))
            }
            Decision::Refuse => Some(Input::Decline(id, CancelCode::Reject)),
            // What is shared is no rule's to give.
            Decision::Allow | Decision::Ask => {
                let takes = bridge.taken_by(Role::Invitee);
                let shares = bridge.shares(Role::Invitee).is_some();
                let line = chat::offer(&offer, takes.as_deref(), shares);
                self.carrier.show(&offer.peer, &line);
                None
            }
        }
    }

    /// An address of ours is about to go out: the adapter must listen first.
    fn prepare(
        &mut self,
        shared: &Arc<Shared>,
        id: InvitationId,
        announcement: Announcement,
    ) -> Option<Input<'static>> {
        let live = self.live.get_mut(&id)?;
        if live.hand_over.is_none() {
            let hand_over = handover::start(
                shared,
                handover::Subject {
                    account: self.id,
                    invitation: id,
                    role: live.role,
                    bridge: Arc::clone(&live.bridge),
                    peer: live.peer.clone(),
                    media: live.media.clone(),
                    own_ip: self.carrier.own_ip(),
                    seen_ip: self.carrier.seen_ip(),
                },
            );
            match hand_over {
                Ok(hand_over) => live.hand_over = Some(hand_over),
                Err(why) => {
                    live.last_words = Some(why);
                    return Some(Input::Failed(id, FailureKind::NotInstalled));
                }
            }
        }
        self.order(id, Order::Prepare(announcement));
        None
    }

    fn order(&mut self, id: InvitationId, order: Order) {
        if let Some(hand_over) = self.live.get(&id).and_then(|live| live.hand_over.as_ref()) {
            hand_over.order(order);
        }
    }

    fn ended(&mut self, shared: &Arc<Shared>, id: InvitationId, reason: &EndReason) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        live.over = true;
        let now = shared.clock.now();
        if live.role == Role::Invitee && !live.accepted {
            let application = live.bridge.application.id.clone();
            let entry = (live.peer.clone(), application, now);
            remember(&mut self.taken_back, entry);
        }
        // What has begun goes on.
        let goes_on = match live.since {
            Some(_) => !live.only_keeps_a_file(),
            None => live.helps(),
        };
        let keep = reason.leaves_program_running() && goes_on;
        let reason = chat::ended(reason, live.last_words.as_deref());
        let lasted = live.since.map(|since| now.saturating_sub(since));
        let cleaning_up = if keep {
            live.hand_over.is_some()
        } else {
            live.end()
        };
        self.tell(shared, id, What::Ended { reason, lasted });
        if !cleaning_up {
            self.live.remove(&id);
        }
    }

    /// Tells the chat window and every subscriber.
    fn tell(&self, shared: &Arc<Shared>, id: InvitationId, what: What) {
        let Some(live) = self.live.get(&id) else {
            return;
        };
        let application = &live.bridge.application;
        if let Some(line) = chat::line(&what, &application.name, live.role) {
            self.carrier.show(&live.peer, &line);
        }
        tracing::info!(
            account = self.handle,
            peer = live.peer,
            application = application.id,
            invitation = id.0,
            what = ?what,
        );
        // Nobody listening is no failure.
        let _ = shared.events.send(Event {
            invitation: id,
            account: self.handle.clone(),
            peer: live.peer.clone(),
            application: application.id.clone(),
            name: application.name.clone(),
            role: live.role,
            takes: match (&what, live.role) {
                (What::Offered, Role::Invitee) => live.bridge.taken_by(Role::Invitee),
                _ => None,
            },
            what,
        });
    }
}

impl Live {
    fn new(peer: &str, role: Role, bridge: Arc<Bridge>, media: Vec<Medium>) -> Self {
        Self {
            peer: peer.to_owned(),
            role,
            bridge,
            media,
            hand_over: None,
            accepted: false,
            since: None,
            meter: None,
            programs: 0,
            last_words: None,
            over: false,
        }
    }

    /// A ticket may still be on its way to its program when its invitation is over.
    fn helps(&self) -> bool {
        self.bridge.adapter(self.role) == Some(AdapterKind::RemoteAssistance)
    }

    /// The ticket is kept, and no program was started with it: nothing would ever end that.
    fn only_keeps_a_file(&self) -> bool {
        self.helps() && self.programs == 0
    }

    /// Asks the adapter to end; false when there is none.
    fn end(&self) -> bool {
        if let Some(hand_over) = &self.hand_over {
            hand_over.order(Order::End);
        }
        self.hand_over.is_some()
    }
}

/// Adds to a list that forgets its oldest.
fn remember<T>(list: &mut VecDeque<T>, entry: T) {
    if list.len() >= MAX_REMEMBERED {
        list.pop_front();
    }
    list.push_back(entry);
}

/// The bridge that an INVITE is for.
fn bridge_of<'a>(shared: &'a Shared, message: &Message<'_>) -> Option<&'a Arc<Bridge>> {
    shared
        .settings
        .registry
        .by_guid(&message.application_guid()?)
}
