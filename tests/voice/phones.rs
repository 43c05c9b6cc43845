//! Real phones at both ends: a linphone at a contact that has a dispatcher of its own, a baresip
//! here, behind the proxy. Whoever invites, whoever calls, they hear each other.

use std::sync::Arc;

use msn_handoff::{
    config::{Call, Caller},
    consent::Decision,
    demo::client::{Client, ClientEvent, ClientSettings, join},
    dispatcher::Dispatcher,
    event::What,
};
use tokio::sync::mpsc;

use crate::{
    agent::{self, Agent, OURS},
    stage::{self, ENOUGH, Stage, THEIRS, USER, group},
    support::{have, sound, until, within},
};

/// A contact like us.
const LIKE_US: &str = "cat@example.com";

struct Contact {
    dir: tempfile::TempDir,
    client: Client,
    hub: Dispatcher,
    rest: mpsc::UnboundedReceiver<ClientEvent>,
}

impl Contact {
    /// Signs in, with a linphone that takes every call.
    async fn new(stage: &Stage, call: Call) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = stage::settings(&Agent::Linphone, THEIRS, call, dir.path());
        settings.rules.default = Decision::Allow;
        let hub = Dispatcher::start(settings);
        let settings = ClientSettings::new(stage.server().ns_addr(), LIKE_US);
        let (client, events) = Client::login(settings).await.unwrap();
        let (_, rest) = join(&client, events, Arc::new(hub.clone()));
        Self {
            dir,
            client,
            hub,
            rest,
        }
    }

    /// Ends it, and says what its linphone heard. Nothing but invitations was said to it.
    async fn leave(mut self) -> sound::Heard {
        self.hub.shutdown().await;
        self.client.sign_out().await;
        while let Ok(event) = self.rest.try_recv() {
            assert_eq!(event.text(), None);
        }
        agent::heard_in(&self.dir.path().join("heard"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inviter {
    We,
    They,
}

/// Whether there is a recording of so many seconds.
fn is_heard(folder: &std::path::Path, seconds: u64) -> bool {
    agent::recordings(folder).iter().any(|path| {
        std::fs::metadata(path).is_ok_and(|file| file.len() > seconds * u64::from(sound::RATE) * 2)
    })
}

async fn they_hear_each_other(inviter: Inviter, caller: Caller, wait: f32) {
    if !have(&["baresip", "linphonec"]) {
        return;
    }
    let call = Call {
        caller,
        wait,
        ..Call::default()
    };
    let stage = Stage::new(Agent::Baresip, call.clone()).await;
    let contact = Contact::new(&stage, call).await;
    let mut theirs = contact.hub.events();
    if inviter == Inviter::They {
        contact.hub.invite(None, USER, "voice").unwrap();
        stage.shown("cat@example.com invites you").await;
        stage.types_to(LIKE_US, "/accept").await;
    } else {
        stage.invite_to(LIKE_US);
    }
    let pid = stage.is_on().await.unwrap();
    let (here, there) = (stage.heard_folder(), contact.dir.path().join("heard"));
    until("three seconds of each other", || {
        (is_heard(&here, 3) && is_heard(&there, 3)).then_some(())
    })
    .await;
    stage.types_to(LIKE_US, "/hangup").await;
    assert_eq!(stage.ends().await, "ended here");
    until("the end of baresip", || group(pid).is_empty().then_some(())).await;
    let reason = within("the end at the contact", async {
        loop {
            if let What::Ended { reason, .. } = theirs.recv().await.unwrap().what {
                return reason;
            }
        }
    })
    .await;
    // The BYE and the CANCEL are on their way at once; either may be first.
    assert!(
        reason.starts_with("the peer hung up; the contact's sound: ")
            || reason == "the contact cancelled",
        "{reason}"
    );
    let heard_there = contact.leave().await;
    heard_there.assert_tone("linphone", OURS, THEIRS, ENOUGH);
    stage.heard().assert_tone("baresip", THEIRS, OURS, ENOUGH);
    stage.is_private();
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_that_invites_and_calls_and_our_baresip_hear_each_other() {
    they_hear_each_other(Inviter::They, Caller::Inviter, 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_that_invites_and_is_called_and_our_baresip_hear_each_other() {
    they_hear_each_other(Inviter::They, Caller::Invitee, 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_baresip_that_invites_and_calls_and_a_linphone_hear_each_other() {
    they_hear_each_other(Inviter::We, Caller::Inviter, 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_baresip_that_invites_and_is_called_and_a_linphone_hear_each_other() {
    they_hear_each_other(Inviter::We, Caller::Invitee, 0.0).await;
}

/// Both call at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_and_our_baresip_that_call_at_once_hear_each_other() {
    they_hear_each_other(Inviter::They, Caller::Auto, 0.0).await;
}
