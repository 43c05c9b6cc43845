//! The user and the contacts, who do whatever people and their clients may do.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use msn_handoff::{
    demo::{
        client::{Client, ClientEvent, ClientSettings, Letter},
        server::Server,
    },
    endpoint::socket,
    invitation::{Command, Message},
};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{Mutex, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{Chance, faults::Faults, product::Product, support::within};

const USER: &str = "ann@example.com";
/// The last one's offers are accepted by a rule.
const CONTACTS: [&str; 10] = [
    "bob@example.com",
    "carol@example.com",
    "dave@example.com",
    "eve@example.com",
    "fay@example.com",
    "gus@example.com",
    "hal@example.com",
    "ian@example.com",
    "jim@example.com",
    "rule@example.com",
];
/// How long somebody waits for an answer before it does something else.
const PATIENCE: Duration = Duration::from_secs(3);
const SESSION: &str = "Session-ID: {11112222-3333-4444-5555-666677778888}\r\n";

/// All applications that we ship, one of the user's and one that nobody knows: id, GUID, and what else
/// is in their invitations.
const APPLICATIONS: [(&str, &str, &str); 13] = [
    (
        "voice",
        "02D3C01F-BF30-4825-A83A-DE7AF41648AA",
        "Context-Data: Requested:SIP_A,;Capabilities:SIP_A,SIP_V,;\r\n",
    ),
    (
        "voice",
        "02D3C01F-BF30-4825-A83A-DE7AF41648AA",
        "Context-Data: Requested:SIP_A,SIP_V,;Capabilities:SIP_A,SIP_V,;\r\n",
    ),
    ("webcam", "2A23868E-B45F-401d-B8B0-1E16B774A5B7", ""),
    ("netmeeting", "44BBA842-CC51-11CF-AAFA-00AA00B6015C", ""),
    (
        "remote-assistance",
        "56b994a7-380f-410b-9985-c809d78c1bdc",
        "",
    ),
    (
        "remote-assistance-offer",
        "703EA1A8-D73E-43e3-852C-EE85B5D872C2",
        "",
    ),
    ("whiteboard", "1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE", ""),
    (
        "application-sharing",
        "F1B1920C-6A3C-4ce7-B18C-AFAB305FD03D",
        "",
    ),
    ("baldurs-gate-2", "8DAE4336-2B71-11D4-9A6C-006067325E47", ""),
    (
        "mechwarrior-mercenaries",
        "041FD0FA-2942-4DC4-B4C5-73D2C55F4C94",
        "",
    ),
    ("jedi-knight", "A5794C17-F586-4941-9906-9AF0F8E62283", ""),
    ("drop-box", "6F1D7A52-93B4-4E0C-8B57-2C6A1F0E9D31", ""),
    ("unknown", "0BADC0DE-93B4-4E0C-8B57-2C6A1F0E9D31", ""),
];

pub(crate) struct People {
    server: SocketAddr,
    door: SocketAddr,
    user: Arc<Mutex<Client>>,
    seed: u64,
}

/// One contact and the user, as that one sees them.
struct Contact {
    handle: &'static str,
    server: SocketAddr,
    door: SocketAddr,
    user: Arc<Mutex<Client>>,
    client: Client,
    inbox: UnboundedReceiver<ClientEvent>,
    chance: Chance,
}

async fn login(at: SocketAddr, handle: &str) -> (Client, UnboundedReceiver<ClientEvent>) {
    within("a login", async {
        loop {
            // The server may be cutting everybody just now.
            match Client::login(ClientSettings::new(at, handle)).await {
                Ok(both) => return both,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
}

impl People {
    pub(crate) async fn come(product: &Product, server: &Server, seed: u64) -> Self {
        let (user, _) = login(product.door, USER).await;
        Self {
            server: server.ns_addr(),
            door: product.door,
            user: Arc::new(Mutex::new(user)),
            seed,
        }
    }

    /// Everybody does as they like for so long, and faults happen; then they leave, but for the user.
    pub(crate) async fn round(
        &mut self,
        product: &Product,
        server: &Server,
        faults: &mut Faults,
        time: Duration,
    ) {
        let until = Instant::now() + time;
        let mut living = JoinSet::new();
        for handle in CONTACTS {
            self.seed = self.seed.wrapping_add(1);
            let (client, inbox) = login(self.server, handle).await;
            let contact = Contact {
                handle,
                server: self.server,
                door: self.door,
                user: Arc::clone(&self.user),
                client,
                inbox,
                chance: Chance(self.seed),
            };
            living.spawn(contact.live(until));
        }
        let done = async {
            while let Some(contact) = living.join_next().await {
                contact.unwrap();
            }
        };
        tokio::select! {
            () = done => {}
            () = faults.happen(product, server) => {}
        }
    }

    /// The user, with one connection and no conversation, as at the beginning.
    pub(crate) async fn sign_in(&mut self, product: &Product) {
        let mut user = self.user.lock().await;
        user.sign_out().await;
        *user = login(product.door, USER).await.0;
    }

    /// The user closes every window: one that we opened, to tell something, stays open as long as that.
    pub(crate) async fn close_windows(&self) {
        let user = self.user.lock().await;
        for contact in CONTACTS {
            user.leave(contact);
        }
    }

    pub(crate) async fn leave(self) {
        self.user.lock().await.sign_out().await;
    }
}

impl Contact {
    async fn live(mut self, until: Instant) {
        while Instant::now() < until {
            self.act().await;
            sleep(self.chance.millis(400)).await;
        }
        self.client.sign_out().await;
    }

    async fn act(&mut self) {
        let (id, guid, more) = *self.chance.of(&APPLICATIONS);
        let cookie = 1 + self.chance.below(2_000_000_000);
        while self.inbox.try_recv().is_ok() {}
        if self.chance.one_in(3) {
            self.types(&format!("/invite {id}")).await;
            return self.invited().await;
        }
        let invite = format!(
            "Application-Name: {id}\r\nApplication-GUID: {{{guid}}}\r\nSession-Protocol: SM1\r\n{more}\
             Invitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\n{SESSION}\r\n"
        );
        self.says(&invite).await;
        // Nobody answers what has not come yet.
        sleep(Duration::from_millis(100) + self.chance.millis(400)).await;
        match self.chance.below(8) {
            0 => self.types("/decline").await,
            1 => return self.says(&cancel(cookie)).await,
            // Nobody says anything.
            2 => {}
            _ => self.types("/accept").await,
        }
        let Some(at) = self.answered().await else {
            return;
        };
        match self.chance.below(8) {
            0 => return self.says(&cancel(cookie)).await,
            1 => return,
            2 => return self.says("Invitation-Command: ACCEPT\r\nnonsense").await,
            _ => self.accepts(&cookie.to_string()).await,
        }
        self.meets(at, &cookie.to_string()).await;
    }

    /// The user has invited us, perhaps.
    async fn invited(&mut self) {
        let Some(payload) = self.hears(|command| command == Command::Invite).await else {
            return;
        };
        let cookie = Message::read(&payload).unwrap().cookie().to_string();
        match self.chance.below(6) {
            0 => return self.says(&cancel(&cookie)).await,
            1 => return,
            _ => self.accepts(&cookie).await,
        }
        let at = self.answered().await.flatten();
        self.meets(Some(at), &cookie).await;
    }

    /// It runs, if it does; somebody ends it, or something does.
    async fn meets(&mut self, at: impl Into<Option<Option<SocketAddr>>>, cookie: &str) {
        sleep(self.chance.millis(800)).await;
        if let Some(at) = at.into().flatten() {
            self.comes(at).await;
        }
        sleep(self.chance.millis(1_500)).await;
        match self.chance.below(8) {
            0..3 => self.says(&cancel(cookie)).await,
            3..5 => self.types("/hangup").await,
            5 => self.client.leave(USER),
            6 => self.user.lock().await.cut(),
            // It is left to itself.
            _ => {}
        }
    }

    /// Does something at the address that it was told.
    async fn comes(&mut self, at: SocketAddr) {
        let mut bytes = vec![0; 1 + self.chance.below(1_400)];
        bytes.fill_with(|| self.chance.next() as u8);
        if self.chance.one_in(2) {
            // A packet of RTP is let in, whatever is in it.
            bytes[0] = 0x80;
            let from = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
            for _ in 0..self.chance.below(200) {
                let _ = from.send_to(&bytes, at).await;
            }
        } else if let Ok(mut stream) = socket::tcp_connect(at, PATIENCE).await {
            let _ = timeout(PATIENCE, stream.write_all(&bytes)).await;
            // It may be left open for a while, and is never read.
            sleep(self.chance.millis(500)).await;
        }
    }

    async fn accepts(&mut self, cookie: &str) {
        let port = self.chance.of(&["", ":5060", ":9", ":1720"]);
        let accept = format!(
            "Invitation-Command: ACCEPT\r\nInvitation-Cookie: {cookie}\r\n{SESSION}Launch-Application: TRUE\r\n\
             Request-Data: IP-Address:\r\nIP-Address: 127.0.0.1{port}\r\n\r\n"
        );
        self.says(&accept).await;
    }

    /// Waits for a yes; where the user's side listens, if it says so.
    async fn answered(&mut self) -> Option<Option<SocketAddr>> {
        let payload = self.hears(|command| command == Command::Accept).await?;
        let (ip, port) = Message::read(&payload).ok()?.ip_address().unzip();
        Some(ip.zip(port.flatten()).map(SocketAddr::from))
    }

    /// Waits for such a message, or a refusal, or loses patience.
    async fn hears(&mut self, wanted: fn(Command<'_>) -> bool) -> Option<Vec<u8>> {
        let waiting = async {
            while let Some(event) = self.inbox.recv().await {
                let ClientEvent::Message { payload, .. } = event else {
                    continue;
                };
                match Message::read(&payload).map(|message| message.command()) {
                    Ok(command) if wanted(command) => return Some(payload),
                    Ok(Command::Cancel) => return None,
                    _ => {}
                }
            }
            None
        };
        timeout(PATIENCE, waiting).await.ok().flatten()
    }

    /// To the user.
    async fn says(&mut self, body: &str) {
        let payload = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n{body}"
        );
        let letter = Letter::N;
        let sending = self.client.send_payload(USER, letter, payload.as_bytes());
        if !matches!(timeout(PATIENCE, sending).await, Ok(Ok(()))) {
            self.client.cut();
            (self.client, self.inbox) = login(self.server, self.handle).await;
        }
    }

    /// The user, in the window with us.
    async fn types(&self, text: &str) {
        let mut user = self.user.lock().await;
        let sending = user.send_text(self.handle, text);
        if !matches!(timeout(PATIENCE, sending).await, Ok(Ok(()))) {
            user.cut();
            *user = login(self.door, USER).await.0;
        }
    }
}

fn cancel(cookie: impl std::fmt::Display) -> String {
    format!(
        "Invitation-Command: CANCEL\r\nCancel-Code: OUTBANDCANCEL\r\nInvitation-Cookie: {cookie}\r\n{SESSION}\r\n"
    )
}
