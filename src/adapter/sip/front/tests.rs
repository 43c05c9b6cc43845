//! The front between a hand-made RTC and a hand-made softphone, in virtual time.

mod any_order;

use super::*;
use crate::media::sip::read;

const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 5), 9315);
const OWN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 13455);
const INSIDE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 20000);
const PHONE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5062);

fn setup(role: Role, seed: u8) -> Setup {
    let mut next = seed;
    Setup {
        role,
        caller: Caller::Auto,
        delay: Duration::from_secs(3),
        own: OWN,
        inside: INSIDE,
        candidates: vec![PEER],
        unreachable: "nobody answers".to_owned(),
        hosts: vec![*PEER.ip()],
        peer_rtp: 30000,
        agent_rtp: 31000,
        video: None,
        seeds: Box::new(move || {
            next = next.wrapping_add(1);
            [next; 24]
        }),
    }
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn front(setup: Setup) -> Front {
    Front::new(setup, token("bridge"), Now::ZERO)
}

fn phone() -> Agent {
    Agent::Sip {
        name: "linphone".to_owned(),
        user: Some(token("bridge")),
        at: PHONE,
    }
}

fn act(front: &mut Front, input: Input<'_>, at: u64) -> Vec<Output> {
    let mut out = Vec::new();
    front.handle(input, Now::from_millis(at), &mut out);
    out
}

fn peer_says(front: &mut Front, bytes: &[u8], at: u64) -> Vec<Output> {
    let message = read(bytes).unwrap();
    let input = Input::Peer {
        message: &message,
        hop: Hop::Udp(PEER),
        source: PEER,
    };
    act(front, input, at)
}

fn agent_says(front: &mut Front, bytes: &[u8], at: u64) -> Vec<Output> {
    let message = read(bytes).unwrap();
    let input = Input::Agent {
        message: &message,
        source: PHONE,
    };
    act(front, input, at)
}

/// Outputs as words: whom, first line.
fn told(out: &[Output]) -> Vec<String> {
    let line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line = text.lines().next().unwrap_or_default();
        line.replace(" SIP/2.0", "").replace("SIP/2.0 ", "")
    };
    out.iter()
        .map(|output| match output {
            Output::ToPeer { bytes, hop } => match hop {
                Hop::Udp(_) => format!("peer: {}", line(bytes)),
                Hop::Tcp(_) => format!("peer/tcp: {}", line(bytes)),
            },
            Output::ToAgent { bytes, .. } => format!("agent: {}", line(bytes)),
            Output::Connect(at) => format!("connect {at}"),
            Output::NextAgent => "next agent".to_owned(),
            Output::Media(_) => "media".to_owned(),
            Output::Say(text) => format!("say: {text}"),
            Output::Finished(text) => format!("finished: {text}"),
        })
        .collect()
}

fn bytes_to_peer(out: &[Output]) -> Vec<Vec<u8>> {
    out.iter()
        .filter_map(|output| match output {
            Output::ToPeer { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .collect()
}

fn bytes_to_agent(out: &[Output]) -> Vec<Vec<u8>> {
    out.iter()
        .filter_map(|output| match output {
            Output::ToAgent { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .collect()
}

fn media(out: &[Output]) -> Option<&Media> {
    out.iter().find_map(|output| match output {
        Output::Media(media) => Some(media),
        _ => None,
    })
}

const OFFER: &str = "v=0\r\no=- 0 0 IN IP4 10.0.0.5\r\ns=session\r\nc=IN IP4 10.0.0.5\r\nb=CT:1000\r\n\
    t=0 0\r\nm=audio 33792 RTP/AVP 97 111 112 6 0 8 4 5 3 101\r\na=rtcp:33801\r\n\
    a=rtpmap:97 red/8000\r\na=rtpmap:111 SIREN/16000\r\na=rtpmap:112 G7221/16000\r\n\
    a=rtpmap: 3 GSM/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n";

/// A request of the synthetic RTC (APPLICATIONS.md 1.3, 1.6.6): no branch, no user.
fn rtc(method: &str, number: u32, to_tag: &str, sdp: &str) -> Vec<u8> {
    let to_tag = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    let kind = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:10.0.0.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315\r\n\
         From: \"alice@example.com\" <sip:alice@example.com>;tag=0e5a1b2c-7d33-4f0a-9b0c-3c55e0d2f1aa\r\n\
         To: <sip:10.0.0.9:13455>{to_tag}\r\nCall-ID: 6F9619FF-8B86-D011-B42D@10.0.0.5\r\n\
         CSeq: {number} {method}\r\nContact: <sip:10.0.0.5:9315>\r\nMax-Forwards: 70\r\n\
         User-Agent: Windows RTC/1.0\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

/// A softphone's or RTC's answer to a request of ours.
fn reply(request: &[u8], status: u16, sdp: &str) -> Vec<u8> {
    use crate::media::sip::{Draft, Text};
    let message = read(request).unwrap();
    let tag = token("far");
    let draft = Draft::reply(status, "x", None, message.fields(), Some(&tag))
        .header("Contact", &Text::new("<sip:far@127.0.0.1:5062>").unwrap());
    if sdp.is_empty() {
        draft.finish()
    } else {
        draft.with_sdp(sdp.as_bytes())
    }
}

fn answer_of(ip: &str, port: u16, formats: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:101 telephone-event/8000\r\n"
    )
}

fn to_tag(bytes: &[u8]) -> String {
    read(bytes)
        .unwrap()
        .fields()
        .to
        .tag
        .as_ref()
        .unwrap()
        .to_string()
}

/// RTC calls, the softphone takes it. Gives the tag RTC's requests must carry, and our INVITE.
fn on_the_line(front: &mut Front) -> (String, Vec<u8>) {
    act(front, Input::AgentReady(phone()), 0);
    let out = peer_says(front, &rtc("INVITE", 1, "", OFFER), 100);
    assert_eq!(
        told(&out),
        [
            "peer: 100 Trying",
            "say: the peer calls",
            "peer: 180 Ringing",
            "agent: INVITE sip:bridge@127.0.0.1:5062"
        ]
    );
    let invite = bytes_to_agent(&out)[0].clone();
    let out = agent_says(
        front,
        &reply(&invite, 200, &answer_of("127.0.0.1", 7078, "8 101")),
        200,
    );
    assert_eq!(
        told(&out),
        [
            "agent: ACK sip:far@127.0.0.1:5062",
            "peer: 200 OK",
            "say: the call is on: linphone has it",
            "media"
        ]
    );
    let media = media(&out).unwrap();
    assert_eq!(media.peer.0.to_string(), "10.0.0.5:33792");
    assert_eq!(media.peer.1.to_string(), "10.0.0.5:33801");
    assert_eq!(media.agent.unwrap().0.to_string(), "127.0.0.1:7078");
    let ok = bytes_to_peer(&out)[0].clone();
    let session = sdp::read(&read(&ok).unwrap().fields().body).unwrap();
    let audio = session.audio().unwrap();
    assert_eq!((audio.ip, audio.port), (Some(*OWN.ip()), 30000));
    let numbers: Vec<u8> = audio.formats.iter().map(|f| f.payload_type).collect();
    assert_eq!(
        numbers,
        [8, 101],
        "what the softphone takes, as RTC numbers it"
    );
    let tag = to_tag(&ok);
    assert!(peer_says(front, &rtc("ACK", 1, &tag, ""), 300).is_empty());
    (tag, invite)
}

#[test]
fn rtc_calls_and_the_softphone_sees_nothing_of_its_dialect() {
    let mut front = front(setup(Role::Invitee, 0));
    let (tag, invite) = on_the_line(&mut front);
    let text = String::from_utf8(invite).unwrap();
    assert!(text.contains("Via: SIP/2.0/UDP 127.0.0.1:20000;branch=z9hG4bK"));
    for theirs in ["10.0.0.5", "alice", "Windows", "111", "rtcp:", "6F9619FF"] {
        assert!(!text.contains(theirs), "{theirs} in {text}");
    }
    let out = peer_says(&mut front, &rtc("BYE", 2, &tag, ""), 65_200);
    assert_eq!(
        told(&out),
        [
            "peer: 200 OK",
            "agent: BYE sip:far@127.0.0.1:5062",
            "finished: the peer hung up"
        ]
    );
    assert!(!front.is_done());
    let bye = bytes_to_agent(&out)[0].clone();
    agent_says(&mut front, &reply(&bye, 200, ""), 65_210);
    assert!(front.is_done());
}

#[test]
fn the_softphone_hangs_up_and_the_peer_is_told() {
    let mut front = front(setup(Role::Invitee, 0));
    let (_, invite) = on_the_line(&mut front);
    let ours = read(&invite).unwrap();
    let bye = format!(
        "BYE sip:bridge@127.0.0.1:20000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;rport;branch=z9hG4bKq\r\n\
         From: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        ours.fields().to.value,
        ours.fields().from.value,
        ours.fields().call_id
    );
    let out = agent_says(&mut front, bye.as_bytes(), 5000);
    assert_eq!(
        told(&out),
        [
            "agent: 200 OK",
            "peer: BYE sip:10.0.0.5:9315",
            "finished: hung up here"
        ]
    );
}

#[test]
fn a_softphone_that_refuses_is_followed_by_the_next_and_the_built_in_one_needs_no_call() {
    let mut front = front(setup(Role::Invitee, 0));
    act(&mut front, Input::AgentReady(phone()), 0);
    let out = peer_says(&mut front, &rtc("INVITE", 1, "", OFFER), 100);
    let invite = bytes_to_agent(&out)[0].clone();
    let out = agent_says(&mut front, &reply(&invite, 486, ""), 200);
    assert_eq!(
        told(&out),
        [
            "agent: ACK sip:bridge@127.0.0.1:5062",
            "say: linphone did not take the call: 486 Busy Here",
            "next agent"
        ]
    );
    let out = act(&mut front, Input::AgentReady(Agent::BuiltIn), 300);
    assert_eq!(
        told(&out),
        [
            "peer: 200 OK",
            "say: the call is on: the built-in agent has it",
            "media"
        ]
    );
    assert_eq!(media(&out).unwrap().agent, None);
}

#[test]
fn a_silent_softphone_is_given_up_and_none_left_ends_the_call() {
    let mut front = front(setup(Role::Invitee, 0));
    act(&mut front, Input::AgentReady(phone()), 0);
    peer_says(&mut front, &rtc("INVITE", 1, "", OFFER), 100);
    let mut seen = Vec::new();
    while !seen.contains(&"next agent".to_owned()) {
        let at = front.next_timeout().unwrap();
        seen.extend(told(&act(
            &mut front,
            Input::Timeout,
            at.as_millis() as u64,
        )));
    }
    assert!(seen.contains(&"say: linphone did not take the call: it does not answer".to_owned()));
    let out = act(
        &mut front,
        Input::NoAgent("nothing installed".to_owned()),
        6000,
    );
    assert_eq!(
        told(&out),
        [
            "peer: 480 Temporarily Unavailable",
            "finished: nobody here takes the call: nothing installed"
        ]
    );
}

#[test]
fn the_call_waits_for_an_agent_that_is_still_starting() {
    let mut front = front(setup(Role::Invitee, 0));
    let out = peer_says(&mut front, &rtc("INVITE", 1, "", OFFER), 100);
    assert_eq!(
        told(&out),
        [
            "peer: 100 Trying",
            "say: the peer calls",
            "peer: 180 Ringing"
        ]
    );
    let out = act(&mut front, Input::AgentReady(phone()), 2000);
    assert_eq!(told(&out), ["agent: INVITE sip:bridge@127.0.0.1:5062"]);
    let out = peer_says(&mut front, &rtc("CANCEL", 1, "", ""), 2100);
    assert_eq!(
        told(&out)[..2],
        ["peer: 200 OK", "peer: 487 Request Terminated"]
    );
    assert_eq!(
        told(&out).last().unwrap(),
        "finished: the peer took its call back"
    );
}

#[test]
fn encryption_and_offers_without_a_codec_are_refused() {
    for (offer, line) in [
        (
            format!("{OFFER}a=encryption:required\r\n"),
            "peer: 488 Encryption Levels Incompatible",
        ),
        (
            "v=0\r\nc=IN IP4 10.0.0.5\r\nm=application 1503 tcp msdata\r\n".to_owned(),
            "peer: 488 Not Acceptable Here",
        ),
        ("rubbish".to_owned(), "peer: 488 Not Acceptable Here"),
    ] {
        let mut front = front(setup(Role::Invitee, 0));
        let out = peer_says(&mut front, &rtc("INVITE", 1, "", &offer), 100);
        assert!(told(&out).contains(&line.to_owned()), "{:?}", told(&out));
        assert!(front.is_finished());
    }
}

#[test]
fn a_description_cannot_name_a_port_of_the_systems_services() {
    for (from, to, refused) in [
        ("audio 33792", "audio 33792", false),
        ("audio 33792", "audio 53", true),
        ("a=rtcp:33801", "a=rtcp:123", true),
    ] {
        let mut front = front(setup(Role::Invitee, 0));
        act(&mut front, Input::AgentReady(Agent::BuiltIn), 0);
        let offer = OFFER.replace(from, to);
        let out = peer_says(&mut front, &rtc("INVITE", 1, "", &offer), 100);
        let media = media(&out).unwrap();
        assert_eq!(media.refused(&Policy::default()).is_some(), refused, "{to}");
    }
}

#[test]
fn a_description_cannot_point_the_media_at_a_third_machine() {
    let mut front = front(setup(Role::Invitee, 0));
    act(&mut front, Input::AgentReady(Agent::BuiltIn), 0);
    let offer = OFFER.replace("10.0.0.5", "192.0.2.66");
    let out = peer_says(&mut front, &rtc("INVITE", 1, "", &offer), 100);
    assert_eq!(media(&out).unwrap().peer.0.to_string(), "10.0.0.5:33792");
}

#[test]
fn video_added_in_mid_call_is_answered_and_audio_stays() {
    let mut setup = setup(Role::Invitee, 0);
    setup.video = Some(Line {
        port: 30002,
        formats: sdp::plain_video(),
    });
    let mut front = front(setup);
    let (tag, _) = on_the_line(&mut front);
    let with_video = format!("{OFFER}m=video 33900 RTP/AVP 34 31\r\n");
    let out = peer_says(&mut front, &rtc("INVITE", 2, &tag, &with_video), 1000);
    assert_eq!(told(&out), ["peer: 100 Trying", "peer: 200 OK", "media"]);
    let seen = media(&out).unwrap();
    assert_eq!(seen.video.as_ref().unwrap().formats[0].payload_type, 34);
    assert_eq!(seen.peer.0.to_string(), "10.0.0.5:33792");
    let body = read(&bytes_to_peer(&out)[1]).unwrap().fields().body.clone();
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("m=audio 30000 RTP/AVP 8 101"), "{text}");
    assert!(text.contains("m=video 30002 RTP/AVP 34 31"), "{text}");
    let version = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("o=")).unwrap();
        line.split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(version(&text), "2");
    peer_says(&mut front, &rtc("ACK", 2, &tag, ""), 1010);
    // The same again changes nothing, so the version stays.
    let out = peer_says(&mut front, &rtc("INVITE", 3, &tag, &with_video), 2000);
    let body = read(&bytes_to_peer(&out)[1]).unwrap().fields().body.clone();
    assert_eq!(version(&String::from_utf8(body).unwrap()), "2");
    peer_says(&mut front, &rtc("ACK", 3, &tag, ""), 2010);
    let out = peer_says(
        &mut front,
        &rtc("INVITE", 4, &tag, "v=0\r\nm=audio 4 RTP/AVP 97\r\n"),
        3000,
    );
    assert_eq!(
        told(&out),
        ["peer: 100 Trying", "peer: 488 Not Acceptable Here"]
    );
    assert!(!front.is_finished());
}

#[test]
fn after_the_delay_we_call_on_udp_then_tcp_then_the_next_address_and_again_until_it_is_enough() {
    let mut setup = setup(Role::Invitee, 0);
    let second = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 5), 9315);
    setup.candidates.push(second);
    setup.hosts.push(*second.ip());
    let mut front = front(setup);
    let mut seen = Vec::new();
    while let Some(at) = front.next_timeout().filter(|_| !front.is_finished()) {
        let at = at.as_millis() as u64;
        let out = act(&mut front, Input::Timeout, at);
        for line in told(&out) {
            let repeats = line.starts_with("peer: INVITE")
                && seen.last().is_some_and(|(_, last)| *last == line);
            if !repeats {
                seen.push((at, line));
            }
        }
        if out.iter().any(|o| matches!(o, Output::Connect(_))) {
            let stream = (at < 7_000).then_some(7);
            for line in told(&act(&mut front, Input::Stream(stream), at + 100)) {
                seen.push((at + 100, line));
            }
        }
    }
    let lines: Vec<(u64, &str)> = seen.iter().map(|(at, l)| (*at, l.as_str())).collect();
    let round = [
        "peer: INVITE sip:10.0.0.5:9315",
        "connect 10.0.0.5:9315",
        "peer: INVITE sip:203.0.113.5:9315",
        "connect 203.0.113.5:9315",
    ];
    let (first, rest) = lines.split_at(8);
    assert_eq!(
        first,
        [
            (3000, "say: calling 10.0.0.5:9315"),
            (3000, round[0]),
            (5000, round[1]),
            (5100, "peer/tcp: INVITE sip:10.0.0.5:9315"),
            (7100, "say: calling 203.0.113.5:9315"),
            (7100, round[2]),
            (9100, round[3]),
            (9200, "say: nobody answers"),
        ]
    );
    let (last, rest) = rest.split_last().unwrap();
    for (n, (_, line)) in rest.iter().enumerate() {
        assert_eq!(*line, round[n % 4]);
    }
    assert_eq!(rest.len(), 20);
    assert_eq!(
        *last,
        (
            54_200,
            "finished: the peer cannot be reached and did not call"
        )
    );
}

#[test]
fn our_call_is_answered_and_then_given_to_the_agent() {
    let mut front = front(setup(Role::Inviter, 0));
    act(&mut front, Input::AgentReady(phone()), 0);
    let out = act(&mut front, Input::Timeout, 3000);
    let invite = bytes_to_peer(&out)[0].clone();
    assert_eq!(
        told(&peer_says(&mut front, &reply(&invite, 100, ""), 3010)),
        Vec::<String>::new()
    );
    let out = act(&mut front, Input::Timeout, 8000);
    assert_eq!(
        told(&out),
        Vec::<String>::new(),
        "heard of: nothing else is tried"
    );
    let out = peer_says(
        &mut front,
        &reply(&invite, 200, &answer_of("10.0.0.5", 33792, "0 101")),
        9000,
    );
    assert_eq!(
        told(&out),
        [
            "peer: ACK sip:far@127.0.0.1:5062",
            "say: the peer answered",
            "agent: INVITE sip:bridge@127.0.0.1:5062"
        ]
    );
    let invite = bytes_to_agent(&out)[0].clone();
    let body = String::from_utf8(read(&invite).unwrap().fields().body.clone()).unwrap();
    assert!(body.contains("m=audio 31000 RTP/AVP 0 101"), "{body}");
    let out = agent_says(
        &mut front,
        &reply(&invite, 200, &answer_of("127.0.0.1", 7078, "0 101")),
        9100,
    );
    assert_eq!(
        told(&out),
        [
            "agent: ACK sip:far@127.0.0.1:5062",
            "say: the call is on: linphone has it",
            "media"
        ]
    );
    let out = act(&mut front, Input::HangUp, 10_100);
    assert_eq!(
        told(&out),
        [
            "peer: BYE sip:far@127.0.0.1:5062",
            "agent: BYE sip:far@127.0.0.1:5062",
            "finished: ended here"
        ]
    );
}

#[test]
fn the_peers_refusal_ends_it_and_says_why() {
    let mut front = front(setup(Role::Inviter, 0));
    let out = act(&mut front, Input::Timeout, 3000);
    let invite = bytes_to_peer(&out)[0].clone();
    let out = peer_says(&mut front, &reply(&invite, 603, ""), 3100);
    assert_eq!(
        told(&out).last().unwrap(),
        "finished: the peer's side refused the call: 603 Decline"
    );
}

#[test]
fn of_crossed_calls_theirs_is_answered_and_ours_taken_back() {
    let mut front = front(setup(Role::Inviter, 0));
    act(&mut front, Input::AgentReady(Agent::BuiltIn), 0);
    let out = act(&mut front, Input::Timeout, 3000);
    let invite = bytes_to_peer(&out)[0].clone();
    peer_says(&mut front, &reply(&invite, 180, ""), 3050);
    let out = peer_says(&mut front, &rtc("INVITE", 1, "", OFFER), 3100);
    let lines = told(&out);
    assert_eq!(lines[0], "peer: CANCEL sip:10.0.0.5:9315");
    assert!(lines.contains(&"peer: 200 OK".to_owned()), "{lines:?}");
    let out = peer_says(&mut front, &reply(&invite, 487, ""), 3200);
    assert_eq!(told(&out), ["peer: ACK sip:10.0.0.5:9315"]);
    assert!(!front.is_finished());
}

/// Two of us call each other in the same moment; the line takes 30 ms.
#[test]
fn two_of_us_that_call_at_once_end_up_with_one_call() {
    let mut one = setup(Role::Inviter, 0);
    one.own = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 1001);
    one.candidates = vec![SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 1002)];
    let mut two = setup(Role::Invitee, 100);
    two.own = one.candidates[0];
    two.candidates = vec![one.own];
    let mut sides = [front(one), front(two)];
    let mut line: Vec<(u64, usize, Vec<u8>)> = Vec::new();
    let mut on = [false, false];
    let take = |from: usize,
                at: u64,
                out: Vec<Output>,
                line: &mut Vec<(u64, usize, Vec<u8>)>,
                on: &mut [bool; 2]| {
        for output in out {
            match output {
                Output::ToPeer { bytes, .. } => line.push((at + 30, 1 - from, bytes)),
                Output::Media(_) => on[from] = true,
                Output::Finished(why) => panic!("side {from} at {at}: {why}"),
                _ => {}
            }
        }
    };
    // Nobody answers by itself before both INVITEs are on the line.
    for side in &mut sides {
        act(side, Input::AgentReady(Agent::BuiltIn), 0);
    }
    for _ in 0..2000 {
        let next_line = line.iter().map(|(at, _, _)| *at).min();
        let next_timer = sides
            .iter()
            .filter_map(|side| side.next_timeout().map(|at| at.as_millis() as u64))
            .min();
        let Some(at) = [next_line, next_timer].into_iter().flatten().min() else {
            break;
        };
        if at > 40_000 {
            break;
        }
        while let Some(i) = line.iter().position(|(when, _, _)| *when == at) {
            let (_, to, bytes) = line.remove(i);
            let source = sides[1 - to].setup.own;
            let message = read(&bytes).unwrap();
            let input = Input::Peer {
                message: &message,
                hop: Hop::Udp(source),
                source,
            };
            let out = act(&mut sides[to], input, at);
            take(to, at, out, &mut line, &mut on);
        }
        for (i, side) in sides.iter_mut().enumerate() {
            let out = act(side, Input::Timeout, at);
            take(i, at, out, &mut line, &mut on);
        }
    }
    assert_eq!(on, [true, true]);
    for side in &sides {
        assert!(side.peer.as_ref().unwrap().call.is_established());
    }
    assert_ne!(
        sides[0].peer.as_ref().unwrap().ours,
        sides[1].peer.as_ref().unwrap().ours
    );
}

#[test]
fn a_second_call_is_busy_and_strangers_in_the_agents_place_are_refused() {
    let mut front = front(setup(Role::Invitee, 0));
    on_the_line(&mut front);
    let other = String::from_utf8(rtc("INVITE", 1, "", OFFER))
        .unwrap()
        .replace("6F9619FF", "7F9619FF");
    assert_eq!(
        told(&peer_says(&mut front, other.as_bytes(), 1000)),
        ["peer: 486 Busy Here"]
    );
    assert_eq!(
        told(&peer_says(&mut front, &rtc("OPTIONS", 9, "", ""), 1000)),
        ["peer: 200 OK"]
    );
    assert_eq!(
        told(&agent_says(&mut front, other.as_bytes(), 1000)),
        ["agent: 403 Forbidden"]
    );
}

#[test]
fn the_program_leaving_ends_a_running_call_and_only_a_running_one() {
    let mut front = front(setup(Role::Invitee, 0));
    on_the_line(&mut front);
    let out = act(&mut front, Input::AgentGone, 10_200);
    assert_eq!(
        told(&out),
        ["peer: BYE sip:10.0.0.5:9315", "finished: the program ended"]
    );
    let mut front = self::front(setup(Role::Invitee, 0));
    act(&mut front, Input::AgentReady(phone()), 0);
    peer_says(&mut front, &rtc("INVITE", 1, "", OFFER), 100);
    assert_eq!(
        told(&act(&mut front, Input::AgentGone, 200)),
        ["next agent"]
    );
}

#[test]
fn an_agents_address_is_on_this_machine() {
    assert_eq!(
        agent_address("sip:bridge@127.0.0.1:5070"),
        Some((
            Some(token("bridge")),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5070)
        ))
    );
    assert_eq!(
        agent_address("sip:127.0.0.1"),
        Some((None, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060)))
    );
    for bad in [
        "",
        "sip:",
        "sip:a@10.0.0.1:5060",
        "http://127.0.0.1",
        "sip:a@127.0.0.1:0",
        "sip:a b@127.0.0.1",
        "sip:a@localhost",
    ] {
        assert_eq!(agent_address(bad), None, "{bad}");
    }
}

#[test]
fn behind_a_router_media_goes_where_the_messages_come_from() {
    // PROTOCOL.md O6: both of its addresses were told, and its description names the private one.
    let router = SocketAddrV4::new(Ipv4Addr::new(65, 210, 205, 254), 8348);
    let mut setup = setup(Role::Invitee, 0);
    setup.candidates = vec![PEER, router];
    setup.hosts = vec![*PEER.ip(), *router.ip()];
    let mut front = front(setup);
    act(&mut front, Input::AgentReady(Agent::BuiltIn), 0);
    let message = read(&rtc("INVITE", 1, "", OFFER)).unwrap();
    let input = Input::Peer {
        message: &message,
        hop: Hop::Udp(router),
        source: router,
    };
    let out = act(&mut front, input, 0);
    let seen = media(&out).unwrap();
    assert_eq!(seen.peer.0.to_string(), "65.210.205.254:33792");
    assert_eq!(seen.peer.1.to_string(), "65.210.205.254:33801");
}

#[test]
fn a_peer_on_hold_is_not_spoken_to_and_its_codec_is_followed() {
    let mut front = front(setup(Role::Invitee, 0));
    let (tag, _) = on_the_line(&mut front);
    for (number, line, held) in [
        (2, "a=sendonly\r\n", true),
        (3, "", false),
        (4, "a=inactive\r\n", true),
    ] {
        let offer = format!("{OFFER}{line}");
        let at = u64::from(number) * 1000;
        let out = peer_says(&mut front, &rtc("INVITE", number, &tag, &offer), at);
        assert_eq!(media(&out).unwrap().held, held, "{line:?}");
        peer_says(&mut front, &rtc("ACK", number, &tag, ""), at + 10);
    }
}

#[test]
fn a_stranger_at_one_address_does_not_end_the_call_at_the_next() {
    let next = SocketAddrV4::new(Ipv4Addr::new(65, 210, 205, 254), 5060);
    for (status, goes_on) in [(404, true), (486, false), (603, false)] {
        let mut setup = setup(Role::Invitee, 0);
        setup.candidates = vec![PEER, next];
        setup.hosts = vec![*PEER.ip(), *next.ip()];
        let mut front = front(setup);
        let out = act(&mut front, Input::Timeout, 3000);
        let invite = bytes_to_peer(&out).remove(0);
        let out = peer_says(&mut front, &reply(&invite, status, ""), 3010);
        let calls = told(&out)
            .iter()
            .any(|line| *line == format!("say: calling {next}"));
        assert_eq!(calls, goes_on, "{status}: {:?}", told(&out));
    }
}

#[test]
fn who_gave_way_to_a_call_that_never_comes_calls_again() {
    let mut front = front(setup(Role::Invitee, 0));
    act(&mut front, Input::AgentReady(Agent::BuiltIn), 0);
    let out = act(&mut front, Input::Timeout, 3000);
    let invite = bytes_to_peer(&out).remove(0);
    peer_says(&mut front, &reply(&invite, 491, ""), 3010);
    let again = front.next_timeout().unwrap();
    assert!(again < Now::from_secs(10), "{again:?}");
    let mut out = Vec::new();
    front.handle(Input::Timeout, again, &mut out);
    assert!(
        told(&out).contains(&format!("say: calling {PEER}")),
        "{:?}",
        told(&out)
    );
}
