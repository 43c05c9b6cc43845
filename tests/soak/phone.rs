//! A contact's phone, as the genuine client's (RFC 2543, no branch and no user part), over UDP or TCP,
//! with some sound. It reads and writes plain text, and nothing in it waits for ever.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use msn_handoff::endpoint::socket;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Chance, deeds::Deeds, hosts};

/// Where it takes calls.
pub(crate) const PORT: u16 = 5060;
/// How long a call may ring: the other side's phone may have to be started.
const RINGS: Duration = Duration::from_secs(6);
const PACKET: Duration = Duration::from_millis(20);

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Sound,
    Picture,
    /// A whiteboard; nothing but the call.
    Data,
}

/// One that stands at an address of its own.
pub(crate) struct Phone {
    line: Line,
    /// Answers that came by UDP.
    answers: mpsc::UnboundedReceiver<String>,
    calls: u32,
}

/// What takes calls and what places them have in common.
#[derive(Clone)]
struct Line {
    at: Ipv4Addr,
    sip: Arc<UdpSocket>,
    sound: Arc<UdpSocket>,
    picture: Arc<UdpSocket>,
    deeds: Deeds,
}

impl Phone {
    /// Takes calls from now on, until `living` ends.
    pub(crate) async fn open(
        at: Ipv4Addr,
        mut chance: Chance,
        deeds: &Deeds,
        living: &mut JoinSet<()>,
    ) -> Self {
        let udp = async |port| Arc::new(socket::udp((at, port).into()).await.unwrap());
        let line = Line {
            at,
            sip: udp(PORT).await,
            sound: udp(0).await,
            picture: udp(0).await,
            deeds: deeds.clone(),
        };
        let (answered, answers) = mpsc::unbounded_channel();
        living.spawn(line.clone().hears());
        let (taking, moods) = (line.clone(), Chance(chance.next()));
        living.spawn(taking.takes_calls(answered, moods));
        let listener = socket::tcp_listen((at, PORT).into()).await.unwrap();
        let (taking, mut moods) = (line.clone(), Chance(chance.next()));
        hosts::serve(living, listener, move |stream| {
            taking.clone().takes_stream(stream, Chance(moods.next()))
        });
        Self {
            line,
            answers,
            calls: 0,
        }
    }

    /// Calls, talks for a while, and hangs up or does not.
    pub(crate) async fn calls(&mut self, to: SocketAddr, about: About, chance: &mut Chance) {
        self.calls += 1;
        let mut call = Outgoing {
            line: self.line.clone(),
            to,
            id: format!("{:016x}-{}@{}", chance.next(), self.calls, self.line.at),
            number: 1,
            to_tag: String::new(),
            stream: None,
        };
        if chance.one_in(3) {
            call.stream = hosts::connect(self.line.at, to).await;
            if call.stream.is_none() {
                return;
            }
        }
        while self.answers.try_recv().is_ok() {}
        call.asks("INVITE", &self.line.description(about)).await;
        let ringing = timeout(RINGS, call.answered(&mut self.answers)).await;
        let Some(answer) = ringing.ok().flatten() else {
            if chance.one_in(2) {
                call.asks("CANCEL", "").await;
            }
            return;
        };
        call.to_tag = header(&answer, "To")
            .and_then(|to| to.split_once(";tag="))
            .map(|(_, tag)| format!(";tag={tag}"))
            .unwrap_or_default();
        if chance.one_in(8) {
            // Never confirmed: it is repeated to us, and given up there.
            return;
        }
        call.asks("ACK", "").await;
        self.line.deeds.did("a call of a contact's was answered");
        let packets = chance.below(100);
        self.line.talks(&answer, packets).await;
        if about == About::Data {
            return;
        }
        if chance.one_in(4) {
            // Once more, on hold or with other media.
            call.number += 1;
            call.asks("INVITE", &self.line.description(about)).await;
            if timeout(RINGS, call.answered(&mut self.answers))
                .await
                .is_ok_and(|it| it.is_some())
            {
                call.asks("ACK", "").await;
                self.line.talks(&answer, 10).await;
            }
        }
        if !chance.one_in(3) {
            call.number += 1;
            call.asks("BYE", "").await;
        }
    }

    /// Sends a picture there, as a webcam does.
    pub(crate) async fn shows(&self, to: SocketAddr, packets: usize) {
        send(&self.line.picture, to, 34, packets).await;
        self.line.deeds.did("a picture was sent");
    }
}

/// A call that was placed.
struct Outgoing {
    line: Line,
    to: SocketAddr,
    id: String,
    number: u32,
    to_tag: String,
    /// Over TCP.
    stream: Option<TcpStream>,
}

impl Outgoing {
    async fn asks(&mut self, method: &str, description: &str) {
        let (to, at) = (self.to, self.line.at);
        let via = if self.stream.is_some() { "TCP" } else { "UDP" };
        let kind = match description {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        let text = format!(
            "{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/{via} {at}:{PORT}\r\nMax-Forwards: 70\r\n\
             From: \"bob@example.com\" <sip:bob@example.com>;tag=6f1c7a43-9d0e-4a58-8a0b-51d2f6b6c0e7\r\n\
             To: <sip:{to}>{}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContact: <sip:{at}:{PORT}>\r\n\
             User-Agent: Windows RTC/1.0\r\n{kind}Content-Length: {}\r\n\r\n{description}",
            self.to_tag,
            self.id,
            self.number,
            description.len()
        );
        match &mut self.stream {
            Some(stream) => drop(timeout(RINGS, stream.write_all(text.as_bytes())).await),
            None => drop(self.line.sip.send_to(text.as_bytes(), to).await),
        }
    }

    /// The answer that takes the call.
    async fn answered(&mut self, by_udp: &mut mpsc::UnboundedReceiver<String>) -> Option<String> {
        let about = format!("CSeq: {} INVITE", self.number);
        let mut read = String::new();
        loop {
            let text = match &mut self.stream {
                None => by_udp.recv().await?,
                Some(stream) => next(stream, &mut read).await?,
            };
            if !text.contains(&self.id) || !text.contains(&about) {
                continue;
            }
            match text.get(8..9) {
                Some("1") => {}
                Some("2") => return Some(text),
                _ => return None,
            }
        }
    }
}

impl Line {
    /// Serves what comes by UDP.
    async fn takes_calls(self, answered: mpsc::UnboundedSender<String>, mut chance: Chance) {
        let mut buffer = vec![0; 65_536];
        loop {
            // A closed port at the other side shows up here as an error.
            let Ok((n, from)) = self.sip.recv_from(&mut buffer).await else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.starts_with("SIP/2.0 ") {
                let _ = answered.send(text);
                continue;
            }
            for reply in self.replies(&text, &mut chance) {
                let _ = self.sip.send_to(reply.as_bytes(), from).await;
            }
        }
    }

    /// Serves a connection: calls, or bytes that are no call, which are read or left.
    async fn takes_stream(self, mut stream: TcpStream, mut chance: Chance) {
        if chance.one_in(4) {
            // Whoever sends is not read for a while.
            sleep(chance.millis(4_000)).await;
        }
        let mut read = String::new();
        while let Ok(Some(text)) = timeout(RINGS, next(&mut stream, &mut read)).await {
            for reply in self.replies(&text, &mut chance) {
                let _ = timeout(RINGS, stream.write_all(reply.as_bytes())).await;
            }
        }
    }

    /// What is said to a request.
    fn replies(&self, request: &str, chance: &mut Chance) -> Vec<String> {
        let method = request.split(' ').next().unwrap_or_default();
        let reply = |status: &str, description: &str| {
            let get = |name| header(request, name).unwrap_or_default();
            let to = get("To");
            let tag = match to.contains(";tag=") {
                true => "",
                false => ";tag=0b54bd5c-1e61-4be6-a3a4-7bbd9cf93c1d",
            };
            let kind = match description {
                "" => String::new(),
                _ => format!(
                    "Contact: <sip:{}:{PORT}>\r\nContent-Type: application/sdp\r\n",
                    self.at
                ),
            };
            format!(
                "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
                 User-Agent: Windows RTC/1.0\r\n{kind}Content-Length: {}\r\n\r\n{description}",
                get("Via"),
                get("From"),
                get("Call-ID"),
                get("CSeq"),
                description.len()
            )
        };
        match method {
            "INVITE" => match chance.below(8) {
                0 => vec![reply("486 Busy Here", "")],
                1 => Vec::new(),
                _ => {
                    self.deeds.did("a call to a contact was taken");
                    let (line, request) = (self.clone(), request.to_owned());
                    let packets = chance.below(150);
                    // Ends by itself after that many packets.
                    tokio::spawn(async move { line.talks(&request, packets).await });
                    let description = self.description(About::Sound);
                    vec![reply("180 Ringing", ""), reply("200 OK", &description)]
                }
            },
            "BYE" | "CANCEL" | "OPTIONS" => vec![reply("200 OK", "")],
            _ => Vec::new(),
        }
    }

    fn description(&self, about: About) -> String {
        let at = self.at;
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let head = format!("v=0\r\no=- 0 0 IN IP4 {at}\r\ns=session\r\nc=IN IP4 {at}\r\n");
        let sound = format!(
            "b=CT:1000\r\nt=0 0\r\nm=audio {} RTP/AVP 97 111 0 8 101\r\na=rtpmap:97 red/8000\r\n\
             a=rtpmap:111 SIREN/16000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n",
            port(&self.sound)
        );
        match about {
            About::Sound => head + &sound,
            About::Picture => {
                let picture = port(&self.picture);
                format!("{head}{sound}m=video {picture} RTP/AVP 34 31\r\n")
            }
            About::Data => format!(
                "{head}t=0 0\r\nm=application 1503 tcp msdata\r\na=sendonly\r\na=encryption:optional\r\n"
            ),
        }
    }

    /// Sends so many packets of sound, and some of a picture, to where a description wants them.
    async fn talks(&self, message: &str, packets: usize) {
        let wanted = |medium: &str| {
            let port = after(message, medium)?.parse().ok().filter(|it| *it != 0)?;
            let ip: Ipv4Addr = after(message, "c=IN IP4 ")?.parse().ok()?;
            Some(SocketAddrV4::new(ip, port))
        };
        if let Some(to) = wanted("m=audio ") {
            send(&self.sound, to.into(), 0, packets).await;
        }
        if let Some(to) = wanted("m=video ") {
            send(&self.picture, to.into(), 34, packets / 4).await;
            self.deeds.did("a picture was sent in a call");
        }
    }

    /// Notes sound that comes.
    async fn hears(self) {
        let mut packet = [0; 2048];
        loop {
            if let Ok((n, _)) = self.sound.recv_from(&mut packet).await
                && n > 12
                && packet[0] >> 6 == 2
            {
                self.deeds.did("a packet of sound came to a contact");
            }
        }
    }
}

/// So many packets of RTP, at the pace of sound.
async fn send(from: &UdpSocket, to: SocketAddr, payload_type: u8, packets: usize) {
    let mut packet = vec![0x55; 172];
    packet[0] = 0x80;
    for number in 0..packets {
        packet[1] = payload_type;
        packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(number as u32 * 160).to_be_bytes());
        let _ = from.send_to(&packet, to).await;
        sleep(PACKET).await;
    }
}

/// The next message of a stream; nothing at its end, or when it is no SIP.
async fn next(stream: &mut TcpStream, read: &mut String) -> Option<String> {
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, _)) = read.split_once("\r\n\r\n") {
            let length: usize = header(head, "Content-Length")?.trim().parse().ok()?;
            let whole = head.len() + 4 + length;
            if read.len() >= whole && read.is_char_boundary(whole) {
                let rest = read.split_off(whole);
                return Some(std::mem::replace(read, rest));
            }
        }
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        if read.len() > 65_536 {
            return None;
        }
        read.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = message.split("\r\n");
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The word after that beginning of a line.
fn after<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = message.split("\r\n");
    let line = lines.find_map(|line| line.strip_prefix(key))?;
    line.split(' ').next()
}
