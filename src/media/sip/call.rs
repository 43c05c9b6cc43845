//! One call: one SIP dialog (RFC 3261 section 12), either side of it, without socket or clock.
//! Messages and the time are pushed in, [`Output`]s come out.
//!
//! Towards RTC, an RFC 2543 agent, it asks for nothing but the basics (APPLICATIONS.md 1.3): no
//! `Require`, no PRACK, no session timer, IPv4 literals, Max-Forwards 70. No request is ever left
//! without an answer.

mod asking;
mod reply;
mod serving;

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

pub use reply::stray;
use reply::{recorded, respond, same_invite, sdp_of, top_via};

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

#[cfg(test)]
mod tests;
