//! Somebody at home: our binary as a proxy, the client behind it, and a baresip that takes calls.

use std::{fs, net::SocketAddr};

use msn_handoff::demo::{
    client::{Client, ClientEvent, ClientSettings},
    server::{Server, ServerSettings},
};
use tokio::sync::mpsc;

use crate::{
    agent::{self, Agent},
    support::{
        LIMIT,
        child::Child,
        namespace::{Inside, Space},
        sound::Heard,
    },
};

/// The server of an internet, at 44.128.0.1.
pub(crate) struct Exchange {
    server: Option<Server>,
    inside: Inside,
}

impl Exchange {
    pub(crate) async fn open(space: &Space) -> Self {
        let inside = space.inside();
        let settings = ServerSettings {
            listen: [44, 128, 0, 1].into(),
            strict: true,
            ..ServerSettings::default()
        };
        let server = inside.run(Server::start(settings)).await.unwrap();
        Self {
            server: Some(server),
            inside,
        }
    }

    fn at(&self) -> SocketAddr {
        self.server.as_ref().unwrap().ns_addr()
    }

    pub(crate) async fn close(mut self) {
        let server = self.server.take().unwrap();
        self.inside.run(server.stop()).await;
    }
}

/// One of the two.
pub(crate) struct Person {
    pub(crate) handle: &'static str,
    home: tempfile::TempDir,
    proxy: Child,
    client: Client,
    events: std::sync::Mutex<(mpsc::UnboundedReceiver<ClientEvent>, Vec<String>)>,
    inside: Inside,
}

impl Person {
    /// Signs in on that machine; takes every call, plays that tone in it. `more` is added to the
    /// configuration.
    pub(crate) async fn at_home(
        space: &Space,
        server: &Exchange,
        handle: &'static str,
        tone: f64,
        more: &str,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/msn-handoff");
        let (says, heard) = (home.path().join("says.wav"), home.path().join("heard"));
        Agent::Baresip.write_bridge(&folder.join("bridges"), &says, tone, &heard);
        let configuration = format!(
            "[proxy]\nlisten = \"127.0.0.1:1863\"\nserver = \"{}\"\n\
             [consent]\ndefault = \"allow\"\n[control]\ndbus = false\nnotifications = false\n{more}",
            server.at()
        );
        fs::write(folder.join("config.toml"), configuration).unwrap();
        let [ip, words @ ..] = space.enter();
        let binary = env!("CARGO_BIN_EXE_msn-handoff");
        let arguments = [&words[..], &[binary, "--log", "info", "proxy"]].concat();
        let mut proxy = Child::start(ip, arguments, home.path());
        proxy.printed(" ready listen=").await;
        let inside = space.inside();
        let settings = ClientSettings::new("127.0.0.1:1863".parse().unwrap(), handle);
        let (client, events) = inside.run(Client::login(settings)).await.unwrap();
        Self {
            handle,
            home,
            proxy,
            client,
            events: std::sync::Mutex::new((events, Vec::new())),
            inside,
        }
    }

    /// Types a line into the window with the other.
    pub(crate) async fn types(&self, to: &Self, line: &'static str) {
        let (client, to) = (self.client.clone(), to.handle);
        let sent = async move { client.send_text(to, line).await };
        self.inside.run(sent).await.unwrap();
    }

    async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, looking).await;
        found.unwrap_or_else(|_| {
            let (lines, log) = (self.lines(), self.proxy.output());
            panic!("no {what:?} at {}: {lines:#?}\n{log}", self.handle)
        })
    }

    /// The chat lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut events = self.events.lock().unwrap();
        let (coming, lines) = &mut *events;
        while let Ok(event) = coming.try_recv() {
            lines.extend(event.text());
        }
        lines.clone()
    }

    /// Waits for a line with that part.
    pub(crate) async fn shown(&self, part: &str) -> String {
        let found = || self.lines().into_iter().find(|line| line.contains(part));
        self.until(part, found).await
    }

    /// The one open invitation, as the command line tells it.
    pub(crate) async fn open(&self) -> serde_json::Value {
        let binary = env!("CARGO_BIN_EXE_msn-handoff");
        let mut list = Child::start(binary, ["list", "--json"], self.home.path());
        assert_eq!(list.wait().await, Some(0), "{}", list.output());
        let list: serde_json::Value = serde_json::from_str(&list.output()).unwrap();
        list["invitations"][0].clone()
    }

    /// How many packets of the contact's sound came so far.
    pub(crate) async fn packets(&self) -> u64 {
        self.open().await["packets"].as_u64().unwrap_or_default()
    }

    /// Until so many came.
    pub(crate) async fn gets_packets(&self, count: u64) {
        let coming = async {
            while self.packets().await < count {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(LIMIT, coming).await.is_err() {
            let log = self.proxy.output();
            panic!("{} has only {}: {log}", self.handle, self.open().await);
        }
    }

    /// Until nothing is open.
    pub(crate) async fn over(&self) {
        let ending = async {
            while !self.open().await.is_null() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(LIMIT, ending).await.is_err() {
            panic!("{} still has {}", self.handle, self.open().await);
        }
    }

    /// Until so many seconds were heard.
    pub(crate) async fn hears(&self, seconds: u64) {
        let folder = self.home.path().join("heard");
        let long = |path: &std::path::PathBuf| {
            fs::metadata(path).is_ok_and(|it| it.len() > seconds * 2 * 8000)
        };
        let what = format!("{seconds} s heard");
        self.until(&what, || {
            agent::recordings(&folder).iter().any(long).then_some(())
        })
        .await;
    }

    /// What was heard in the one call there was.
    pub(crate) fn heard(&self) -> Heard {
        agent::heard_in(&self.home.path().join("heard"))
    }

    /// Forgets the last call.
    pub(crate) fn forget(&self) {
        self.lines();
        self.events.lock().unwrap().1.clear();
        for file in agent::recordings(&self.home.path().join("heard")) {
            fs::remove_file(file).unwrap();
        }
    }

    /// The proxy is killed, and cannot clean up.
    pub(crate) async fn is_killed(&mut self) {
        self.proxy.signal(rustix::process::Signal::KILL);
        self.proxy.wait().await;
    }

    /// Signs out and ends the proxy.
    pub(crate) async fn leave(mut self) {
        let client = self.client.clone();
        self.inside
            .run(async move { client.sign_out().await })
            .await;
        let ended = self.proxy.terminate().await;
        assert_eq!(ended, Some(0), "{}", self.proxy.output());
    }
}
