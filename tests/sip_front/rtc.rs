//! The synthetic RTC: what is known of MSN Messenger's SIP agent (APPLICATIONS.md 1.3, 1.6.6).

use super::*;

/// The synthetic RTC (APPLICATIONS.md 1.6.6) on a socket of its own.
pub(crate) struct Rtc {
    pub(crate) sip: UdpSocket,
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    /// Where sound is wanted, if not at `rtp`: a program's port.
    pub(crate) wants: Option<u16>,
    pub(crate) video: bool,
    pub(crate) video_at: Option<SocketAddrV4>,
    pub(crate) front: SocketAddrV4,
    pub(crate) port: u16,
    pub(crate) tag: String,
    pub(crate) number: u32,
}

impl Rtc {
    pub(crate) async fn new() -> Self {
        let sip = socket::udp((HERE, 0).into()).await.unwrap();
        let (rtp, rtcp) = socket::rtp_pair(HERE).await.unwrap();
        let port = sip.local_addr().unwrap().port();
        Self {
            sip,
            rtp,
            rtcp,
            wants: None,
            video: false,
            video_at: None,
            front: SocketAddrV4::new(HERE, 0),
            port,
            tag: String::new(),
            number: 1,
        }
    }

    pub(crate) async fn send(&self, method: &str, sdp: &str) {
        let (at, port, number) = (self.front, self.port, self.number);
        let tag = &self.tag;
        let kind = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port}\r\n\
             From: \"alice@example.com\" <sip:alice@example.com>;tag=0e5a1b2c-7d33-4f0a-9b0c-3c55e0d2f1aa\r\n\
             To: <sip:{at}>{tag}\r\nCall-ID: 6F9619FF-8B86-D011-B42D@127.0.0.1\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:127.0.0.1:{port}>\r\nMax-Forwards: 70\r\nUser-Agent: Windows RTC/1.0\r\n\
             {kind}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.sip.send_to(text.as_bytes(), at).await.unwrap();
    }

    pub(crate) fn offer(&self) -> String {
        let own = self.rtp.local_addr().unwrap().port();
        let port = self.wants.unwrap_or(own);
        let video = if self.video {
            "m=video 9 RTP/AVP 34 31\r\n"
        } else {
            ""
        };
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nb=CT:1000\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 97 111 112 6 0 8 4 5 3 101\r\na=rtpmap:97 red/8000\r\n\
             a=rtpmap:111 SIREN/16000\r\na=fmtp:111 bitrate=16000\r\na=rtpmap:112 G7221/16000\r\n\
             a=rtpmap: 3 GSM/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
             a=encryption:optional\r\n{video}"
        )
    }

    /// The next message with this status or method; others are passed over.
    pub(crate) async fn expect(&self, wanted: &str) -> Message {
        let mut buffer = vec![0; 4096];
        let mut seen = Vec::new();
        loop {
            let (n, _) =
                tokio::time::timeout(Duration::from_secs(20), self.sip.recv_from(&mut buffer))
                    .await
                    .unwrap_or_else(|_| panic!("waiting for {wanted}; seen {seen:?}"))
                    .unwrap();
            let message = sip::read(&buffer[..n]).unwrap();
            let name = match &message {
                Message::Request(request) => request.method.to_string(),
                Message::Response(response) => response.status.to_string(),
            };
            if name == wanted {
                return message;
            }
            seen.push(name);
        }
    }

    /// Calls until answered and confirmed. Gives where the front wants sound.
    pub(crate) async fn call(&mut self, front: u16) -> SocketAddrV4 {
        self.front = SocketAddrV4::new(HERE, front);
        self.send("INVITE", &self.offer()).await;
        let ok = self.expect("200").await;
        self.tag = format!(";tag={}", ok.fields().to.tag.as_ref().unwrap());
        self.send("ACK", "").await;
        let session = msn_handoff::media::sdp::read(&ok.fields().body).unwrap();
        let audio = session.audio().unwrap();
        assert!(
            audio
                .formats
                .iter()
                .all(|f| [0, 8, 101].contains(&f.payload_type))
        );
        self.video_at = session
            .video()
            .map(|video| SocketAddrV4::new(video.ip.unwrap(), video.port));
        SocketAddrV4::new(audio.ip.unwrap(), audio.port)
    }

    pub(crate) async fn hang_up(&mut self) {
        self.number += 1;
        self.send("BYE", "").await;
        self.expect("200").await;
    }

    /// Sends a 440 Hz tone for some packets and gives what came back: mu-law samples.
    pub(crate) async fn talk(&self, to: SocketAddrV4, packets: u16) -> Vec<u8> {
        self.talk_from(to, 0, packets).await
    }

    /// As [`Self::talk`], after so many packets before.
    pub(crate) async fn talk_from(&self, to: SocketAddrV4, first: u16, packets: u16) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 2048];
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        pace.tick().await;
        for i in first..first + packets {
            let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78];
            packet[2..4].copy_from_slice(&i.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(i) * 160).to_be_bytes());
            for n in 0..160 {
                let t = f64::from(u32::from(i) * 160 + n) / 8000.0;
                let sample = (t * 440.0 * std::f64::consts::TAU).sin() * 12000.0;
                packet.push(audio_codec_algorithms::encode_ulaw(sample as i16));
            }
            self.rtp.send_to(&packet, to).await.unwrap();
            loop {
                tokio::select! {
                    _ = pace.tick() => break,
                    got = self.rtp.recv_from(&mut buffer) => {
                        let (n, from) = got.unwrap();
                        assert_eq!(from, to.into(), "sound comes from where it goes");
                        if buffer[1] & 0x7f == 0 {
                            heard.extend_from_slice(&buffer[12..n]);
                        }
                    }
                }
            }
        }
        heard
    }
}
