//! Programs of a user's own: socat and ncat as the one that is called and the one that calls.

use std::{net::Ipv4Addr, path::Path};

use msn_handoff::{
    adapter::{Order, Report},
    dispatcher::Invitations as _,
    endpoint::socket,
    event::What,
    invitation::{AddressSource, Candidate},
    negotiation::{Remote, Role},
};

use crate::{
    Running, address, bridge,
    support::{
        self,
        child::Child,
        ports,
        sides::{ANN, BOB, Side, deliver},
        until,
    },
};

/// A bridge whose inviter listens, with more keys for the negotiation and the two handoffs.
fn own(negotiation: &str, listen: &str, call: &str) -> String {
    format!(
        r#"
id       = "own"
name     = "My Program"
guids    = ["{{00000000-1111-2222-3333-444444444444}}"]
announce = "My Program"
[negotiation]
address = "ip:port"
{negotiation}
[[handoff]]
name    = "listener"
adapter = "listen"
{listen}
[[handoff]]
name    = "caller"
adapter = "call"
{call}
"#
    )
}

/// `socat` writes down what comes, and sends a text.
fn socat(dir: &Path, transport: &str, negotiation: &str, ready: &str) -> String {
    let listen = format!(
        "run = [\"socat\", \"-u\", \"{transport},bind={{own.ip}}\", \"CREATE:{}/heard\"]\n{ready}",
        dir.display()
    );
    let to = transport.split(['-', ':']).next().unwrap();
    let call = format!(
        "run = [\"socat\", \"-u\", \"OPEN:{{file.words}}\", \"{to}:{{peer.ip}}:{{peer.port}}\"]\n\
         files.words = \"from {{own.ip}} to {{peer.ip}}\""
    );
    own(negotiation, &listen, &call)
}

async fn hands_over(transport: &str, negotiation: &str, ready: &str) {
    if !support::have(&["socat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let text = socat(dir.path(), transport, negotiation, ready);
    let bridges = dir.path().join("bridges");
    std::fs::create_dir(&bridges).unwrap();
    std::fs::write(bridges.join("own.toml"), text).unwrap();
    let (host, guest) = (address(), address());
    let (mut ann, from_ann) = Side::new(ANN, host, &bridges);
    let (mut bob, from_bob) = Side::new(BOB, guest, &bridges);
    deliver(from_ann, ANN, &bob);
    deliver(from_bob, BOB, &ann);

    ann.hub.invite(None, BOB, "own").unwrap();
    let heard = dir.path().join("heard");
    let words = format!("from {guest} to {host}");
    until("the words", || {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        assert!(words.starts_with(&heard), "{heard:?}");
        (heard == words).then_some(())
    })
    .await;
    let gone = |what: &What| matches!(what, What::ProgramEnded { .. });
    bob.until("the end of the caller", gone).await;
    if transport.starts_with("UDP") {
        ann.hub.typed(ann.account, BOB, "/hangup");
    }
    ann.until("the end of the listener", gone).await;
    ann.hub.shutdown().await;
    bob.hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_starts_the_listener_then_the_caller_at_a_free_port() {
    hands_over("TCP-LISTEN:{own.port}", "", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_applications_own_may_be_udp() {
    let port = ports().await;
    let fixed = format!("port = {{ fixed = {port}, transport = \"udp\" }}");
    hands_over("UDP-RECV:{own.port}", &fixed, "").await;
}

fn ncat(negotiation: &str, more: &str) -> String {
    own(
        negotiation,
        "run = [\"ncat\", \"-l\", \"-k\", \"{own.ip}\", \"{own.port}\"]",
        &format!("run = [\"ncat\", \"{{peer.ip}}\", \"{{peer.port}}\"]\n{more}"),
    )
}

fn connected(caller: &Running, to: Ipv4Addr, port: u16) {
    let candidate = Candidate {
        ip: to,
        port: Some(port),
        source: AddressSource::IpAddress,
    };
    let remote = Remote {
        candidates: vec![candidate],
        ..Remote::default()
    };
    caller.orders.send(Order::Connected(remote)).unwrap();
}

fn said(text: &'static str) -> impl Fn(&Report) -> Option<()> {
    move |report| matches!(report, Report::Say(line) if line.contains(text)).then_some(())
}

fn failed(report: &Report) -> Option<(bool, String)> {
    match report {
        Report::Failed { not_installed, why } => Some((*not_installed, why.clone())),
        _ => None,
    }
}

#[tokio::test]
async fn the_caller_is_started_when_somebody_listens_and_not_before() {
    if !support::have(&["ncat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path(), &ncat("", "probe = \"tcp\""));
    let (own, peer, port) = (address(), address(), ports().await);
    let mut caller = Running::start(&bridge, Role::Invitee, own);
    caller.prepare();
    caller.is_ready().await;
    connected(&caller, peer, port);
    caller.reported("the wait", said("program listens")).await;
    let started = |it: &String| it.starts_with("Started");
    assert!(!caller.seen.iter().any(started), "{:?}", caller.seen);

    let at = [peer.to_string(), port.to_string()];
    let args = ["-l", "-k", "-v", &at[0], &at[1]];
    let mut listener = Child::start("ncat", args, dir.path());
    caller.runs().await;
    assert!(caller.seen.iter().any(started), "{:?}", caller.seen);
    // The second connection is the program's own; what is typed at the listener's reaches it.
    until("both connections", || {
        let output = listener.output();
        (output.matches("Connection from").count() >= 2).then_some(())
    })
    .await;
    caller.end().await;
    listener.terminate().await;
}

#[tokio::test]
async fn who_never_listens_is_not_called_and_the_end_ends_the_wait() {
    if !support::have(&["ncat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (own, peer, port) = (address(), address(), ports().await);
    let impatient = bridge(dir.path(), &ncat("", "probe = \"tcp\"\nprobe-within = 1"));
    let mut caller = Running::start(&impatient, Role::Invitee, own);
    connected(&caller, peer, port);
    let why = caller.reported("the failure", failed).await;
    let told = format!("nobody listened at {peer}:{port} within 1 s");
    assert_eq!(why, (false, told));

    for patience in ["probe = \"tcp\"", "wait = 600"] {
        let bridge = bridge(dir.path(), &ncat("", patience));
        let caller = Running::start(&bridge, Role::Invitee, own);
        connected(&caller, peer, port);
        caller.end().await;
    }
}

#[tokio::test]
async fn a_port_that_another_program_has_is_told() {
    if !support::have(&["ncat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (own, port) = (address(), ports().await);
    let fixed = format!("port = {{ fixed = {port}, transport = \"tcp\" }}");
    let bridge = bridge(dir.path(), &ncat(&fixed, ""));
    let squatter = socket::tcp_listen((own, port).into()).await.unwrap();
    let mut listener = Running::start(&bridge, Role::Inviter, own);
    listener.prepare();
    let (not_installed, why) = listener.reported("the failure", failed).await;
    assert!(!not_installed);
    assert!(
        why.contains(&format!(
            "TCP port {port} at {own} is taken by another program"
        )),
        "{why}"
    );
    drop(squatter);

    let mut listener = Running::start(&bridge, Role::Inviter, own);
    listener.prepare();
    listener.is_ready().await;
    // What was told is true now.
    let stream = tokio::net::TcpSocket::new_v4().unwrap();
    drop(stream.connect((own, port).into()).await.unwrap());
    listener.connected(address());
    listener.runs().await;
    listener.end().await;
}

#[tokio::test]
async fn a_program_that_does_not_listen_is_not_announced() {
    if !support::have(&["ncat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // It listens elsewhere.
    let text = ncat("", "").replacen("\"{own.ip}\", \"{own.port}\"", "\"127.0.0.1\", \"0\"", 1);
    let text = text.replacen(
        "adapter = \"listen\"",
        "adapter = \"listen\"\nready-within = 1",
        1,
    );
    let bridge = bridge(dir.path(), &text);
    let mut listener = Running::start(&bridge, Role::Inviter, address());
    listener.prepare();
    let (_, why) = listener.reported("the failure", failed).await;
    assert!(why.contains("was not ready within 1 s"), "{why}");
    assert!(!listener.seen.iter().any(|it| it.starts_with("Ready")));
}

#[test]
fn the_documented_example_serves_either_role() {
    let page = include_str!("../../docs/applications/your-own.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path(), example.split("```").next().unwrap());
    for (role, name) in [
        (Role::Inviter, "the listener"),
        (Role::Invitee, "the caller"),
    ] {
        let names: Vec<&str> = bridge.handoffs(role).map(|it| it.name.as_str()).collect();
        assert_eq!(names, [name]);
    }
}

#[tokio::test]
async fn the_installed_program_is_asked_for_its_options() {
    if !support::have(&["ncat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let better = "[[handoff]]\nname = \"better\"\nadapter = \"call\"\nrequires.help = [\"--callto\"]\n\
                  run = [\"ncat\", \"--callto\", \"{peer.ip}\"]";
    let fitting = "requires.help = [\"-v\", \"--recv-only\"]";
    let text = ncat("", fitting);
    let text = text.replacen("[[handoff]]", &format!("{better}\n[[handoff]]"), 1);
    let bridge = bridge(dir.path(), &text);
    let better = bridge.handoffs.first().unwrap();
    let told = better.fits().unwrap_err().to_string();
    assert_eq!(told, "the ncat that is installed has no option --callto");

    let (own, peer, port) = (address(), address(), ports().await);
    let listener = socket::tcp_listen((peer, port).into()).await.unwrap();
    let mut caller = Running::start(&bridge, Role::Invitee, own);
    connected(&caller, peer, port);
    caller.runs().await;
    let started = |it: &String| it.contains("program: \"caller\"");
    assert!(caller.seen.iter().any(started), "{:?}", caller.seen);
    support::within("its call", listener.accept())
        .await
        .unwrap();
    caller.end().await;
}

/// What curl gets at that address when it comes from `from`, and its exit code.
async fn curl(dir: &Path, from: Ipv4Addr, url: &str) -> (Option<i32>, String) {
    let from = from.to_string();
    let mut curl = Child::start("curl", ["-sS", "--interface", &from, url], dir);
    (curl.wait().await, curl.output())
}

#[tokio::test]
async fn behind_the_gate_a_program_serves_the_peer_and_nobody_else() {
    if !support::have(&["python3", "curl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let listen = "way = \"gate\"\n\
        run = [\"python3\", \"-m\", \"http.server\", \"--bind\", \"{own.ip}\", \"--directory\", \"{dir}\", \
        \"{own.port}\"]\n\
        files.words = \"for the peer\"";
    let bridge = bridge(dir.path(), &own("", listen, "run = [\"true\"]"));
    let (own, peer, stranger) = (address(), address(), address());
    let mut listener = Running::start(&bridge, Role::Inviter, own);
    listener.prepare();
    let port = |report: &Report| match report {
        Report::Ready(announced) => announced.port,
        _ => None,
    };
    let port = listener.reported("the port", port).await;
    listener.connected(peer);
    listener.runs().await;
    let url = format!("http://{own}:{port}/words");
    assert_eq!(
        curl(dir.path(), peer, &url).await,
        (Some(0), "for the peer".to_owned())
    );
    // 52 and 56: closed without a word.
    let (code, said) = curl(dir.path(), stranger, &url).await;
    assert!(matches!(code, Some(52 | 56)), "{code:?}: {said}");
    // The program itself is on the loopback address only.
    assert!(socket::tcp_listen((stranger, port).into()).await.is_ok());
    listener.end().await;
    let (code, _) = curl(dir.path(), peer, &url).await;
    assert_eq!(code, Some(7), "nobody listens any more");
}
