//! The peer far away, as its MSN client behaves. The INVITE, the CANCEL and the first ACCEPT are the
//! captures O3, O4 and O6 with the addresses of this machine; the second ACCEPT is written after
//! PROTOCOL.md 2.3, for there is no capture.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use msn_handoff::demo::{
    client::{Client, ClientEvent, ClientSettings, Letter},
    server::Server,
};
use tokio::sync::mpsc;

use crate::{
    stage::{PEER, USER},
    support::until,
};

/// Cookie and session of every invitation of the peer's: those of O3.
const COOKIE: &str = "24443504";
const SESSION: &str = "{EE086C37-D672-44C2-9AA9-57151CEB0BEF}";

/// The peer's client.
pub(crate) struct Peer {
    pub(crate) client: Client,
    happened: Happened,
}

/// What happened in a client, as it happens.
#[derive(Clone, Default)]
pub(crate) struct Happened(Arc<Mutex<Vec<ClientEvent>>>);

impl Happened {
    /// Listens from now on.
    pub(crate) fn listen(mut events: mpsc::UnboundedReceiver<ClientEvent>) -> Self {
        let happened = Self::default();
        let list = Arc::clone(&happened.0);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                list.lock().unwrap().push(event);
            }
        });
        happened
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<ClientEvent> {
        self.0.lock().unwrap().clone()
    }

    /// The chat lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().iter().filter_map(ClientEvent::text).collect()
    }

    /// The invitation messages so far.
    pub(crate) fn invitations(&self) -> Vec<Fields> {
        self.all()
            .iter()
            .filter_map(|event| match event {
                ClientEvent::Message { payload, .. } => Fields::read(payload),
                _ => None,
            })
            .collect()
    }
}

/// The fields of an invitation message, as a plain reader of the text finds them.
#[derive(Debug, Clone)]
pub(crate) struct Fields(String);

impl Fields {
    fn read(payload: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(payload).into_owned();
        text.contains("text/x-msmsgsinvite").then_some(Self(text))
    }

    /// A field; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .split("\r\n")
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    }

    /// Where the other side listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let at: SocketAddr = self.get("IP-Address").parse().unwrap();
        let enc64 = BASE64_STANDARD.encode(at.to_string());
        assert_eq!(self.get("IP-Address-Enc64"), enc64, "{self:?}");
        at
    }
}

impl Peer {
    /// Signs in.
    pub(crate) async fn new(server: &Server) -> Self {
        Self::with(ClientSettings::new(server.ns_addr(), PEER)).await
    }

    /// Signs in as these settings say.
    pub(crate) async fn with(settings: ClientSettings) -> Self {
        let (client, events) = Client::login(settings).await.unwrap();
        Self {
            client,
            happened: Happened::listen(events),
        }
    }

    /// Invites the user to talk.
    pub(crate) async fn invites(&self) {
        self.says(vector("O3")).await;
    }

    /// The second ACCEPT: the peer listens at that port.
    pub(crate) async fn completes(&self, port: u16) {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.says(format!(
            "{}Invitation-Command: ACCEPT\r\nInvitation-Cookie: {COOKIE}\r\n\
             Session-ID: {SESSION}\r\nLaunch-Application: TRUE\r\nIP-Address: {at}\r\n\
             IP-Address-Enc64: {}\r\n\r\n",
            header(),
            BASE64_STANDARD.encode(at.to_string())
        ))
        .await;
    }

    /// The first ACCEPT, to our invitation: the peer listens at that port.
    pub(crate) async fn accepts(&self, invitation: &Fields, port: u16) {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = vector("O6")
            .replace("374836", invitation.get("Invitation-Cookie"))
            .replace(
                "{A4EE9D51-A7CA-4CD4-90EC-B234285B6D2F}",
                invitation.get("Session-ID"),
            )
            .replace("127.0.0.1:8348", &at.to_string())
            .replace(
                "MTAuMjcuOTUuMTc0OjgzNDg=",
                &BASE64_STANDARD.encode(at.to_string()),
            );
        assert!(text.contains(&format!("IP-Address: {at}\r\n")), "{text}");
        self.says(text).await;
    }

    /// Takes its own invitation back.
    pub(crate) async fn takes_it_back(&self) {
        self.says(vector("O4")).await;
    }

    /// Cancels an invitation of ours.
    pub(crate) async fn cancels(&self, invitation: &Fields, code: &str) {
        self.says(format!(
            "{}Invitation-Command: CANCEL\r\nCancel-Code: {code}\r\nInvitation-Cookie: {}\r\n\
             Session-ID: {}\r\n\r\n",
            header(),
            invitation.get("Invitation-Cookie"),
            invitation.get("Session-ID")
        ))
        .await;
    }

    /// Waits for an invitation message with that command.
    pub(crate) async fn gets(&self, command: &str) -> Fields {
        until(&format!("{command} at the peer"), || {
            self.got(command).into_iter().next()
        })
        .await
    }

    /// The invitation messages with that command so far.
    pub(crate) fn got(&self, command: &str) -> Vec<Fields> {
        let mut all = self.happened.invitations();
        all.retain(|fields| fields.get("Invitation-Command") == command);
        all
    }

    /// Lines of chat so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.happened.lines()
    }

    async fn says(&self, payload: String) {
        self.client
            .send_payload(USER, Letter::N, payload.as_bytes())
            .await
            .unwrap();
    }
}

/// A capture, with this machine's address for every address in it.
fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{name}.msg"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for address in [
        "129.21.160.34",
        "192.168.1.102",
        "65.210.205.254",
        "10.27.95.174",
    ] {
        text = text.replace(address, "127.0.0.1");
    }
    text
}

fn header() -> &'static str {
    "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n"
}
