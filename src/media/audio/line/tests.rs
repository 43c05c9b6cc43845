use std::path::Path;

use super::*;
use crate::media::{
    level::Recording,
    relay::Relay,
    rtcp,
    rtp::{self, Datagram, Packet},
};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Another host, on the same machine.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Ends a test that waits for what never comes.
const LIMIT: Duration = Duration::from_secs(40);
/// Enough for three pieces of the ruler, which takes the middle one.
const ENOUGH: u64 = 80;

fn settings(port: u16, payload: G711, hz: f64, record: Option<&Path>) -> LineSettings {
    LineSettings {
        remote_rtp: (LOCAL, port).into(),
        remote_rtcp: None,
        payload,
        source: Source::tone(hz, -6.0),
        record: record.map(Into::into),
        ssrc: u32::from(port),
        first_sequence: u16::MAX - 10,
        first_timestamp: u32::MAX - 800,
        cname: "test".to_owned(),
    }
}

async fn until(line: &Line, what: impl FnMut(&Progress) -> bool) {
    let mut progress = line.progress();
    tokio::time::timeout(LIMIT, progress.wait_for(what))
        .await
        .expect("it goes on")
        .unwrap();
}

fn assert_tone(report: &LineReport, wanted: f64, unwanted: f64) {
    let path = report.recorded.as_deref().expect("a recording");
    let recording = Recording::read(path).unwrap();
    let (there, not_there) = (recording.level(wanted), recording.level(unwanted));
    // TOOLS.md 3: -6 dB was played; a slow machine leaves something out.
    assert!(
        (-10.0..-5.0).contains(&there),
        "{wanted} Hz at {there:.1} dB"
    );
    assert!(not_there < -50.0, "{unwanted} Hz at {not_there:.1} dB");
    assert!(recording.seconds() >= 1.5, "{}", recording.seconds());
}

async fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let (length, _) = tokio::time::timeout(LIMIT, socket.recv_from(&mut buffer))
        .await
        .expect("a packet in time")
        .unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn two_lines_hear_each_other_and_no_attacker() {
    let folder = tempfile::tempdir().unwrap();
    let (at_a, at_b) = (folder.path().join("a.wav"), folder.path().join("b.wav"));
    let mut a = Line::open(LOCAL).await.unwrap();
    let mut b = Line::open(LOCAL).await.unwrap();
    // A loud tone of somebody else, from before the call until its end.
    let attacker = socket::udp((FOREIGN, 0).into()).await.unwrap();
    let noise: Vec<u8> = {
        let mut samples = [0; 160];
        Source::tone(880.0, 0.0).fill(&mut samples);
        G711::Ulaw.encode(&samples).collect()
    };
    let port = b.port();
    let attack = async |n: u16| {
        let packet = rtp::write(&Packet {
            payload_type: 0,
            marker: false,
            sequence: n,
            timestamp: u32::from(n) * 160,
            source: 7,
            payload: &noise,
        });
        let packet = packet.unwrap();
        attacker.send_to(&packet, (LOCAL, port)).await.unwrap();
    };
    for n in 0..10 {
        attack(n).await;
    }
    a.start(settings(port, G711::Ulaw, 440.0, Some(&at_a)))
        .unwrap();
    b.start(settings(a.port(), G711::Alaw, 660.0, Some(&at_b)))
        .unwrap();
    for n in 10..100 {
        attack(n).await;
        until(&b, |now| now.received >= u64::from(n - 10)).await;
    }
    until(&a, |now| now.received >= ENOUGH).await;
    until(&b, |now| now.foreign == 100 && now.reports > 0).await;
    let b = b.stop().await;
    until(&a, |now| now.remote_left).await;
    let a = a.stop().await;
    assert_tone(&a, 660.0, 440.0);
    assert_tone(&b, 440.0, 880.0);
    assert_eq!((b.foreign, b.lost, b.duplicates), (100, 0, 0));
    assert!(a.sent >= b.received && b.sent >= a.received);
}

#[tokio::test]
async fn two_lines_hear_each_other_through_a_relay() {
    let folder = tempfile::tempdir().unwrap();
    let (at_peer, at_agent) = (folder.path().join("p.wav"), folder.path().join("a.wav"));
    let relay = Relay::open(LOCAL, LOCAL).await.unwrap();
    let mut peer = Line::open(LOCAL).await.unwrap();
    let mut agent = Line::open(LOCAL).await.unwrap();
    relay
        .connect_peer((LOCAL, peer.port()).into(), None)
        .unwrap();
    relay
        .connect_agent((LOCAL, agent.port()).into(), None)
        .unwrap();
    let set = settings(relay.peer_port(), G711::Ulaw, 440.0, Some(&at_peer));
    peer.start(set).unwrap();
    let set = settings(relay.agent_port(), G711::Ulaw, 880.0, Some(&at_agent));
    agent.start(set).unwrap();
    for line in [&peer, &agent] {
        until(line, |now| now.received >= ENOUGH && now.reports > 0).await;
    }
    let agent = agent.stop().await;
    // The BYE goes through as well.
    until(&peer, |now| now.remote_left).await;
    let peer = peer.stop().await;
    assert_tone(&peer, 880.0, 440.0);
    assert_tone(&agent, 440.0, 880.0);
    let all_carried = async {
        while relay.statistics().from_agent.stream.received < agent.sent {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, all_carried).await.unwrap();
    let carried = relay.close().await;
    assert_eq!(carried.from_agent.stream.received, agent.sent);
    assert!(carried.from_peer.stream.received >= agent.received);
    for side in [carried.from_peer, carried.from_agent] {
        assert_eq!((side.foreign, side.unfit, side.failed), (0, 0, 0));
        assert_eq!(side.stream.lost, 0);
    }
}

#[tokio::test]
async fn it_speaks_in_numbers_and_reports_first_and_last() {
    let [rtp_end, rtcp_end] = <[UdpSocket; 2]>::from(socket::rtp_pair(LOCAL).await.unwrap());
    let port = rtp_end.local_addr().unwrap().port();
    let mut line = Line::open(LOCAL).await.unwrap();
    line.start(settings(port, G711::Alaw, 440.0, None)).unwrap();

    for n in 0..30_u16 {
        let bytes = next(&rtp_end).await;
        let Datagram::Rtp(packet) = rtp::read(&bytes) else {
            panic!("{bytes:?}")
        };
        assert_eq!(packet.payload_type, 8);
        assert_eq!(packet.marker, n == 0);
        assert_eq!(packet.sequence, (u16::MAX - 10).wrapping_add(n));
        // Whole packets of time may be left out where this machine is slow, and none is cut.
        let since = packet.timestamp.wrapping_sub(u32::MAX - 800);
        assert_eq!(since % 160, 0);
        assert!(since >= u32::from(n) * 160);
        assert_eq!(packet.source, u32::from(port));
        assert_eq!(packet.payload.len(), 160);
    }
    let first = rtcp::read(&next(&rtcp_end).await).unwrap();
    assert_eq!(first.name.as_deref(), Some("test"));
    assert_eq!(first.sent.map(|(_, _, packets, _)| packets), Some(0));
    assert!(!first.bye);

    let report = line.stop().await;
    let mut last = rtcp::read(&next(&rtcp_end).await).unwrap();
    while !last.bye {
        last = rtcp::read(&next(&rtcp_end).await).unwrap();
    }
    assert!(last.is_leaving(u32::from(port)));
    let (_, _, packets, octets) = last.sent.unwrap();
    assert_eq!(u64::from(packets), report.sent);
    assert_eq!(u64::from(octets), report.sent * 160);
    assert_eq!((report.received, report.recorded), (0, None));
}

#[tokio::test]
async fn what_cannot_be_started_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("a.wav");
    std::fs::write(&taken, "mine").unwrap();
    let mut line = Line::open(LOCAL).await.unwrap();
    let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
    let mut nobody = settings(5004, G711::Ulaw, 440.0, None);
    nobody.remote_rtp = (Ipv4Addr::UNSPECIFIED, 5004).into();
    assert_eq!(kind(line.start(nobody)), Err(io::ErrorKind::InvalidInput));
    let busy = settings(5004, G711::Ulaw, 440.0, Some(&taken));
    assert_eq!(kind(line.start(busy)), Err(io::ErrorKind::AlreadyExists));
    let other = Line::open(LOCAL).await.unwrap();
    let port = other.port();
    line.start(settings(port, G711::Ulaw, 440.0, None)).unwrap();
    let again = settings(port, G711::Ulaw, 440.0, None);
    assert_eq!(kind(line.start(again)), Err(io::ErrorKind::AlreadyExists));
    // One that was never started stops as well.
    assert_eq!(other.stop().await, LineReport::default());
}
