//! A game that speaks DirectPlay. Neither a game nor a host can be installed by a test: Wine runs a
//! program of its own as "the game", registered by Wine itself, and the host is ours; Wireshark
//! says whether what the two exchange is DirectPlay.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use msn_handoff::{
    adapter::{Report, directplay::enumerate},
    endpoint::socket,
    negotiation::Role,
    wine::Prefix,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
};

use crate::{
    Running, address, bridge,
    support::{self, child::Child, namespace::alone, until, wireshark::dissected, within},
};

const BALDUR: &str = "{8DAE4336-2B71-11D4-9A6C-006067325E47}";
const BALDUR_BYTES: [u8; 16] = [
    0x36, 0x43, 0xae, 0x8d, 0x71, 0x2b, 0xd4, 0x11, 0x9a, 0x6c, 0x00, 0x60, 0x67, 0x32, 0x5e, 0x47,
];

/// An answer to EnumSessions (APPLICATIONS.md 5.2).
fn answer(application: [u8; 16], instance: u8, name: &str) -> Vec<u8> {
    let mut bytes = vec![0; 112];
    bytes[4..8].copy_from_slice(&[2, 0, 0x08, 0xfc]);
    bytes[20..28].copy_from_slice(b"play\x01\0\x0e\0");
    bytes[28] = 0x50;
    bytes[36..52].copy_from_slice(&[instance; 16]);
    bytes[52..68].copy_from_slice(&application);
    (bytes[68], bytes[72], bytes[108]) = (6, 2, 0x5c);
    bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    let size = 0xfab0_0000 | u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// A host in the game's menus: from now on its sessions are told.
struct Host {
    at: Ipv4Addr,
    listener: TcpListener,
}

impl Host {
    async fn new(at: Ipv4Addr) -> Self {
        let listener = socket::tcp_listen((at, 47_624).into()).await.unwrap();
        Self { at, listener }
    }

    /// The next question, and where its answer goes.
    async fn asked(&self) -> (Vec<u8>, (Ipv4Addr, u16)) {
        let accepted = within("a question", self.listener.accept());
        let (mut stream, from) = accepted.await.unwrap();
        let mut question = vec![0; enumerate::QUESTION];
        let read = stream.read_exact(&mut question);
        within("the whole question", read).await.unwrap();
        let port = u16::from_be_bytes([question[6], question[7]]);
        let std::net::IpAddr::V4(ip) = from.ip() else {
            panic!("{from}")
        };
        (question, (ip, port))
    }
}

/// Connects from a given address, as another machine would.
async fn tell(from: Ipv4Addr, to: (Ipv4Addr, u16), bytes: &[u8]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to.into()).await.unwrap();
    // Who is turned away may be told so before all is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

#[test]
fn wireshark_reads_the_question_and_the_answer() {
    alone(async || {
        if !support::have(&["tshark", "text2pcap"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let question = enumerate::question(BALDUR_BYTES, 2301);
        let fields = [
            "dplay.size",
            "dplay.saddr.port",
            "dplay.command",
            "dplay.dialect.version",
            "dplay.type02.all",
            "dplay.type02.game.guid",
            "_ws.malformed",
        ];
        let guid = "3643ae8d-712b-d411-9a6c-006067325e47";
        assert_eq!(
            dissected(dir.path(), 47_624, &question, &fields).await,
            format!("52|2301|0x0002|0x000e|1|{guid}|")
        );
        let fields = [
            "dplay.command",
            "dplay.game.guid",
            "dplay.sess_desc.max_players",
            "dplay.sess_desc.curr_players",
            "dplay.type_01.game_name",
            "_ws.malformed",
        ];
        let answer = answer(BALDUR_BYTES, 7, "Bob's game");
        assert_eq!(
            dissected(dir.path(), 2301, &answer, &fields).await,
            format!("0x0001|{guid}|6|2|Bob's game|")
        );
        assert_eq!(enumerate::answer(&answer).unwrap().name, "Bob's game");
    });
}

/// A prefix in which Wine registered its command interpreter as the game.
async fn prefix(dir: &Path) -> PathBuf {
    let prefix = dir.join("prefix");
    let set = format!("WINEPREFIX={}", prefix.display());
    let quiet = ["WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml="];
    let wine = async |program: &str, arguments: &[&str]| {
        let all = [&["-u", "DISPLAY", &set], &quiet[..], &[program], arguments].concat();
        let code = Child::start("env", all, dir).wait().await;
        assert_eq!(code, Some(0), "{program} {arguments:?}");
    };
    // A view of its own for 32-bit programs, and the other.
    let key = r"HKLM\Software\Wow6432Node\Microsoft\DirectPlay\Applications\Baldur's Gate2";
    let other = r"HKLM\Software\Microsoft\DirectPlay\Applications\Mech [4] “é日1”";
    for (key, name, text) in [
        (key, "Guid", BALDUR),
        (key, "File", "CMD.exe"),
        (key, "Path", r"C:\Windows\System32"),
        (key, "CurrentDirectory", r"c:\games\Black Isle"),
        (other, "Guid", "{041fd0fa-2942-4dc4-b4c5-73d2c55f4c94}"),
        (other, "File", "mech.exe"),
        (other, "Path", r"C:\Games"),
    ] {
        let arguments = ["reg", "add", key, "/v", name, "/d", text, "/f"];
        wine("wine", &arguments).await;
    }
    // The registry is written when Wine's server leaves.
    wine("wineserver", &["-w"]).await;
    std::fs::create_dir_all(prefix.join("drive_c/Games/Black Isle")).unwrap();
    prefix
}

fn wine_bridge(prefix: &Path) -> String {
    format!(
        r#"
id       = "baldurs-gate-2"
name     = "Baldur's Gate II"
guids    = ["{BALDUR}"]
announce = "Baulder's Gate2"
[negotiation]
dialect = "legacy"
[[handoff]]
name     = "the game"
adapter  = "directplay"
run      = ["wine", "{{game.exe}}", "/k", "echo {{session.guid}} {{game.guid}} {{peer.ip}} >joined.txt"]
start-in = "{{game.dir}}"
env      = {{ WINEPREFIX = "{{wine.prefix}}", WINEDEBUG = "-all", WINEDLLOVERRIDES = "mscoree,mshtml=" }}
wine     = {{ prefix = "{}" }}
"#,
        prefix.display()
    )
}

fn said(part: &'static str) -> impl Fn(&Report) -> Option<()> {
    move |report| matches!(report, Report::Say(line) if line.contains(part)).then_some(())
}

#[test]
fn a_game_in_wine_is_started_when_the_host_has_a_session_and_ended_with_it() {
    alone(async || {
        if !support::have(&["wine", "wineserver"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let prefix = prefix(dir.path()).await;
        let registered = Prefix::new(prefix.clone()).registered();
        let names: Vec<&str> = registered.iter().map(|game| game.name.as_str()).collect();
        assert_eq!(names, ["Mech [4] “é日1”", "Baldur's Gate2"]);

        let bridge = bridge(dir.path(), &wine_bridge(&prefix));
        let (own, peer, stranger) = (address(), address(), address());
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.prepare();
        joins.is_ready().await;
        joins.connected(peer);
        joins.reported("the wait", said("waiting until")).await;
        // The first question finds nobody who takes it by TCP: the host comes later.
        let early = socket::udp((peer, 47_624).into()).await.unwrap();
        within("a question", early.recv(&mut [0; 100]))
            .await
            .unwrap();
        drop(early);
        let host = Host::new(peer).await;
        let (question, to) = host.asked().await;
        assert_eq!(question, enumerate::question(BALDUR_BYTES, to.1));
        assert!((2300..=2400).contains(&to.1) && to.0 == own, "{to:?}");
        tell(stranger, to, &answer(BALDUR_BYTES, 9, "a stranger's")).await;
        tell(host.at, to, b"no DirectPlay").await;
        let both = [
            answer([1; 16], 8, "another"),
            answer(BALDUR_BYTES, 7, "Bob's"),
        ]
        .concat();
        tell(host.at, to, &both).await;
        joins
            .reported("the session", said("\"Bob's\", 2 of 6 players"))
            .await;
        joins.runs().await;

        let file = prefix.join("drive_c/Games/Black Isle/joined.txt");
        let written = until("what the game was told", || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await;
        let instance = "{07070707-0707-0707-0707-070707070707}";
        assert_eq!(written.trim(), format!("{instance} {BALDUR} {peer}"));
        assert!(games(&prefix) > 0);
        joins.end().await;
        assert_eq!(games(&prefix), 0);
        end_wine(dir.path(), &prefix).await;
    });
}

/// How many of "the game" run in that prefix.
fn games(prefix: &Path) -> usize {
    let set = format!("WINEPREFIX={}", prefix.display());
    let runs = |folder: &Path| {
        let read = |name| std::fs::read(folder.join(name)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).to_lowercase();
        let environment = read("environ");
        command.contains("cmd.exe")
            && environment
                .split(|byte| *byte == 0)
                .any(|it| it == set.as_bytes())
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| runs(&entry.path())).count()
}

/// Wine's own server and services outlive a game for some seconds.
async fn end_wine(dir: &Path, prefix: &Path) {
    let set = format!("WINEPREFIX={}", prefix.display());
    let mut end = Child::start("env", [set.as_str(), "wineserver", "-k"], dir);
    end.wait().await;
}

const SLEEPER: &str = r#"
id       = "sleeper"
name     = "a game"
guids    = ["{8DAE4336-2B71-11D4-9A6C-006067325E47}"]
announce = "a game"
[negotiation]
dialect = "legacy"
[[handoff]]
name    = "into the session"
adapter = "directplay"
role    = "invitee"
run     = ["sleep", "100", "{session.guid}"]
[[handoff]]
name    = "by hand"
adapter = "directplay"
run     = ["sleep", "100"]
"#;

fn started(report: &Report) -> Option<String> {
    match report {
        Report::Started { program, .. } => Some(program.clone()),
        Report::Failed { why, .. } => panic!("{why}"),
        _ => None,
    }
}

#[test]
fn an_answer_by_udp_counts_as_well() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPER);
        let (own, peer) = (address(), address());
        let host = socket::udp((peer, 47_624).into()).await.unwrap();
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.connected(peer);
        let mut question = [0; 100];
        let (n, from) = within("a question", host.recv_from(&mut question))
            .await
            .unwrap();
        assert_eq!(
            &question[..n],
            enumerate::question(BALDUR_BYTES, from.port())
        );
        host.send_to(&answer([1; 16], 8, "another"), from)
            .await
            .unwrap();
        host.send_to(&answer(BALDUR_BYTES, 7, "Bob's"), from)
            .await
            .unwrap();
        assert_eq!(
            joins.reported("the start", started).await,
            "into the session"
        );
        joins.end().await;
    });
}

#[test]
fn where_nothing_is_answered_the_game_is_started_to_join_by_hand() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPER);
        let (own, peer) = (address(), address());
        let host = Host::new(peer).await;
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.connected(peer);
        let taking = tokio::spawn(async move {
            loop {
                host.asked().await;
            }
        });
        joins.reported("why", said("tells of no session")).await;
        assert_eq!(joins.reported("the start", started).await, "by hand");
        joins.runs().await;
        joins.end().await;
        taking.abort();
    });
}

#[test]
fn who_invites_hosts_at_once() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPER);
        let mut hosts = Running::start(&bridge, Role::Inviter, address());
        hosts.prepare();
        assert_eq!(hosts.reported("the start", started).await, "by hand");
        hosts.is_ready().await;
        hosts.runs().await;
        hosts.end().await;
    });
}
