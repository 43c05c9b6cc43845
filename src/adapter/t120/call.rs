//! The SIP call by which the inviter says that T.120 will come, without socket or clock
//! (PROTOCOL.md 5.5). It carries nothing: whoever answers it with the line mirrored has done all
//! that is asked. The caller is RTC, in the dialect of APPLICATIONS.md 1.3.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sip::{Response, read};

    const PEER: SocketAddrV4 = SocketAddrV4::new(core::net::Ipv4Addr::new(10, 0, 0, 5), 9315);
    const OWN: SocketAddrV4 = SocketAddrV4::new(core::net::Ipv4Addr::new(10, 0, 0, 9), 10_869);

    fn front() -> Front {
        let mut next = 0;
        Front::new(Setup {
            own: OWN,
            port: 1503,
            user: Token::new("bridge").unwrap(),
            seeds: Box::new(move || {
                next += 1;
                [next; 24]
            }),
        })
    }

    /// A request as RTC writes it.
    fn request(method: &str, number: u32, call: &str, tag: &str, body: &str) -> Message {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:10.0.0.9:10869 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315\r\nMax-Forwards: 70\r\n\
             From: \"a\" <sip:a@example.com>;tag=6f1c\r\nTo: <sip:10.0.0.9:10869>{tag}\r\nCall-ID: {call}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:10.0.0.5:9315>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        read(text.as_bytes()).unwrap()
    }

    fn offer(more: &str) -> String {
        format!(
            "v=0\r\no=- 0 0 IN IP4 10.0.0.5\r\ns=session\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
             m=application 1503 tcp msdata\r\n{more}"
        )
    }

    fn says(front: &mut Front, message: &Message, at: u64) -> Vec<Output> {
        let mut out = Vec::new();
        let now = Now::from_millis(at);
        front.message(message, Hop::Udp(PEER), PEER, now, &mut out);
        out
    }

    /// The answers among them, all of them to the peer.
    fn answers(out: &[Output]) -> Vec<Response> {
        let sent = out.iter().filter_map(|output| match output {
            Output::Send { bytes, hop } => Some((bytes, *hop)),
            _ => None,
        });
        sent.map(|(bytes, hop)| {
            assert_eq!(hop, Hop::Udp(PEER));
            match read(bytes).unwrap() {
                Message::Response(response) => response,
                Message::Request(request) => panic!("{request:?}"),
            }
        })
        .collect()
    }

    fn tag_of(response: &Response) -> String {
        let tag = response.fields.to.tag.as_ref().unwrap();
        format!(";tag={tag}")
    }

    #[test]
    fn a_call_is_taken_and_its_end_ends_it() {
        let mut front = front();
        let invite = request("INVITE", 1, "1", "", &offer("a=sendonly\r\n"));
        let out = says(&mut front, &invite, 0);
        let taken = answers(&out).pop().unwrap();
        assert_eq!(taken.status, 200);
        let sdp = String::from_utf8(taken.fields.body.clone()).unwrap();
        assert!(
            sdp.ends_with("m=application 1503 tcp msdata\r\na=recvonly\r\n"),
            "{sdp}"
        );
        let tag = tag_of(&taken);
        // It is repeated until it is confirmed.
        let due = front.next_timeout().unwrap();
        let mut out = Vec::new();
        front.timeout(due, &mut out);
        assert_eq!(answers(&out).len(), 1);
        assert!(says(&mut front, &request("ACK", 1, "1", &tag, ""), 600).is_empty());
        assert_eq!(front.next_timeout(), None);
        // The session changes its direction.
        let again = request("INVITE", 2, "1", &tag, &offer(""));
        let changed = answers(&says(&mut front, &again, 700)).pop().unwrap();
        let sdp = String::from_utf8(changed.fields.body).unwrap();
        assert!(sdp.ends_with("m=application 1503 tcp msdata\r\n"), "{sdp}");
        let _ = says(&mut front, &request("ACK", 2, "1", &tag, ""), 800);
        let bye = request("BYE", 3, "1", &tag, "");
        let out = says(&mut front, &bye, 900);
        assert_eq!(answers(&out)[0].status, 200);
        assert!(out.contains(&Output::Finished));
        // Our answer was lost.
        let out = says(&mut front, &bye, 1400);
        assert_eq!(answers(&out)[0].status, 200);
        assert!(front.is_done());
    }

    #[test]
    fn encryption_is_refused_and_the_next_call_taken() {
        let mut front = front();
        let invite = request("INVITE", 1, "1", "", &offer("a=encryption:required\r\n"));
        let out = says(&mut front, &invite, 0);
        let refused = answers(&out).pop().unwrap();
        assert_eq!(refused.status, 488);
        assert_eq!(refused.reason.as_str(), "Encryption Levels Incompatible");
        assert!(refused.fields.other("Warning").is_some());
        let said =
            |output: &Output| matches!(output, Output::Say(line) if line.contains("encryption"));
        assert!(out.iter().any(said));
        let _ = says(
            &mut front,
            &request("ACK", 1, "1", &tag_of(&refused), ""),
            10,
        );
        let invite = request("INVITE", 1, "2", "", &offer("a=encryption:optional\r\n"));
        let taken = answers(&says(&mut front, &invite, 20)).pop().unwrap();
        assert_eq!(taken.status, 200);
        assert!(
            !String::from_utf8(taken.fields.body)
                .unwrap()
                .contains("encryption")
        );
    }

    #[test]
    fn sound_is_refused_a_question_answered_and_a_second_call_busy() {
        let mut front = front();
        let options = request("OPTIONS", 1, "0", "", "");
        assert_eq!(answers(&says(&mut front, &options, 0))[0].status, 200);
        let sound = request("INVITE", 1, "1", "", "v=0\r\nm=audio 5004 RTP/AVP 0\r\n");
        assert_eq!(
            answers(&says(&mut front, &sound, 0)).pop().unwrap().status,
            488
        );
        let invite = request("INVITE", 1, "2", "", &offer(""));
        assert_eq!(
            answers(&says(&mut front, &invite, 0)).pop().unwrap().status,
            200
        );
        let second = request("INVITE", 1, "3", "", &offer(""));
        assert_eq!(
            answers(&says(&mut front, &second, 0)).pop().unwrap().status,
            486
        );
        let stray = request("BYE", 1, "9", ";tag=x", "");
        assert_eq!(answers(&says(&mut front, &stray, 0))[0].status, 481);
    }

    #[test]
    fn our_end_is_told_until_it_is_confirmed() {
        let mut front = front();
        let invite = request("INVITE", 1, "1", "", &offer(""));
        let taken = answers(&says(&mut front, &invite, 0)).pop().unwrap();
        let _ = says(&mut front, &request("ACK", 1, "1", &tag_of(&taken), ""), 10);
        let mut out = Vec::new();
        front.hang_up(Now::from_millis(50), &mut out);
        assert!(
            matches!(out.as_slice(), [Output::Send { bytes, .. }] if bytes.starts_with(b"BYE "))
        );
        assert!(!front.is_done());
        let due = front.next_timeout().unwrap();
        let mut again = Vec::new();
        front.timeout(due, &mut again);
        assert_eq!(out, again);
        let Output::Send { bytes, .. } = &out[0] else {
            panic!()
        };
        let Message::Request(bye) = read(bytes).unwrap() else {
            panic!()
        };
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            bye.fields.vias[0], bye.fields.from.value, bye.fields.to.value
        );
        let _ = says(&mut front, &read(text.as_bytes()).unwrap(), 700);
        assert!(front.is_done());
    }
}
