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
    dispatcher::{
        AccountId, Carrier, Delivery, Dispatcher, Invitations, Settings, VerbError, Verdict,
    },
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
    kept_alive: mpsc::UnboundedSender<String>,
}

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        self.outbox.send(payload).unwrap();
    }

    fn show(&self, _: &str, line: &str) {
        self.shown.lock().unwrap().push(line.to_owned());
    }

    fn keep_alive(&self, peer: &str) {
        // Most tests do not look.
        let _ = self.kept_alive.send(peer.to_owned());
    }
}

struct Side {
    dispatcher: Dispatcher,
    account: AccountId,
    wire: Arc<Wire>,
    events: broadcast::Receiver<Event>,
    kept_alive: mpsc::UnboundedReceiver<String>,
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
    side_with(rules, handle, negotiation::Timers::default())
}

fn side_with(
    rules: Rules,
    handle: &str,
    timers: negotiation::Timers,
) -> (Side, mpsc::UnboundedReceiver<Vec<u8>>) {
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
        ports: None,
        lookout: msn_handoff::endpoint::outside::Lookout::default(),
        recordings: folder.path().join("recordings"),
        call: msn_handoff::config::Call::default(),
        bandwidth: msn_handoff::media::limit::Bandwidth::default(),
        unclaimed: None,
        negotiation: negotiation::Settings {
            timers,
            ..negotiation::Settings::default()
        },
    });
    let (outbox, letters) = mpsc::unbounded_channel();
    let (keeps_alive, kept_alive) = mpsc::unbounded_channel();
    let wire = Arc::new(Wire {
        outbox,
        shown: Mutex::default(),
        kept_alive: keeps_alive,
    });
    let account = dispatcher.attach(handle, Arc::clone(&wire) as Arc<dyn Carrier>);
    let events = dispatcher.events();
    (
        Side {
            dispatcher,
            account,
            wire,
            events,
            kept_alive,
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
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
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
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
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
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
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
async fn a_command_typed_to_several_people_is_answered_and_does_nothing() {
    let (alice, mut bob) = pair(Rules::default());
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
    bob.until(|what| *what == What::Offered).await;
    let answer = bob.dispatcher.typed_elsewhere(bob.account, " /accept ");
    let answer = answer.expect("it was a command");
    assert!(
        answer.contains("open a window with one contact"),
        "{answer}"
    );
    assert!(bob.dispatcher.open()[0].asks_us());
    for text in ["hello", "/me waves", "/accept my apologies please"] {
        let answer = bob.dispatcher.typed_elsewhere(bob.account, text);
        assert_eq!(answer, None, "{text}");
    }
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
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
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

#[tokio::test]
async fn an_invitation_is_begun_in_the_chat_by_the_beginning_of_a_name() {
    let (alice, mut bob) = pair(Rules::default());
    assert_eq!(alice.types(BOB, "/invite"), Verdict::Taken);
    assert!(alice.shown().contains("you can invite this contact to: "));
    assert_eq!(alice.types(BOB, "/invite voi"), Verdict::Taken);
    bob.until(|what| matches!(what, What::Offered)).await;
    assert_eq!(alice.types(BOB, "/invite chess"), Verdict::Taken);
    let shown = alice.shown();
    assert!(
        shown.contains("no application is called \"chess\""),
        "{shown}"
    );
    assert_eq!(
        alice.types(BOB, "/invite remote-assistance"),
        Verdict::Taken
    );
    assert!(
        alice.shown().contains("nothing that could take it"),
        "{}",
        alice.shown()
    );
}

#[tokio::test]
async fn what_is_open_is_listed_and_obeyed_from_any_door() {
    let (mut alice, mut bob) = pair(Rules::default());
    assert!(matches!(
        alice
            .dispatcher
            .invite(Some("eve@example.com"), BOB, "voice"),
        Err(VerbError::NoAccount(_))
    ));
    assert!(matches!(
        alice.dispatcher.invite(None, "bob", "voice"),
        Err(VerbError::NoContact(_))
    ));
    let ours = alice.dispatcher.invite(Some(ALICE), BOB, "voice").unwrap();
    bob.until(|what| matches!(what, What::Offered)).await;
    let [offer] = &bob.dispatcher.open()[..] else {
        panic!("{:?}", bob.dispatcher.open());
    };
    assert!(offer.asks_us());
    assert_eq!((offer.account.as_str(), offer.peer.as_str()), (BOB, ALICE));
    assert_eq!(alice.dispatcher.accept(ours), Err(VerbError::NotAsked));
    let theirs = offer.invitation;
    bob.dispatcher.accept(theirs).unwrap();
    assert_eq!(bob.dispatcher.decline(theirs), Err(VerbError::NotAsked));
    alice
        .until(|what| matches!(what, What::Connected { .. }))
        .await;
    alice.dispatcher.hang_up(ours).unwrap();
    alice.until(ended).await;
    assert_eq!(alice.dispatcher.hang_up(ours), Err(VerbError::NotOpen));
    bob.until(ended).await;
    assert!(bob.dispatcher.open().is_empty());
}

/// An invitation as a contact's client writes it.
fn offer(guid: &str, cookie: u32) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Application-Name: x\r\nApplication-GUID: {guid}\r\nSession-Protocol: SM1\r\n\
         Session-ID: {{FA0A4C0B-65C1-4CAF-BE35-7F2F3B4F8B12}}\r\nInvitation-Command: INVITE\r\n\
         Invitation-Cookie: {cookie}\r\n\r\n"
    )
    .into_bytes()
}

fn taken_back(cookie: u32) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Invitation-Command: CANCEL\r\nInvitation-Cookie: {cookie}\r\nCancel-Code: TIMEOUT\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_yes_is_not_taken_for_another_offer_that_came_in_its_place() {
    let (bob, _letters) = side(Rules::default(), BOB);
    let hub = &bob.dispatcher;
    hub.received(
        bob.account,
        ALICE,
        &offer("{02D3C01F-BF30-4825-A83A-DE7AF41648AA}", 1),
    );
    hub.received(bob.account, ALICE, &taken_back(1));
    // The whiteboard is taken by the recorder of the built-in bridge.
    hub.received(
        bob.account,
        ALICE,
        &offer("{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}", 2),
    );
    bob.types(ALICE, "/accept");
    assert!(
        bob.shown()
            .contains("was taken back a moment ago. To accept, type /accept whiteboard."),
        "{}",
        bob.shown()
    );
    assert!(hub.open()[0].asks_us());
    bob.types(ALICE, "/accept whiteboard");
    assert!(!hub.open()[0].asks_us());
}

/// Media flows: the hand-over works.
fn flows(what: &What) -> bool {
    matches!(what, What::Signal(signal) if signal.kind == msn_handoff::event::SignalKind::Media)
}

#[tokio::test]
async fn a_call_goes_on_while_the_client_signs_in_again() {
    let (mut alice, mut bob) = pair(allow());
    let call = alice.dispatcher.invite(None, BOB, "voice").unwrap();
    alice.until(flows).await;
    bob.until(flows).await;
    bob.dispatcher.detach(bob.account);
    let [open] = &bob.dispatcher.open()[..] else {
        panic!("the call is over")
    };
    assert!(open.running.is_some());
    // The same user comes back, perhaps by another connection.
    let wire = Arc::clone(&bob.wire) as Arc<dyn Carrier>;
    let account = bob.dispatcher.attach(BOB, wire);
    assert_eq!(account, bob.account);
    assert_eq!(bob.types(ALICE, "/hangup"), Verdict::Taken);
    bob.until(ended).await;
    alice.until(ended).await;
    assert!(alice.dispatcher.hang_up(call).is_err());
}

#[tokio::test]
async fn an_open_invitation_keeps_its_switchboard_open() {
    let timers = negotiation::Timers {
        keep_alive: Some(Duration::from_millis(20)),
        ..negotiation::Timers::default()
    };
    let (mut alice, _letters) = side_with(Rules::default(), ALICE, timers);
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
    for _ in 0..2 {
        let kept = tokio::time::timeout(Duration::from_secs(60), alice.kept_alive.recv());
        assert_eq!(kept.await.expect("never kept alive").unwrap(), BOB);
    }
    alice.dispatcher.shutdown().await;
}

#[tokio::test]
async fn a_contact_that_comes_back_in_time_has_not_left() {
    let timers = negotiation::Timers {
        carrier_grace: Duration::from_millis(200),
        accept: Duration::from_millis(400),
        ..negotiation::Timers::default()
    };
    let (mut alice, mut from_alice) = side(Rules::default(), ALICE);
    let (mut bob, mut from_bob) = side_with(allow(), BOB, timers);
    alice.dispatcher.invite(None, BOB, "voice").unwrap();
    let invite = from_alice.recv().await.unwrap();
    bob.dispatcher.received(bob.account, ALICE, &invite);
    // His ACCEPT, which nobody answers.
    from_bob.recv().await.unwrap();
    bob.dispatcher.carrier_lost(bob.account, ALICE);
    bob.dispatcher.carrier_back(bob.account, ALICE);
    let end = bob.until(ended).await;
    let What::Ended { reason, .. } = end.what else {
        panic!("{end:?}");
    };
    assert!(reason.contains("did not complete"), "{reason}");
    alice.dispatcher.shutdown().await;
    alice.until(ended).await;
}
