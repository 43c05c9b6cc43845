//! Whiteboard and application sharing, end to end but for MSNP: a scripted inviter's messages reach
//! a dispatcher, sipp is his SIP, and what opens T.120 is made by programs nobody here wrote
//! (PROTOCOL.md 5.5).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kept;
mod relayed;
mod signalled;
#[path = "../support/mod.rs"]
mod support;
mod vnc;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use msn_handoff::{dispatcher::Invitations as _, event::What};
use support::{
    sides::{ANN, BOB, Side, address},
    within,
};
use tempfile::TempDir;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc::UnboundedReceiver,
};

/// Where the inviter is: sipp and xfreerdp speak from there.
const ANN_AT: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How a NetMeeting that invites may open T.120, encoded by pycrate; see `opening.py`.
fn opening() -> Vec<u8> {
    let hex: Vec<u8> = include_bytes!("opening.hex").trim_ascii().to_vec();
    let digits: Vec<u8> = hex
        .into_iter()
        .filter(|it| !it.is_ascii_whitespace())
        .collect();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// One of the inviter's messages.
fn message(body: &str) -> Vec<u8> {
    let body = body.replace('\n', "\r\n");
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// An invitation that Bob has taken, until the address of his SIP listener is told.
struct Invited {
    bob: Side,
    from_bob: UnboundedReceiver<Vec<u8>>,
    at: Ipv4Addr,
    dir: TempDir,
}

impl Invited {
    /// `amendment` changes the whiteboard's own bridge file.
    fn new(amendment: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bridges = dir.path().join("bridges");
        let folder = bridges.join("whiteboard.d");
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(text) = amendment {
            std::fs::write(folder.join("mine.toml"), text).unwrap();
        }
        let at = address();
        let (bob, from_bob) = Side::new(BOB, at, &bridges);
        Self {
            bob,
            from_bob,
            at,
            dir,
        }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn say(&self, body: &str) {
        self.bob.hub.received(self.bob.account, ANN, &message(body));
    }

    /// Bob's next message, which must be that command.
    async fn hears(&mut self, command: &str) -> String {
        let payload = within(command, self.from_bob.recv()).await.unwrap();
        let text = String::from_utf8(payload).unwrap();
        assert!(
            text.contains(&format!("Invitation-Command: {command}\r\n")),
            "{text}"
        );
        text
    }

    /// The messages 1 to 3 of PROTOCOL.md 5.5.
    async fn negotiate(&mut self) {
        self.say(
            "Application-Name: Whiteboard\nApplication-GUID: {1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}\n\
             Application-URL: http://www.microsoft.com\nSession-Protocol: SM1\n\
             Invitation-Command: INVITE\nInvitation-Cookie: 1234567\n\
             Session-ID: {11112222-3333-4444-5555-666677778888}\n",
        );
        let accept = self.hears("ACCEPT").await;
        assert!(
            accept.contains(&format!("IP-Address: {}\r\n", self.at)),
            "{accept}"
        );
        self.say(&format!(
            "Invitation-Command: ACCEPT\nInvitation-Cookie: 1234567\n\
             Session-ID: {{11112222-3333-4444-5555-666677778888}}\nLaunch-Application: TRUE\n\
             IP-Address: {ANN_AT}\n"
        ));
    }

    /// The whole handshake; what Bob's context message tells.
    async fn listens(&mut self) -> SocketAddr {
        self.negotiate().await;
        let context = self.hears("CONTEXT").await;
        let address = context
            .lines()
            .find_map(|line| line.strip_prefix("Context-Data: "));
        let address: SocketAddr = address.unwrap().parse().unwrap();
        assert_eq!(address.ip(), self.at);
        address
    }

    /// A TCP connection of the inviter's.
    async fn connect(&self, port: u16) -> TcpStream {
        connect(ANN_AT, (self.at, port).into()).await
    }

    /// How it ended, in words.
    async fn over(&mut self) -> String {
        within("the end", async {
            loop {
                if let What::Ended { reason, .. } = self.bob.events.recv().await.unwrap().what {
                    return reason;
                }
            }
        })
        .await
    }

    /// Waits for a line of progress that holds `words`.
    async fn told(&mut self, words: &str) {
        let told = |what: &What| matches!(what, What::Progress(line) if line.contains(words));
        self.bob.until(words, told).await;
    }

    async fn end(self) {
        self.bob.hub.shutdown().await;
    }

    /// The one file that was recorded.
    fn recorded(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.dir().join("bridges")).unwrap();
        files
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|it| it == "pcap"))
    }
}

/// Connects from a given address, as another machine would.
async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    within("a connection", socket.connect(to)).await.unwrap()
}
