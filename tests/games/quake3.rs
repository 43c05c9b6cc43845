//! A game of the Quake 3 family: OpenArena stands for Jedi Academy, which cannot be installed by a
//! test; the engine's protocol is the same, its number is not (71).

use std::{net::Ipv4Addr, path::Path, time::Duration};

pub(crate) use msn_handoff::adapter::quake3::probe::Status;
use msn_handoff::{
    adapter::{
        Report,
        quake3::probe::{Challenge, getstatus, read_status},
    },
    endpoint::socket,
    negotiation::Role,
};

use crate::{
    Running, address, bridge,
    support::{self, child::Child, namespace::alone, until, within},
};

pub(crate) const SERVER: &str = "/usr/games/openarena-server";
pub(crate) const CLIENT: &str = "/usr/games/openarena";

/// A bridge of the user's that names OpenArena.
pub(crate) fn openarena(display: &str) -> String {
    format!(
        r#"
id       = "openarena"
name     = "OpenArena"
guids    = ["{{A5794C17-F586-4941-9906-9AF0F8E62283}}"]
announce = "OpenArena"
[negotiation]
dialect = "legacy"
[[handoff]]
name      = "another game"
adapter   = "quake3"
role      = "invitee"
run       = ["false"]
ports     = "28070-28073"
protocols = [15, 16]
[[handoff]]
name      = "openarena"
adapter   = "quake3"
role      = "invitee"
run       = ["openarena", "+set", "s_initsound", "0", "+set", "r_mode", "-1", "+set", "r_customwidth", "320",
             "+set", "r_customheight", "240", "+set", "r_fullscreen", "0", "+set", "cl_renderer", "opengl1",
             "+set", "net_ip", "{{own.ip}}", "+connect", "{{peer.ip}}:{{peer.port}}"]
optional  = [["+set", "fs_game", "{{game.mod}}"]]
env       = {{ HOME = "{{dir}}", DISPLAY = "{display}", LIBGL_ALWAYS_SOFTWARE = "1" }}
ports     = "29070-29073"
protocols = [71]
stop      = {{ words = "quit\n", grace = 5 }}
[[handoff]]
name      = "openarena-server"
adapter   = "quake3"
role      = "inviter"
run       = ["openarena-server", "+set", "dedicated", "1", "+set", "net_ip", "{{own.ip}}", "+set", "net_port", "29071",
             "+set", "sv_pure", "0", "+map", "oa_dm1"]
env       = {{ HOME = "{{dir}}" }}
"#
    )
}

/// A display that nobody looks at.
pub(crate) async fn display(dir: &Path) -> (Child, String) {
    let arguments = [
        "-displayfd",
        "1",
        "-screen",
        "0",
        "640x480x24",
        "-nolisten",
        "tcp",
    ];
    let server = Child::start("Xvfb", arguments, dir);
    let number = until("the display's number", || {
        let text = server.output();
        let mut lines = text.lines().filter(|_| text.ends_with('\n'));
        lines.find_map(|line| line.parse::<u16>().ok())
    })
    .await;
    (server, format!(":{number}"))
}

/// Asks a server who plays there.
async fn status(at: (Ipv4Addr, u16)) -> Option<Status> {
    let socket = socket::udp((at.0, 0).into()).await.unwrap();
    let challenge = Challenge::new(*b"8 bytes!");
    socket.send_to(&getstatus(&challenge), at).await.ok()?;
    let mut buffer = vec![0; 65_536];
    let answer = tokio::time::timeout(Duration::from_secs(1), socket.recv_from(&mut buffer));
    let (n, _) = answer.await.ok()?.ok()?;
    Some(read_status(&buffer[..n], &challenge).unwrap())
}

/// Waits until the server's list of players is as wanted. One that still connects has a ping of 999.
pub(crate) async fn players(at: (Ipv4Addr, u16), wanted: impl Fn(&Status) -> bool) {
    within("the players", async {
        loop {
            if let Some(status) = status(at).await
                && wanted(&status)
            {
                return;
            }
            // A server answers one question a second.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await
}

#[test]
fn the_one_who_is_invited_finds_the_game_and_plays_until_the_end() {
    alone(async || {
        if !support::have(&[SERVER, CLIENT, "Xvfb"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (mut xvfb, display) = display(dir.path()).await;
        let bridge = bridge(dir.path(), &openarena(&display));
        let (own, host) = (address(), address());
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.prepare();
        joins.is_ready().await;
        joins.connected(host);
        // The host starts his game when the other side is waiting already.
        let waiting = |report: &Report| matches!(report, Report::Say(_)).then_some(());
        joins.reported("the wait", waiting).await;
        let hosts = Running::start(&bridge, Role::Inviter, host);
        hosts.prepare();
        joins.runs().await;
        let playing =
            |status: &Status| matches!(status.players.as_slice(), [one] if one.ping < 999);
        players((host, 29071), playing).await;
        joins.end().await;
        players((host, 29071), |status| status.players.is_empty()).await;
        hosts.end().await;
        xvfb.terminate().await;
    });
}

/// A host of our making.
struct Host {
    socket: tokio::net::UdpSocket,
}

impl Host {
    async fn new(at: Ipv4Addr, port: u16) -> Self {
        let socket = socket::udp((at, port).into()).await.unwrap();
        Self { socket }
    }

    /// The next question's challenge and who asks.
    async fn asked(&self) -> (String, std::net::SocketAddr) {
        let mut buffer = [0; 100];
        let question = self.socket.recv_from(&mut buffer);
        let (n, from) = within("a question", question).await.unwrap();
        let text = buffer[..n]
            .strip_prefix(b"\xff\xff\xff\xffgetinfo ")
            .unwrap();
        (String::from_utf8(text.to_vec()).unwrap(), from)
    }

    async fn answer(&self, to: std::net::SocketAddr, text: &str) {
        let answer = [b"\xff\xff\xff\xffinfoResponse\n", text.as_bytes()].concat();
        self.socket.send_to(&answer, to).await.unwrap();
    }
}

const SLEEPERS: &str = r#"
id       = "sleepers"
name     = "a game"
guids    = ["{A5794C17-F586-4941-9906-9AF0F8E62283}"]
announce = "a game"
[negotiation]
dialect = "legacy"
[[handoff]]
name      = "the first"
adapter   = "quake3"
run       = ["false"]
ports     = "28070"
protocols = [15, 16]
[[handoff]]
name      = "the second"
adapter   = "quake3"
run       = ["sleep", "100"]
ports     = "29070"
protocols = [25, 26]
"#;

fn started(report: &Report) -> Option<String> {
    match report {
        Report::Started { program, .. } => Some(program.clone()),
        _ => None,
    }
}

#[test]
fn only_an_answer_to_the_question_is_believed() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPERS);
        let (own, host) = (address(), address());
        let (game, stranger) = (
            Host::new(host, 29070).await,
            Host::new(address(), 29070).await,
        );
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.prepare();
        joins.is_ready().await;
        joins.connected(host);
        let (challenge, from) = game.asked().await;
        let right = format!("\\protocol\\26\\game\\../../x\\challenge\\{challenge}");
        // Another address, another challenge, no challenge: each names the first program's protocol.
        let wrong = right.replace("26", "15");
        stranger.answer(from, &wrong).await;
        game.answer(from, &wrong.replace(&challenge, "0123456789abcdef"))
            .await;
        game.answer(from, "\\protocol\\15").await;
        game.answer(from, &right).await;
        assert_eq!(joins.reported("the start", started).await, "the second");
        joins.runs().await;
        joins.end().await;
    });
}

#[test]
fn a_game_that_nothing_here_plays_is_told() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPERS);
        let (own, host) = (address(), address());
        let game = Host::new(host, 28070).await;
        let mut joins = Running::start(&bridge, Role::Invitee, own);
        joins.connected(host);
        let (challenge, from) = game.asked().await;
        game.answer(from, &format!("\\protocol\\68\\challenge\\{challenge}"))
            .await;
        let failed = |report: &Report| match report {
            Report::Failed { not_installed, why } => Some((*not_installed, why.clone())),
            _ => None,
        };
        let why = "no program is named for a game with protocol 68".to_owned();
        assert_eq!(joins.reported("the failure", failed).await, (true, why));
    });
}

#[test]
fn a_search_ends_when_it_is_ordered() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let bridge = bridge(dir.path(), SLEEPERS);
        let (own, host) = (address(), address());
        let game = Host::new(host, 28070).await;
        let joins = Running::start(&bridge, Role::Invitee, own);
        joins.connected(host);
        game.asked().await;
        joins.end().await;
    });
}
