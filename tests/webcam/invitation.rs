//! The invitation itself: from jmsn's INVITE over the dispatcher to the picture and the goodbye.
//! The other side's messages are text, as PROTOCOL.md 5.7 has them.

use std::{net::Ipv4Addr, path::Path, sync::Arc};

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

use crate::{
    address,
    picture::{Film, check},
    sender::{self, H263},
    support::{self, within},
    wire::{Badness, Wire},
};

const ANN: &str = "ann@example.com";
const INVITE: &str = include_str!("../vectors/N1.msg");
const GUID: &str = "2A23868E-B45F-401d-B8B0-1E16B774A5B7";

/// What goes to the other side is kept.
struct Letters(mpsc::UnboundedSender<String>);

impl Carrier for Letters {
    fn send(&self, _: &str, payload: Vec<u8>, _: Delivery) {
        let _ = self.0.send(String::from_utf8(payload).unwrap());
    }

    fn show(&self, _: &str, _: &str) {}
}

struct Invited {
    hub: Dispatcher,
    account: AccountId,
    events: broadcast::Receiver<Event>,
    letters: mpsc::UnboundedReceiver<String>,
}

impl Invited {
    /// With the bridges that we ship, and what the folder amends.
    fn new(own: Ipv4Addr, folder: &Path) -> Self {
        let hub = Dispatcher::start(Settings {
            registry: Arc::new(Registry::load(&[folder.join("bridges")]).unwrap()),
            rules: Rules {
                rules: Vec::new(),
                default: Decision::Allow,
            },
            policy: Policy::new(own, Vec::new()),
            announce: own,
            ports: None,
            lookout: msn_handoff::endpoint::outside::Lookout::default(),
            recordings: folder.join("recordings"),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        });
        let (outbox, letters) = mpsc::unbounded_channel();
        let account = hub.attach("bob@example.com", Arc::new(Letters(outbox)));
        let events = hub.events();
        Self {
            hub,
            account,
            events,
            letters,
        }
    }

    fn receives(&self, text: &str) -> Verdict {
        self.hub.received(self.account, ANN, text.as_bytes())
    }

    /// The next message to the other side, and a field of it.
    async fn letter(&mut self, command: &str) -> String {
        let letter = within(command, self.letters.recv()).await.unwrap();
        let line = format!("Invitation-Command: {command}\r\n");
        assert!(letter.contains(&line), "{letter}");
        letter
    }

    async fn until<T>(&mut self, what: &str, wanted: impl Fn(&What) -> Option<T>) -> T {
        within(what, async {
            loop {
                let event = self.events.recv().await.unwrap();
                assert_eq!(event.application, "webcam");
                if let Some(found) = wanted(&event.what) {
                    return found;
                }
            }
        })
        .await
    }
}

fn field<'a>(letter: &'a str, name: &str) -> &'a str {
    let lines = letter.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(key, _)| *key == name);
    values.next().unwrap_or_else(|| panic!("{letter}")).1
}

async fn an_invitation_becomes_a_picture(guid: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 50).await;
    let shown = dir.join("shown.yuv");
    let amended = dir.join("bridges/webcam.d");
    std::fs::create_dir_all(&amended).unwrap();
    let player = crate::session::ffmpeg(H263.pixels, &shown);
    std::fs::write(amended.join("mine.toml"), player).unwrap();
    let mut bob = Invited::new(address(), dir);

    assert_eq!(bob.receives(&INVITE.replace(GUID, guid)), Verdict::Taken);
    let accept = bob.letter("ACCEPT").await;
    assert!(Message::read(accept.as_bytes()).is_ok());
    assert_eq!(field(&accept, "Invitation-Cookie"), "1234567");
    let to = field(&accept, "IP-Address").parse().unwrap();
    let wire = Wire::lay(
        address(),
        &[to],
        Badness {
            seed: 5,
            loss: 0,
            swap: 80,
        },
    )
    .await;
    let reply = format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Invitation-Command: ACCEPT\r\nInvitation-Cookie: 1234567\r\n\
         Session-ID: {}\r\nSession-Protocol: SM1\r\nLaunch-Application: TRUE\r\n\
         IP-Address: {}\r\n\r\n",
        field(INVITE, "Session-ID"),
        wire.out,
    );
    assert_eq!(bob.receives(&reply), Verdict::Taken);
    let connected = |what: &What| matches!(what, What::Connected { .. }).then_some(());
    bob.until("Connected", connected).await;
    let mut program = sender::ffmpeg(&H263, &path, wire.port, dir);
    let started = |what: &What| match what {
        What::ProgramStarted { program, .. } => Some(program.clone()),
        _ => None,
    };
    assert_eq!(bob.until("the player", started).await, "the player");
    assert_eq!(program.wait().await, Some(0), "{}", program.output());
    let ended = |what: &What| match what {
        What::Ended { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let reason = bob.until("the end", ended).await;
    assert!(
        reason.contains("the other side has stopped its picture"),
        "{reason}"
    );
    assert!(reason.contains(" 0 lost"), "{reason}");
    bob.letter("CANCEL").await;
    check("shown", &Film::read(&shown).compared_to(&sent), 40);
    bob.hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_braces_as_jmsn_sends_it() {
    if support::have(&["ffmpeg"]) {
        an_invitation_becomes_a_picture(GUID).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_braces() {
    if support::have(&["ffmpeg"]) {
        an_invitation_becomes_a_picture(&format!("{{{GUID}}}")).await;
    }
}
