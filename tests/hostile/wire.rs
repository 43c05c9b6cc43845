//! A client and its server with the proxy in between, spoken to line by line.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use msn_handoff::endpoint::socket;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(crate) const ME: &str = "me@example.com";
/// Ends a test that waits for what never comes; no assertion depends on its length.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: never came"))
}

pub(crate) async fn listener() -> TcpListener {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket::tcp_listen(free).await.unwrap()
}

/// One end of a connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn to(addr: SocketAddr) -> Self {
        Self(socket::tcp_connect(addr, LIMIT).await.unwrap())
    }

    pub(crate) async fn from(listener: &TcpListener) -> Self {
        Self(within("a connection", listener.accept()).await.unwrap().0)
    }

    pub(crate) async fn says(&mut self, text: &str) {
        let written = self.0.write_all(text.as_bytes());
        within("room to write", written).await.unwrap();
    }

    /// The next bytes are these.
    pub(crate) async fn hears(&mut self, want: &str) {
        let mut got = vec![0; want.len()];
        within(want, self.0.read_exact(&mut got)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), want);
    }
}

/// A signed-in client and its switchboards.
pub(crate) struct Stage {
    pub(crate) proxy: SocketAddr,
    switchboards: TcpListener,
    client: Wire,
    server: Wire,
}

impl Stage {
    /// Signs in at the proxy, before a server that listens there.
    pub(crate) async fn new(proxy: SocketAddr, notification: &TcpListener) -> Self {
        let mut client = Wire::to(proxy).await;
        client.says("VER 1 MSNP12 CVR0\r\n").await;
        let mut server = Wire::from(notification).await;
        server.hears("VER 1 MSNP12 CVR0\r\n").await;
        let ok = format!("VER 1 MSNP12\r\nUSR 2 OK {ME} Me 1 0\r\n");
        server.says(&ok).await;
        client.hears(&ok).await;
        Self {
            proxy,
            switchboards: listener().await,
            client,
            server,
        }
    }

    /// A switchboard with that contact: the client's end and the server's.
    pub(crate) async fn talking(&mut self, with: &str) -> (Wire, Wire) {
        self.client.says("XFR 5 SB\r\n").await;
        self.server.hears("XFR 5 SB\r\n").await;
        let real = self.switchboards.local_addr().unwrap();
        let cookie = format!("17.{}", with.len());
        self.server
            .says(&format!("XFR 5 SB {real} CKI {cookie}\r\n"))
            .await;
        let proxy = self.proxy;
        self.client
            .hears(&format!("XFR 5 SB {proxy} CKI {cookie}\r\n"))
            .await;
        let mut client = Wire::to(proxy).await;
        let hello = format!("USR 1 {ME} {cookie}\r\n");
        client.says(&hello).await;
        let mut server = Wire::from(&self.switchboards).await;
        server.hears(&hello).await;
        let welcome = format!("USR 1 OK {ME} Me\r\nJOI {with} Name\r\n");
        server.says(&welcome).await;
        client.hears(&welcome).await;
        (client, server)
    }
}

/// A `MSG` of that contact's.
pub(crate) fn message(from: &str, kind: &str, body: &str) -> String {
    let payload = format!("MIME-Version: 1.0\r\nContent-Type: {kind}; charset=UTF-8\r\n\r\n{body}");
    format!("MSG {from} Name {}\r\n{payload}", payload.len())
}
