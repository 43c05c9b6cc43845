//! A proxy with a scripted server behind it and a dispatcher that only writes down what it is told.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use msn_handoff::{
    dispatcher::{AccountId, Carrier, Delivery, Invitations, Verdict},
    endpoint::socket,
    front::proxy::{Proxy, ProxySettings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Ends a test that waits for what never comes; no assertion depends on its length.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const ME: &str = "me@example.com";
pub(crate) const ANN: &str = "ann@example.com";

pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: never came"))
}

pub(crate) fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// What the dispatcher was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Attached(String),
    Detached(AccountId),
    Received(String, Vec<u8>),
    Typed(String, String),
    Lost(String),
    Undelivered(Delivery),
}

/// Takes invitations with `OURS` in them and texts that begin with `/ours`; `SHOW` in an invitation
/// shows the client a line at once.
pub(crate) struct Fake {
    told: mpsc::UnboundedSender<Told>,
    carriers: Mutex<HashMap<String, Arc<dyn Carrier>>>,
    numbers: AtomicU64,
    /// Who has come into a switchboard, in order.
    pub(crate) back: Mutex<Vec<String>>,
    /// What is sent once more when its carrier is lost, as a dispatcher does with what is young.
    pub(crate) young: Mutex<Option<(Vec<u8>, Delivery)>>,
}

impl Invitations for Fake {
    fn attach(&self, account: &str, carrier: Arc<dyn Carrier>) -> AccountId {
        let mut carriers = self.carriers.lock().unwrap();
        carriers.insert(account.to_owned(), carrier);
        drop(carriers);
        self.tell(Told::Attached(account.to_owned()));
        AccountId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    fn detach(&self, account: AccountId) {
        self.tell(Told::Detached(account));
    }

    fn received(&self, _: AccountId, peer: &str, payload: &[u8]) -> Verdict {
        self.tell(Told::Received(peer.to_owned(), payload.to_vec()));
        let has = |mark: &[u8]| payload.windows(4).any(|four| four == mark);
        if has(b"SHOW") {
            self.carrier(ME).show(peer, "shown");
        }
        if has(b"OURS") {
            Verdict::Taken
        } else {
            Verdict::Pass
        }
    }

    fn typed(&self, _: AccountId, peer: &str, text: &str) -> Verdict {
        self.tell(Told::Typed(peer.to_owned(), text.to_owned()));
        if text.starts_with("/ours") {
            Verdict::Taken
        } else {
            Verdict::Pass
        }
    }

    fn typed_elsewhere(&self, _: AccountId, text: &str) -> Option<String> {
        text.starts_with("/ours").then(|| "not here".to_owned())
    }

    fn carrier_lost(&self, _: AccountId, peer: &str) {
        self.tell(Told::Lost(peer.to_owned()));
        if let Some((payload, delivery)) = self.young.lock().unwrap().take() {
            self.carrier(ME).send(peer, payload, delivery);
        }
    }

    fn carrier_back(&self, _: AccountId, peer: &str) {
        self.back.lock().unwrap().push(peer.to_owned());
    }

    fn undelivered(&self, _: AccountId, delivery: Delivery) {
        self.tell(Told::Undelivered(delivery));
    }
}

impl Fake {
    fn tell(&self, told: Told) {
        // A test that is over does not listen.
        let _ = self.told.send(told);
    }

    pub(crate) fn carrier(&self, account: &str) -> Arc<dyn Carrier> {
        Arc::clone(&self.carriers.lock().unwrap()[account])
    }
}

/// A proxy and what it tells.
pub(crate) struct Front {
    pub(crate) addr: SocketAddr,
    pub(crate) fake: Arc<Fake>,
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        Self::start_with(server, false).await
    }

    pub(crate) async fn start_with(server: SocketAddr, correct_profile: bool) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let fake = Arc::new(Fake {
            told: tell,
            carriers: Mutex::default(),
            numbers: AtomicU64::new(1),
            back: Mutex::default(),
            young: Mutex::default(),
        });
        let settings = ProxySettings {
            listen: free(),
            server: server.to_string(),
            follow: false,
            correct_profile,
        };
        let proxy = Proxy::bind(settings, Arc::clone(&fake) as Arc<dyn Invitations>)
            .await
            .unwrap();
        let (addr, stop) = (proxy.local_addr(), CancellationToken::new());
        let serving = tokio::spawn(proxy.run(stop.clone()));
        Self {
            addr,
            fake,
            told,
            stop,
            serving,
        }
    }

    /// The next thing the dispatcher is told.
    pub(crate) async fn hears(&mut self) -> Told {
        within("a word to the dispatcher", self.told.recv())
            .await
            .unwrap()
    }

    /// Every task of the proxy ends when it is told to.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        within("the proxy's end", self.serving).await.unwrap();
    }
}

/// A socket one says things to.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn to(addr: SocketAddr) -> Self {
        Self(socket::tcp_connect(addr, LIMIT).await.unwrap())
    }

    pub(crate) async fn says(&mut self, bytes: impl AsRef<[u8]>) {
        within("room to write", self.0.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    /// The next bytes are exactly these.
    pub(crate) async fn hears(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        let mut got = vec![0; want.len()];
        let mut at = 0;
        while at < want.len() {
            let wanted = want.escape_ascii();
            let read = within(&format!("{wanted}"), self.0.read(&mut got[at..]))
                .await
                .unwrap();
            assert!(
                read > 0,
                "ended before {wanted}: {}",
                got[..at].escape_ascii()
            );
            at += read;
            // At once, not after a wait for bytes that do not come.
            assert_eq!(
                got[..at].escape_ascii().to_string(),
                want[..at].escape_ascii().to_string()
            );
        }
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(within("a line", self.0.read_u8()).await.unwrap());
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).unwrap()
    }

    /// Nothing more comes, and the other side is done.
    pub(crate) async fn ends(&mut self) {
        let mut rest = Vec::new();
        match within("the end", self.0.read_to_end(&mut rest)).await {
            Ok(_) => assert_eq!(rest.escape_ascii().to_string(), ""),
            // Just as over.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    /// As when the program is killed with something unread.
    pub(crate) fn kill(self) {
        self.0.set_zero_linger().unwrap();
    }
}

/// A connection as its two ends see it, the proxy in between.
pub(crate) struct Pair {
    pub(crate) client: Wire,
    pub(crate) server: Wire,
}

/// A proxy before a scripted server.
pub(crate) struct Stage {
    pub(crate) front: Front,
    pub(crate) notification: TcpListener,
    pub(crate) switchboard: TcpListener,
}

pub(crate) fn invitation(body: &str) -> String {
    format!("MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n{body}")
}

pub(crate) fn chat(text: &str) -> String {
    format!("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n{text}")
}

/// A `MSG` with this beginning of its line.
pub(crate) fn message(start: &str, payload: &str) -> String {
    format!("MSG {start} {}\r\n{payload}", payload.len())
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let notification = socket::tcp_listen(free()).await.unwrap();
        let switchboard = socket::tcp_listen(free()).await.unwrap();
        let front = Front::start(notification.local_addr().unwrap()).await;
        Self {
            front,
            notification,
            switchboard,
        }
    }

    /// With a proxy that corrects the profile, or not.
    pub(crate) async fn correcting(correct_profile: bool) -> Self {
        let mut stage = Self::new().await;
        let server = stage.notification.local_addr().unwrap();
        let front = Front::start_with(server, correct_profile).await;
        std::mem::replace(&mut stage.front, front).end().await;
        stage
    }

    pub(crate) async fn accept(listener: &TcpListener) -> Wire {
        let (stream, _) = within("a connection", listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire(stream)
    }

    /// A client that has begun to log in.
    pub(crate) async fn connected(&self, version: u8) -> Pair {
        let mut client = Wire::to(self.front.addr).await;
        client.says(format!("VER 1 MSNP{version} CVR0\r\n")).await;
        let mut server = Self::accept(&self.notification).await;
        server.hears(format!("VER 1 MSNP{version} CVR0\r\n")).await;
        server.says(format!("VER 1 MSNP{version}\r\n")).await;
        client.hears(format!("VER 1 MSNP{version}\r\n")).await;
        Pair { client, server }
    }

    /// A client that has logged in.
    pub(crate) async fn signed_in(&mut self, version: u8) -> Pair {
        let mut pair = self.connected(version).await;
        let ok = format!("USR 2 OK {ME} Me 1 0\r\n");
        pair.server.says(&ok).await;
        pair.client.hears(&ok).await;
        assert_eq!(self.front.hears().await, Told::Attached(ME.to_owned()));
        pair
    }

    /// The client asks for a switchboard and gets one with nobody in it yet.
    pub(crate) async fn called(&self, notification: &mut Pair) -> Pair {
        notification.client.says("XFR 5 SB\r\n").await;
        notification.server.hears("XFR 5 SB\r\n").await;
        let real = self.switchboard.local_addr().unwrap();
        let proxy = self.front.addr;
        notification
            .server
            .says(format!("XFR 5 SB {real} CKI 17.2\r\n"))
            .await;
        notification
            .client
            .hears(format!("XFR 5 SB {proxy} CKI 17.2\r\n"))
            .await;
        let mut client = Wire::to(proxy).await;
        client.says(format!("USR 1 {ME} 17.2\r\n")).await;
        let mut server = Self::accept(&self.switchboard).await;
        server.hears(format!("USR 1 {ME} 17.2\r\n")).await;
        Pair { client, server }
    }

    /// A switchboard with these people.
    pub(crate) async fn talking(&self, notification: &mut Pair, with: &[&str]) -> Pair {
        let mut pair = self.called(notification).await;
        pair.server.says(format!("USR 1 OK {ME} Me\r\n")).await;
        pair.client.hears(format!("USR 1 OK {ME} Me\r\n")).await;
        for who in with {
            pair.server.says(format!("JOI {who} Name\r\n")).await;
            pair.client.hears(format!("JOI {who} Name\r\n")).await;
        }
        pair
    }
}
