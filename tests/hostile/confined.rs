//! Confined programs, through our own binary as every program is started: what they cannot read or write,
//! what they can, and that they end as they would without.

#![allow(clippy::disallowed_methods, reason = "a test's own programs")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    killed::{file, said, until},
    support::{namespace::alone, sides::BOB},
    wire::{Stage, listener, within},
};

/// A home with a secret, and what one program may reach of it.
struct Home {
    home: TempDir,
    reads: Vec<String>,
    writes: Vec<String>,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("secret"), "the key").unwrap();
        fs::create_dir(home.path().join("own")).unwrap();
        let system = ["/bin", "/usr", "/lib", "/lib64", "/etc", "/proc"].map(str::to_owned);
        Self {
            reads: system.to_vec(),
            writes: vec!["/dev".into(), home.path().join("own").display().to_string()],
            home,
        }
    }

    fn at(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Our binary, as it is started to become that program.
    fn becoming(&self, program: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_msn-handoff"));
        command
            .args([
                "become-program",
                &std::process::id().to_string(),
                "confined",
            ])
            .args(&self.reads)
            .arg("--")
            .args(&self.writes)
            .arg("--")
            .args(program);
        command
    }

    fn output(&self, program: &[&str]) -> Output {
        self.becoming(program).output().unwrap()
    }
}

/// Whether the kernel can do it. With `CI=true` it must.
fn can() -> bool {
    let can = msn_handoff::launch::can_confine();
    assert!(
        can || std::env::var("CI").as_deref() != Ok("true"),
        "this kernel has no Landlock"
    );
    can
}

#[test]
fn a_confined_program_reads_and_writes_what_it_may_and_nothing_else() {
    if !can() {
        return;
    }
    let home = Home::new();
    let (secret, own) = (home.at("secret"), home.at("own/file"));
    let read = home.output(&["/bin/cat", &secret]);
    assert!(!read.status.success());
    assert!(String::from_utf8_lossy(&read.stderr).contains("Permission denied"));
    // Not by another name, and not by what it starts.
    for script in [
        format!("cat < {secret}"),
        format!("cp {secret} {own}"),
        format!("ln {secret} {own} && cat {own}"),
        format!("ln -s {secret} {own}.link && cat {own}.link"),
        format!("ls {}", home.home.path().display()),
        format!("echo x > {secret}"),
        format!("rm {secret}"),
        format!("echo x > {}", home.at("new")),
        "echo x > /etc/msn-handoff-test".to_owned(),
    ] {
        let done = home.output(&["/bin/sh", "-c", &script]);
        assert!(!done.status.success(), "{script}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the key");

    let script = format!("echo kept > {own} && cat {own} && head -c 1 /dev/zero >/dev/null");
    let done = home.output(&["/bin/sh", "-c", &script]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(done.stdout, b"kept\n");
    // The same without being confined: it is the confinement that says no.
    let free = Command::new("/bin/cat").arg(&secret).output().unwrap();
    assert_eq!(free.stdout, b"the key");
}

#[test]
fn a_confined_program_ends_as_it_would_and_ends_nobody_else() {
    if !can() {
        return;
    }
    let home = Home::new();
    let code = home.output(&["/bin/sh", "-c", "exit 7"]).status;
    assert_eq!(code.code(), Some(7));
    let signal = home.output(&["/bin/sh", "-c", "kill -9 $$"]).status;
    assert_eq!(signal.signal(), Some(9));
    // It tidies up when it is told to end.
    let file = home.at("own/tidied");
    let script = format!("trap 'echo yes > {file}; exit 0' TERM; kill $$; exit 1");
    assert!(home.output(&["/bin/sh", "-c", &script]).status.success());
    assert_eq!(fs::read_to_string(file).unwrap(), "yes\n");
    // We are its parent, of the same user.
    let other = format!("kill -0 {}", std::process::id());
    let free = Command::new("/bin/sh").args(["-c", &other]).status();
    assert!(free.unwrap().success());
    let done = home.output(&["/bin/sh", "-c", &other]);
    let since_6_12 = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = since_6_12.split('.').map_while(|n| n.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) >= (Some(6), Some(12)) {
        assert!(!done.status.success(), "it could end us");
    }
}

const BRIDGE: &str = r#"
id = "netmeeting"
name = "NetMeeting"
guids = ["{44BBA842-CC51-11CF-AAFA-00AA00B6015C}"]
announce = "NetMeeting"
[negotiation]
port = { fixed = 1720, transport = "tcp" }
[[handoff]]
name = "a program"
adapter = "call"
role = "invitee"
wait = 0
run = ["PROGRAM", "{peer.ip}"]
confine = true
reach = ["~/said"]
"#;

/// Says what it sees of the home, where it may write.
const PROGRAM: &str = "#!/bin/sh
{ cat ~/secret || echo hidden; : > \"$TMPDIR/mine\" && echo written; } > ~/said/new 2>&1
mv ~/said/new ~/said/all
";

#[test]
fn a_program_is_confined_as_its_bridge_says_unless_that_is_switched_off() {
    if !can() {
        return;
    }
    alone(async || {
        for (unconfined, expected) in [(false, "hidden"), (true, "the key")] {
            let home = tempfile::tempdir().unwrap();
            let at = |name: &str| home.path().join(name);
            fs::write(at("secret"), "the key\n").unwrap();
            for folder in ["said", "bin", "run", ".config/msn-handoff/bridges"] {
                fs::create_dir_all(at(folder)).unwrap();
            }
            fs::set_permissions(at("run"), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(at("bin/program"), PROGRAM).unwrap();
            fs::set_permissions(at("bin/program"), fs::Permissions::from_mode(0o755)).unwrap();
            let bridge = BRIDGE.replace("PROGRAM", at("bin/program").to_str().unwrap());
            fs::write(at(".config/msn-handoff/bridges/netmeeting.toml"), bridge).unwrap();
            let config = format!("unconfined = {unconfined}\n[consent]\ndefault = \"allow\"\n");
            fs::write(at(".config/msn-handoff/config.toml"), config).unwrap();
            let server = listener().await;
            let mut ours = tokio::process::Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
                .env("HOME", home.path())
                .env("XDG_RUNTIME_DIR", at("run"))
                .env_remove("XDG_CONFIG_HOME")
                .env_remove("DBUS_SESSION_BUS_ADDRESS")
                .args([
                    "proxy",
                    "--listen",
                    "127.0.0.1:0",
                    "--announce",
                    "127.0.0.1",
                ])
                .arg("--server")
                .arg(server.local_addr().unwrap().to_string())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(ours.stdout.take().unwrap()).lines();
            let line = within("where it listens", lines.next_line()).await;
            let line = line.unwrap().unwrap();
            let door = line.split(' ').nth(4).unwrap().parse().unwrap();
            let mut stage = Stage::new(door, &server).await;
            let (_client, mut bob) = stage.talking(BOB).await;
            let guid = "Application-GUID: {44BBA842-CC51-11CF-AAFA-00AA00B6015C}\r\n";
            bob.says(&said("INVITE", &format!("{guid}Session-Protocol: SM1\r\n")))
                .await;
            until(&mut bob, "Invitation-Command: ACCEPT").await;
            let accept = "Launch-Application: TRUE\r\nIP-Address: 127.0.0.1\r\n";
            bob.says(&said("ACCEPT", accept)).await;
            let told = file(&at("said/all")).await;
            assert!(told.contains(expected), "{unconfined}: {told}");
            assert!(unconfined || told.contains("written"), "{told}");
            ours.start_kill().unwrap();
            within("our end", ours.wait()).await.unwrap();
        }
    });
}

/// Every program of ours that opens what a stranger sent is confined.
#[test]
fn players_and_phones_that_we_ship_bridges_for_are_confined() {
    let registry = msn_handoff::bridge::Registry::load(&[]).unwrap();
    let mut confined: Vec<String> = registry
        .iter()
        .flat_map(|bridge| &bridge.handoffs)
        .filter(|handoff| handoff.confined.is_some())
        .filter_map(|handoff| handoff.program().map(str::to_owned))
        .collect();
    confined.sort();
    confined.dedup();
    insta::assert_snapshot!(confined.join(" "), @"baresip ffplay gst-launch-1.0 linphonec mpv vlc xfreerdp xfreerdp3");
    for bridge in registry.iter() {
        for handoff in &bridge.handoffs {
            let program = handoff.program();
            if program.is_some_and(|program| confined.iter().any(|one| one == program)) {
                assert!(
                    handoff.confined.is_some(),
                    "{}: {}",
                    bridge.application.name,
                    handoff.name
                );
            }
        }
    }
}
