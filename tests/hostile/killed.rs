//! We are killed so that we can end nothing any more: the phone of the running call ends all the
//! same, and what it started, at once and not only at our next start.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    support::{namespace::alone, sides::BOB},
    wire::{Stage, Wire, listener, message, within},
};

const NETMEETING: &str = r#"
id = "netmeeting"
name = "NetMeeting"
guids = ["{44BBA842-CC51-11CF-AAFA-00AA00B6015C}"]
announce = "NetMeeting"
[negotiation]
port = { fixed = 1720, transport = "tcp" }
[[handoff]]
name = "a phone"
adapter = "call"
role = "invitee"
wait = 0
run = ["PHONE", "{peer.ip}"]
confine = CONFINED
reach = ["~/said"]
"#;

/// Starts others: one as everybody does, one that does not know any more whose it is, one in a session
/// of its own. Tells all numbers, and stays; deaf to everything that could be ignored.
const PHONE: &str = "#!/bin/sh
trap '' TERM HUP INT PIPE
sleep 600 & child=$!
env -i sleep 600 & bare=$!
setsid sleep 600 & stray=$!
cd ~/said
echo \"$$ $child $bare $stray $1\" > new
mv new all
while :; do sleep 1; done
";

/// Something that whoever started us left open.
const GIVEN: &str = "exec 9<\"$0\"; exec \"$@\"";

/// Ends them when the test fails.
struct Started(Vec<u32>);

impl Drop for Started {
    fn drop(&mut self) {
        for pid in self.0.iter().copied().filter(|pid| alive(*pid)) {
            let _ = kill_process(number(pid), Signal::KILL);
        }
    }
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn until_true(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn leads_a_session(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.split(' ').nth(5) == Some(pid.to_string().as_str())
}

/// The files that a process has open, by their numbers.
fn open(pid: u32) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let numbered = entries.filter_map(|entry| {
        let name = entry.file_name().to_str()?.parse().ok()?;
        Some((name, fs::read_link(entry.path()).ok()?))
    });
    let mut all: Vec<(u32, PathBuf)> = numbered.collect();
    all.sort();
    all
}

/// Who watches over that process.
async fn watcher(of: u32) -> u32 {
    until_true("a watcher", || watching(of).is_some()).await;
    watching(of).unwrap()
}

fn watching(of: u32) -> Option<u32> {
    let wanted = format!("\0watch-over\0{of}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.ends_with(&wanted)
    })
}

/// Waits for a file that comes whole.
pub(crate) async fn file(path: &Path) -> String {
    within("the phone", async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) => return text,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

pub(crate) fn said(command: &str, more: &str) -> String {
    let body = format!(
        "Invitation-Command: {command}\r\nInvitation-Cookie: 7\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n{more}\r\n"
    );
    message(BOB, "text/x-msmsgsinvite", &body)
}

/// Everything the peer is told until a message with that in it.
pub(crate) async fn until(wire: &mut Wire, wanted: &str) {
    use tokio::io::AsyncReadExt as _;
    let mut heard = String::new();
    while !heard.contains(wanted) {
        let mut byte = [0];
        within(wanted, wire.0.read_exact(&mut byte)).await.unwrap();
        heard.push(char::from(byte[0]));
    }
}

/// Bob invites the user of that program of ours to NetMeeting, which a rule accepts, and tells his
/// address.
pub(crate) async fn handed_over(ours: &mut Child, server: &TcpListener) -> (Stage, Wire, Wire) {
    let mut lines = BufReader::new(ours.stdout.take().unwrap()).lines();
    let line = within("where it listens", lines.next_line()).await;
    let line = line.unwrap().unwrap();
    let door = line.split(' ').nth(4).unwrap().parse().unwrap();
    let mut stage = Stage::new(door, server).await;
    let (client, mut bob) = stage.talking(BOB).await;
    let guid = "Application-GUID: {44BBA842-CC51-11CF-AAFA-00AA00B6015C}\r\n";
    bob.says(&said("INVITE", &format!("{guid}Session-Protocol: SM1\r\n")))
        .await;
    until(&mut bob, "Invitation-Command: ACCEPT").await;
    let accept = "Launch-Application: TRUE\r\nIP-Address: 127.0.0.1\r\n";
    bob.says(&said("ACCEPT", accept)).await;
    (stage, client, bob)
}

/// Our program in a home of its own, and a call of its phone.
struct Call {
    home: tempfile::TempDir,
    ours: Child,
    /// The phone, what it started as everybody does, without a mark, in a session of its own.
    started: Started,
    _ends: (TcpListener, Stage, Wire, Wire),
}

impl Call {
    async fn new(confined: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for folder in ["said", "bin", "msn-handoff/bridges"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("bin/phone"), PHONE).unwrap();
        fs::set_permissions(at("bin/phone"), fs::Permissions::from_mode(0o755)).unwrap();
        let bridge = NETMEETING
            .replace("PHONE", at("bin/phone").to_str().unwrap())
            .replace("CONFINED", &confined.to_string());
        fs::write(at("msn-handoff/bridges/netmeeting.toml"), bridge).unwrap();
        let config = "[consent]\ndefault = \"allow\"\n";
        fs::write(at("msn-handoff/config.toml"), config).unwrap();
        fs::write(at("given"), "").unwrap();
        let server = listener().await;
        #[allow(clippy::disallowed_methods, reason = "a test's own program")]
        let mut ours = Command::new("/bin/sh")
            .args(["-c", GIVEN])
            .arg(at("given"))
            .arg(env!("CARGO_BIN_EXE_msn-handoff"))
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .args([
                "proxy",
                "--listen",
                "127.0.0.1:0",
                "--announce",
                "127.0.0.1",
                "--server",
            ])
            .arg(server.local_addr().unwrap().to_string())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stage, client, bob) = handed_over(&mut ours, &server).await;
        let told = file(&at("said/all")).await;
        let (numbers, peer) = told.trim().rsplit_once(' ').unwrap();
        assert_eq!(peer, "127.0.0.1");
        let numbers = numbers.split(' ').map(|number| number.parse().unwrap());
        let started = Started(numbers.collect());
        let stray = started.0[3];
        until_true("its session", || leads_a_session(stray)).await;
        assert!(started.0.iter().all(|pid| alive(*pid)));
        Self {
            home,
            ours,
            started,
            _ends: (server, stage, client, bob),
        }
    }

    fn pid(&self) -> u32 {
        self.ours.id().unwrap()
    }
}

#[test]
fn when_we_are_killed_in_a_call_the_phone_ends_with_what_it_started() {
    alone(async || {
        for confined in [true, false] {
            let mut call = Call::new(confined).await;
            let watcher = watcher(call.pid()).await;
            until_true("a session", || leads_a_session(watcher)).await;
            let _watcher = Started(vec![watcher]);
            // With all that is in our group.
            kill_process_group(number(call.pid()), Signal::KILL).unwrap();
            within("our end", call.ours.wait()).await.unwrap();
            let all = &call.started.0;
            // What is not confined may leave behind what has a session of its own.
            let ending = if confined { all.as_slice() } else { &all[..3] };
            until_true("their end", || !ending.iter().any(|pid| alive(*pid))).await;
            until_true("the watcher's end", || !alive(watcher)).await;
            assert!(confined || alive(all[3]));
            let entries = fs::read_dir(call.home.path().join("msn-handoff/programs"));
            assert_eq!(entries.unwrap().count(), 0);
        }
    });
}

#[test]
fn when_we_end_in_order_nobody_stays_to_watch_and_nobody_else_is_ended() {
    alone(async || {
        let mut call = Call::new(false).await;
        let watcher = watcher(call.pid()).await;
        let _watcher = Started(vec![watcher]);
        kill_process(number(call.pid()), Signal::TERM).unwrap();
        let ended = within("our end", call.ours.wait()).await.unwrap();
        assert!(ended.success());
        until_true("the watcher's end", || !alive(watcher)).await;
        let all = &call.started.0;
        assert!(!all[..3].iter().any(|pid| alive(*pid)));
        assert!(alive(all[3]));
    });
}

#[test]
fn what_whoever_started_us_left_open_reaches_no_program() {
    alone(async || {
        let call = Call::new(false).await;
        let given = call.home.path().join("given");
        let has = |pid| open(pid).iter().any(|(_, path)| *path == given);
        assert!(has(call.pid()));
        let watcher = watcher(call.pid()).await;
        for pid in call.started.0.iter().copied().chain([watcher]) {
            assert!(!has(pid), "{:?}", open(pid));
        }
    });
}

/// Standard input, output and error, whatever was open.
#[tokio::test]
async fn a_program_has_three_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("given");
    fs::write(&file, "").unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test's own program")]
    let mut program = Command::new("/bin/sh")
        .args(["-c", "exec 3<\"$0\" 7<\"$0\" 9<\"$0\"; exec \"$@\""])
        .arg(&file)
        .arg(env!("CARGO_BIN_EXE_msn-handoff"))
        .args(["become-program", &std::process::id().to_string(), "free"])
        .args(["/bin/sleep", "600"])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = program.id().unwrap();
    let sleep = fs::metadata("/bin/sleep").unwrap().ino();
    let became = || fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|it| it.ino() == sleep);
    until_true("the program", became).await;
    // While it is being loaded it has the library's file open.
    let has_three = || {
        open(pid)
            .into_iter()
            .map(|(number, _)| number)
            .eq([0, 1, 2])
    };
    until_true("three descriptors and no other", has_three).await;
    program.kill().await.unwrap();
}
