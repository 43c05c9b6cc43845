//! Two dispatchers, each on a client of its own, without a proxy between: the handshake and the call
//! that follows it, from `invite` to the end on both sides, over real loopback TCP and UDP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::Rules,
    demo::{
        client::{Client, ClientEvent, ClientSettings, join},
        server::{Server, ServerSettings},
    },
    dispatcher::{AccountId, Dispatcher, Invitations, Settings, Verdict},
    endpoint::policy::Policy,
    event::{Event, What},
    negotiation,
};
use tokio::sync::{broadcast, mpsc};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// A voice call that the built-in agent takes, so that nothing installed decides.
const VOICE: &str = r#"
id       = "voice"
name     = "voice call"
guids    = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
dialect    = "sm1"
address    = "ip:port"
listens    = "both"
media      = ["audio"]
connection = true
enc64      = true
[[handoff]]
name    = "the built-in agent"
adapter = "sip"
builtin = true
"#;

struct Side {
    hub: Dispatcher,
    account: AccountId,
    client: Client,
    told: broadcast::Receiver<Event>,
    rest: mpsc::UnboundedReceiver<ClientEvent>,
}

impl Side {
    async fn new(server: &Server, handle: &str, version: u8, folder: &Path) -> Self {
        std::fs::write(folder.join("voice.toml"), VOICE).unwrap();
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[folder.to_owned()]).unwrap()),
            rules: Rules::default(),
            policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
            announce: Ipv4Addr::LOCALHOST,
            recordings: folder.to_owned(),
            call: Call::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        });
        let told = hub.events();
        let settings = ClientSettings {
            version,
            ..ClientSettings::new(server.ns_addr(), handle)
        };
        let (client, events) = Client::login(settings).await.unwrap();
        let (account, rest) = join(&client, events, Arc::new(hub.clone()));
        Self {
            hub,
            account,
            client,
            told,
            rest,
        }
    }

    /// Waits until the dispatcher tells something.
    async fn told<T>(&mut self, what: &str, wanted: impl Fn(&What) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let event = self.told.recv().await.expect("the dispatcher ended");
                if let Some(found) = wanted(&event.what) {
                    return found;
                }
                seen.push(event.what);
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), search).await;
        found.unwrap_or_else(|_| panic!("{what} never came, but {seen:?}"))
    }

    /// Waits for a line in the window that holds `part`.
    async fn shown(&mut self, part: &str) {
        let search = async {
            loop {
                match self.rest.recv().await.expect("the client ended") {
                    ClientEvent::Shown { line, .. } if line.contains(part) => return,
                    _ => {}
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), search).await;
        found.unwrap_or_else(|_| panic!("no line with {part:?}"));
    }

    async fn end(self) {
        self.hub.shutdown().await;
        self.client.sign_out().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_accepted_the_call_comes_up_and_one_side_hangs_up() {
    // Strict as Escargot is: a wrong ack letter or a payload too long would end it.
    let server = Server::start(ServerSettings {
        strict: true,
        ..ServerSettings::default()
    })
    .await
    .unwrap();
    let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ann = Side::new(&server, ANN, 12, near.path()).await;
    let mut bob = Side::new(&server, BOB, 9, far.path()).await;

    bob.hub.invite(bob.account, ANN, "voice").unwrap();
    ann.shown("/accept").await;
    assert_eq!(ann.hub.typed(ann.account, BOB, "/accept"), Verdict::Taken);

    let up = |what: &What| match what {
        What::Progress(words) if words.starts_with("the call is on") => Some(()),
        What::Ended { reason } => panic!("{reason}"),
        _ => None,
    };
    ann.told("the call", up).await;
    bob.told("the call", up).await;

    assert_eq!(ann.hub.typed(ann.account, BOB, "/hangup"), Verdict::Taken);
    let ended = |what: &What| matches!(what, What::Ended { .. }).then_some(());
    ann.told("the end", ended).await;
    bob.told("the end", ended).await;
    ann.end().await;
    bob.end().await;
    server.stop().await;
}
