//! The shipped hooks, run by the real program: a music player is paused during a call, a window is
//! clicked, a file is written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    clippy::missing_panics_doc
)]

#[path = "support/mod.rs"]
mod support;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::Rules,
    demo::{
        client::{Client, ClientEvent, ClientSettings, join},
        server::{Server, ServerSettings},
    },
    dispatcher::{Dispatcher, Settings},
    endpoint::policy::Policy,
    event::{Event, What},
    negotiation,
};
use support::{child::Child, until, within};
use tokio::sync::{broadcast, mpsc};

const USER: &str = "ann@example.com";
const PEER: &str = "bob@example.com";

const VOICE: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
[[handoff]]
name = "the built-in agent"
adapter = "sip"
builtin = true
"#;

/// A desktop with the program on it, and a contact.
struct Stage {
    dir: tempfile::TempDir,
    bus: Child,
    bus_address: String,
    program: Child,
    user: Client,
    _window: mpsc::UnboundedReceiver<ClientEvent>,
    contact: Client,
    _letters: mpsc::UnboundedReceiver<ClientEvent>,
    hub: Dispatcher,
    events: broadcast::Receiver<Event>,
    _server: Server,
}

fn hook(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib/hooks")
        .join(name)
}

impl Stage {
    /// `config` follows what every test needs; `display` is for windows.
    async fn new(config: &str, display: Option<&str>, dir: tempfile::TempDir) -> Self {
        let home = dir.path().join("config/msn-handoff");
        std::fs::create_dir_all(home.join("bridges")).unwrap();
        std::fs::write(home.join("bridges/voice.toml"), VOICE).unwrap();
        std::fs::write(home.join("config.toml"), config).unwrap();
        let address = format!("unix:path={}/bus", dir.path().display());
        let arguments = ["--session", "--nofork", "--print-address", "--address"];
        let arguments = arguments.into_iter().chain([address.as_str()]);
        let bus = Child::start("dbus-daemon", arguments, dir.path());
        until("the bus", || {
            bus.output().contains("unix:path=").then_some(())
        })
        .await;

        let server = Server::start(ServerSettings::default()).await.unwrap();
        let port = support::ports().await;
        let to = server.ns_addr().to_string();
        let listen = format!("127.0.0.1:{port}");
        let arguments = [
            "proxy",
            "--server",
            &to,
            "--listen",
            &listen,
            "--announce",
            "127.0.0.1",
            "--log",
            "info",
        ];
        let folder = dir.path().display().to_string();
        let config = format!("{folder}/config");
        let variables = [
            ("DBUS_SESSION_BUS_ADDRESS", address.as_str()),
            ("DISPLAY", display.unwrap_or_default()),
            ("HOME", &folder),
            ("XDG_CONFIG_HOME", &config),
            ("XDG_DATA_HOME", &folder),
            ("XDG_RUNTIME_DIR", &folder),
        ];
        let program = env!("CARGO_BIN_EXE_msn-handoff");
        let program = Child::start_with(program, arguments, dir.path(), &variables);
        until("the proxy", || {
            program.output().contains("ready").then_some(())
        })
        .await;

        let at = (Ipv4Addr::LOCALHOST, port).into();
        let (user, window) = Client::login(ClientSettings::new(at, USER)).await.unwrap();
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[home.join("bridges")]).unwrap()),
            rules: Rules::default(),
            policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
            announce: Ipv4Addr::LOCALHOST,
            ports: None,
            lookout: msn_handoff::endpoint::outside::Lookout::default(),
            recordings: dir.path().join("theirs"),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        });
        let events = hub.events();
        let login = Client::login(ClientSettings::new(server.ns_addr(), PEER));
        let (contact, letters) = login.await.unwrap();
        let (_, letters) = join(&contact, letters, Arc::new(hub.clone()));
        Self {
            dir,
            bus,
            bus_address: address,
            program,
            user,
            _window: window,
            contact,
            _letters: letters,
            hub,
            events,
            _server: server,
        }
    }

    /// Until something happens on the contact's side.
    async fn until(&mut self, what: &str, wanted: impl Fn(&What) -> bool) {
        within(what, async {
            while !wanted(&self.events.recv().await.unwrap().what) {}
        })
        .await;
    }

    async fn end(mut self) {
        self.hub.shutdown().await;
        self.contact.sign_out().await;
        self.user.sign_out().await;
        self.program.terminate().await;
        self.bus.terminate().await;
    }
}

fn connected(what: &What) -> bool {
    matches!(what, What::Connected { .. })
}

fn ended(what: &What) -> bool {
    matches!(what, What::Ended { .. })
}

/// A music player, as others on the bus see it.
struct Music {
    player: Child,
    bus: String,
}

impl Music {
    async fn plays(stage: &Stage) -> Self {
        let arguments = [
            "--no-config",
            "--no-video",
            "--ao=null",
            "--script=/usr/lib/mpv-mpris/mpris.so",
            "av://lavfi:sine",
        ];
        let folder = stage.dir.path().display().to_string();
        let variables = [
            ("DBUS_SESSION_BUS_ADDRESS", stage.bus_address.as_str()),
            ("HOME", &folder),
        ];
        let music = Self {
            player: Child::start_with("mpv", arguments, stage.dir.path(), &variables),
            bus: stage.bus_address.clone(),
        };
        music.is("Playing").await;
        music
    }

    async fn is(&self, wanted: &str) {
        let asked = async {
            loop {
                let status = tokio::process::Command::new("playerctl")
                    .arg("status")
                    .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
                    .output()
                    .await
                    .unwrap();
                if String::from_utf8_lossy(&status.stdout).trim() == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(wanted, asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn music_is_paused_during_a_call_and_a_file_tells_all_of_it() {
    if !support::have(&["dbus-daemon", "mpv", "playerctl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = format!(
        r#"
consent.default = "allow"
[control]
notifications = false
[[hook]]
on = ["connected", "ended"]
application = "voice"
run = [{:?}]
[[hook]]
on = ["offered", "accepted", "connected", "ended"]
run = [{:?}, {log:?}]
"#,
        hook("pause-music"),
        hook("log-to-file")
    );
    let mut stage = Stage::new(&config, None, dir).await;
    let mut music = Music::plays(&stage).await;
    let call = stage.hub.invite(None, USER, "voice").unwrap();
    stage.until("the call", connected).await;
    music.is("Paused").await;
    stage.hub.hang_up(call).unwrap();
    stage.until("the end", ended).await;
    music.is("Playing").await;
    let lines = until("the log", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (lines.len() == 4).then_some(lines)
    })
    .await;
    // Hooks of neighbouring events run at the same time, so a file may have them in another order.
    let mut kinds: Vec<&str> = lines
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["accepted", "connected", "ended", "offered"]);
    assert!(lines.iter().all(|line| line["peer"] == PEER));
    let mode = std::os::unix::fs::PermissionsExt::mode(&log.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    music.player.terminate().await;
    stage.end().await;
}

/// Without a folder of the login's there is no place that nobody else could have prepared.
#[test]
fn where_others_can_write_music_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let playerctl = dir.path().join("playerctl");
    std::fs::write(&playerctl, "#!/bin/sh\necho asked >> \"$0.asked\"\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&playerctl, executable).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    for (folder, asked) in [(None, false), (Some(dir.path()), true)] {
        let mut command = std::process::Command::new(hook("pause-music"));
        command
            .env_clear()
            .env("PATH", &path)
            .env("MSN_HANDOFF_KIND", "connected")
            .env("MSN_HANDOFF_INVITATION", "1");
        if let Some(folder) = folder {
            command.env("XDG_RUNTIME_DIR", folder);
        }
        assert!(command.status().unwrap().success());
        assert_eq!(dir.path().join("playerctl.asked").exists(), asked);
    }
}

/// Finds the window of the question.
async fn window(display: &str) -> Option<String> {
    let found = tokio::process::Command::new("xdotool")
        .args(["search", "--onlyvisible", "--name", "msn-handoff"])
        .env("DISPLAY", display)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    text.lines().next().map(str::to_owned)
}

async fn until_window(display: &str, wanted: bool) -> String {
    let asked = async {
        loop {
            let found = window(display).await;
            if found.is_some() == wanted {
                return found.unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the window", asked).await
}

async fn xdotool(display: &str, arguments: &[&str]) -> String {
    let done = tokio::process::Command::new("xdotool")
        .args(arguments)
        .env("DISPLAY", display)
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_in_a_window_takes_the_call_and_a_call_taken_back_takes_the_window() {
    if !support::have(&["dbus-daemon", "Xvfb", "zenity", "xdotool"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut screen, display) = support::screen::start(dir.path(), "640x480x24").await;
    let config = format!(
        r#"
[control]
notifications = false
[[hook]]
on = ["offered"]
run = [{:?}]
answers = true
"#,
        hook("ask-with-zenity")
    );
    let mut stage = Stage::new(&config, Some(&display), dir).await;

    let call = stage.hub.invite(None, USER, "voice").unwrap();
    until_window(&display, true).await;
    stage.hub.hang_up(call).unwrap();
    stage.until("the end", ended).await;
    until_window(&display, false).await;

    let call = stage.hub.invite(None, USER, "voice").unwrap();
    let window = until_window(&display, true).await;
    let geometry = xdotool(&display, &["getwindowgeometry", "--shell", &window]).await;
    let number = |name: &str| -> i32 {
        let line = geometry.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    // The buttons fill the lower edge; the right one is the yes.
    let x = (number("WIDTH=") * 3 / 4).to_string();
    let y = (number("HEIGHT=") - 20).to_string();
    xdotool(
        &display,
        &["mousemove", "--window", &window, &x, &y, "click", "1"],
    )
    .await;
    stage.until("the call", connected).await;
    stage.hub.hang_up(call).unwrap();
    stage.until("the end", ended).await;
    stage.end().await;
    screen.terminate().await;
}
