//! One call: one SIP dialog (RFC 3261 section 12), either side of it, without socket or clock.
//! Messages and the time are pushed in, [`Output`]s come out.
//!
//! Towards RTC, an RFC 2543 agent, it asks for nothing but the basics (APPLICATIONS.md 1.3): no
//! `Require`, no PRACK, no session timer, IPv4 literals, Max-Forwards 70. No request is ever left
//! without an answer.

use core::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use super::{
    message::{CSeq, Fields, Message, Method, Request, Response},
    text::{Host, Text, Token, Uri},
    transaction::{Answered, Due, GIVE_UP, Key, Now, Resend, T2, T4},
    write::{self, ALLOW, Draft, tagged},
};

/// How long a call may ring before it counts as not answered.
pub const RING: Duration = Duration::from_secs(180);

/// What the messages travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Messages get lost: they are repeated.
    Udp,
    /// They do not.
    Tcp,
}

/// Our side of a call.
#[derive(Debug, Clone)]
pub struct Local {
    /// The address the other side is told.
    pub ip: Ipv4Addr,
    /// The port we listen on.
    pub port: u16,
    /// How the other side is reached.
    pub transport: Transport,
    /// User part of our address.
    pub user: Token,
    /// Unguessable bytes of this call alone: the tag, the branches and the Call-ID come from them.
    pub seed: [u8; 24],
}

impl Local {
    fn part(&self, from: usize) -> String {
        let mut hex = String::new();
        for byte in self.seed.iter().skip(from).take(8) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    fn tag(&self) -> Option<Token> {
        Token::new(self.part(0)).ok()
    }

    fn contact(&self) -> Text {
        let uri = Uri::of(&self.user, self.ip, self.port);
        match self.transport {
            Transport::Udp => Text::printed(format_args!("<{uri}>")),
            Transport::Tcp => Text::printed(format_args!("<{uri};transport=tcp>")),
        }
    }
}

/// What happens to a call.
#[derive(Debug)]
pub enum Input<'a> {
    /// A message of this call ([`Call::owns`]) from `source`.
    Message {
        /// The message.
        message: &'a Message,
        /// Where it came from.
        source: SocketAddrV4,
    },
    /// Incoming: tell the caller that it rings.
    Ring,
    /// Incoming: take the call, or answer an [`Output::Reoffer`], with this session description.
    Answer(&'a [u8]),
    /// Incoming: refuse the call, or an [`Output::Reoffer`] (which leaves the call as it was).
    Refuse {
        /// 300 to 699.
        status: u16,
        /// Words after it; see [`super::reason`].
        words: &'static str,
        /// A `Warning` header, if any.
        warning: Option<&'static str>,
    },
    /// End it, whatever state it is in.
    HangUp,
    /// [`Call::next_timeout`] has come.
    Timeout,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Back to where the request just pushed came from.
    Back,
    /// To the other side of the call: where its INVITE came from or ours went to.
    There,
}

/// What a call wants done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send {
        /// The message.
        bytes: Vec<u8>,
        /// To whom.
        to: Where,
    },
    /// Somebody calls; empty means the caller wants our offer. Push [`Input::Ring`],
    /// [`Input::Answer`] or [`Input::Refuse`].
    Incoming {
        /// The session description offered.
        offer: Vec<u8>,
    },
    /// The other side rings.
    Ringing,
    /// The other side took our call; the ACK is sent.
    Answered {
        /// Its session description, possibly empty.
        answer: Vec<u8>,
    },
    /// The caller has seen our answer: the call stands. Holds the caller's answer when the offer
    /// was ours.
    Confirmed {
        /// Its session description, usually empty.
        answer: Vec<u8>,
    },
    /// The other side wants to change the running session. Push [`Input::Answer`] or
    /// [`Input::Refuse`].
    Reoffer {
        /// The new session description, possibly empty.
        offer: Vec<u8>,
    },
    /// The call is over. The call is still to be driven until [`Call::finished`].
    Ended(Ended),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The other side hung up.
    ByPeer,
    /// The caller took it back before we answered.
    Cancelled,
    /// We hung up or refused.
    ByUs,
    /// The other side refused, with this status.
    Refused(u16),
    /// Nobody answered at all.
    Unreachable,
    /// It rang, and nobody took it.
    NotAnswered,
    /// Our answer was never confirmed.
    Unconfirmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They call, we have not answered.
    Incoming,
    /// We call; nothing heard.
    Calling,
    /// We call; something heard.
    Proceeding,
    Established,
    Over,
}

/// An INVITE of theirs.
#[derive(Debug)]
struct Served {
    key: Key,
    fields: Fields,
    top: Option<Text>,
    last: Vec<u8>,
    /// The final answer waiting for its ACK.
    resend: Option<Resend>,
    /// The final answer was a 2xx.
    accepted: bool,
    finished: bool,
}

/// An INVITE of ours.
#[derive(Debug)]
struct Asked {
    branch: String,
    number: u32,
    resend: Option<Resend>,
    /// The ACK sent for a final answer, to be repeated when the answer is.
    ack: Option<Vec<u8>>,
    cancelled: bool,
    cancel_wanted: bool,
}

/// A BYE or CANCEL of ours.
#[derive(Debug)]
struct Pending {
    method: Method,
    branch: String,
    resend: Resend,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    local: Local,
    tag: Option<Token>,
    call_id: Text,
    /// Our From in requests; the To of their requests.
    us: Text,
    /// The To of our requests.
    them: Text,
    remote_tag: Option<Text>,
    target: Uri,
    route: Vec<Text>,
    number: u32,
    remote_number: Option<u32>,
    branches: u32,
    state: State,
    served: Option<Served>,
    asked: Option<Asked>,
    pending: Vec<Pending>,
    answered: Answered,
    /// An over call stays to answer repetitions until then.
    linger: Option<Now>,
}

impl Call {
    /// Calls `target` and offers `sdp`.
    #[must_use]
    pub fn outgoing(
        local: Local,
        target: Uri,
        sdp: &[u8],
        now: Now,
        out: &mut Vec<Output>,
    ) -> Self {
        let tag = local.tag();
        let us = Uri::of(&local.user, local.ip, local.port);
        let us = match &tag {
            Some(tag) => Text::printed(format_args!("<{us}>;tag={tag}")),
            None => Text::printed(format_args!("<{us}>")),
        };
        let mut call = Self {
            call_id: Text::printed(format_args!("{}@{}", local.part(16), local.ip)),
            us,
            them: Text::printed(format_args!("<{target}>")),
            tag,
            remote_tag: None,
            target,
            route: Vec::new(),
            number: 1,
            remote_number: None,
            branches: 0,
            state: State::Calling,
            served: None,
            asked: None,
            pending: Vec::new(),
            answered: Answered::default(),
            linger: None,
            local,
        };
        let branch = call.branch();
        let bytes = call
            .request(&Method::Invite, 1, &branch)
            .header("Contact", &call.local.contact())
            .fixed("Allow", ALLOW)
            .agent("User-Agent")
            .with_sdp(sdp);
        // Timer A has no ceiling of its own: B ends it first.
        let resend = Resend::new(bytes.clone(), now, call.reliable(), GIVE_UP);
        call.asked = Some(Asked {
            branch,
            number: 1,
            resend: Some(resend),
            ack: None,
            cancelled: false,
            cancel_wanted: false,
        });
        out.push(Output::Send {
            bytes,
            to: Where::There,
        });
        call
    }

    /// Takes an INVITE that belongs to no call. Nothing but outputs may come of it: a request that
    /// cannot be served is refused and the call is over at once.
    #[must_use]
    pub fn incoming(
        local: Local,
        invite: &Request,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Self {
        let tag = local.tag();
        let fields = &invite.fields;
        let target = fields
            .contact
            .clone()
            .unwrap_or_else(|| Uri::userless(*source.ip(), source.port()));
        let mut call = Self {
            call_id: fields.call_id.clone(),
            us: tagged(&fields.to, tag.as_ref()),
            them: fields.from.value.clone(),
            remote_tag: fields.from.tag.clone(),
            target,
            route: fields.record_route.clone(),
            tag,
            number: 0,
            remote_number: Some(fields.cseq.number),
            branches: 0,
            state: State::Incoming,
            served: None,
            asked: None,
            pending: Vec::new(),
            answered: Answered::default(),
            linger: None,
            local,
        };
        call.serve_invite(invite, source, now, out);
        call
    }

    /// The Call-ID, for logs.
    #[must_use]
    pub fn call_id(&self) -> &Text {
        &self.call_id
    }

    /// Whether the call stands.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether the call is over (it may still have to repeat or answer something).
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether nothing is left to do: it can be dropped.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.state == State::Over && self.next_timeout().is_none()
    }

    /// Whether something sent is still to be answered or confirmed.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        !self.pending.is_empty()
            || self
                .asked
                .as_ref()
                .is_some_and(|asked| asked.resend.is_some())
            || self
                .served
                .as_ref()
                .is_some_and(|served| served.resend.is_some())
    }

    /// Whether `message` is part of this call.
    #[must_use]
    pub fn owns(&self, message: &Message) -> bool {
        let fields = message.fields();
        if fields.call_id != self.call_id {
            return false;
        }
        match message {
            Message::Request(_) => {
                let ours = match (&fields.to.tag, &self.tag) {
                    (Some(theirs), Some(ours)) => theirs.as_str() == ours.as_str(),
                    // No tag: before the dialog, or an agent that has none.
                    (None, _) => true,
                    (Some(_), None) => false,
                };
                ours && (fields.from.tag == self.remote_tag || self.remote_tag.is_none())
            }
            Message::Response(_) => {
                let Some(branch) = &fields.via.branch else {
                    return false;
                };
                let branch = branch.as_str();
                self.asked
                    .as_ref()
                    .is_some_and(|asked| asked.branch == branch)
                    || self.pending.iter().any(|pending| pending.branch == branch)
            }
        }
    }

    /// When [`Input::Timeout`] is to be pushed.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Now> {
        let served = self
            .served
            .iter()
            .filter_map(|served| served.resend.as_ref());
        let asked = self.asked.iter().filter_map(|asked| asked.resend.as_ref());
        served
            .chain(asked)
            .chain(self.pending.iter().map(|pending| &pending.resend))
            .map(Resend::next_timeout)
            .chain(self.linger)
            .min()
    }

    /// Drives the call.
    pub fn handle(&mut self, input: Input<'_>, now: Now, out: &mut Vec<Output>) {
        match input {
            Input::Message {
                message: Message::Request(request),
                source,
            } => self.on_request(request, source, now, out),
            Input::Message {
                message: Message::Response(response),
                ..
            } => self.on_response(response, now, out),
            Input::Ring => self.ring(out),
            Input::Answer(sdp) => self.answer(sdp, now, out),
            Input::Refuse {
                status,
                words,
                warning,
            } => self.refuse(status, words, warning, now, out),
            Input::HangUp => self.hang_up(now, out),
            Input::Timeout => self.on_timeout(now, out),
        }
    }

    fn reliable(&self) -> bool {
        self.local.transport == Transport::Tcp
    }

    fn branch(&mut self) -> String {
        self.branches += 1;
        format!("z9hG4bK{}-{}", self.local.part(8), self.branches)
    }

    fn request(&self, method: &Method, number: u32, branch: &str) -> Draft {
        let transport = match self.local.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        };
        let via = Text::printed(format_args!(
            "SIP/2.0/{transport} {}:{};branch={branch}",
            self.local.ip, self.local.port
        ));
        let cseq = CSeq {
            number,
            method: method.clone(),
        };
        let mut draft = Draft::request(method, &self.target)
            .header("Via", &via)
            .fixed("Max-Forwards", "70")
            .header("From", &self.us)
            .header("To", &self.them)
            .header("Call-ID", &self.call_id)
            .header("CSeq", &Text::printed(&cseq));
        for route in &self.route {
            draft = draft.header("Route", route);
        }
        draft
    }

    fn on_request(
        &mut self,
        request: &Request,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let key = Key::of(request);
        let method = &request.method;
        if *method == Method::Ack {
            return self.on_ack(request, now, out);
        }
        if *method == Method::Invite {
            return self.serve_invite(request, source, now, out);
        }
        if let Some(bytes) = self.answered.again(&key, method) {
            out.push(Output::Send {
                bytes: bytes.to_vec(),
                to: Where::Back,
            });
            return;
        }
        if *method == Method::Cancel {
            return self.on_cancel(request, key, source, now, out);
        }
        let stale = self
            .remote_number
            .is_some_and(|last| request.fields.cseq.number < last);
        let status = match method {
            _ if stale => 500,
            Method::Bye if self.state == State::Over => 481,
            Method::Bye | Method::Options | Method::Info => 200,
            Method::Other(_) => 501,
            _ => 405,
        };
        if !stale {
            self.remote_number = Some(request.fields.cseq.number);
        }
        self.reply(request, key, status, source, out);
        if *method == Method::Bye && status == 200 {
            self.refuse_pending(487, now, out);
            self.over(Ended::ByPeer, now, out);
        }
    }

    /// Answers anything but an INVITE, and keeps the answer.
    fn reply(
        &mut self,
        request: &Request,
        key: Key,
        status: u16,
        source: SocketAddrV4,
        out: &mut Vec<Output>,
    ) {
        let top = top_via(&request.fields, source);
        let bytes = respond(request, status, top.as_ref(), self.tag.as_ref());
        self.answered
            .keep(key, request.method.clone(), bytes.clone());
        out.push(Output::Send {
            bytes,
            to: Where::Back,
        });
    }

    fn on_cancel(
        &mut self,
        cancel: &Request,
        key: Key,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let of_invite = self
            .served
            .as_ref()
            .is_some_and(|served| same_invite(&served.key, &key));
        let status = if of_invite { 200 } else { 481 };
        self.reply(cancel, key, status, source, out);
        // Too late once there is a final answer (RFC 3261 section 9.2).
        let open = self.served.as_ref().is_some_and(|served| !served.finished);
        if of_invite && open {
            self.refuse_pending(487, now, out);
            if self.state == State::Incoming {
                self.over(Ended::Cancelled, now, out);
            }
        }
    }

    fn on_ack(&mut self, ack: &Request, now: Now, out: &mut Vec<Output>) {
        let Some(served) = &mut self.served else {
            return;
        };
        if served.fields.cseq.number != ack.fields.cseq.number || served.resend.is_none() {
            return;
        }
        served.resend = None;
        if served.accepted && self.state == State::Established {
            out.push(Output::Confirmed {
                answer: sdp_of(&ack.fields),
            });
        } else if self.state == State::Over && !self.reliable() {
            self.linger = Some(now.saturating_add(T4));
        }
    }

    fn serve_invite(
        &mut self,
        invite: &Request,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let key = Key::of(invite);
        if let Some(served) = &self.served
            && same_invite(&served.key, &key)
        {
            // A repetition: the last answer again, nothing else.
            out.push(Output::Send {
                bytes: served.last.clone(),
                to: Where::Back,
            });
            return;
        }
        let top = top_via(&invite.fields, source);
        let first = self.state == State::Incoming && self.served.is_none();
        let stale = !first
            && self
                .remote_number
                .is_some_and(|last| invite.fields.cseq.number <= last);
        let busy = self.served.as_ref().is_some_and(|served| !served.finished);
        let asking = matches!(self.state, State::Calling | State::Proceeding);
        let at_once = if self.state == State::Over {
            Some(481)
        } else if stale || busy {
            Some(500)
        } else if asking {
            Some(491)
        } else if invite.fields.other("Require").is_some() {
            Some(420)
        } else if !invite.fields.body.is_empty() && !invite.fields.has_sdp() {
            Some(415)
        } else {
            None
        };
        if let Some(status) = at_once
            && !first
        {
            // The session stays as it is. The ACK of this refusal finds nothing to stop; the
            // refusal is repeated whenever the INVITE is.
            let bytes = respond(invite, status, top.as_ref(), self.tag.as_ref());
            out.push(Output::Send {
                bytes,
                to: Where::Back,
            });
            return;
        }
        self.remote_number = Some(invite.fields.cseq.number);
        if let Some(contact) = &invite.fields.contact {
            self.target = contact.clone();
        }
        let trying =
            Draft::reply(100, write::reason(100), top.as_ref(), &invite.fields, None).finish();
        self.served = Some(Served {
            key,
            fields: invite.fields.clone(),
            top,
            last: trying.clone(),
            resend: None,
            accepted: false,
            finished: false,
        });
        if let Some(status) = at_once {
            let bytes = respond(
                invite,
                status,
                self.served.as_ref().and_then(|served| served.top.as_ref()),
                self.tag.as_ref(),
            );
            self.send_final(bytes, false, now, out);
            return self.over(Ended::ByUs, now, out);
        }
        out.push(Output::Send {
            bytes: trying,
            to: Where::There,
        });
        let offer = sdp_of(&invite.fields);
        out.push(if first {
            Output::Incoming { offer }
        } else {
            Output::Reoffer { offer }
        });
    }

    fn ring(&mut self, out: &mut Vec<Output>) {
        if self.state != State::Incoming {
            return;
        }
        let contact = self.local.contact();
        let tag = self.tag.clone();
        if let Some(served) = self.served.as_mut().filter(|served| !served.finished) {
            let bytes = Draft::reply(
                180,
                write::reason(180),
                served.top.as_ref(),
                &served.fields,
                tag.as_ref(),
            );
            let bytes = recorded(bytes, &served.fields)
                .header("Contact", &contact)
                .agent("Server")
                .finish();
            served.last.clone_from(&bytes);
            out.push(Output::Send {
                bytes,
                to: Where::There,
            });
        }
    }

    fn answer(&mut self, sdp: &[u8], now: Now, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Incoming | State::Established) {
            return;
        }
        let contact = self.local.contact();
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let draft = Draft::reply(
            200,
            write::reason(200),
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        );
        let bytes = recorded(draft, &served.fields)
            .header("Contact", &contact)
            .fixed("Allow", ALLOW)
            .agent("Server")
            .with_sdp(sdp);
        self.send_final(bytes, true, now, out);
        self.state = State::Established;
    }

    fn refuse(
        &mut self,
        status: u16,
        words: &'static str,
        warning: Option<&'static str>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let mut draft = Draft::reply(
            status.clamp(300, 699),
            words,
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        );
        if let Some(warning) = warning {
            draft = draft.fixed("Warning", warning);
        }
        let bytes = draft.agent("Server").finish();
        self.send_final(bytes, false, now, out);
        if self.state == State::Incoming {
            self.over(Ended::ByUs, now, out);
        }
    }

    /// Refuses their INVITE if it is still open.
    fn refuse_pending(&mut self, status: u16, now: Now, out: &mut Vec<Output>) {
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let bytes = Draft::reply(
            status,
            write::reason(status),
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        )
        .agent("Server")
        .finish();
        self.send_final(bytes, false, now, out);
    }

    /// Sends the final answer to their INVITE and repeats it until the ACK. A 2xx is repeated on
    /// TCP too (RFC 3261 section 13.3.1.4); a refusal is not.
    fn send_final(&mut self, bytes: Vec<u8>, accepted: bool, now: Now, out: &mut Vec<Output>) {
        let reliable = self.reliable() && !accepted;
        if let Some(served) = &mut self.served {
            served.finished = true;
            served.accepted = accepted;
            served.last.clone_from(&bytes);
            served.resend = Some(Resend::new(bytes.clone(), now, reliable, T2));
        }
        out.push(Output::Send {
            bytes,
            to: Where::There,
        });
    }

    fn hang_up(&mut self, now: Now, out: &mut Vec<Output>) {
        match self.state {
            State::Over => return,
            State::Incoming => self.refuse_pending(480, now, out),
            State::Calling => {
                // A CANCEL may go only after a provisional answer (RFC 3261 section 9.1).
                // Until then the INVITE is not repeated: it is no longer meant.
                if let Some(asked) = &mut self.asked {
                    asked.cancel_wanted = true;
                    if let Some(resend) = &mut asked.resend {
                        resend.quieten(now.saturating_add(GIVE_UP));
                    }
                }
            }
            State::Proceeding => self.cancel(now, out),
            State::Established => {
                self.refuse_pending(487, now, out);
                self.bye(now, out);
            }
        }
        self.over(Ended::ByUs, now, out);
    }

    fn cancel(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(asked) = self.asked.as_mut().filter(|asked| !asked.cancelled) else {
            return;
        };
        asked.cancelled = true;
        if let Some(resend) = &mut asked.resend {
            resend.quieten(now.saturating_add(GIVE_UP));
        }
        let (branch, number) = (asked.branch.clone(), asked.number);
        // Same branch and number as the INVITE, and the To it had: without a tag.
        let bytes = self
            .request(&Method::Cancel, number, &branch)
            .agent("User-Agent")
            .finish();
        self.pend(Method::Cancel, branch, bytes, now, out);
    }

    fn bye(&mut self, now: Now, out: &mut Vec<Output>) {
        self.number += 1;
        let branch = self.branch();
        let bytes = self
            .request(&Method::Bye, self.number, &branch)
            .agent("User-Agent")
            .finish();
        self.pend(Method::Bye, branch, bytes, now, out);
    }

    fn pend(
        &mut self,
        method: Method,
        branch: String,
        bytes: Vec<u8>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.pending.push(Pending {
            method,
            branch,
            resend: Resend::new(bytes.clone(), now, self.reliable(), T2),
        });
        out.push(Output::Send {
            bytes,
            to: Where::There,
        });
    }

    /// Ends the call, once.
    fn over(&mut self, how: Ended, now: Now, out: &mut Vec<Output>) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        if let Some(served) = &mut self.served
            && served.accepted
        {
            served.resend = None;
        }
        if !self.reliable() {
            self.linger = Some(now.saturating_add(GIVE_UP));
        }
        out.push(Output::Ended(how));
    }

    fn on_response(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        let branch = response.fields.via.branch.as_ref().map(Text::as_str);
        let method = &response.fields.cseq.method;
        if let Some(at) = self
            .pending
            .iter()
            .position(|p| Some(p.branch.as_str()) == branch && p.method == *method)
        {
            if response.status >= 200 {
                self.pending.remove(at);
                if self.state == State::Over && self.asked_is_done() && self.pending.is_empty() {
                    self.linger = (!self.reliable()).then(|| now.saturating_add(T4));
                }
            }
            return;
        }
        if *method != Method::Invite {
            return;
        }
        let Some(asked) = &mut self.asked else {
            return;
        };
        if Some(asked.branch.as_str()) != branch || asked.number != response.fields.cseq.number {
            return;
        }
        if let Some(ack) = &asked.ack {
            // The final answer again: the ACK was lost.
            if response.status >= 200 {
                out.push(Output::Send {
                    bytes: ack.clone(),
                    to: Where::There,
                });
            }
            return;
        }
        match response.status {
            0..200 => self.on_provisional(response, now, out),
            200..300 => self.on_accepted(response, now, out),
            status => self.on_refused(response, status, now, out),
        }
    }

    fn asked_is_done(&self) -> bool {
        self.asked
            .as_ref()
            .is_none_or(|asked| asked.resend.is_none())
    }

    fn on_provisional(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        let Some(asked) = &mut self.asked else {
            return;
        };
        if !asked.cancelled
            && let Some(resend) = &mut asked.resend
        {
            resend.quieten(now.saturating_add(RING));
        }
        if asked.cancel_wanted {
            asked.cancel_wanted = false;
            return self.cancel(now, out);
        }
        if matches!(self.state, State::Calling | State::Proceeding) {
            self.state = State::Proceeding;
            if response.status > 100 {
                out.push(Output::Ringing);
            }
        }
    }

    fn on_accepted(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        self.them = response.fields.to.value.clone();
        self.remote_tag.clone_from(&response.fields.to.tag);
        if let Some(contact) = &response.fields.contact {
            self.target = contact.clone();
        }
        self.route = response.fields.record_route.iter().rev().cloned().collect();
        let number = self.asked.as_ref().map_or(1, |asked| asked.number);
        // The ACK of a 2xx is a transaction of its own.
        let branch = self.branch();
        let ack = self
            .request(&Method::Ack, number, &branch)
            .agent("User-Agent")
            .finish();
        if let Some(asked) = &mut self.asked {
            asked.resend = None;
            asked.ack = Some(ack.clone());
        }
        out.push(Output::Send {
            bytes: ack,
            to: Where::There,
        });
        if self.state == State::Over {
            // We had hung up; the CANCEL came too late.
            return self.bye(now, out);
        }
        self.state = State::Established;
        out.push(Output::Answered {
            answer: sdp_of(&response.fields),
        });
    }

    fn on_refused(&mut self, response: &Response, status: u16, now: Now, out: &mut Vec<Output>) {
        let Some(asked) = &self.asked else {
            return;
        };
        let (branch, number) = (asked.branch.clone(), asked.number);
        // The ACK of a refusal belongs to the INVITE: same branch, the To of the answer.
        let before = core::mem::replace(&mut self.them, response.fields.to.value.clone());
        let ack = self.request(&Method::Ack, number, &branch).finish();
        self.them = before;
        if let Some(asked) = &mut self.asked {
            asked.resend = None;
            asked.ack = Some(ack.clone());
        }
        out.push(Output::Send {
            bytes: ack,
            to: Where::There,
        });
        if self.state == State::Over {
            self.linger = (!self.reliable()).then(|| now.saturating_add(GIVE_UP));
        }
        self.over(Ended::Refused(status), now, out);
    }

    fn on_timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.linger.is_some_and(|until| now >= until) {
            self.linger = None;
        }
        let mut again = Vec::new();
        self.pending
            .retain_mut(|pending| match pending.resend.due(now) {
                Due::Nothing => true,
                Due::Again(bytes) => {
                    again.push(bytes);
                    true
                }
                Due::GivenUp => false,
            });
        let mut ended = None;
        if let Some(asked) = &mut self.asked
            && let Some(resend) = &mut asked.resend
        {
            match resend.due(now) {
                Due::Nothing => {}
                Due::Again(bytes) => again.push(bytes),
                Due::GivenUp => {
                    asked.resend = None;
                    ended = Some(match self.state {
                        State::Proceeding => Ended::NotAnswered,
                        _ => Ended::Unreachable,
                    });
                }
            }
        }
        let mut unconfirmed = false;
        if let Some(served) = &mut self.served
            && let Some(resend) = &mut served.resend
        {
            match resend.due(now) {
                Due::Nothing => {}
                Due::Again(bytes) => again.push(bytes),
                Due::GivenUp => {
                    served.resend = None;
                    unconfirmed = served.accepted;
                }
            }
        }
        out.extend(again.into_iter().map(|bytes| Output::Send {
            bytes,
            to: Where::There,
        }));
        if ended == Some(Ended::NotAnswered) {
            self.cancel(now, out);
        }
        if let Some(how) = ended {
            self.over(how, now, out);
        }
        if unconfirmed && self.state == State::Established {
            self.bye(now, out);
            self.over(Ended::Unconfirmed, now, out);
        }
    }
}

/// Answers a request that belongs to no call: OPTIONS ("is anybody there") is served, an ACK gets
/// nothing, everything else is refused with `status` or, where the method says more, with that.
#[must_use]
pub fn stray(
    request: &Request,
    status: u16,
    source: SocketAddrV4,
    tag: Option<&Token>,
) -> Option<Vec<u8>> {
    let status = match &request.method {
        Method::Ack => return None,
        Method::Options => 200,
        Method::Invite => status,
        Method::Bye | Method::Cancel | Method::Info => 481,
        Method::Known(_) => 405,
        Method::Other(_) => 501,
    };
    let top = top_via(&request.fields, source);
    Some(respond(request, status, top.as_ref(), tag))
}

/// A response without body, with what its status calls for.
fn respond(request: &Request, status: u16, top: Option<&Text>, tag: Option<&Token>) -> Vec<u8> {
    let mut draft = Draft::reply(status, write::reason(status), top, &request.fields, tag);
    if matches!(status, 405 | 501) || request.method == Method::Options {
        draft = draft.fixed("Allow", ALLOW);
    }
    if status == 415 || request.method == Method::Options {
        draft = draft.fixed("Accept", "application/sdp");
    }
    if status == 420
        && let Some(require) = request.fields.other("Require")
    {
        draft = draft.header("Unsupported", require);
    }
    if matches!(status, 500 | 503) {
        draft = draft.fixed("Retry-After", "5");
    }
    draft.agent("Server").finish()
}

fn recorded(mut draft: Draft, fields: &Fields) -> Draft {
    for route in &fields.record_route {
        draft = draft.header("Record-Route", route);
    }
    draft
}

fn sdp_of(fields: &Fields) -> Vec<u8> {
    if fields.has_sdp() {
        fields.body.clone()
    } else {
        Vec::new()
    }
}

/// Whether two keys name the same INVITE. The method is not part of a [`Key`], so this is also
/// how a CANCEL finds its INVITE.
fn same_invite(a: &Key, b: &Key) -> bool {
    a == b
}

/// The top Via as a response copies it: `received` when the sender is not where it thinks
/// (RFC 3261 section 18.2.1), `rport` when it asked (RFC 3581 section 4). Nothing if it needs no
/// change.
fn top_via(fields: &Fields, source: SocketAddrV4) -> Option<Text> {
    let differs = fields.via.host != Host::V4(*source.ip());
    if !differs && !fields.via.rport {
        return None;
    }
    let mut parts = fields.vias.first()?.as_str().split(';');
    let mut text = parts.next()?.trim().to_owned();
    for part in parts {
        let name = part.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("rport") {
            let _ = write!(text, ";rport={}", source.port());
        } else if !name.eq_ignore_ascii_case("received") {
            let _ = write!(text, ";{}", part.trim());
        }
    }
    let _ = write!(text, ";received={}", source.ip());
    Some(Text::printed(text))
}

#[cfg(test)]
mod tests;
