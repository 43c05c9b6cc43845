use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use super::*;
use crate::{
    bridge::{self, Bridge, Reading},
    config::Call,
    endpoint::policy::Policy,
    invitation::{AddressSource, Candidate},
    launch::{Plan, Ready, Stop},
    negotiation::{InvitationId, Role},
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const LIMIT: Duration = Duration::from_secs(20);

/// Only the built-in agent takes calls.
const VOICE: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
[[handoff]]
name = "the built-in agent"
adapter = "sip"
builtin = true
"#;

fn voice(folder: &std::path::Path) -> Arc<Bridge> {
    let path = folder.join("voice.toml");
    fs::write(&path, VOICE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    match bridge::read_file(&path).unwrap() {
        Reading::Bridge(bridge) => Arc::new(*bridge),
        Reading::Hidden(id) => panic!("{id} is hidden"),
    }
}

/// A call whose handshake is complete, before anything was done about it.
struct Stage {
    driver: Driver,
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn with_peer(peer: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (reports_out, reports) = mpsc::unbounded_channel();
        let task = Task {
            invitation: InvitationId(1),
            role: Role::Invitee,
            bridge: voice(folder.path()),
            peer: "bob@example.com".to_owned(),
            media: Vec::new(),
            network: Network::plain(HERE),
            policy: Policy::new(HERE, Vec::new()),
            call: Call::default(),
            bandwidth: crate::media::limit::Bandwidth::default(),
            phones: None,
            recordings: folder.path().to_owned(),
            orders: orders_in.into(),
            reports: reports_out,
        };
        let mut listening = None;
        prepare(&mut listening, &task.network).await.unwrap();
        let remote = Remote {
            candidates: vec![Candidate {
                ip: peer,
                port: Some(5060),
                source: AddressSource::IpAddress,
            }],
            ..Remote::default()
        };
        let made = Driver::new(task, listening.unwrap(), &remote).await;
        let driver = made.map_err(|(_, why)| why).unwrap();
        Self {
            driver,
            orders,
            reports,
            folder,
        }
    }
}

#[tokio::test]
async fn an_end_that_came_while_a_router_was_asked_starts_no_agent() {
    let Stage {
        mut driver, orders, ..
    } = Stage::with_peer(HERE).await;
    orders.send(Order::End).unwrap();
    assert!(
        driver.next_agent().await,
        "and nobody says that there is none"
    );
    assert!(driver.runner.is_none());
}

#[tokio::test]
async fn a_call_that_is_over_gets_no_other_agent() {
    // One is running; the call ends; while our farewell is out the agent shows that it is none.
    for failed in [true, false] {
        let Stage {
            mut driver,
            orders: _orders,
            ..
        } = Stage::with_peer(HERE).await;
        driver.feed(Input::HangUp).await;
        assert!(driver.finished.is_some());
        match failed {
            true => driver.contender_failed("it is silent".to_owned()).await,
            false => driver.change_agent().await,
        }
        assert!(driver.runner.is_none(), "{failed}");
    }
    // Before it is over there is another.
    let Stage {
        mut driver,
        orders: _orders,
        ..
    } = Stage::with_peer(HERE).await;
    driver.contender_failed("it is silent".to_owned()).await;
    assert!(driver.runner.is_some());
}

#[tokio::test]
async fn a_program_that_the_call_went_on_without_is_told_to_end_and_its_end_is_told() {
    let mut stage = Stage::with_peer(HERE).await;
    // It takes its time to end.
    let program = stage.folder.path().join("phone");
    let text = "#!/bin/sh\ntrap 'sleep 0.5; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let plan = Plan {
        name: "a phone".to_owned(),
        program,
        args: Vec::new(),
        env: Vec::new(),
        dir: None,
        confined: None,
        ready: Ready::Output("up".to_owned()),
        ready_within: LIMIT,
        stop: Stop::default(),
    };
    let contender = Contender::Program {
        plan: Box::new(plan),
        files: None,
        user: None,
        at: SocketAddrV4::new(HERE, 5060),
    };
    let events = stage.driver.agent_events.0.clone();
    stage.driver.runner = Some(Runner::start(contender, 1, events));
    for _ in ["started", "up"] {
        let (attempt, event) = stage.driver.agent_events.1.recv().await.unwrap();
        stage.driver.agent_event(attempt, event).await;
    }
    stage.driver.change_agent().await;
    stage.driver.feed(Input::HangUp).await;
    stage.driver.leave().await;
    let mut told = Vec::new();
    while let Some(report) = stage.reports.recv().await {
        match report {
            Report::Started { program, .. } => told.push(format!("{program} began")),
            Report::ProgramEnded { program, how } => told.push(format!("{program}: {how}")),
            _ => {}
        }
    }
    assert_eq!(told, ["a phone began", "a phone: it finished"]);
}

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = socket::tcp_listen((HERE, 0).into()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (made, taken) = tokio::join!(socket::tcp_connect(at, LIMIT), listener.accept());
    (made.unwrap(), taken.unwrap().0)
}

#[tokio::test]
async fn a_connection_that_says_what_nobody_can_read_is_no_contact_s_and_is_closed() {
    let peer = Ipv4Addr::new(10, 77, 1, 2);
    let (from_peer, stranger) = ((peer, 5060), (Ipv4Addr::new(8, 8, 4, 4), 40_000));
    for ((ip, port), bytes, kept) in [
        (stranger, &b"X\r\nContent-Length: 0\r\n\r\n"[..], false),
        (stranger, b"\r\n\r\n", false),
        (
            stranger,
            b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n",
            false,
        ),
        (from_peer, b"X\r\nContent-Length: 0\r\n\r\n", true),
    ] {
        let mut driver = Stage::with_peer(peer).await.driver;
        let from = SocketAddrV4::new(ip, port);
        let (_far, stream) = pair().await;
        driver.take_stream(stream, from);
        let id = driver.next_stream;
        assert!(driver.streams.contains_key(&id), "it may introduce itself");
        driver.peer_bytes(bytes, Hop::Tcp(id), from).await;
        assert_eq!(driver.streams.contains_key(&id), kept, "{from} {bytes:?}");
    }
}

#[tokio::test]
async fn a_connection_that_reads_nothing_ends_soon_after_it_has_said_its_last() {
    let (mut far, stream) = pair().await;
    let (line, outgoing) = mpsc::channel(16);
    let (events, mut told) = mpsc::channel(32);
    // More than the system takes for somebody who does not read.
    for _ in 0..16 {
        line.try_send(vec![b'x'; 1 << 20]).unwrap();
    }
    let from = SocketAddrV4::new(HERE, 5060);
    let conversation = tokio::spawn(peer::converse(stream, (1, from), None, outgoing, events));
    far.shutdown().await.unwrap();
    assert!(matches!(told.recv().await, Some(StreamEvent::Closed(1))));
    drop(line);
    let ended = timeout(LAST_WITHIN + WRITE_WITHIN / 2, conversation).await;
    ended.unwrap().unwrap();
}
