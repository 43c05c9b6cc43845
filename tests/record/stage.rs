//! Ann invites to an application that Bob may not know; what Bob's dispatcher does with it.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use msn_handoff::{
    bridge::{Registry, Unclaimed},
    config::Call,
    consent::{Decision, Pattern, Rule, Rules},
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations as _, Settings, Verdict},
    endpoint::policy::Policy,
    event::{Event, What},
    negotiation,
};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc};

use crate::support::{
    sides::{ANN, BOB, Side},
    within,
};

/// What Ann has and Bob has not. She only listens, so that nothing but the test sends to Bob.
const FOO: &str = r#"
id       = "foo"
name     = "Foo"
guids    = ["{00000000-1111-2222-3333-444444444444}"]
announce = "Foo"
[negotiation]
address = "ip:port"
listens = "both"
[[handoff]]
name    = "her ears"
adapter = "record"
"#;

/// A loopback address that no other test uses.
pub(crate) fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Brings every payload to the other side and keeps what was shown.
struct Wire {
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    shown: Mutex<Vec<String>>,
}

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        // The other side may have left already.
        let _ = self.outbox.send(payload);
    }

    fn show(&self, _: &str, line: &str) {
        self.shown.lock().unwrap().push(line.to_owned());
    }
}

/// Bob.
pub(crate) struct Bob {
    pub(crate) hub: Dispatcher,
    pub(crate) account: AccountId,
    events: broadcast::Receiver<Event>,
    wire: Arc<Wire>,
    letters: mpsc::UnboundedReceiver<Vec<u8>>,
    pub(crate) dir: TempDir,
}

/// How Bob is set up.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) unknown: Unclaimed,
    pub(crate) unclaimed: Option<Unclaimed>,
    /// Bridge files.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// Offers are taken without a question.
    pub(crate) allow: bool,
}

impl Bob {
    pub(crate) fn new(setup: &Setup<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bridges = folder(&dir.path().join("bridges"), setup.files);
        let ip = address();
        let rule = Rule {
            contact: Some("*".parse::<Pattern>().unwrap()),
            application: Some("unknown".to_owned()),
            decision: Decision::Allow,
        };
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(
                Registry::load(&[bridges])
                    .unwrap()
                    .with_unknown(setup.unknown),
            ),
            rules: Rules {
                rules: setup.allow.then_some(rule).into_iter().collect(),
                default: if setup.allow && !setup.files.is_empty() {
                    Decision::Allow
                } else {
                    Decision::Ask
                },
            },
            policy: Policy::new(ip, Vec::new()),
            announce: ip,
            ports: None,
            lookout: msn_handoff::endpoint::outside::Lookout::default(),
            recordings: dir.path().join("recordings"),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            unclaimed: setup.unclaimed,
            negotiation: negotiation::Settings::default(),
        });
        let (outbox, letters) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire {
            outbox,
            shown: Mutex::default(),
        });
        let account = hub.attach(BOB, Arc::clone(&wire) as Arc<dyn Carrier>);
        let events = hub.events();
        Self {
            hub,
            account,
            events,
            wire,
            letters,
            dir,
        }
    }

    pub(crate) fn receives(&self, payload: &[u8]) -> Verdict {
        self.hub.received(self.account, ANN, payload)
    }

    pub(crate) fn types(&self, text: &str) {
        assert_eq!(self.hub.typed(self.account, ANN, text), Verdict::Taken);
    }

    pub(crate) fn shown(&self) -> String {
        self.wire.shown.lock().unwrap().join("\n")
    }

    /// The next message to Ann.
    pub(crate) async fn letter(&mut self) -> Vec<u8> {
        let letter = self.letters.recv();
        within("a message to Ann", letter).await.unwrap()
    }

    /// No message to Ann so far.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.letters.try_recv().is_err()
    }

    /// Waits for something to happen.
    pub(crate) async fn until<T>(&mut self, what: &str, wanted: impl Fn(&What) -> Option<T>) -> T {
        within(what, async {
            loop {
                let event = self.events.recv().await.unwrap();
                if let Some(found) = wanted(&event.what) {
                    return found;
                }
            }
        })
        .await
    }

    /// Waits for words of the adapter's.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        let told = |what: &What| match what {
            What::Progress(line) | What::Ended { reason: line, .. } if line.contains(words) => {
                Some(line.clone())
            }
            _ => None,
        };
        self.until(words, told).await
    }

    /// The files of the only recording: packets, text.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        let all = std::fs::read_dir(self.dir.path().join("recordings")).unwrap();
        let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
        all.sort();
        let [pcap, text] = all.as_slice() else {
            panic!("{all:?}")
        };
        (pcap.clone(), text.clone())
    }
}

/// A folder of bridge files.
fn folder(path: &Path, files: &[(&str, &str)]) -> PathBuf {
    std::fs::create_dir(path).unwrap();
    for (name, text) in files {
        std::fs::write(path.join(name), text).unwrap();
    }
    path.to_owned()
}

/// Ann and Bob, connected.
pub(crate) struct Stage {
    pub(crate) bob: Bob,
    pub(crate) ann: Side,
    /// Where Ann may send from.
    pub(crate) ann_ip: Ipv4Addr,
    /// What Bob announced.
    pub(crate) at: SocketAddrV4,
    _letters: tokio::task::JoinHandle<()>,
    _dir: TempDir,
}

impl Stage {
    /// Ann invites, Bob accepts and listens.
    pub(crate) async fn new(setup: &Setup<'_>) -> Self {
        let mut bob = Bob::new(setup);
        let dir = tempfile::tempdir().unwrap();
        let bridges = folder(&dir.path().join("bridges"), &[("foo.toml", FOO)]);
        let ann_ip = address();
        let (ann, mut from_ann) = Side::new(ANN, ann_ip, &bridges);
        let (hub, account) = (bob.hub.clone(), bob.account);
        let (ann_hub, ann_account) = (ann.hub.clone(), ann.account);
        let (nobody, letters) = mpsc::unbounded_channel();
        let mut to_ann = std::mem::replace(&mut bob.letters, letters);
        let letters = tokio::spawn(async move {
            let _nobody = nobody;
            loop {
                tokio::select! {
                    Some(payload) = from_ann.recv() => {
                        assert_eq!(hub.received(account, ANN, &payload), Verdict::Taken);
                    }
                    Some(payload) = to_ann.recv() => {
                        ann_hub.received(ann_account, BOB, &payload);
                    }
                    else => return,
                }
            }
        });
        ann.hub.invite(None, BOB, "foo").unwrap();
        if !setup.allow {
            let offered = |what: &What| matches!(what, What::Offered).then_some(());
            bob.until("the offer", offered).await;
            bob.types("/accept");
        }
        let listening = |what: &What| match what {
            What::Listening { at } => Some(at.parse().unwrap()),
            _ => None,
        };
        let at = bob.until("the port", listening).await;
        let connected = |what: &What| matches!(what, What::Connected { .. }).then_some(());
        bob.until("the handshake", connected).await;
        bob.says("is recorded in").await;
        Self {
            bob,
            ann,
            ann_ip,
            at,
            _letters: letters,
            _dir: dir,
        }
    }

    /// Bob hangs up; what he is told of the recording.
    pub(crate) async fn hang_up(&mut self) -> String {
        self.bob.types("/hangup");
        self.bob.says("record").await
    }
}
