//! The SIP call by which the inviter says that T.120 will come, without socket or clock
//! (PROTOCOL.md 5.5). It carries nothing: whoever answers it with the line mirrored has done all
//! that is asked. The caller is RTC, in the dialect of APPLICATIONS.md 1.3.

#[cfg(test)]
mod tests;

use core::net::SocketAddrV4;

use crate::media::{
    sdp::{self, Ours, Refusal},
    sip::{
        Message, Method, Now, Token,
        call::{self, Call, Ended, Local, Transport, Where, stray},
    },
};

/// Most calls kept that only repeat answers.
const MAX_FADING: usize = 4;

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    /// To and from this address.
    Udp(SocketAddrV4),
    /// On this connection.
    Tcp(u64),
}

/// What is told once.
pub(super) struct Setup {
    /// Where we listen for SIP.
    pub own: SocketAddrV4,
    /// Where T.120 is taken.
    pub port: u16,
    /// User part of our address.
    pub user: Token,
    /// Unguessable bytes, fresh at every call.
    pub seeds: Box<dyn FnMut() -> [u8; 24] + Send>,
}

/// What comes of a message or of time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this.
    Send { bytes: Vec<u8>, hop: Hop },
    /// A line for the user.
    Say(String),
    /// The peer has ended the call. It is still to be driven, to answer repetitions.
    Finished,
}

/// The peer's call: at most one at a time.
pub(super) struct Front {
    setup: Setup,
    id: u32,
    current: Option<(Call, Hop)>,
    /// Calls that may still have to repeat something.
    fading: Vec<(Call, Hop)>,
}

impl Front {
    pub(super) fn new(mut setup: Setup) -> Self {
        // The session id stays the same for all calls.
        let [a, b, c, d, ..] = (setup.seeds)();
        Self {
            setup,
            id: u32::from_be_bytes([a, b, c, d]) >> 1,
            current: None,
            fading: Vec::new(),
        }
    }

    /// Whether everybody who must know of an end has confirmed that they do.
    pub(super) fn is_done(&self) -> bool {
        !self.fading.iter().any(|(call, _)| call.awaits_answer())
    }

    /// When [`Front::timeout`] is to be called.
    pub(super) fn next_timeout(&self) -> Option<Now> {
        let all = self.current.iter().chain(&self.fading);
        all.filter_map(|(call, _)| call.next_timeout()).min()
    }

    /// A message from the peer's address.
    pub(super) fn message(
        &mut self,
        message: &Message,
        hop: Hop,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let input = call::Input::Message { message, source };
        let mut calls = Vec::new();
        if let Some((call, there)) = self.current.as_mut().filter(|(it, _)| it.owns(message)) {
            if matches!(message, Message::Request(request) if request.method == Method::Invite) {
                *there = hop;
            }
            call.handle(input, now, &mut calls);
            return self.outputs(calls, hop, now, out);
        }
        if let Some((call, there)) = self.fading.iter_mut().find(|(it, _)| it.owns(message)) {
            call.handle(input, now, &mut calls);
            let there = *there;
            send(&calls, there, hop, out);
            return self.forget();
        }
        let Message::Request(request) = message else {
            return;
        };
        let in_dialog = request.fields.to.tag.is_some();
        if request.method != Method::Invite || in_dialog || self.current.is_some() {
            let status = if in_dialog { 481 } else { 486 };
            if let Some(bytes) = stray(request, status, source, None) {
                out.push(Output::Send { bytes, hop });
            }
            return;
        }
        let local = Local {
            ip: *self.setup.own.ip(),
            port: self.setup.own.port(),
            transport: match hop {
                Hop::Udp(_) => Transport::Udp,
                Hop::Tcp(_) => Transport::Tcp,
            },
            user: self.setup.user.clone(),
            seed: (self.setup.seeds)(),
        };
        let call = Call::incoming(local, request, source, now, &mut calls);
        self.current = Some((call, hop));
        self.outputs(calls, hop, now, out);
    }

    /// [`Front::next_timeout`] has come.
    pub(super) fn timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        for (call, there) in &mut self.fading {
            let mut calls = Vec::new();
            call.handle(call::Input::Timeout, now, &mut calls);
            send(&calls, *there, *there, out);
        }
        self.forget();
        self.act(call::Input::Timeout, now, out);
    }

    /// Ends the call, if there is one.
    pub(super) fn hang_up(&mut self, now: Now, out: &mut Vec<Output>) {
        self.act(call::Input::HangUp, now, out);
    }

    /// A connection is gone: nothing on it will be confirmed any more.
    pub(super) fn lost(&mut self, stream: u64) {
        self.fading.retain(|(_, there)| *there != Hop::Tcp(stream));
    }

    fn act(&mut self, input: call::Input<'_>, now: Now, out: &mut Vec<Output>) {
        let mut calls = Vec::new();
        let Some((call, there)) = &mut self.current else {
            return;
        };
        let there = *there;
        call.handle(input, now, &mut calls);
        self.outputs(calls, there, now, out);
    }

    fn outputs(&mut self, calls: Vec<call::Output>, back: Hop, now: Now, out: &mut Vec<Output>) {
        for output in calls {
            let Some((_, there)) = &self.current else {
                return;
            };
            match output {
                call::Output::Send { .. } => send(&[output], *there, back, out),
                call::Output::Incoming { offer } => self.answer(&offer, true, now, out),
                call::Output::Reoffer { offer } => self.answer(&offer, false, now, out),
                call::Output::Ended(how) => self.ended(how, out),
                // None of our calls rings, and what the ACK of ours holds is of no interest.
                call::Output::Ringing
                | call::Output::Answered { .. }
                | call::Output::Confirmed { .. } => {}
            }
        }
    }

    /// Their offer, at the beginning or later.
    fn answer(&mut self, offer: &[u8], first: bool, now: Now, out: &mut Vec<Output>) {
        let ours = Ours {
            ip: *self.setup.own.ip(),
            id: self.id,
            version: 1,
            audio: None,
            video: None,
        };
        let answer = sdp::read(offer)
            .map_err(|_| Refusal::Nothing)
            .and_then(|theirs| sdp::answer_data(&theirs, &ours, self.setup.port));
        match answer {
            Ok(sdp) => {
                if first {
                    let at = self.setup.port;
                    out.push(Output::Say(format!(
                        "the other side's Messenger has called; its T.120 is awaited on port {at}"
                    )));
                }
                self.act(call::Input::Answer(&sdp), now, out);
            }
            Err(refusal) => {
                let why = match refusal {
                    Refusal::Encryption => "it demands encryption, which cannot be done here",
                    Refusal::Nothing => "it offers no T.120",
                };
                out.push(Output::Say(format!(
                    "the other side's call is refused: {why}"
                )));
                let refuse = call::Input::Refuse {
                    status: 488,
                    words: refusal.words(),
                    warning: Some(refusal.warning()),
                };
                self.act(refuse, now, out);
            }
        }
    }

    fn ended(&mut self, how: Ended, out: &mut Vec<Output>) {
        if let Some(ended) = self.current.take() {
            self.fading.push(ended);
            self.forget();
        }
        match how {
            Ended::ByPeer | Ended::Cancelled => out.push(Output::Finished),
            // What was refused may be offered again, without encryption for example. A call whose
            // confirmation was lost says nothing about the T.120 connection.
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.fading.retain(|(call, _)| !call.finished());
        let too_many = self.fading.len().saturating_sub(MAX_FADING);
        self.fading.drain(..too_many);
    }
}

fn send(calls: &[call::Output], there: Hop, back: Hop, out: &mut Vec<Output>) {
    for output in calls {
        if let call::Output::Send { bytes, to } = output {
            let hop = match to {
                Where::Back => back,
                Where::There => there,
            };
            let bytes = bytes.clone();
            out.push(Output::Send { bytes, hop });
        }
    }
}
