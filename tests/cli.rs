//! The binary, as people and scripts meet it: what it says, where, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use msn_handoff::{
    demo::{
        client::{Client, ClientEvent, ClientSettings},
        server::{Server, ServerSettings},
    },
    endpoint::socket,
};
use rustix::process::Signal;
use support::{child::Child, within};

const BINARY: &str = env!("CARGO_BIN_EXE_msn-handoff");

/// The binary with a home of its own and nothing of this machine's settings.
fn command(home: &Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(BINARY);
    command
        .current_dir(home)
        .env("HOME", home)
        .env("COLUMNS", "100")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("MSN_HANDOFF_LOG")
        .write_stdin("");
    command
}

/// What it says on standard error when it ends with that code.
fn complaint(home: &Path, args: &[&str], code: i32) -> String {
    let done = command(home).args(args).assert().code(code);
    assert_eq!(done.get_output().stdout, b"", "{args:?}");
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

#[test]
fn help_is_for_people() {
    let home = tempfile::tempdir().unwrap();
    let mut pages = String::new();
    for args in [
        &["--help"][..],
        &["proxy", "--help"],
        &["bridges", "--help"],
        &["decode", "--help"],
        &["doctor", "--help"],
        &["demo", "--help"],
        &["stdio", "--help"],
    ] {
        let done = command(home.path()).args(args).assert().success();
        let page = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        pages.push_str(&format!("$ msn-handoff {}\n{page}\n", args.join(" ")));
    }
    insta::assert_snapshot!(pages);
}

#[test]
fn wrong_usage_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&[][..], "Usage: msn-handoff"),
        (&["proxy"], "say --server HOST:PORT"),
        (&["proxy", "--listen", "1863"], "--listen"),
        (&["proxy", "--announce", "home"], "--announce"),
        (&["call"], "call"),
        (&["--log", "a=b=c", "bridges"], "--log"),
    ] {
        let said = complaint(home.path(), args, 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn a_wrong_configuration_ends_with_6_and_its_place() {
    let home = tempfile::tempdir().unwrap();
    let named = home.path().join("mine.toml");
    fs::write(&named, "# mine\n[proxy]\n\nserver = 5\n").unwrap();
    let named = named.to_str().unwrap();
    let said = complaint(home.path(), &["--config", named, "proxy"], 6);
    assert!(said.contains(&format!("{named}:4: ")), "{said}");
    assert!(said.contains("proxy.server"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let missing = complaint(home.path(), &["--config", "none.toml", "proxy"], 6);
    assert!(missing.contains("none.toml"), "{missing}");

    let folder = home.path().join(".config/msn-handoff");
    fs::create_dir_all(&folder).unwrap();
    let usual = folder.join("config.toml");
    fs::write(&usual, "[call]\nwait = 99\n").unwrap();
    let said = complaint(home.path(), &["proxy", "--server", "127.0.0.1:9"], 6);
    assert!(said.contains(&format!("{}:2: ", usual.display())), "{said}");
}

#[test]
fn a_wrong_bridge_file_ends_with_6_and_its_place() {
    let home = tempfile::tempdir().unwrap();
    let bridges = home.path().join(".config/msn-handoff/bridges");
    fs::create_dir_all(&bridges).unwrap();
    let file = bridges.join("chess.toml");
    fs::write(&file, "id = \"chess\"\nnme = \"chess\"\n").unwrap();
    for args in [
        &[
            "proxy",
            "--server",
            "127.0.0.1:9",
            "--announce",
            "127.0.0.1",
        ][..],
        &["bridges"],
    ] {
        let said = complaint(home.path(), args, 6);
        assert!(said.contains(&format!("{}:2", file.display())), "{said}");
    }
}

#[test]
fn an_invitation_is_explained_and_nonsense_is_not() {
    let home = tempfile::tempdir().unwrap();
    let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/O3.msg");
    let vector = fs::read(vector).unwrap();
    let done = command(home.path())
        .arg("decode")
        .write_stdin(vector)
        .assert()
        .success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(said.contains("24443504"), "{said}");
    command(home.path())
        .arg("decode")
        .write_stdin("good morning")
        .assert()
        .code(1);
}

#[tokio::test]
async fn a_port_that_is_taken_ends_with_1_and_a_sentence() {
    let taken = socket::tcp_listen((Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let args = ["proxy", "--server", "127.0.0.1:9", "--listen", &at];
    let said = complaint(home.path(), &args, 1);
    assert!(said.contains(&format!("cannot listen on {at}: ")), "{said}");
}

/// The proxy, started for real. Its log tells where it listens.
async fn proxy(home: &Path, server: SocketAddr) -> (Child, SocketAddr) {
    let server = server.to_string();
    let args = [
        "--log",
        "info",
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--server",
        &server,
        "--announce",
        "127.0.0.1",
    ];
    let mut child = Child::start(BINARY, args, home);
    child.printed(" ready listen=").await;
    let at = child
        .output()
        .split_once(" ready listen=")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    (child, at.unwrap())
}

#[tokio::test]
async fn the_proxy_says_where_it_listens_serves_and_ends_when_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(ServerSettings::default()).await.unwrap();
        let (mut child, at) = proxy(home.path(), server.ns_addr()).await;
        assert!(at.ip().is_loopback() && at.port() != 0, "{at}");
        let (ann, mut window) = Client::login(ClientSettings::new(at, "ann@example.com"))
            .await
            .unwrap();
        let settings = ClientSettings::new(server.ns_addr(), "bob@example.com");
        let (bob, _) = Client::login(settings).await.unwrap();
        bob.send_text("ann@example.com", "good morning")
            .await
            .unwrap();
        within("the line", async {
            while window.recv().await.unwrap().text().as_deref() != Some("good morning") {}
        })
        .await;
        child.signal(signal);
        assert_eq!(child.wait().await, Some(0), "{}", child.output());
        within("the end of the client", async {
            while window.recv().await.unwrap() != ClientEvent::SignedOut {}
        })
        .await;
        let log = child.output();
        assert!(!log.contains('\u{1b}'), "colours in a file: {log:?}");
        assert!(!log.contains("good morning"), "chat in the log: {log}");
        ann.sign_out().await;
        bob.sign_out().await;
        server.stop().await;
    }
}
