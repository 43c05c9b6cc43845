//! Two dispatchers that bring each other every message: the whole way but for MSNP.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

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

use super::within;

pub(crate) const ANN: &str = "ann@example.com";
pub(crate) const BOB: &str = "bob@example.com";

/// A loopback address that no other test uses, so that a game's fixed ports are free there.
pub(crate) fn address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // Some test programs want more than 256.
    let [more, last] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low & 0xf0 | more & 0x0f, last)
}

/// Brings every payload to the other side, and keeps what is shown.
struct Wire(mpsc::UnboundedSender<Vec<u8>>, Arc<Mutex<Vec<String>>>);

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        // The other side may have left already.
        let _ = self.0.send(payload);
    }

    fn show(&self, _: &str, line: &str) {
        self.1.lock().unwrap().push(line.to_owned());
    }
}

pub(crate) struct Side {
    pub(crate) hub: Dispatcher,
    pub(crate) account: AccountId,
    pub(crate) events: broadcast::Receiver<Event>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Side {
    /// One that takes every offer.
    pub(crate) fn new(
        handle: &str,
        announce: Ipv4Addr,
        folder: &Path,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        Self::with(handle, announce, folder, Decision::Allow)
    }

    /// One that is asked about every offer.
    pub(crate) fn asking(
        handle: &str,
        announce: Ipv4Addr,
        folder: &Path,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        Self::with(handle, announce, folder, Decision::Ask)
    }

    fn with(
        handle: &str,
        announce: Ipv4Addr,
        folder: &Path,
        default: Decision,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[folder.to_owned()]).unwrap()),
            rules: Rules {
                rules: Vec::new(),
                default,
            },
            policy: Policy::new(announce, Vec::new()),
            announce,
            ports: None,
            lookout: msn_handoff::endpoint::outside::Lookout::default(),
            recordings: folder.to_owned(),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            unclaimed: None,
            negotiation: negotiation::Settings {
                // Tests ask for more in a minute than a person.
                limits: negotiation::Limits {
                    offers_per_minute: 1000,
                    ..negotiation::Limits::default()
                },
                ..negotiation::Settings::default()
            },
        });
        let (outbox, letters) = mpsc::unbounded_channel();
        let shown = Arc::default();
        let wire = Arc::new(Wire(outbox, Arc::clone(&shown)));
        let account = hub.attach(handle, wire);
        let events = hub.events();
        let side = Self {
            hub,
            account,
            events,
            shown,
        };
        (side, letters)
    }

    /// Every line that the user has seen.
    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap().join("\n")
    }

    /// Where it listens, once it has told an address with a port.
    pub(crate) async fn listens(&mut self) -> SocketAddr {
        within("where it listens", async {
            loop {
                if let What::Listening { at } = self.events.recv().await.unwrap().what
                    && let Ok(at) = at.parse()
                {
                    return at;
                }
            }
        })
        .await
    }

    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&What) -> bool) {
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

pub(crate) fn deliver(
    mut letters: mpsc::UnboundedReceiver<Vec<u8>>,
    from: &'static str,
    to: &Side,
) {
    let (hub, account) = (to.hub.clone(), to.account);
    tokio::spawn(async move {
        while let Some(payload) = letters.recv().await {
            hub.received(account, from, &payload);
        }
    });
}
