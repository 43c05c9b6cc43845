//! The user and the contacts, who do whatever people and their clients may do.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use msn_handoff::{
    demo::client::{Client, ClientEvent, ClientSettings, Letter},
    invitation::{Command, Message},
};
use tokio::{
    sync::{Mutex, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Chance,
    deeds::Deeds,
    faults::{Exchange, Faults},
    hosts::Home,
    phone,
    product::Product,
    support::within,
};

pub(crate) const USER: &str = "ann@example.com";
/// The last one's offers are accepted by a rule.
const CONTACTS: [&str; 14] = [
    "bob@example.com",
    "carol@example.com",
    "dave@example.com",
    "eve@example.com",
    "fay@example.com",
    "gus@example.com",
    "hal@example.com",
    "ian@example.com",
    "jim@example.com",
    "kim@example.com",
    "lea@example.com",
    "max@example.com",
    "nat@example.com",
    "rule@example.com",
];
/// How long somebody waits for an answer before it does something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
const SESSION: &str = "{11112222-3333-4444-5555-666677778888}";

/// All applications that we ship, two of the user's and one that nobody knows: id, GUID, and what else
/// is in their invitations.
pub(crate) const APPLICATIONS: [(&str, &str, &str); 15] = [
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
    (
        "voice",
        "02D3C01F-BF30-4825-A83A-DE7AF41648AA",
        "Context-Data: Requested:SIP_A,;Capabilities:SIP_A,;\r\n",
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
    (
        "virtual-machine",
        "7F1D7A52-93B4-4E0C-8B57-2C6A1F0E9D31",
        "",
    ),
    ("unknown", "0BADC0DE-93B4-4E0C-8B57-2C6A1F0E9D31", ""),
];

pub(crate) struct People {
    server: SocketAddr,
    door: SocketAddr,
    pub(crate) user: Arc<Mutex<Client>>,
    homes: Vec<Home>,
    seed: u64,
}

/// One contact and the user, as that one sees them.
pub(crate) struct Contact {
    pub(crate) handle: &'static str,
    server: SocketAddr,
    door: SocketAddr,
    pub(crate) user: Arc<Mutex<Client>>,
    pub(crate) client: Client,
    inbox: UnboundedReceiver<ClientEvent>,
    pub(crate) home: Home,
    pub(crate) chance: Chance,
}

/// An invitation whose addresses were told.
pub(crate) struct Met {
    pub(crate) id: String,
    /// The user invited.
    pub(crate) by_user: bool,
    /// Where the user's side listens, if it said so.
    pub(crate) at: Option<SocketAddr>,
    pub(crate) cookie: String,
    pub(crate) session: String,
}

pub(crate) async fn login(
    at: SocketAddr,
    handle: &str,
) -> (Client, UnboundedReceiver<ClientEvent>) {
    within("a login", async {
        loop {
            // The server may be cutting everybody just now, or be gone for a while.
            match Client::login(ClientSettings::new(at, handle)).await {
                Ok(both) => return both,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
}

impl People {
    pub(crate) async fn come(
        product: &Product,
        exchange: &Exchange,
        deeds: &Deeds,
        seed: u64,
    ) -> Self {
        let (user, _) = login(product.door, USER).await;
        let mut homes = Vec::new();
        for number in 0..CONTACTS.len() {
            let at = Ipv4Addr::new(127, 0, 1, number as u8 + 1);
            let chance = Chance(seed ^ (0x0a0d_0000 + number as u64));
            homes.push(Home::open(at, chance, deeds).await);
        }
        Self {
            server: exchange.at(),
            door: product.door,
            user: Arc::new(Mutex::new(user)),
            homes,
            seed,
        }
    }

    /// Everybody does as they like for so long, and faults happen; then they leave, but for the user.
    pub(crate) async fn round(
        &mut self,
        product: &Product,
        exchange: &Exchange,
        faults: &mut Faults,
        time: Duration,
    ) {
        let until = Instant::now() + time;
        let mut living = JoinSet::new();
        for (handle, home) in CONTACTS.into_iter().zip(self.homes.drain(..)) {
            self.seed = self.seed.wrapping_add(1);
            let (client, inbox) = login(self.server, handle).await;
            let contact = Contact {
                handle,
                server: self.server,
                door: self.door,
                user: Arc::clone(&self.user),
                client,
                inbox,
                home,
                chance: Chance(self.seed),
            };
            living.spawn(contact.live(until));
        }
        let over = CancellationToken::new();
        let lives = async {
            let mut homes = Vec::new();
            while let Some(home) = living.join_next().await {
                homes.push(home.unwrap());
            }
            over.cancel();
            homes
        };
        let user = Arc::clone(&self.user);
        // A fault that has begun is brought to its end.
        let happening = faults.happen(product, exchange, &user, &over);
        (self.homes, ()) = tokio::join!(lives, happening);
        self.homes.sort_by_key(|home| home.at);
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
    async fn live(mut self, until: Instant) -> Home {
        while Instant::now() < until {
            self.act().await;
            sleep(self.chance.millis(400)).await;
        }
        self.client.sign_out().await;
        self.home
    }

    async fn act(&mut self) {
        let (id, guid, more) = *self.chance.of(&APPLICATIONS);
        let cookie = (1 + self.chance.below(2_000_000_000)).to_string();
        while self.inbox.try_recv().is_ok() {}
        if self.chance.one_in(3) {
            self.types(&format!("/invite {id}")).await;
            return self.invited(id).await;
        }
        let session = SESSION;
        let invite = format!(
            "Application-Name: {id}\r\nApplication-GUID: {{{guid}}}\r\nSession-Protocol: SM1\r\n{more}\
             Invitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\nSession-ID: {session}\r\n\r\n"
        );
        self.says(&invite).await;
        // Nobody answers what has not come yet.
        sleep(Duration::from_millis(100) + self.chance.millis(400)).await;
        match self.chance.below(10) {
            0 => self.types("/decline").await,
            1 => return self.cancels(&cookie, session).await,
            // Nobody says anything.
            2 => {}
            _ => self.types("/accept").await,
        }
        let Some(at) = self.answered().await else {
            return;
        };
        match self.chance.below(12) {
            0 => return self.cancels(&cookie, session).await,
            1 => return,
            2 => return self.says("Invitation-Command: ACCEPT\r\nnonsense").await,
            _ => self.accepts(&cookie, session).await,
        }
        let met = Met {
            id: id.to_owned(),
            by_user: false,
            at,
            cookie,
            session: session.to_owned(),
        };
        self.meets(met).await;
    }

    /// The user has invited us, perhaps.
    async fn invited(&mut self, id: &str) {
        let Some(payload) = self.hears(|command| command == Command::Invite).await else {
            return;
        };
        let message = Message::read(&payload).unwrap();
        let cookie = message.cookie().to_string();
        let session = message.session_id().unwrap_or_default().to_owned();
        match self.chance.below(8) {
            0 => return self.cancels(&cookie, &session).await,
            1 => return,
            _ => self.accepts(&cookie, &session).await,
        }
        let at = self.answered().await.flatten();
        let met = Met {
            id: id.to_owned(),
            by_user: true,
            at,
            cookie,
            session,
        };
        self.meets(met).await;
    }

    /// With the port of the phone, mostly; others tell none, or one where nobody is.
    async fn accepts(&mut self, cookie: &str, session: &str) {
        let phone = format!(":{}", phone::PORT);
        let port = *self.chance.of(&[&phone, &phone, &phone, "", ":9"]);
        let accept = format!(
            "Invitation-Command: ACCEPT\r\nInvitation-Cookie: {cookie}\r\nSession-ID: {session}\r\n\
             Launch-Application: TRUE\r\nRequest-Data: IP-Address:\r\nIP-Address: {}{port}\r\n\r\n",
            self.home.at
        );
        self.says(&accept).await;
    }

    pub(crate) async fn cancels(&mut self, cookie: &str, session: &str) {
        self.says(&format!(
            "Invitation-Command: CANCEL\r\nCancel-Code: OUTBANDCANCEL\r\nInvitation-Cookie: {cookie}\r\n\
             Session-ID: {session}\r\n\r\n"
        ))
        .await;
    }

    /// Waits for a yes; where the user's side listens, if it says so.
    async fn answered(&mut self) -> Option<Option<SocketAddr>> {
        let payload = self.hears(|command| command == Command::Accept).await?;
        let (ip, port) = Message::read(&payload).ok()?.ip_address().unzip();
        Some(ip.zip(port.flatten()).map(SocketAddr::from))
    }

    /// Waits for such a message, or a refusal, or loses patience.
    pub(crate) async fn hears(&mut self, wanted: fn(Command<'_>) -> bool) -> Option<Vec<u8>> {
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
    pub(crate) async fn says(&mut self, body: &str) {
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
    pub(crate) async fn types(&self, text: &str) {
        let mut user = self.user.lock().await;
        let sending = user.send_text(self.handle, text);
        if !matches!(timeout(PATIENCE, sending).await, Ok(Ok(()))) {
            user.cut();
            *user = login(self.door, USER).await.0;
        }
    }
}
