//! Confined programs, through our own binary as every program is started: what they cannot read or write,
//! what they can, and that they end as they would without.

#![allow(clippy::disallowed_methods, reason = "a test's own programs")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use msn_handoff::launch::{
    self, Confinement, Confines, Exit, Plan, Program, Ready, Stop, confines, programs_start_through,
};
use tempfile::{TempDir, tempdir_in};

use crate::{
    killed::{file, handed_over},
    support::{self, child::Child, namespace::alone},
    wire::{listener, within},
};

/// A folder with a secret, and one that a program may write.
struct Place {
    folder: TempDir,
    own: PathBuf,
}

impl Place {
    fn new(folder: &str) -> Self {
        let folder = tempdir_in(folder).unwrap();
        fs::write(folder.path().join("secret"), "the key").unwrap();
        let own = folder.path().join("own");
        fs::create_dir(&own).unwrap();
        Self { folder, own }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A program as a bridge would start it, confined or not.
    fn plan(&self, program: &[&str], confined: bool) -> Plan {
        Plan {
            name: "a program".into(),
            program: program[0].into(),
            args: program[1..].iter().map(Into::into).collect(),
            env: Vec::new(),
            dir: None,
            confined: confined.then(|| Confinement {
                writes: vec![self.own.clone()],
                ..Confinement::default()
            }),
            ready: Ready::Started,
            ready_within: Duration::from_secs(20),
            stop: Stop {
                words: None,
                grace: Duration::from_secs(1),
            },
        }
    }

    /// How it ends, and what it says.
    async fn ended(&self, program: &[&str], confined: bool) -> (Exit, String) {
        let mut program = launch::start(&self.plan(program, confined)).unwrap();
        within("its end", program.wait()).await;
        let exit = program.stop().await;
        (exit, program.last_words())
    }

    /// What a confined program may do goes well, or what it may not fails.
    async fn script(&self, script: &str, succeeds: bool) {
        let (exit, said) = self.ended(&["/bin/sh", "-c", script], true).await;
        assert_eq!(exit.code == Some(0), succeeds, "{script}: {exit}, {said}");
    }
}

/// Whether the kernel can do it. With `CI=true` it must.
fn can() -> bool {
    programs_start_through(env!("CARGO_BIN_EXE_msn-handoff").into());
    let can = launch::can_confine();
    assert!(
        can || std::env::var("CI").as_deref() != Ok("true"),
        "this kernel has no Landlock"
    );
    can
}

#[tokio::test]
async fn a_confined_program_reads_and_writes_what_it_may_and_nothing_else() {
    if !can() {
        return;
    }
    let folders = ["/tmp", "/var/tmp", "/dev/shm"];
    for folder in folders.iter().filter(|folder| Path::new(folder).is_dir()) {
        let place = Place::new(folder);
        let (secret, own) = (place.at("secret"), place.at("own/file"));
        let (exit, said) = place.ended(&["/bin/cat", &secret], true).await;
        assert_ne!(exit.code, Some(0), "{secret}");
        assert!(said.contains("Permission denied"), "{said}");
        // Not by another name, and not by what it starts.
        for script in [
            format!("cat < {secret}"),
            format!("cp {secret} {own}"),
            format!("ln {secret} {own} && cat {own}"),
            format!("ln -s {secret} {own}.link && cat {own}.link"),
            format!("ls {}", place.folder.path().display()),
            format!("echo x > {secret}"),
            format!("rm {secret}"),
            format!("mv {secret} {own}"),
            format!("echo x > {}", place.at("new")),
            "echo x > /etc/msn-handoff-test".to_owned(),
            "echo x > /dev/msn-handoff-test".to_owned(),
        ] {
            place.script(&script, false).await;
        }
        if confines() == Confines::Wholly && support::have(&["perl"]) {
            let empty = format!("perl -e 'truncate($ARGV[0], 0) or die $!' {secret}");
            place.script(&empty, false).await;
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "the key");
        let all = format!(
            "echo kept > {own} && cat {own} && mkdir {own}.d && mv {own} {own}.d/file \
             && head -c 1 /dev/zero > /dev/null && ls /usr /etc > /dev/null"
        );
        place.script(&all, true).await;
        // The same without being confined: it is the confinement that says no.
        let (_, said) = place.ended(&["/bin/cat", &secret], false).await;
        assert_eq!(said.trim(), "the key");
    }
}

/// In a terminal somebody types: commands, passwords.
#[tokio::test]
async fn a_confined_program_writes_into_no_terminal() {
    if !can() || !support::have(&["script"]) {
        return;
    }
    let place = Place::new("/tmp");
    let arguments = ["-qfc", "tty; exec sleep 60", "/dev/null"];
    let mut script = Child::start("script", arguments, place.folder.path());
    let terminal = support::until("the terminal", || {
        let said = script.output();
        let (line, _) = said.split_once('\n')?;
        Some(line.trim().to_owned())
    })
    .await;
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let write = format!("echo x > {terminal}");
    place.script(&write, false).await;
    let (exit, _) = place.ended(&["/bin/sh", "-c", &write], false).await;
    assert_eq!(exit.code, Some(0));
    script.terminate().await;
}

#[tokio::test]
async fn a_confined_program_ends_as_it_would_and_ends_nobody_else() {
    if !can() {
        return;
    }
    let place = Place::new("/tmp");
    for confined in [true, false] {
        let ends = async |script: &str| place.ended(&["/bin/sh", "-c", script], confined).await.0;
        assert_eq!(ends("exit 7").await.code, Some(7));
        assert_eq!(ends("kill -9 $$").await.signal, Some(9));
        // It tidies up when it is told to end, and is ended when it does not listen.
        let tidied = place.at("own/tidied");
        let tidies = format!("trap 'echo yes > {tidied}; exit 3' TERM");
        for (trap, code, signal) in [
            (tidies.as_str(), Some(3), None),
            ("trap '' TERM", None, Some(9)),
            ("true", None, Some(15)),
        ] {
            let script = format!("{trap}; echo up; while :; do sleep 1; done");
            let mut plan = place.plan(&["/bin/sh", "-c", &script], confined);
            plan.ready = Ready::Output("up".into());
            let mut program: Program = launch::start(&plan).unwrap();
            program.ready().await.unwrap();
            let exit = program.stop().await;
            assert_eq!((exit.code, exit.signal), (code, signal), "{script}");
        }
        assert_eq!(fs::read_to_string(&tidied).unwrap(), "yes\n");
        fs::remove_file(&tidied).unwrap();
    }
    // We are its parent, of the same user.
    let other = format!("kill -0 {}", std::process::id());
    let (free, _) = place.ended(&["/bin/sh", "-c", &other], false).await;
    assert_eq!(free.code, Some(0));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) >= (Some(6), Some(12)) {
        place.script(&other, false).await;
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
mkdir -p ~/said
{ cat ~/secret || echo hidden; : > \"$TMPDIR/mine\" && echo written; } > ~/said/new 2>&1
mv ~/said/new ~/said/all
";

/// A user's own word on the bridge, in `netmeeting.d`.
const AMENDED: &str = "[[handoff]]\nname = \"a program\"\nconfine = false\n";

/// What the program says that is started for this home.
async fn told(home: &Path) -> String {
    let at = |name: &str| home.join(name);
    let server = listener().await;
    let mut ours = tokio::process::Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .env("HOME", home)
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
    let _talking = handed_over(&mut ours, &server).await;
    let told = file(&at("said/all")).await;
    ours.start_kill().unwrap();
    within("our end", ours.wait()).await.unwrap();
    told
}

#[test]
fn a_program_is_confined_as_its_bridge_says_unless_that_is_switched_off() {
    if !can() {
        return;
    }
    alone(async || {
        // Not where everything is hidden anyway, and its name does not say where it is.
        let elsewhere = env!("CARGO_TARGET_TMPDIR");
        for (behind_a_link, unconfined, amended, expected) in [
            (false, false, "", "hidden"),
            (true, false, "", "hidden"),
            (false, true, "", "the key"),
            (false, false, AMENDED, "the key"),
        ] {
            let folder = tempdir_in(elsewhere).unwrap();
            let links = tempfile::tempdir().unwrap();
            let link = links.path().join("home");
            symlink(folder.path(), &link).unwrap();
            let home = if behind_a_link { &link } else { folder.path() };
            let at = |name: &str| home.join(name);
            fs::write(at("secret"), "the key\n").unwrap();
            for folder in ["bin", "run", ".config/msn-handoff/bridges/netmeeting.d"] {
                fs::create_dir_all(at(folder)).unwrap();
            }
            fs::set_permissions(at("run"), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(at("bin/program"), PROGRAM).unwrap();
            fs::set_permissions(at("bin/program"), fs::Permissions::from_mode(0o755)).unwrap();
            let bridges = at(".config/msn-handoff/bridges");
            let bridge = BRIDGE.replace("PROGRAM", at("bin/program").to_str().unwrap());
            fs::write(bridges.join("netmeeting.toml"), bridge).unwrap();
            fs::write(bridges.join("netmeeting.d/mine.toml"), amended).unwrap();
            let config = format!("unconfined = {unconfined}\n[consent]\ndefault = \"allow\"\n");
            fs::write(at(".config/msn-handoff/config.toml"), config).unwrap();
            let told = told(home).await;
            let what = format!("link: {behind_a_link}, off: {unconfined}, {amended:?}: {told}");
            assert!(told.contains(expected), "{what}");
            assert!(expected != "hidden" || told.contains("written"), "{what}");
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
