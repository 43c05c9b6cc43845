//! The one who wants help: every message written out, so that nothing of ours makes what ours reads.
//! And the dispatcher it speaks to.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations as _, Settings, Verdict},
    endpoint::policy::Policy,
    event::{Event, What},
    invitation::Message,
    negotiation,
};
use tokio::sync::{broadcast, mpsc};

use crate::{address, support::within};

const NOVICE: &str = "novice@example.com";
const SESSION: &str = "{11112222-3333-4444-5555-666677778888}";

struct Wire {
    letters: mpsc::UnboundedSender<Vec<u8>>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Carrier for Wire {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        let _ = self.letters.send(payload);
    }

    fn show(&self, _: &str, line: &str) {
        self.shown.lock().unwrap().push(line.to_owned());
    }
}

/// The two sides of one conversation.
pub(crate) struct Table {
    pub(crate) hub: Dispatcher,
    account: AccountId,
    events: broadcast::Receiver<Event>,
    letters: mpsc::UnboundedReceiver<Vec<u8>>,
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
    /// Everything that happened.
    pub(crate) seen: Vec<What>,
    pub(crate) recordings: PathBuf,
    cookie: String,
    session: String,
    pub(crate) ip: Ipv4Addr,
}

impl Table {
    /// A dispatcher with the bridges we ship, changed by `change` (the user's own file for both
    /// kinds of invitation), that says yes to everything.
    pub(crate) fn new(folder: &Path, change: &str) -> Self {
        let bridges = folder.join("bridges");
        for id in ["remote-assistance", "remote-assistance-offer"] {
            let amendment = bridges.join(format!("{id}.d"));
            std::fs::create_dir_all(&amendment).unwrap();
            std::fs::write(amendment.join("mine.toml"), change).unwrap();
        }
        let announce = address();
        let recordings = folder.join("kept");
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[bridges]).unwrap()),
            rules: Rules {
                rules: Vec::new(),
                default: Decision::Allow,
            },
            policy: Policy::new(announce, Vec::new()),
            announce,
            ports: None,
            lookout: msn_handoff::endpoint::outside::Lookout::default(),
            recordings: recordings.clone(),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        });
        let (outbox, letters) = mpsc::unbounded_channel();
        let shown = Arc::<Mutex<Vec<String>>>::default();
        let wire = Wire {
            letters: outbox,
            shown: Arc::clone(&shown),
        };
        let account = hub.attach("expert@example.com", Arc::new(wire));
        Self {
            events: hub.events(),
            hub,
            account,
            letters,
            shown,
            seen: Vec::new(),
            recordings,
            cookie: "1234567".into(),
            session: SESSION.into(),
            ip: address(),
        }
    }

    /// The novice asks for help, up to where both are connected.
    pub(crate) async fn asks_for_help(&mut self) {
        assert_eq!(
            self.deliver(include_bytes!("../vectors/R1.msg")),
            Verdict::Taken
        );
        self.answered("ACCEPT").await;
        self.accepts("");
        self.until(|what| matches!(what, What::Connected { .. }))
            .await;
    }

    /// We offer help, up to where both are connected.
    pub(crate) async fn is_offered_help(&mut self) {
        self.hub
            .invite(None, NOVICE, "remote-assistance-offer")
            .unwrap();
        let invite = self.answered("INVITE").await;
        let message = Message::read(&invite).unwrap();
        self.cookie = message.text("Invitation-Cookie").unwrap().into_owned();
        self.session = message.text("Session-ID").unwrap().into_owned();
        self.accepts("Session-Protocol: SM1\r\nRequest-Data: IP-Address:\r\n");
        self.answered("ACCEPT").await;
        self.until(|what| matches!(what, What::Connected { .. }))
            .await;
    }

    fn accepts(&self, more: &str) {
        let ip = self.ip;
        self.says(
            "ACCEPT",
            &format!("{more}Launch-Application: TRUE\r\nIP-Address: {ip}\r\n"),
        );
    }

    /// The ticket, in messages of at most `length` characters.
    pub(crate) fn sends_ticket(&self, ticket: &str, length: usize) {
        let letters: Vec<char> = ticket.chars().collect();
        for piece in letters.chunks(length) {
            let piece: String = piece.iter().collect();
            self.says("CONTEXT", &format!("Context-Data: {piece}\r\n"));
        }
    }

    pub(crate) fn cancels(&self) {
        self.says("CANCEL", "Cancel-Code: OUTBANDCANCEL\r\n");
    }

    /// Our user ends it.
    pub(crate) fn hang_up(&self) {
        assert_eq!(
            self.hub.typed(self.account, NOVICE, "/hangup"),
            Verdict::Taken
        );
    }

    fn says(&self, command: &str, fields: &str) {
        let (cookie, session) = (&self.cookie, &self.session);
        let payload = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
             Invitation-Command: {command}\r\nInvitation-Cookie: {cookie}\r\nSession-ID: {session}\r\n{fields}\r\n"
        );
        self.deliver(payload.as_bytes());
    }

    pub(crate) fn deliver(&self, payload: &[u8]) -> Verdict {
        self.hub.received(self.account, NOVICE, payload)
    }

    /// The next message to the novice, which is of that command.
    pub(crate) async fn answered(&mut self, command: &str) -> Vec<u8> {
        let payload = within(command, self.letters.recv()).await.unwrap();
        let text = String::from_utf8_lossy(&payload);
        assert!(
            text.contains(&format!("Invitation-Command: {command}\r\n")),
            "{text}"
        );
        payload
    }

    /// Waits for something to happen.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&What) -> bool) {
        loop {
            let seen = &self.seen;
            let event = within(&format!("what follows {seen:?}"), self.events.recv()).await;
            self.seen.push(event.unwrap().what);
            if self.seen.last().is_some_and(&wanted) {
                return;
            }
        }
    }

    /// Waits until the user was told something with these words.
    pub(crate) async fn is_told(&mut self, words: &str) {
        self.until(|what| matches!(what, What::Progress(line) if line.contains(words)))
            .await;
    }

    /// Waits until the peer's CANCEL was taken for success.
    pub(crate) async fn completes(&mut self) {
        self.until(|what| matches!(what, What::Ended { reason, .. } if reason == "completed"))
            .await;
    }

    /// Whether a program was started.
    pub(crate) fn started(&self) -> bool {
        self.seen
            .iter()
            .any(|what| matches!(what, What::ProgramStarted { .. }))
    }

    /// What stood in the chat window.
    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap().join("\n")
    }

    /// The only file that was kept.
    pub(crate) fn kept(&self) -> PathBuf {
        let files: Vec<PathBuf> = std::fs::read_dir(&self.recordings)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let [file] = files.as_slice() else {
            panic!("{files:?}")
        };
        file.clone()
    }

    pub(crate) async fn end(self) {
        within("the end of all", self.hub.shutdown()).await;
    }
}
