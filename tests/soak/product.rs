//! The binary as people run it, in a home of its own whose recordings are on a small disk, and what it
//! has taken of the machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use msn_handoff::endpoint::socket;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::{
    hosts::MACHINE,
    people::People,
    support::{sound, within},
};

/// The address that contacts are told.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Short, so that people who say nothing are met often.
const CONFIG: &str = r#"
unknown = "record"
[consent]
default = "ask"
[[consent.rule]]
contact = "rule@example.com"
decision = "allow"
[timers]
offer = 4
invite = 4
prepare = 10
accept = 4
[limits]
offers-per-minute = 10000
"#;

/// Files sent by a program that listens and one that calls.
const DROP_BOX: &str = r#"
id = "drop-box"
name = "a file for you"
guids = ["{6F1D7A52-93B4-4E0C-8B57-2C6A1F0E9D31}"]
announce = "Drop box"
[negotiation]
address = "ip:port"
listens = "invitee"
[[handoff]]
name = "the letter box"
adapter = "listen"
run = ["socat", "-u", "TCP-LISTEN:{own.port},bind={own.ip}", "OPEN:/dev/null"]
[[handoff]]
name = "the postman"
adapter = "call"
run = ["socat", "-u", "OPEN:/etc/hostname", "TCP:{peer.ip}:{peer.port}"]
"#;

/// A port of a machine of ours.
const VIRTUAL_MACHINE: &str = r#"
id = "virtual-machine"
name = "a virtual machine"
guids = ["{7F1D7A52-93B4-4E0C-8B57-2C6A1F0E9D31}"]
announce = "a virtual machine"
[negotiation]
listens = "both"
[[handoff]]
name = "the virtual machine"
adapter = "forward-tcp"
ports = "MACHINE_PORT"
to = "MACHINE"
idle = 20
"#;

/// Programs that stand for those that are not here: what happens before and after is real.
const STUBS: [(&str, &str); 8] = [
    (
        "jedi-knight",
        r#"
[[handoff]]
name = "a game"
adapter = "quake3"
run = ["sleep", "6"]
ports = "29070"
protocols = [26]
"#,
    ),
    ("baldurs-gate-2", DIRECTPLAY),
    ("mechwarrior-mercenaries", DIRECTPLAY),
    ("remote-assistance", HELP),
    ("remote-assistance-offer", HELP),
    (
        "application-sharing",
        r#"
[[handoff]]
name = "NetMeeting"
adapter = "t120"
role = "invitee"
run = ["socat", "-u", "TCP-LISTEN:{agent.port},bind=127.0.0.1,fork", "OPEN:/dev/null"]
"#,
    ),
    (
        "webcam",
        r#"
[[handoff]]
name = "a player"
adapter = "rtp"
run = ["sleep", "6"]
ready = "started"
requires.files = ["DESKTOP"]
"#,
    ),
    ("voice", PHONE),
];

const DIRECTPLAY: &str = r#"
[[handoff]]
name = "into the session"
adapter = "directplay"
role = "invitee"
run = ["GAME", "{session.guid}"]
[[handoff]]
name = "a game"
adapter = "directplay"
run = ["sleep", "6"]
"#;

const HELP: &str = r#"
[[handoff]]
name = "FreeRDP"
adapter = "remote-assistance"
run = ["GAME", "{ticket}"]
confine = true
"#;

/// baresip without a sound card: it plays a file, and what it hears goes nowhere. It is there as long as
/// the desktop is; without it the built-in agent takes calls.
const PHONE: &str = r#"
[[handoff]]
name = "a phone"
adapter = "sip"
run = ["baresip", "-4", "-f", "{dir}"]
confine = true
agent = "sip:handoff@127.0.0.1:{agent.port}"
requires.files = ["DESKTOP"]
[handoff.files]
contacts = ""
accounts = """
<sip:handoff@127.0.0.1:{agent.port}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1
"""
config = """
poll_method epoll
sip_listen 127.0.0.1:{agent.port}
net_interface 127.0.0.1
call_max_calls 1
audio_source aufile,{path.says}
audio_player aubridge,sink
audio_alert aubridge,alert
module_path {path.modules}
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
"""
[handoff.paths]
says = ["SAYS"]
modules = [
  "/usr/lib/baresip/modules",
  "/usr/lib/x86_64-linux-gnu/baresip/modules",
  "/usr/lib/aarch64-linux-gnu/baresip/modules",
  "/usr/lib64/baresip/modules",
  "/usr/local/lib/baresip/modules",
]
"#;

/// The running program.
pub(crate) struct Product {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) door: SocketAddr,
    home: TempDir,
    /// What its log says is wrong.
    wrong: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
}

/// What it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// What its descriptors are, how many of each.
    pub(crate) descriptors: BTreeMap<String, usize>,
    threads: usize,
    tasks: u64,
    /// Where it listens.
    ports: BTreeSet<String>,
    children: Vec<String>,
    files: Vec<String>,
    /// Resident, kB.
    pub(crate) memory: u64,
}

impl Product {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let bridges = at("config/msn-handoff/bridges");
        let says = at("says.wav");
        sound::write_tone(&says, 440.0, 20.0);
        let words = [
            ("DESKTOP", at("desktop").display().to_string()),
            ("GAME", at("game").display().to_string()),
            ("SAYS", says.display().to_string()),
            ("MACHINE_PORT", MACHINE.1.to_string()),
            ("MACHINE", MACHINE.0.to_string()),
        ];
        let filled = |text: &str| {
            let fill = |text: String, (word, with): &(&str, String)| text.replace(word, with);
            words.iter().fold(text.to_owned(), fill)
        };
        for (id, text) in STUBS {
            let folder = bridges.join(format!("{id}.d"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("soak.toml"), filled(text)).unwrap();
        }
        fs::write(bridges.join("drop-box.toml"), DROP_BOX).unwrap();
        fs::write(
            bridges.join("virtual-machine.toml"),
            filled(VIRTUAL_MACHINE),
        )
        .unwrap();
        fs::write(at("desktop"), "").unwrap();
        // What is given to it is of no interest.
        fs::write(at("game"), "#!/bin/sh\nexec sleep 6\n").unwrap();
        fs::set_permissions(at("game"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(at("config/msn-handoff/config.toml"), CONFIG).unwrap();
        for folder in ["data", "run", "tmp"] {
            fs::create_dir(at(folder)).unwrap();
        }
        // The small disk is seen by this process and its children only, and goes with them.
        let script = "mount -t tmpfs -o size=256k,mode=700 none \"$XDG_DATA_HOME\" && exec \"$@\"";
        let mut child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(std::env::var("SOAK_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_msn-handoff").into()))
            .args([
                "--log",
                "info",
                "proxy",
                "--listen",
                "127.0.0.1:0",
                "--announce",
                "127.0.0.1",
            ])
            .args(["--server", &server.to_string()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", at("config"))
            .env("XDG_DATA_HOME", at("data"))
            .env("XDG_RUNTIME_DIR", at("run"))
            .env("TMPDIR", at("tmp"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{}.log", std::process::id()));
        eprintln!("soak: its log is {}", log.display());
        let wrong = Arc::default();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        tokio::spawn(keep(
            errors,
            fs::File::create(&log).unwrap(),
            Arc::clone(&wrong),
        ));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("where it listens", lines.next_line()).await;
        let line = line.unwrap().expect("where it listens");
        Self {
            pid: child.id().unwrap(),
            child,
            door: line.split(' ').nth(4).unwrap().parse().unwrap(),
            home,
            wrong,
            log,
        }
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.home.path().join("run/msn-handoff/control")
    }

    /// The small disk, as the program sees it.
    pub(crate) fn disk(&self) -> PathBuf {
        let data = self.home.path().join("data");
        PathBuf::from(format!("/proc/{}/root{}", self.pid, data.display()))
    }

    /// Takes the phone and the player away, or brings them back.
    pub(crate) fn change_desktop(&self) {
        let desktop = self.home.path().join("desktop");
        if fs::remove_file(&desktop).is_err() {
            fs::write(desktop, "").unwrap();
        }
    }

    /// Removes what was kept: the next round begins with room on the disk, and with the phone.
    pub(crate) fn make_room(&self) {
        fs::write(self.home.path().join("desktop"), "").unwrap();
        let kept = self.disk();
        for entry in fs::read_dir(kept).unwrap().flatten() {
            let path = entry.path();
            let gone = match path.is_dir() {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            };
            gone.unwrap();
        }
    }

    /// Its children and theirs, with what they are called.
    pub(crate) fn children(&self) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        let mut open = vec![self.pid];
        while let Some(pid) = open.pop() {
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                for child in children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse().ok())
                {
                    let name =
                        fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                    found.push((child, name.trim().to_owned()));
                    open.push(child);
                }
            }
        }
        found
    }

    /// How many tasks it says that it has.
    async fn tasks(&self) -> u64 {
        let stream = socket::unix_connect(&self.control()).await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"{\"verb\":\"list\"}\n").await.unwrap();
        let mut lines = stream.lines();
        let (_hello, list) = (lines.next_line().await, lines.next_line().await);
        let list: Value = serde_json::from_str(&list.unwrap().unwrap()).unwrap();
        list["ok"]["tasks"].as_u64().unwrap()
    }

    async fn taken(&self) -> Taken {
        let tasks = self.tasks().await;
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(process.join("fd")).unwrap().flatten() {
            let is = fs::read_link(entry.path()).unwrap_or_default();
            let is = is.to_string_lossy();
            // Without the number of a socket.
            let kind = is.split(':').next().unwrap_or_default().to_owned();
            *descriptors.entry(kind).or_insert(0) += 1;
        }
        let status = fs::read_to_string(process.join("status")).unwrap();
        let number = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split_whitespace()
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let mut files = Vec::new();
        for folder in ["run", "tmp"] {
            listed(&self.home.path().join(folder), &mut files);
        }
        files.sort();
        Taken {
            descriptors,
            threads: usize::try_from(number("Threads:")).unwrap(),
            tasks,
            ports: self.ports(),
            children: self.children().into_iter().map(|(_, name)| name).collect(),
            files,
            memory: number("VmRSS:"),
        }
    }

    /// What it has when it has come to rest: as much as it had then.
    pub(crate) async fn at_rest(
        &self,
        people: &People,
        then: Option<&Taken>,
        within: Duration,
    ) -> Taken {
        let began = Instant::now();
        let mut seen = None;
        loop {
            people.close_windows().await;
            let now = self.taken().await;
            let quiet = now.children.is_empty();
            let same = match then {
                // The threads of what blocks are kept for ten seconds.
                Some(then) => {
                    now.descriptors == then.descriptors
                        && now.tasks == then.tasks
                        && now.ports == then.ports
                        && now.threads <= then.threads
                        && now.files == then.files
                }
                // The first time: it must not change any more.
                None => {
                    let as_before = seen.as_ref().is_some_and(|before: &Taken| {
                        before.descriptors == now.descriptors
                            && before.threads == now.threads
                            && before.tasks == now.tasks
                            && before.ports == now.ports
                    });
                    as_before && began.elapsed() > Duration::from_secs(12)
                }
            };
            if quiet && same {
                return now;
            }
            assert!(
                began.elapsed() < within,
                "it has not come to rest: {now:#?}\nit had {then:#?}\n{:?}",
                self.sockets()
            );
            seen = Some(now);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Its sockets, for whoever looks for the one too many.
    fn sockets(&self) -> String {
        let ss = std::process::Command::new("ss").args(["-tuanpH"]).output();
        let all = String::from_utf8_lossy(&ss.unwrap().stdout).into_owned();
        let its = format!("pid={},", self.pid);
        all.lines()
            .filter(|line| line.contains(&its))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Where it listens: TCP, and every UDP socket.
    fn ports(&self) -> BTreeSet<String> {
        let open = |line: &&str| line.starts_with("udp") || line.contains(" LISTEN ");
        let port = |line: &str| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.nth(3)?))
        };
        let sockets = self.sockets();
        sockets.lines().filter(open).filter_map(port).collect()
    }

    /// It has never panicked, nor called anything an error.
    pub(crate) fn check_log(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", self.log.display());
    }

    /// Told to end, it ends, and leaves nothing.
    pub(crate) async fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(self.pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = within("its end", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
        let _ = fs::remove_file(self.log);
    }
}

/// Writes the log down, and keeps what must not stand in it.
async fn keep(
    mut lines: Lines<BufReader<ChildStderr>>,
    mut into: fs::File,
    wrong: Arc<Mutex<Vec<String>>>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        writeln!(into, "{line}").unwrap();
        if line.contains("panicked") || line.contains("ERROR") {
            wrong.lock().unwrap().push(line);
        }
    }
}

fn listed(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        files.push(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            listed(&entry.path(), files);
        }
    }
}
