//! Two dispatchers, joined by a carrier in memory: the whole way of an invitation but for MSNP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    clippy::missing_panics_doc
)]

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use msn_handoff::{
    bridge::Registry,
    consent::{Decision, Rules},
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations, Settings, Verdict},
    endpoint::policy::Policy,
    event::{Event, What},
    negotiation,
};
use tokio::sync::{broadcast, mpsc};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// Only the built-in agent takes calls, so that no test depends on what is installed.
const VOICE: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
connection = true
enc64 = true
[[handoff]]
name = "the built-in agent"
adapter = "sip"
builtin = true
"#;

/// Brings every payload to the other side, and keeps what was shown.
struct Wire {
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    shown: Mutex<Vec<String>>,
}

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        self.outbox.send(payload).unwrap();
    }

    fn show(&self, _: &str, line: &str) {
        self.shown.lock().unwrap().push(line.to_owned());
    }
}

struct Side {
    dispatcher: Dispatcher,
    account: AccountId,
    wire: Arc<Wire>,
    events: broadcast::Receiver<Event>,
    _folder: tempfile::TempDir,
}

impl Side {
    /// Waits for an event that fits; the ones before it are passed over.
    async fn until(&mut self, fits: impl Fn(&What) -> bool) -> Event {
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let event = self.events.recv().await.unwrap();
                if fits(&event.what) {
                    return event;
                }
            }
        })
        .await
        .expect("the event never came")
    }

    fn shown(&self) -> String {
        self.wire.shown.lock().unwrap().join("\n")
    }

    fn types(&self, to: &str, text: &str) -> Verdict {
        self.dispatcher.typed(self.account, to, text)
    }
}

fn side(rules: Rules, handle: &str) -> (Side, mpsc::UnboundedReceiver<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let bridges = folder.path().join("bridges");
    std::fs::create_dir(&bridges).unwrap();
    std::fs::write(bridges.join("voice.toml"), VOICE).unwrap();
    let registry = Registry::load(&[bridges]).unwrap();
    let dispatcher = Dispatcher::start(Settings {
        registry: Arc::new(registry),
        rules,
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        recordings: folder.path().join("recordings"),
        call: msn_handoff::config::Call::default(),
        unclaimed: None,
        negotiation: negotiation::Settings::default(),
    });
    let (outbox, letters) = mpsc::unbounded_channel();
    let wire = Arc::new(Wire {
        outbox,
        shown: Mutex::default(),
    });
    let account = dispatcher.attach(handle, Arc::clone(&wire) as Arc<dyn Carrier>);
    let events = dispatcher.events();
    (
        Side {
            dispatcher,
            account,
            wire,
            events,
            _folder: folder,
        },
        letters,
    )
}

/// Alice invites, Bob is invited.
fn pair(bobs_rules: Rules) -> (Side, Side) {
    let (alice, from_alice) = side(Rules::default(), ALICE);
    let (bob, from_bob) = side(bobs_rules, BOB);
    deliver(from_alice, ALICE, bob.dispatcher.clone(), bob.account);
    deliver(from_bob, BOB, alice.dispatcher.clone(), alice.account);
    (alice, bob)
}

fn deliver(
    mut letters: mpsc::UnboundedReceiver<Vec<u8>>,
    from: &'static str,
    to: Dispatcher,
    account: AccountId,
) {
    tokio::spawn(async move {
        while let Some(payload) = letters.recv().await {
            to.received(account, from, &payload);
        }
    });
}

fn allow() -> Rules {
    Rules {
        rules: Vec::new(),
        default: Decision::Allow,
    }
}

fn ended(what: &What) -> bool {
    matches!(what, What::Ended { .. })
}

#[tokio::test]
async fn an_offer_is_asked_in_the_chat_and_accepted_there() {
    let (mut alice, mut bob) = pair(Rules::default());
    alice
        .dispatcher
        .invite(alice.account, BOB, "voice")
        .unwrap();
    bob.until(|what| *what == What::Offered).await;
    assert!(
        bob.shown()
            .contains("alice@example.com invites you to a voice call"),
        "{}",
        bob.shown()
    );
    assert_eq!(bob.types(ALICE, "hello"), Verdict::Pass);
    assert_eq!(bob.types(ALICE, "/accept"), Verdict::Taken);
    alice
        .until(|what| matches!(what, What::Connected { .. }))
        .await;
    bob.until(|what| matches!(what, What::Connected { .. }))
        .await;
    assert_eq!(bob.types(ALICE, "/hangup"), Verdict::Taken);
    bob.until(ended).await;
    alice.until(ended).await;
    bob.dispatcher.shutdown().await;
    alice.dispatcher.shutdown().await;
}

#[tokio::test]
async fn a_rule_accepts_without_a_question() {
    let (mut alice, mut bob) = pair(allow());
    alice
        .dispatcher
        .invite(alice.account, BOB, "voice")
        .unwrap();
    bob.until(|what| matches!(what, What::Connected { .. }))
        .await;
    assert!(!bob.shown().contains("/accept"), "{}", bob.shown());
    alice.dispatcher.shutdown().await;
    bob.until(ended).await;
    alice.until(ended).await;
}

#[tokio::test]
async fn a_refusal_reaches_the_inviter_in_words() {
    let (mut alice, mut bob) = pair(Rules::default());
    alice
        .dispatcher
        .invite(alice.account, BOB, "voice")
        .unwrap();
    bob.until(|what| *what == What::Offered).await;
    bob.types(ALICE, "/decline");
    alice.until(ended).await;
    assert!(
        alice.shown().contains("the contact declined"),
        "{}",
        alice.shown()
    );
}

#[tokio::test]
async fn a_command_with_nothing_open_is_answered_and_never_sent() {
    let (_alice, bob) = pair(Rules::default());
    assert_eq!(bob.types(ALICE, "/accept"), Verdict::Taken);
    assert!(
        bob.shown().contains("nothing of that kind"),
        "{}",
        bob.shown()
    );
    assert_eq!(bob.types(ALICE, "/me waves"), Verdict::Pass);
}

#[tokio::test]
async fn what_is_not_ours_passes() {
    let (_alice, bob) = pair(Rules::default());
    let vector = |name: &str| {
        std::fs::read(format!(
            "{}/tests/vectors/{name}.msg",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    };
    // File transfer, an application nobody here takes, and messages of unknown invitations.
    for name in ["F1", "G1", "C2", "C3", "W4"] {
        let verdict = bob.dispatcher.received(bob.account, ALICE, &vector(name));
        assert_eq!(verdict, Verdict::Pass, "{name}");
    }
    assert_eq!(
        bob.dispatcher.received(bob.account, ALICE, &vector("O3")),
        Verdict::Taken
    );
    assert_eq!(
        bob.dispatcher.received(bob.account, ALICE, b"nonsense"),
        Verdict::Pass
    );
}

#[tokio::test]
async fn a_client_that_signs_out_ends_its_invitations() {
    let (mut alice, mut bob) = pair(allow());
    alice
        .dispatcher
        .invite(alice.account, BOB, "voice")
        .unwrap();
    bob.until(|what| matches!(what, What::Connected { .. }))
        .await;
    bob.dispatcher.detach(bob.account);
    bob.until(ended).await;
    alice.until(ended).await;
}

#[tokio::test]
async fn the_hub_ends_when_its_last_handle_does() {
    let (bob, letters) = side(Rules::default(), BOB);
    let mut events = bob.dispatcher.events();
    drop(bob);
    drop(letters);
    let closed = tokio::time::timeout(Duration::from_secs(60), events.recv())
        .await
        .unwrap();
    assert!(
        matches!(closed, Err(broadcast::error::RecvError::Closed)),
        "{closed:?}"
    );
}
