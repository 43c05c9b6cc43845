//! The genuine client's SIP over UDP, operated by the test one message at a time, where sipp's
//! scenarios are too straight: calls taken back, calls that cross, calls that are declined. It
//! reads and writes plain text, and shares nothing with the code under test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use msn_handoff::endpoint::socket;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{media::Media, until};

const TAG: &str = "6f1c7a43-9d0e-4a58-8a0b-51d2f6b6c0e7";

/// A phone with one line.
pub(crate) struct Handset {
    sip: Arc<UdpSocket>,
    pub(crate) media: Media,
    heard: Arc<Mutex<Vec<Sip>>>,
    listener: JoinHandle<()>,
    target: Option<SocketAddr>,
}

/// A message that came in.
#[derive(Debug, Clone)]
pub(crate) struct Sip {
    text: String,
    from: SocketAddr,
}

impl Sip {
    /// Its method or status.
    pub(crate) fn kind(&self) -> &str {
        let mut words = self.text.split(' ');
        match words.next() {
            Some("SIP/2.0") => words.next().unwrap_or_default(),
            method => method.unwrap_or_default(),
        }
    }

    /// A header field; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.text
            .split("\r\n")
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    }

    /// Where the other side wants its media.
    pub(crate) fn media(&self) -> SocketAddr {
        let after = |key: &str| {
            let line = self
                .text
                .split("\r\n")
                .find_map(|line| line.strip_prefix(key));
            let line = line.unwrap_or_else(|| panic!("no {key:?} in {}", self.text));
            line.split(' ').next().unwrap().to_owned()
        };
        format!("{}:{}", after("c=IN IP4 "), after("m=audio "))
            .parse()
            .unwrap()
    }
}

impl Handset {
    /// Opens it on a free port.
    pub(crate) async fn open() -> Self {
        let sip = Arc::new(socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap());
        let heard: Arc<Mutex<Vec<Sip>>> = Arc::default();
        let (socket, list) = (Arc::clone(&sip), Arc::clone(&heard));
        let listener = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            loop {
                // A closed port at the other side shows up here as an error.
                if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    list.lock().unwrap().push(Sip { text, from });
                }
            }
        });
        Self {
            sip,
            media: Media::open(Ipv4Addr::LOCALHOST).await,
            heard,
            listener,
            target: None,
        }
    }

    /// Where it takes calls.
    pub(crate) fn port(&self) -> u16 {
        self.sip.local_addr().unwrap().port()
    }

    /// Everything that came in.
    pub(crate) fn heard(&self) -> Vec<Sip> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits for a message of that kind, whose `CSeq` is about `method`.
    pub(crate) async fn gets(&self, kind: &str, method: &str) -> Sip {
        until(&format!("{kind} ({method}) at the handset"), || {
            self.heard().into_iter().find(|message| {
                message.kind() == kind && message.get("CSeq").ends_with(&format!(" {method}"))
            })
        })
        .await
    }

    /// Calls.
    pub(crate) async fn calls(&mut self, target: SocketAddr) {
        self.target = Some(target);
        let description = self.description();
        self.asks("INVITE", 1, "", &description).await;
    }

    /// Confirms the answer.
    pub(crate) async fn confirms(&self, answer: &Sip) {
        self.asks("ACK", 1, &to_tag(answer), "").await;
    }

    /// Takes its call back.
    pub(crate) async fn cancels(&self) {
        self.asks("CANCEL", 1, "", "").await;
    }

    /// Answers a request; with a description, to take the call.
    pub(crate) async fn replies(&self, request: &Sip, status: &str, takes: bool) {
        let description = if takes {
            self.description()
        } else {
            String::new()
        };
        let kind = if takes {
            format!(
                "Contact: <sip:127.0.0.1:{}>\r\nContent-Type: application/sdp\r\n",
                self.port()
            )
        } else {
            String::new()
        };
        let to = request.get("To");
        let tag = if to.contains(";tag=") {
            String::new()
        } else {
            format!(";tag={TAG}")
        };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nUser-Agent: Windows RTC/1.0\r\n{kind}Content-Length: {}\r\n\r\n{description}",
            request.get("Via"),
            request.get("From"),
            request.get("Call-ID"),
            request.get("CSeq"),
            description.len()
        );
        self.sip
            .send_to(text.as_bytes(), request.from)
            .await
            .unwrap();
    }

    /// Whether a message belongs to the call this phone placed.
    pub(crate) fn is_of_its_call(&self, message: &Sip) -> bool {
        message.get("Call-ID") == self.call_id()
    }

    fn call_id(&self) -> String {
        format!("e1c5d0a2-7d5b-4f7e-9c8e-0000{}@127.0.0.1", self.port())
    }

    async fn asks(&self, method: &str, number: u32, to_tag: &str, description: &str) {
        let (target, port) = (self.target.unwrap(), self.port());
        let kind = if description.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port}\r\n\
             Max-Forwards: 70\r\nFrom: \"bob@example.com\" <sip:bob@example.com>;tag={TAG}\r\n\
             To: <sip:{target}>{to_tag}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:127.0.0.1:{port}>\r\nUser-Agent: Windows RTC/1.0\r\n\
             {kind}Content-Length: {}\r\n\r\n{description}",
            self.call_id(),
            description.len()
        );
        self.sip.send_to(text.as_bytes(), target).await.unwrap();
    }

    fn description(&self) -> String {
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nb=CT:1000\r\n\
             t=0 0\r\nm=audio {} RTP/AVP 97 111 112 6 0 8 4 5 3 101\r\na=rtpmap:97 red/8000\r\n\
             a=rtpmap:111 SIREN/16000\r\na=fmtp:111 bitrate=16000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap: 3 GSM/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-16\r\n",
            self.media.port()
        )
    }
}

impl Drop for Handset {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn to_tag(message: &Sip) -> String {
    let (_, tag) = message.get("To").split_once(";tag=").unwrap_or_default();
    format!(";tag={tag}")
}
