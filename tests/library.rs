//! The library door: the example on the `msnp11-sdk` crate takes a call, with that crate as it is
//! published, at a real server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "../examples/sdk_client/main.rs"]
mod example;
#[allow(dead_code, reason = "this test takes what it needs")]
#[path = "voice/peer.rs"]
mod peer;
mod support;

mod stage {
    //! Who is there.
    pub(crate) const USER: &str = "ann@example.com";
    pub(crate) const PEER: &str = "bob@example.com";
}

use std::time::Duration;

use msn_handoff::demo::server::{Server, ServerSettings};
use peer::Peer;
use support::{handset::Handset, passport, within};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use example::{Account, invitations::Said};

/// The example, signed in.
struct Running {
    server: Server,
    said: mpsc::UnboundedReceiver<Said>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), String>>,
}

impl Running {
    async fn try_new() -> Option<Self> {
        let server = Server::start(ServerSettings {
            redirect: true,
            strict: true,
            ..ServerSettings::default()
        })
        .await
        .unwrap();
        let account = Account {
            server: server.ns_addr().to_string(),
            handle: stage::USER.to_owned(),
            password: "123456".to_owned(),
            nexus: passport::nexus().await,
        };
        let (user, mut said) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let running = tokio::spawn(example::run(account, user, stop.clone()));
        let first = tokio::time::timeout(Duration::from_secs(4), said.recv());
        let Ok(Some(Said::Line(line))) = first.await else {
            running.abort();
            return None;
        };
        assert_eq!(line, "signed in as ann@example.com");
        Some(Self {
            server,
            said,
            stop,
            running,
        })
    }

    /// The SDK 0.13 drops a command whose end comes with another read, so now and then it waits for
    /// ever. It is started anew then.
    async fn new() -> Self {
        for attempt in 1..=8 {
            if let Some(running) = Self::try_new().await {
                return running;
            }
            eprintln!("attempt {attempt}: the SDK waits for what it has dropped");
        }
        panic!("it never signed in");
    }

    async fn said(&mut self) -> Said {
        let said = within("a word to the user", self.said.recv()).await;
        said.expect("it runs")
    }

    async fn line(&mut self) -> String {
        match self.said().await {
            Said::Line(line) => line,
            Said::Question(question, _) => panic!("{question}"),
        }
    }

    async fn answers(&mut self, yes: bool) {
        match self.said().await {
            Said::Question(question, answer) => {
                assert_eq!(question, "bob@example.com calls. Do you take it?");
                answer.send(yes).unwrap();
            }
            Said::Line(line) => panic!("{line}"),
        }
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = within("its end", self.running).await.unwrap();
        assert_eq!(ended, Ok(()));
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_taken_and_its_end_is_told() {
    let mut running = Running::new().await;
    let peer = Peer::new(&running.server).await;
    let mut phone = Handset::open().await;
    peer.invites().await;
    running.answers(true).await;
    let ours = peer.gets("ACCEPT").await.address();
    peer.completes(phone.port()).await;
    assert_eq!(
        running.line().await,
        format!("the contact is at 127.0.0.1:{}", phone.port())
    );
    phone.calls(ours).await;
    assert_eq!(
        running.line().await,
        format!("the call is here: INVITE sip:{ours} SIP/2.0")
    );
    // The user hangs up by ending the program.
    running.stop.cancel();
    assert_eq!(running.line().await, "the call is over: ended here");
    peer.gets("CANCEL").await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_declined_and_another_is_taken_back() {
    let mut running = Running::new().await;
    let peer = Peer::new(&running.server).await;
    peer.invites().await;
    running.answers(false).await;
    let cancel = peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "REJECT");
    assert_eq!(running.line().await, "the call is over: declined");
    running.end().await;

    let mut running = Running::new().await;
    let peer = Peer::new(&running.server).await;
    peer.invites().await;
    let Said::Question(_, answer) = running.said().await else {
        panic!("no question");
    };
    peer.takes_it_back().await;
    assert_eq!(
        running.line().await,
        "the call is over: the contact cancelled or stopped waiting"
    );
    // The yes comes too late, and changes nothing.
    answer.send(true).unwrap();
    running.end().await;
    assert_eq!(peer.got("ACCEPT").len(), 0);
}
