//! The front between a peer and an agent that say anything, in any order, at any time. Each writes its
//! mark wherever text may stand. It never stands in what the other side gets, nor in what the user
//! reads; media and messages go nowhere but to the hosts that were allowed; and it ends.

use proptest::{prelude::*, sample::Index};

use super::*;

/// What one side writes wherever it can, and nobody but that side may see again.
struct Words {
    mark: &'static str,
    /// A machine that was never negotiated.
    third: &'static str,
}

const OF_PEER: Words = Words {
    mark: "PEERSMARK",
    third: "203.0.113.66",
};
const OF_AGENT: Words = Words {
    mark: "AGENTSMARK",
    third: "203.0.113.77",
};
/// The peer's other host.
const ROUTER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(65, 210, 205, 254), 8348);

/// One message of the peer's or of the agent's.
#[derive(Debug, Clone)]
struct Said {
    by_peer: bool,
    /// An answer with this status to what that side was sent last; otherwise a request.
    answers: Option<u16>,
    method: &'static str,
    number: u32,
    /// A request in the call that we placed there; otherwise in one of that side's own.
    in_our_call: bool,
    /// The tag in its `To`: ours, none, another.
    tag: u8,
    body: usize,
    hop: u8,
    /// One octet of it is another.
    bent: Option<(Index, u8)>,
}

#[derive(Debug, Clone)]
enum Event {
    Said(Said),
    Phone,
    BuiltIn,
    NoAgent,
    AgentGone,
    Stream(Option<u64>),
    StreamClosed(u64),
    Dead,
    Moved,
    HangUp,
    Later(u64),
}

fn said() -> impl Strategy<Value = Said> {
    let answers = prop_oneof![
        2 => Just(None),
        2 => Just(Some(200)),
        1 => prop::sample::select(vec![100, 180, 183, 302, 404, 480, 486, 487, 488, 491, 500, 603])
            .prop_map(Some),
    ];
    let methods = vec![
        "INVITE", "INVITE", "INVITE", "ACK", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE",
        "REGISTER", "X",
    ];
    let bent = prop::option::weighted(0.1, any::<(Index, u8)>());
    (
        any::<(bool, bool)>(),
        answers,
        (prop::sample::select(methods), 1_u32..5),
        (0_u8..4, 0_usize..8, 0_u8..4),
        bent,
    )
        .prop_map(
            |((by_peer, in_our_call), answers, (method, number), (tag, body, hop), bent)| Said {
                by_peer,
                answers,
                method,
                number,
                in_our_call,
                tag,
                body,
                hop,
                bent,
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => said().prop_map(Event::Said),
        2 => Just(Event::Phone),
        1 => Just(Event::BuiltIn),
        1 => Just(Event::NoAgent),
        1 => Just(Event::AgentGone),
        2 => prop::option::of(0_u64..3).prop_map(Event::Stream),
        1 => (0_u64..3).prop_map(Event::StreamClosed),
        1 => Just(Event::Dead),
        1 => Just(Event::Moved),
        1 => Just(Event::HangUp),
        6 => (0_u64..8_000).prop_map(Event::Later),
    ]
}

/// Session descriptions, most of them usable.
fn body(which: usize, words: &Words) -> String {
    let Words { mark, third } = words;
    let plain = |ip: &str, more: &str| {
        format!(
            "v=0\r\no={mark} 7 7 IN IP4 {ip}\r\ns={mark}\r\ni={mark}\r\nu={mark}\r\ne={mark}\r\n\
             c=IN IP4 {ip}\r\nt=0 0\r\na=tool:{mark}\r\nm=audio 33792 RTP/AVP 97 8 0 101\r\n\
             a=rtpmap:97 {mark}/16000\r\na=rtpmap:8 PCMA/8000/{mark}\r\na=fmtp:8 {mark}\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 {mark}\r\na={mark}\r\n{more}"
        )
    };
    match which {
        0 => String::new(),
        1 => plain(
            third,
            &format!(
                "a=rtcp:53 IN IP4 {third}\r\nm=video 33800 RTP/AVP 34\r\nc=IN IP4 {third}\r\n"
            ),
        ),
        2 => plain("0.0.0.0", ""),
        3 => plain("65.210.205.254", "a=encryption:required\r\n"),
        4 => plain(
            "65.210.205.254",
            &format!("m=application 1503 {mark} {mark}\r\n"),
        ),
        5 => mark.repeat(20),
        6 => plain(third, "a=sendonly\r\nm=video 33800 RTP/AVP 34 31\r\n"),
        _ => plain("10.0.0.5", ""),
    }
}

/// What both sides were sent last, and what has come out altogether.
struct World {
    front: Front,
    now: u64,
    to_peer: Vec<u8>,
    to_agent: Vec<u8>,
    finished: bool,
    media: usize,
}

impl World {
    fn new(role: Role, caller: Caller, has_video: bool) -> Self {
        let mut setup = setup(role, 0);
        setup.caller = caller;
        setup.candidates.push(ROUTER);
        setup.hosts.push(*ROUTER.ip());
        setup.video = has_video.then(|| Line {
            port: 32_000,
            formats: sdp::plain_video(),
        });
        Self {
            front: front(setup),
            now: 0,
            to_peer: Vec::new(),
            to_agent: Vec::new(),
            finished: false,
            media: 0,
        }
    }

    fn happens(&mut self, event: &Event) {
        let input = match event {
            Event::Said(said) => return self.says(said),
            Event::Later(millis) => {
                let until = self.now + millis;
                self.rings(until);
                self.now = until;
                return;
            }
            Event::Phone => Input::AgentReady(phone()),
            Event::BuiltIn => Input::AgentReady(Agent::BuiltIn),
            Event::NoAgent => Input::NoAgent("none".to_owned()),
            Event::AgentGone => Input::AgentGone,
            Event::Stream(stream) => Input::Stream(*stream),
            Event::StreamClosed(stream) => Input::StreamClosed(*stream),
            Event::Dead => Input::Dead(Duration::from_secs(30)),
            Event::Moved => Input::Moved(ROUTER),
            Event::HangUp => Input::HangUp,
        };
        self.push(input);
    }

    fn says(&mut self, said: &Said) {
        let (last, words) = if said.by_peer {
            (&self.to_peer, &OF_PEER)
        } else {
            (&self.to_agent, &OF_AGENT)
        };
        let body = body(said.body, words);
        let bytes = match (said.answers, read(last)) {
            (Some(status), Ok(Message::Request(asked))) => answer(&asked, status, words, &body),
            _ => request(said, last, words, &body),
        };
        let mut bytes = bytes.into_bytes();
        if let Some((place, octet)) = &said.bent {
            let place = place.index(bytes.len());
            bytes[place] = *octet;
        }
        let Ok(message) = read(&bytes) else { return };
        let message = &message;
        self.push(match (said.by_peer, said.hop) {
            (false, _) => Input::Agent {
                message,
                source: PHONE,
            },
            (true, 0) => Input::Peer {
                message,
                hop: Hop::Udp(ROUTER),
                source: ROUTER,
            },
            (true, 1) => Input::Peer {
                message,
                hop: Hop::Tcp(1),
                source: PEER,
            },
            (true, _) => Input::Peer {
                message,
                hop: Hop::Udp(PEER),
                source: PEER,
            },
        });
    }

    /// Pushes, and looks at what comes of it.
    fn push(&mut self, input: Input<'_>) {
        let out = act(&mut self.front, input, self.now);
        let allowed = |ip: &Ipv4Addr| [PEER.ip(), ROUTER.ip()].contains(&ip);
        for output in out {
            match output {
                Output::ToPeer { bytes, hop } => {
                    assert!(
                        matches!(hop, Hop::Tcp(_))
                            || matches!(hop, Hop::Udp(to) if allowed(to.ip()))
                    );
                    is_clean(&bytes, &OF_AGENT);
                    self.to_peer = bytes;
                }
                Output::ToAgent { bytes, to } => {
                    assert!(to.ip().is_loopback());
                    is_clean(&bytes, &OF_PEER);
                    self.to_agent = bytes;
                }
                Output::Connect(to) => assert!(allowed(to.ip())),
                Output::Media(media) => {
                    assert!(!self.finished, "media after the end");
                    self.media += 1;
                    let video = media.video.as_ref().map(|video| video.at);
                    for (rtp, rtcp) in [Some(media.peer), video].into_iter().flatten() {
                        assert!(allowed(rtp.ip()) && allowed(rtcp.ip()), "{media:?}");
                    }
                    if let Some((rtp, rtcp)) = media.agent {
                        assert!(rtp.ip().is_loopback() && rtcp.ip().is_loopback());
                    }
                    assert!(media.audio.iter().all(|format| is_unmarked(&format.name)));
                }
                Output::Say(text) => assert!(is_unmarked(&text), "{text}"),
                Output::Finished(why) => {
                    assert!(!self.finished, "it ended twice");
                    assert!(is_unmarked(&why), "{why}");
                    self.finished = true;
                }
                Output::NextAgent => {}
            }
        }
    }

    /// Whatever has happened: told to end it does, and after a call has rung as long as one may nothing is left.
    fn ends(&mut self) {
        self.push(Input::HangUp);
        assert!(self.finished);
        self.rings(self.now + 300_000);
        assert_eq!(self.front.next_timeout(), None);
        assert!(self.front.is_done());
    }

    /// Whatever is due until then happens, and not without end.
    fn rings(&mut self, until: u64) {
        for _ in 0..1_000 {
            let next = self.front.next_timeout();
            // The test's clock has milliseconds.
            let next = next.map(|at| u64::try_from(at.as_micros().div_ceil(1_000)).unwrap());
            let Some(at) = next.filter(|at| *at <= until) else {
                return;
            };
            self.now = self.now.max(at);
            self.push(Input::Timeout);
        }
        panic!("it rings without end");
    }
}

fn is_unmarked(text: &str) -> bool {
    !text.contains(OF_PEER.mark)
        && !text.contains(OF_AGENT.mark)
        && !text.chars().any(char::is_control)
}

/// Our own gate reads it, and nothing in it is of the side with those words.
fn is_clean(bytes: &[u8], words: &Words) {
    let text = String::from_utf8_lossy(bytes);
    assert!(read(bytes).is_ok(), "{text}");
    assert!(
        !text.contains(words.mark) && !text.contains(words.third),
        "{text}"
    );
}

/// A request; in a call of ours it is turned around from what was sent last.
fn request(said: &Said, last: &[u8], words: &Words, body: &str) -> String {
    let Words { mark, third } = words;
    let (method, number) = (said.method, said.number);
    let last = read(last).ok();
    let ours = last.as_ref().map(|last| match last {
        Message::Request(asked) => &asked.fields.from,
        Message::Response(answer) => &answer.fields.to,
    });
    let tag = match (said.tag, ours.and_then(|party| party.tag.as_ref())) {
        (0, _) => String::new(),
        (1, _) | (_, None) => format!(";tag={mark}"),
        (_, Some(tag)) => format!(";tag={tag}"),
    };
    let (from, to, call) = match &last {
        Some(Message::Request(asked)) if said.in_our_call => (
            format!("{};tag={mark}", asked.fields.to.value),
            asked.fields.from.value.to_string(),
            asked.fields.call_id.to_string(),
        ),
        _ => (
            format!(
                "\"{mark}\" <sip:{mark}@example.com>;tag={mark}{}",
                said.hop / 3
            ),
            format!("\"{mark}\" <sip:10.0.0.9:13455>{tag}"),
            format!("{mark}@{third}"),
        ),
    };
    format!(
        "{method} sip:{mark}@10.0.0.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP {third}:53;x={mark}\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\n{}",
        rest(words, body)
    )
}

fn answer(asked: &Request, status: u16, words: &Words, body: &str) -> String {
    let mark = words.mark;
    let fields = &asked.fields;
    let via: Vec<String> = fields
        .vias
        .iter()
        .map(|via| format!("Via: {via}\r\n"))
        .collect();
    let tag = if fields.to.tag.is_some() {
        String::new()
    } else {
        format!(";tag={mark}")
    };
    format!(
        "SIP/2.0 {status} {mark}\r\n{}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n{}",
        via.concat(),
        fields.from.value,
        fields.to.value,
        fields.call_id,
        fields.cseq.number,
        fields.cseq.method,
        rest(words, body)
    )
}

/// Headers that nobody needs, and the description.
fn rest(words: &Words, body: &str) -> String {
    let Words { mark, third } = words;
    format!(
        "Contact: \"{mark}\" <sip:{mark}@{third}:53>\r\nRecord-Route: <sip:{mark}@{third}:53;lr>\r\n\
         Subject: {mark}\r\nUser-Agent: {mark}\r\nServer: {mark}\r\nWarning: 399 {mark} \"{mark}\"\r\n\
         X-{mark}: {mark}\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_of_one_side_reaches_the_other_and_it_ends(
        invites in any::<bool>(),
        caller in prop::sample::select(vec![Caller::Auto, Caller::Inviter, Caller::Invitee]),
        has_video in any::<bool>(),
        has_phone in any::<bool>(),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let role = if invites { Role::Inviter } else { Role::Invitee };
        let mut world = World::new(role, caller, has_video);
        if has_phone {
            world.push(Input::AgentReady(phone()));
        }
        for event in &events {
            world.happens(event);
        }
        world.ends();
    }
}
