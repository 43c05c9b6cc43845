//! A client nobody here wrote, `msnp11-sdk`, uses the server and then the proxy as anybody's client
//! would: it logs in, chats both ways, and sees none of the invitation traffic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod support {
    pub(crate) mod passport;
    pub(crate) mod recorder;
}

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use msn_handoff::{
    demo::{
        client::{Client, ClientEvent, ClientSettings, Letter},
        server::{Server, ServerSettings},
    },
    dispatcher::{AccountId, Carrier, Delivery, Invitations, Verdict},
    front::proxy::{Proxy, ProxySettings},
};
use msnp11_sdk::{Event, MsnpStatus, PlainText, Switchboard};
use support::{passport, recorder::Recorder};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

const SDK: &str = "sdk@example.com";
const BOB: &str = "bob@example.com";
const INVITE: &[u8] = include_bytes!("vectors/V1.msg");
/// In every invitation message, and in nothing else here.
const MARK: &[u8] = b"text/x-msmsgsinvite";

/// Ends a test that waits for what never comes; no assertion depends on its length.
const LIMIT: Duration = Duration::from_secs(30);

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what} never came"))
}

/// The client under test, with all that it says happened to it.
struct Sdk {
    client: msnp11_sdk::Client,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Sdk {
    /// Logs in as its documentation says, a redirect included, and goes online.
    async fn log_in(server: SocketAddr) -> Self {
        let nexus = passport::nexus().await;
        let mut server = (server.ip().to_string(), server.port());
        loop {
            let client = msnp11_sdk::Client::new(&server.0, server.1).await.unwrap();
            let (sender, events) = mpsc::unbounded_channel();
            client.add_event_handler_closure(move |event| {
                let _ = sender.send(event);
                async {}
            });
            let login = client.login(SDK.to_owned(), "123456", &nexus, "msnp11-sdk", "0.13");
            match within("the login", login).await.unwrap() {
                Event::RedirectedTo { server: to, port } => server = (to, port),
                Event::Authenticated => {
                    within("the status", client.set_presence(MsnpStatus::Online))
                        .await
                        .unwrap();
                    return Self { client, events };
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The conversation somebody else has opened.
    async fn answered(&mut self) -> Arc<Switchboard> {
        loop {
            match within("a call", self.events.recv()).await {
                Some(Event::SessionAnswered(switchboard)) => return switchboard,
                Some(_) => {}
                None => panic!("the client ended"),
            }
        }
    }
}

fn listen(switchboard: &Switchboard) -> mpsc::UnboundedReceiver<Event> {
    let (sender, events) = mpsc::unbounded_channel();
    switchboard.add_event_handler_closure(move |event| {
        let _ = sender.send(event);
        async {}
    });
    events
}

fn plain(text: &str) -> PlainText {
    PlainText {
        bold: false,
        italic: false,
        underline: false,
        strikethrough: false,
        color: "0".to_owned(),
        text: text.to_owned(),
    }
}

/// The next line of chat.
async fn heard(events: &mut mpsc::UnboundedReceiver<Event>) -> String {
    loop {
        match within("a message", events.recv()).await {
            Some(Event::TextMessage { message, .. }) => return message.text,
            Some(_) => {}
            None => panic!("the conversation ended"),
        }
    }
}

async fn bob_heard(events: &mut mpsc::UnboundedReceiver<ClientEvent>) -> String {
    loop {
        let event = within("a message", events.recv()).await;
        if let Some(text) = event.expect("bob ended").text() {
            return text;
        }
    }
}

async fn server(redirect: bool) -> Server {
    Server::start(ServerSettings {
        people: vec![
            (SDK.to_owned(), "S D K".to_owned()),
            (BOB.to_owned(), "Bob Example".to_owned()),
        ],
        redirect,
        ..ServerSettings::default()
    })
    .await
    .unwrap()
}

/// The whole story at `door`, which is the server or a proxy before it. Bob also sends an
/// invitation in each conversation. Gives what the client's sockets received.
async fn chats_both_ways(server: &Server, door: SocketAddr) -> Vec<u8> {
    let recorder = Recorder::start(door).await;
    let (bob, mut bob_events) = Client::login(ClientSettings {
        version: 11,
        ..ClientSettings::new(server.ns_addr(), BOB)
    })
    .await
    .unwrap();
    let mut sdk = Sdk::log_in(recorder.addr()).await;

    // The SDK calls.
    let opened = within("the conversation", sdk.client.create_session(BOB))
        .await
        .unwrap();
    let mut opened_events = listen(&opened);
    // It comes back from `CAL`; the contact may join a moment later.
    loop {
        match within("the contact", opened_events.recv()).await {
            Some(Event::ParticipantInSwitchboard { email }) if email == BOB => break,
            Some(_) => {}
            None => panic!("the conversation ended"),
        }
    }
    within(
        "its ACK",
        opened.send_text_message(&plain("hello from the SDK")),
    )
    .await
    .unwrap();
    assert_eq!(bob_heard(&mut bob_events).await, "hello from the SDK");
    bob.send_payload(SDK, Letter::N, INVITE).await.unwrap();
    bob.send_text(SDK, "hello \u{e9}").await.unwrap();
    assert_eq!(heard(&mut opened_events).await, "hello \u{e9}");
    within("its end", opened.disconnect()).await.unwrap();
    loop {
        let event = within("the end", bob_events.recv()).await;
        if matches!(event, Some(ClientEvent::CarrierLost { .. })) {
            break;
        }
    }

    // The SDK is called.
    bob.send_payload(SDK, Letter::N, INVITE).await.unwrap();
    bob.send_text(SDK, "me again").await.unwrap();
    let answered = sdk.answered().await;
    let mut answered_events = listen(&answered);
    assert_eq!(heard(&mut answered_events).await, "me again");
    within("its ACK", answered.send_text_message(&plain("and I")))
        .await
        .unwrap();
    assert_eq!(bob_heard(&mut bob_events).await, "and I");

    sdk.client.disconnect().await.unwrap();
    bob.sign_out().await;
    recorder.received()
}

fn times(mark: &[u8], bytes: &[u8]) -> usize {
    bytes
        .windows(mark.len())
        .filter(|window| *window == mark)
        .count()
}

/// The SDK 0.13 drops a command whose end comes with another read (ANCHORS.md A.5), so now and then
/// a story stops for good, with a proxy and without. It is told anew then, on another stage.
async fn told_to_its_end<S>(
    set: impl AsyncFn() -> S,
    tell: impl AsyncFn(&S) -> Vec<u8>,
) -> (S, Vec<u8>) {
    for attempt in 1..=8 {
        let stage = set().await;
        match tokio::time::timeout(Duration::from_secs(4), tell(&stage)).await {
            Ok(received) => return (stage, received),
            Err(_) => eprintln!("attempt {attempt}: the SDK waits for what it has dropped"),
        }
    }
    panic!("the story never came to its end");
}

/// Without a proxy the invitations do arrive: the recorder would see them.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_server_itself_it_chats_and_is_sent_the_invitations() {
    let (_, received) = told_to_its_end(
        || server(false),
        async |server| chats_both_ways(server, server.ns_addr()).await,
    )
    .await;
    assert_eq!(times(MARK, &received), 2);
    assert_eq!(times(b"me again", &received), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_the_redirect_of_a_dispatch_server() {
    let (_, received) = told_to_its_end(
        || server(true),
        async |server| chats_both_ways(server, server.ns_addr()).await,
    )
    .await;
    assert_eq!(times(b" NS ", &received), 1);
    assert_eq!(times(b"me again", &received), 1);
}

/// Takes every invitation, as a dispatcher would.
#[derive(Default)]
struct TakesAll {
    taken: AtomicUsize,
}

impl Invitations for TakesAll {
    fn attach(&self, _: &str, _: Arc<dyn Carrier>) -> AccountId {
        AccountId(1)
    }
    fn detach(&self, _: AccountId) {}
    fn received(&self, _: AccountId, _: &str, _: &[u8]) -> Verdict {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Verdict::Taken
    }
    fn typed(&self, _: AccountId, _: &str, _: &str) -> Verdict {
        Verdict::Pass
    }
    fn carrier_lost(&self, _: AccountId, _: &str) {}
    fn undelivered(&self, _: AccountId, _: Delivery) {}
}

/// A server and the proxy before it.
struct Proxied {
    server: Server,
    door: SocketAddr,
    hub: Arc<TakesAll>,
    _stop: DropGuard,
}

async fn proxied(redirect: bool) -> Proxied {
    let server = server(redirect).await;
    let hub = Arc::new(TakesAll::default());
    let settings = ProxySettings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        server: server.ns_addr().to_string(),
        follow: false,
        correct_profile: false,
    };
    let invitations = Arc::clone(&hub) as Arc<dyn Invitations>;
    let proxy = Proxy::bind(settings, invitations).await.unwrap();
    let door = proxy.local_addr();
    let stop = CancellationToken::new();
    tokio::spawn(proxy.run(stop.clone()));
    Proxied {
        server,
        door,
        hub,
        _stop: stop.drop_guard(),
    }
}

async fn behind_the_proxy_it_sees_no_invitation(redirect: bool) {
    let (stage, received) = told_to_its_end(
        || proxied(redirect),
        async |stage| chats_both_ways(&stage.server, stage.door).await,
    )
    .await;
    assert_eq!(times(MARK, &received), 0, "the client saw an invitation");
    assert_eq!(times(b"me again", &received), 1);
    let taken = stage.hub.taken.load(Ordering::Relaxed);
    assert_eq!(taken, 2, "both invitations were taken on the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_proxy_it_chats_and_sees_no_invitation() {
    behind_the_proxy_it_sees_no_invitation(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_proxy_it_follows_a_redirect_and_sees_no_invitation() {
    behind_the_proxy_it_sees_no_invitation(true).await;
}
