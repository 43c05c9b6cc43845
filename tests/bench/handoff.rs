//! How long the hand-over takes, and what the program costs. Run with `cargo bench --bench handoff`.
//!
//! Each figure is a median of many rounds of one run; a bare `posix_spawn` is timed in the same run
//! to compare with. Everything is on loopback and through the real proxy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    demo::{
        client::{Client, ClientEvent, ClientSettings, Letter},
        server::{Server, ServerSettings},
    },
    dispatcher::{Dispatcher, Settings},
    endpoint::policy::Policy,
    event::What,
    front::proxy::{Proxy, ProxySettings},
    invitation::{Command as Verb, Message},
    negotiation,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

const USER: &str = "ann@example.com";
const PEER: &str = "bob@example.com";
const ROUNDS: u32 = 200;

/// A program that starts and stays, so that its start is what is timed.
const VOICE: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
connection = true
enc64 = true
[[handoff]]
name = "sleep"
adapter = "sip"
run = ["sleep", "60"]
agent = "sip:a@127.0.0.1:{agent.port}"
ready = "started"
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut accepts, mut execs) = runtime.block_on(rounds());
    let mut spawns: Vec<Duration> = (0..ROUNDS).map(|_| spawn()).collect();
    println!("rounds: {ROUNDS}; median, 95th percentile");
    row(
        "last byte of INVITE sent to ACCEPT received, by the peer (consent by rule)",
        &mut accepts,
    );
    row(
        "last ACCEPT sent, by the peer, to the program's start",
        &mut execs,
    );
    row("a bare spawn of the same program", &mut spawns);
    let mut starts: Vec<Duration> = Vec::new();
    let mut memory = 0;
    for _ in 0..20 {
        let (start, resident) = listening();
        starts.push(start);
        memory = resident;
    }
    row("start of `msn-handoff proxy` to listening", &mut starts);
    println!("memory at rest: {memory} kB resident");
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_msn-handoff"))
        .unwrap()
        .len();
    println!("binary: {binary} bytes");
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: {:?}, {:?}", at(50), at(95));
}

/// Invitations of a peer, each with a cookie of its own: time to our ACCEPT, and from the peer's
/// ACCEPT to the start of the program.
async fn rounds() -> (Vec<Duration>, Vec<Duration>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("voice.toml"), VOICE).unwrap();
    let timers = negotiation::Settings {
        limits: negotiation::Limits {
            offers_per_minute: 100_000,
            ..Default::default()
        },
        ..Default::default()
    };
    let hub = Dispatcher::start(Settings {
        registry: Arc::new(Registry::load(&[folder.path().to_owned()]).unwrap()),
        rules: Rules {
            rules: Vec::new(),
            default: Decision::Allow,
        },
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        ports: None,
        lookout: msn_handoff::endpoint::outside::Lookout::default(),
        recordings: folder.path().to_owned(),
        call: Call::default(),
        unclaimed: None,
        negotiation: timers,
    });
    let mut events = hub.events();
    let server = Server::start(ServerSettings::default()).await.unwrap();
    let settings = ProxySettings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        server: server.ns_addr().to_string(),
        follow: false,
        correct_profile: false,
    };
    let proxy = Proxy::bind(settings, Arc::new(hub.clone())).await.unwrap();
    let door = proxy.local_addr();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(proxy.run(stop.clone()));
    let (user, _window) = Client::login(ClientSettings::new(door, USER))
        .await
        .unwrap();
    let (peer, mut inbox) = Client::login(ClientSettings::new(server.ns_addr(), PEER))
        .await
        .unwrap();
    peer.open(USER).await.unwrap();

    let (mut accepts, mut execs) = (Vec::new(), Vec::new());
    for cookie in 1..=ROUNDS {
        let invite = format!(
            "Application-Name: an audio conversation\r\n\
             Application-GUID: {{02D3C01F-BF30-4825-A83A-DE7AF41648AA}}\r\nSession-Protocol: SM1\r\n\
             Context-Data: Requested:SIP_A,;Capabilities:SIP_A,;\r\nInvitation-Command: INVITE\r\n\
             Invitation-Cookie: {cookie}\r\nSession-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\r\n"
        );
        let sent = Instant::now();
        peer.send_payload(USER, Letter::N, &payload(&invite))
            .await
            .unwrap();
        until_accept(&mut inbox).await;
        accepts.push(sent.elapsed());

        let accept = format!(
            "Invitation-Command: ACCEPT\r\nInvitation-Cookie: {cookie}\r\n\
             Launch-Application: TRUE\r\nIP-Address: 127.0.0.1:9\r\n\r\n"
        );
        let sent = Instant::now();
        peer.send_payload(USER, Letter::N, &payload(&accept))
            .await
            .unwrap();
        while !matches!(
            events.recv().await.unwrap().what,
            What::ProgramStarted { .. }
        ) {}
        execs.push(sent.elapsed());

        let cancel = format!("Invitation-Command: CANCEL\r\nInvitation-Cookie: {cookie}\r\n\r\n");
        peer.send_payload(USER, Letter::N, &payload(&cancel))
            .await
            .unwrap();
        while !matches!(events.recv().await.unwrap().what, What::Ended { .. }) {}
    }
    hub.shutdown().await;
    user.sign_out().await;
    stop.cancel();
    serving.await.unwrap();
    server.stop().await;
    (accepts, execs)
}

fn payload(body: &str) -> Vec<u8> {
    format!("MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n{body}")
        .into_bytes()
}

async fn until_accept(inbox: &mut UnboundedReceiver<ClientEvent>) {
    loop {
        if let ClientEvent::Message { payload, .. } = inbox.recv().await.unwrap()
            && let Ok(message) = Message::read(&payload)
            && matches!(message.command(), Verb::Accept)
        {
            return;
        }
    }
}

/// What starting a program costs without us.
fn spawn() -> Duration {
    let before = Instant::now();
    let mut child = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let took = before.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// From the start of the process until a client can connect, and its memory then, in kB.
fn listening() -> (Duration, u64) {
    // A port that was free a moment ago; a run in which it was taken fails and is repeated.
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let door = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let before = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .args([
            "proxy",
            "--listen",
            &door.to_string(),
            "--server",
            "127.0.0.1:9",
        ])
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(door).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
    }
    let took = before.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    (took, resident)
}
