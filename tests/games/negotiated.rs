//! The whole way but for MSNP: one dispatcher invites and hosts OpenArena, the other is invited,
//! finds the game and plays, until one of them hangs up.

use std::{net::Ipv4Addr, path::Path, sync::Arc};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations as _, Settings},
    endpoint::policy::Policy,
    event::{Event, What},
    negotiation,
};
use tokio::sync::{broadcast, mpsc};

use crate::{
    address,
    quake3::{CLIENT, SERVER, Status, display, openarena, players},
    support::{self, within},
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// Brings every payload to the other side.
struct Wire(mpsc::UnboundedSender<Vec<u8>>);

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        // The other side may have left already.
        let _ = self.0.send(payload);
    }

    fn show(&self, _: &str, _: &str) {}
}

struct Side {
    hub: Dispatcher,
    account: AccountId,
    events: broadcast::Receiver<Event>,
}

impl Side {
    fn new(
        handle: &str,
        announce: Ipv4Addr,
        folder: &Path,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[folder.to_owned()]).unwrap()),
            rules: Rules {
                rules: Vec::new(),
                default: Decision::Allow,
            },
            policy: Policy::new(announce, Vec::new()),
            announce,
            recordings: folder.to_owned(),
            call: Call::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        });
        let (outbox, letters) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire(outbox));
        let account = hub.attach(handle, wire);
        let events = hub.events();
        let side = Self {
            hub,
            account,
            events,
        };
        (side, letters)
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&What) -> bool) {
        within(what, async {
            loop {
                let event = self.events.recv().await.unwrap();
                if wanted(&event.what) {
                    return;
                }
            }
        })
        .await;
    }
}

fn deliver(mut letters: mpsc::UnboundedReceiver<Vec<u8>>, from: &'static str, to: &Side) {
    let (hub, account) = (to.hub.clone(), to.account);
    tokio::spawn(async move {
        while let Some(payload) = letters.recv().await {
            hub.received(account, from, &payload);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_to_play_becomes_a_game_and_its_end_ends_both() {
    if !support::have(&[SERVER, CLIENT, "Xvfb"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut xvfb, display) = display(dir.path()).await;
    let text = openarena(&display).replacen("\"openarena\"", "\"jedi-knight\"", 1);
    let bridges = dir.path().join("bridges");
    std::fs::create_dir(&bridges).unwrap();
    std::fs::write(bridges.join("jedi-knight.toml"), text).unwrap();
    let host = address();
    let (mut ann, from_ann) = Side::new(ANN, host, &bridges);
    let (mut bob, from_bob) = Side::new(BOB, address(), &bridges);
    deliver(from_ann, ANN, &bob);
    deliver(from_bob, BOB, &ann);

    ann.hub.invite(None, BOB, "jedi-knight").unwrap();
    let playing = |status: &Status| matches!(status.players.as_slice(), [one] if one.ping < 999);
    players((host, 29071), playing).await;
    bob.hub.typed(bob.account, ANN, "/hangup");
    let gone = |program: &'static str| move |what: &What| matches!(what, What::ProgramEnded { program: it, .. } if it == program);
    bob.until("the end of the client", gone("openarena")).await;
    ann.until("the end of the server", gone("openarena-server"))
        .await;
    ann.hub.shutdown().await;
    bob.hub.shutdown().await;
    xvfb.terminate().await;
}
