//! From an invitation to the program: what the negotiation takes, beside the bare start of the same
//! program in the same run.

use std::{
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    dispatcher::{Carrier, Delivery, Dispatcher, Invitations as _, Settings},
    endpoint::{outside::Lookout, policy::Policy},
    event::What,
    invitation::{Command as Verb, Message},
    launch::{self, Plan, Ready, Stop},
    negotiation,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::measure::{head, micros, percentile, row};

/// Of the bare start, and of a program that calls; a phone is told to end in words, and takes a while.
const ROUNDS: usize = 200;
const CALLS: usize = 40;
const PEER: &str = "bob@example.com";
/// The one does nothing but start its program; the other opens the ports of a call before it says yes.
/// The program starts and stays, so that its start is what is timed.
const BRIDGES: [(&str, usize, &str, &str); 2] = [
    (
        "a program that calls",
        ROUNDS,
        "Game",
        r#"
id = "game"
name = "game"
guids = ["{8DAE4336-2B71-11D4-9A6C-006067325E48}"]
announce = "Game"
[negotiation]
address = "ip:port"
listens = "inviter"
[[handoff]]
name = "sleep"
adapter = "call"
run = ["sleep", "60"]
ready = "started"
"#,
    ),
    (
        "a phone (voice)",
        CALLS,
        "an audio conversation",
        r#"
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
"#,
    ),
];

/// Where our messages leave, and when.
struct Out(UnboundedSender<(Instant, Vec<u8>)>);

impl Carrier for Out {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        let _ = self.0.send((Instant::now(), payload));
    }

    fn show(&self, _: &str, _: &str) {}
}

pub(crate) fn rows() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    head(
        "Handing over (consent given by a rule; in the process, without sockets between)",
        &["what", "p50 µs", "p95 µs", "beyond, p50 µs"],
    );
    let mut bare: Vec<f64> = (0..ROUNDS).map(|_| micros(spawn())).collect();
    let bare = line(
        "bare start of the same program (posix_spawn)",
        &mut bare,
        None,
    );
    for (name, count, application, bridge) in BRIDGES {
        let mut times = runtime.block_on(rounds(count, application, bridge));
        line(
            &format!("{name}: INVITE in to ACCEPT out"),
            &mut times.accepts,
            None,
        );
        let alone = line(
            "… in turn: our start of that program alone, in a session, with its pipes, through our guard",
            &mut times.alone,
            Some(bare),
        );
        line(
            &format!("{name}: ACCEPT in to program started; beyond that start alone"),
            &mut times.execs,
            Some(alone),
        );
    }
    // What our own binary adds between fork and exec is after the start that is timed above.
    let direct = Command::new("/bin/true");
    let mut ours = Command::new(env!("CARGO_BIN_EXE_msn-handoff"));
    ours.args([
        "become-program",
        &std::process::id().to_string(),
        "free",
        "/bin/true",
    ]);
    let mut times = [Vec::new(), Vec::new()];
    let mut commands = [direct, ours];
    for _ in 0..ROUNDS {
        for (times, command) in times.iter_mut().zip(&mut commands) {
            let began = Instant::now();
            assert!(command.status().unwrap().success());
            times.push(micros(began.elapsed()));
        }
    }
    let [mut direct, mut ours] = times;
    let direct = line("/bin/true, from start to end", &mut direct, None);
    line("the same through our guard", &mut ours, Some(direct));
}

fn line(what: &str, times: &mut [f64], beyond: Option<f64>) -> f64 {
    let p50 = percentile(times, 50);
    row(&[
        what.into(),
        format!("{p50:.0}"),
        format!("{:.0}", percentile(times, 95)),
        beyond.map_or_else(String::new, |bare| format!("{:.0}", p50 - bare)),
    ]);
    p50
}

#[derive(Default)]
struct Times {
    /// From INVITE to ACCEPT.
    accepts: Vec<f64>,
    /// From the second ACCEPT to the program's start.
    execs: Vec<f64>,
    /// Of [`launch::start`], in turn with these.
    alone: Vec<f64>,
}

/// Invitations of a peer, each with a cookie of its own.
async fn rounds(count: usize, application: &str, bridge: &str) -> Times {
    launch::programs_start_through(env!("CARGO_BIN_EXE_msn-handoff").into());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bridge.toml"), bridge).unwrap();
    let limits = negotiation::Limits {
        offers_per_minute: 100_000,
        ..Default::default()
    };
    let registry = Registry::load(&[folder.path().to_owned()]).unwrap();
    let hub = Dispatcher::start(Settings {
        registry: Arc::new(registry),
        rules: Rules {
            rules: Vec::new(),
            default: Decision::Allow,
        },
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        ports: None,
        lookout: Lookout::default(),
        recordings: folder.path().to_owned(),
        call: Call::default(),
        bandwidth: msn_handoff::media::limit::Bandwidth::default(),
        unclaimed: None,
        negotiation: negotiation::Settings {
            limits,
            ..Default::default()
        },
    });
    let mut events = hub.events();
    let (out, mut sent) = unbounded_channel();
    let account = hub.attach("ann@example.com", Arc::new(Out(out)));
    let guid = bridge
        .split('"')
        .find(|part| part.starts_with('{'))
        .unwrap();
    let mut times = Times::default();
    for cookie in 1..=count {
        let invite = payload(&format!(
            "Application-Name: {application}\r\nApplication-GUID: {guid}\r\nSession-Protocol: SM1\r\n\
             Context-Data: Requested:SIP_A,;Capabilities:SIP_A,;\r\nInvitation-Command: INVITE\r\n\
             Invitation-Cookie: {cookie}\r\nSession-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\r\n"
        ));
        let began = Instant::now();
        hub.received(account, PEER, &invite);
        times
            .accepts
            .push(micros(accepted(&mut sent).await - began));

        let accept = payload(&format!(
            "Invitation-Command: ACCEPT\r\nInvitation-Cookie: {cookie}\r\n\
             Launch-Application: TRUE\r\nIP-Address: 127.0.0.1:9\r\n\r\n"
        ));
        let began = Instant::now();
        hub.received(account, PEER, &accept);
        while !matches!(
            events.recv().await.unwrap().what,
            What::ProgramStarted { .. }
        ) {}
        times.execs.push(micros(began.elapsed()));

        let cancel = payload(&format!(
            "Invitation-Command: CANCEL\r\nInvitation-Cookie: {cookie}\r\n\r\n"
        ));
        hub.received(account, PEER, &cancel);
        while !matches!(events.recv().await.unwrap().what, What::Ended { .. }) {}
        all_gone().await;
        times.alone.push(micros(start_alone().await));
    }
    hub.shutdown().await;
    times
}

/// Waits for the end of what was started: it takes a while, and is not what is timed.
async fn all_gone() {
    while has_children() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What our start of the same program takes by itself.
async fn start_alone() -> Duration {
    let plan = Plan {
        name: "sleep".into(),
        program: "/usr/bin/sleep".into(),
        args: vec!["60".into()],
        env: Vec::new(),
        dir: None,
        confined: None,
        ready: Ready::Started,
        ready_within: Duration::from_secs(5),
        stop: Stop::default(),
    };
    let began = Instant::now();
    let mut program = launch::start(&plan).unwrap();
    let took = began.elapsed();
    program.stop().await;
    // Who watches over what runs goes with the last of it.
    drop(program);
    all_gone().await;
    took
}

fn has_children() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .any(|children| !children.is_empty())
}

fn payload(body: &str) -> Vec<u8> {
    format!("MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n{body}")
        .into_bytes()
}

/// When we said yes.
async fn accepted(sent: &mut UnboundedReceiver<(Instant, Vec<u8>)>) -> Instant {
    loop {
        let (at, payload) = sent.recv().await.unwrap();
        if matches!(Message::read(&payload).unwrap().command(), Verb::Accept) {
            return at;
        }
    }
}

/// What starting the program costs without us.
fn spawn() -> Duration {
    let mut command = Command::new("sleep");
    command
        .arg("60")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let before = Instant::now();
    let mut child = command.spawn().unwrap();
    let took = before.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}
