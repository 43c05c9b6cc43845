//! Every bridge that we ship, on the whole way from the message of a contact to the program: each
//! handoff in both roles, with hostile text wherever a contact may write some. The program is one that
//! writes down what it was given, and that is the same whatever was written.
//!
//! Left out are the players of a call's picture, which need a call: `arguments.rs` starts these.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use msn_handoff::{
    bridge::{Registry, Template},
    dispatcher::Invitations as _,
    endpoint::socket,
    invitation::{Command, Message},
    negotiation::Role,
};
use tokio::{
    net::UdpSocket,
    sync::mpsc::UnboundedReceiver,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    recorder::{Recorded, Recorder},
    support::{
        sides::{ANN, BOB, Side, address},
        until,
    },
    texts::hostile,
};

/// What a contact writes.
#[derive(Clone, Copy)]
struct Words<'a> {
    handle: &'a str,
    /// What it calls the application.
    name: &'a str,
    /// Wherever else there is place for text.
    other: &'a str,
    /// Its address, in the message and in context data.
    address: &'a str,
}

/// One handoff of one bridge, alone, with the recorder in its place.
struct Case {
    recorder: Recorder,
    id: String,
    guid: String,
    role: Role,
    /// The first case of that bridge and role.
    is_first: bool,
    handoff: String,
    bridges: tempfile::TempDir,
}

/// The cases, made before anything is started: a program that is being written cannot be.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridges");
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        // What is found on a machine that has the game, in a prefix of Wine.
        let text = text
            .replace("{game.guid}", "{{8DAE4336-2B71-11D4-9A6C-006067325E47}}")
            .replace("{game.exe}", "game.exe")
            .replace("{game.dir}", "/tmp")
            .replace("{wine.prefix}", "/tmp")
            .replace("{path.dprun}", "dprun.exe")
            .replace("{path.modules}", "/usr/lib/modules");
        let bridge: toml::Table = text.parse().unwrap();
        let handoffs = bridge.get("handoff").and_then(toml::Value::as_array);
        for handoff in handoffs
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_table)
        {
            let is = |key: &str, value: &str| {
                handoff.get(key).and_then(toml::Value::as_str) == Some(value)
            };
            if !handoff.contains_key("run") || is("medium", "video") {
                continue;
            }
            for (role, name) in [(Role::Inviter, "inviter"), (Role::Invitee, "invitee")] {
                if !handoff.contains_key("role") || is("role", name) {
                    let mut case = Case::new(&bridge, handoff, role);
                    let is_same = |one: &Case| one.id == case.id && one.role == role;
                    case.is_first = !all.iter().any(is_same);
                    all.push(case);
                }
            }
        }
    }
    all
}

impl Case {
    fn new(bridge: &toml::Table, handoff: &toml::Table, role: Role) -> Self {
        let recorder = Recorder::new();
        let mut handoff = handoff.clone();
        // What keeps it from starting here, and what tells when it is ready.
        for key in [
            "requires", "wine", "paths", "wait", "probe", "confine", "reach", "enabled", "shares",
        ] {
            handoff.remove(key);
        }
        handoff.insert("ready".into(), "started".into());
        let run = handoff["run"].as_array_mut().unwrap();
        run[0] = recorder.program().to_str().unwrap().into();
        let name = handoff["name"].as_str().unwrap().to_owned();
        let mut bridge = bridge.clone();
        bridge.insert("handoff".into(), vec![toml::Value::Table(handoff)].into());
        let id = bridge["id"].as_str().unwrap().to_owned();
        let guid = bridge["guids"][0].as_str().unwrap().to_owned();
        let bridges = tempfile::tempdir().unwrap();
        let file = bridges.path().join(format!("{id}.toml"));
        std::fs::write(file, bridge.to_string()).unwrap();
        Self {
            recorder,
            handoff: format!("{id} / {name}"),
            id,
            guid,
            role,
            is_first: false,
            bridges,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_a_contact_writes_in_an_invitation_a_program_gets_what_its_bridge_says() {
    let here = listing(Path::new("."));
    let cases = cases();
    assert!(cases.len() > 30, "{}", cases.len());
    let mut each = JoinSet::new();
    for case in cases {
        each.spawn(case.run());
    }
    // One that calls has nothing to call where it is called itself: then it is the other role's.
    let mut starts = BTreeMap::new();
    while let Some(done) = each.join_next().await {
        let (handoff, is_started) = done.unwrap();
        *starts.entry(handoff).or_insert(false) |= is_started;
    }
    assert!(starts.values().all(|starts| *starts), "{starts:?}");
    assert_eq!(listing(Path::new(".")), here, "a file that nobody ordered");
}

impl Case {
    /// Its handoff, and whether that is started in this role.
    async fn run(self) -> (String, bool) {
        let (own, peer) = (address(), address());
        let _machine = machine(peer).await;
        let (mut side, mut letters) = Side::new(ANN, own, self.bridges.path());
        let there = peer.to_string();
        let benign = Words {
            handle: BOB,
            name: "An application",
            other: "a text",
            address: &there,
        };
        let mut expected = self.invited(&mut side, &mut letters, benign).await;
        assert!(expected.len() < 2, "{}: {expected:?}", self.handoff);
        let expected = expected.pop();
        if let Some(expected) = &expected {
            self.is_as_written(expected);
        }
        let texts = hostile();
        let mut started = 0;
        // All of them once for each bridge and role. The others have the same way to go but for the last
        // step, and get each text in one place or another.
        let step = if self.is_first { 1 } else { 5 };
        for (number, text) in texts.iter().enumerate().step_by(step) {
            let next = |more: usize| texts[(number + more) % texts.len()].as_str();
            // An address that can be reached, so that it comes to a start.
            let reachable = Words {
                name: text,
                other: next(1),
                ..benign
            };
            let all = Words {
                handle: text,
                name: next(1),
                other: next(2),
                address: next(3),
            };
            for words in [reachable, all] {
                let got = self.invited(&mut side, &mut letters, words).await;
                started += got.len();
                for one in got {
                    assert_eq!(Some(&one), expected.as_ref(), "{}: {text:?}", self.handoff);
                }
            }
        }
        let is_started = expected.is_some();
        let enough = if is_started {
            texts.len() / step / 2
        } else {
            0
        };
        assert!(started >= enough, "{}: {started}", self.handoff);
        side.hub.shutdown().await;
        assert!(self.recorder.take().is_empty(), "{}", self.handoff);
        // What is kept of a contact's is called as we call it.
        for name in listing(self.bridges.path()) {
            let ours = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            assert!(name.chars().all(ours), "{name:?}");
        }
        assert_eq!(listing(self.recorder.home()), ["out", "recorder"]);
        (self.handoff, is_started)
    }

    /// The arguments are those of the bridge file, but where that has a placeholder.
    fn is_as_written(&self, got: &Recorded) {
        let registry = Registry::load(&[self.bridges.path().to_owned()]).unwrap();
        let run = &registry.by_id(&self.id).unwrap().handoffs[0].run;
        let is_same = |(template, argument): (&Template, &String)| {
            let literal = template.literal().map(without_numbers);
            literal.is_none_or(|literal| literal == *argument)
        };
        assert_eq!(got.arguments.len(), run.len() - 1, "{got:?}");
        assert!(
            run.iter().skip(1).zip(&got.arguments).all(is_same),
            "{got:?}"
        );
    }

    /// One invitation from its beginning to its end; what was started meanwhile.
    async fn invited(
        &self,
        side: &mut Side,
        letters: &mut UnboundedReceiver<Vec<u8>>,
        words: Words<'_>,
    ) -> Vec<Recorded> {
        while letters.try_recv().is_ok() {}
        let receive = |side: &Side, body: &str| {
            side.hub
                .received(side.account, words.handle, &payload(body));
        };
        let Words {
            name,
            other,
            address,
            ..
        } = words;
        let more = format!(
            "IP-Address: {address}:5060\r\nIP-Address-Internal: {address}\r\nPort: 5060\r\n\
             Context-Data: {other}\r\n"
        );
        let cookie = match self.role {
            Role::Invitee => {
                receive(
                    side,
                    &format!(
                        "Application-GUID: {}\r\nSession-Protocol: SM1\r\nInvitation-Command: INVITE\r\n\
                     Invitation-Cookie: 77\r\nSession-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\
                     Context-Data: {other}\r\nApplication-Name: {name}\r\nApplication-URL: {other}\r\n",
                        self.guid
                    ),
                );
                "77".to_owned()
            }
            Role::Inviter => {
                if side.hub.invite(None, words.handle, &self.id).is_err() {
                    return self.taken();
                }
                let invite = timeout(Duration::from_secs(60), letters.recv()).await;
                let invite = invite.unwrap_or_else(|_| {
                    panic!(
                        "nothing was sent to {:?} by {} {:?}",
                        words.handle, self.id, self.role
                    )
                });
                let invite = invite.unwrap();
                let message = Message::read(&invite).unwrap();
                assert!(matches!(message.command(), Command::Invite));
                message.text("Invitation-Cookie").unwrap().into_owned()
            }
        };
        let named = format!("Invitation-Cookie: {cookie}\r\n");
        let mut listens = None;
        if self.role == Role::Invitee {
            listens = accepted(side, letters).await;
        }
        receive(
            side,
            &format!(
                "Invitation-Command: ACCEPT\r\n{named}Launch-Application: TRUE\r\n\
                 Request-Data: IP-Address:\r\n{more}"
            ),
        );
        if self.role == Role::Inviter {
            listens = accepted(side, letters).await;
        }
        for data in self.context(words) {
            let context = "Invitation-Command: CONTEXT\r\n";
            receive(side, &format!("{context}{named}Context-Data: {data}\r\n"));
        }
        let recorded = self.recorded(side, listens, words).await;
        let cancel = "Invitation-Command: CANCEL\r\nCancel-Code: OUTBANDCANCEL\r\n";
        receive(side, &format!("{cancel}{named}"));
        side.hub.typed(side.account, words.handle, "/hangup");
        until("the end", || (!is_open(side)).then_some(())).await;
        recorded
    }

    /// What was written down, once there is something, or nothing can come any more.
    async fn recorded(
        &self,
        side: &Side,
        listens: Option<SocketAddr>,
        words: Words<'_>,
    ) -> Vec<Recorded> {
        let from = words.address.parse::<Ipv4Addr>().ok();
        // Who wrote no address is not waited for: what is started late counts with the next.
        let turns = if from.is_some() { 500 } else { 3 };
        let camera = match (from, listens) {
            (Some(from), Some(to)) if self.id == "webcam" => {
                Some((socket::udp((from, 5060).into()).await.unwrap(), to))
            }
            _ => None,
        };
        let mut after_end = 0;
        for turn in 0..turns {
            let recorded = self.taken();
            if !recorded.is_empty() {
                return recorded;
            }
            after_end += usize::from(!is_open(side));
            if after_end > 10 {
                break;
            }
            if let Some((socket, to)) = &camera {
                // The beginning of a picture, H.263.
                let mut packet = [0; 40];
                packet[..4].copy_from_slice(&[0x80, 34, 0, u8::try_from(turn).unwrap_or(0)]);
                let _ = socket.send_to(&packet, to).await;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Vec::new()
    }

    /// Ports of ours and what is counted differ each time.
    fn taken(&self) -> Vec<Recorded> {
        let mut all = self.recorder.take();
        for one in &mut all {
            let texts = one.arguments.iter_mut().chain([&mut one.files]);
            texts.for_each(|text| *text = without_numbers(text));
        }
        all
    }

    /// The context data that makes a program start, and some that does not.
    fn context(&self, words: Words<'_>) -> Vec<String> {
        let Words { other, address, .. } = words;
        match self.id.as_str() {
            "remote-assistance" | "remote-assistance-offer" => {
                let plain: String = other.chars().filter(|c| !c.is_control()).collect();
                let escaped = plain
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('"', "&quot;");
                let ticket = if self.handoff.contains("Windows XP") {
                    format!(
                        "65538,1,{address}:3389,*,rb+v0oPmEISmi8N2zK/vuhgul/ABqlDt6wW0VxMyxK8=,*,*,\
                         IuaRySSbPDNna4+2mKcsKxsbJFI="
                    )
                } else {
                    format!(
                        "<E><A KH=\"BNRjdu97DyczQSRuMRrDWoue+HA=\" \
                         ID=\"+ULZ6ifjoCa6cGPMLQiGHRPwkg6VyJqGwxMnO6GcelwUh9a6/FBq3It5ADSndmLL\"/>\
                         <C><T ID=\"1\" SID=\"0\"><L P=\"3389\" N=\"{address}\"/>\
                         <L P=\"3389\" N=\"{escaped}\"/></T></C></E>"
                    )
                };
                let letters: Vec<char> = ticket.chars().collect();
                letters
                    .chunks(300)
                    .map(|part| part.iter().collect())
                    .collect()
            }
            _ => vec![format!("{address}:5900"), other.to_owned()],
        }
    }
}

fn is_open(side: &Side) -> bool {
    !side.hub.open().is_empty()
}

/// Our answer, and the address in it; nothing where the invitation ended instead.
async fn accepted(side: &Side, letters: &mut UnboundedReceiver<Vec<u8>>) -> Option<SocketAddr> {
    for _ in 0..1000 {
        while let Ok(payload) = letters.try_recv() {
            let message = Message::read(&payload).unwrap();
            if matches!(message.command(), Command::Accept) {
                let told = message.addresses().first()?;
                return Some((told.ip, told.port?).into());
            }
        }
        if !is_open(side) {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
    None
}

fn payload(body: &str) -> Vec<u8> {
    let head = "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n";
    format!("{head}{body}\r\n").into_bytes()
}

/// Four digits and more are one word.
fn without_numbers(text: &str) -> String {
    let mut without = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        without.push_str(before);
        without.push_str(if number.len() < 4 { number } else { "NUMBER" });
        rest = after;
    }
    without + rest
}

/// The names in a folder.
fn listing(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The contact's machine: hosts of games, and something that listens where a ticket says. What they
/// call themselves is hostile as well.
async fn machine(at: Ipv4Addr) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for (port, protocol) in [(29_070, 26), (28_070, 16)] {
        let socket = socket::udp((at, port).into()).await.unwrap();
        all.spawn(quake(socket, protocol));
    }
    let socket = socket::udp((at, 47_624).into()).await.unwrap();
    all.spawn(direct_play(socket));
    let listener = socket::tcp_listen((at, 3389).into()).await.unwrap();
    all.spawn(async move {
        loop {
            let _ = listener.accept().await;
        }
    });
    all
}

async fn quake(socket: UdpSocket, protocol: u32) {
    let mut question = [0; 200];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut question).await else {
            continue;
        };
        let text = String::from_utf8_lossy(&question[..length]).into_owned();
        let challenge = text.rsplit(' ').next().unwrap_or_default();
        let answer = format!(
            "infoResponse\n\\challenge\\{challenge}\\protocol\\{protocol}\\hostname\\--exec;$(id)\
             \\mapname\\../../x\\game\\-exec\\clients\\1\\sv_maxclients\\8"
        );
        let bytes = [b"\xff\xff\xff\xff", answer.as_bytes()].concat();
        let _ = socket.send_to(&bytes, from).await;
    }
}

/// Hosts both games that we ship a bridge for.
async fn direct_play(socket: UdpSocket) {
    const GAMES: [[u8; 16]; 2] = [
        [
            0x36, 0x43, 0xae, 0x8d, 0x71, 0x2b, 0xd4, 0x11, 0x9a, 0x6c, 0x00, 0x60, 0x67, 0x32,
            0x5e, 0x47,
        ],
        [
            0xfa, 0xd0, 0x1f, 0x04, 0x42, 0x29, 0xc4, 0x4d, 0xb4, 0xc5, 0x73, 0xd2, 0xc5, 0x5f,
            0x4c, 0x94,
        ],
    ];
    let mut question = [0; 200];
    loop {
        let Ok((_, from)) = socket.recv_from(&mut question).await else {
            continue;
        };
        for game in GAMES {
            // An answer to EnumSessions (APPLICATIONS.md 5.2).
            let mut bytes = vec![0; 112];
            bytes[4..8].copy_from_slice(&[2, 0, 0x08, 0xfc]);
            bytes[20..28].copy_from_slice(b"play\x01\0\x0e\0");
            bytes[28] = 0x50;
            bytes[36..52].copy_from_slice(b"\n--exec=\0\"';$(x)");
            bytes[52..68].copy_from_slice(&game);
            (bytes[68], bytes[72], bytes[108]) = (6, 2, 0x5c);
            let name = "--exec=\"$(id)\"".encode_utf16().chain([0]);
            bytes.extend(name.flat_map(u16::to_le_bytes));
            let size = 0xfab0_0000 | u32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&size.to_le_bytes());
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}
