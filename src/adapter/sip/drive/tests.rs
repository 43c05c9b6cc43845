//! The front with real sockets, and real softphones where they are installed.

use std::{path::PathBuf, sync::Arc};

use super::*;
use crate::{
    endpoint::policy::Policy,
    invitation::{AddressSource, Candidate},
    launch::{Plan, PrivateDir, Ready, Stop},
    negotiation::{Announcement, InvitationId, Role},
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

struct Given {
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
}

fn task(role: Role) -> (Task, Given) {
    let (orders, orders_in) = mpsc::unbounded_channel();
    let (reports_out, reports) = mpsc::unbounded_channel();
    let task = Task {
        invitation: InvitationId(1),
        role,
        bridge: Arc::new(crate::bridge::Bridge {}),
        peer: "alice@example.com".to_owned(),
        media: Vec::new(),
        own_ip: HERE,
        policy: Policy::new(HERE, Vec::new()),
        recordings: std::env::temp_dir(),
        orders: orders_in,
        reports: reports_out,
    };
    (task, Given { orders, reports })
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what}"))
}

impl Given {
    async fn prepared(&mut self) -> u16 {
        self.orders
            .send(Order::Prepare(Announcement::Accept))
            .unwrap();
        match within("ready", self.reports.recv()).await {
            Some(Report::Ready(at)) => at.port.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn connected(&self, port: u16) {
        let remote = Remote {
            candidates: vec![Candidate {
                ip: HERE,
                port: Some(port),
                source: AddressSource::IpAddress,
            }],
            ..Remote::default()
        };
        self.orders.send(Order::Connected(remote)).unwrap();
    }

    /// Waits for a report that is `wanted`, and gives what came before it.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Report) -> bool) -> Vec<Report> {
        let mut seen = Vec::new();
        loop {
            match within(what, self.reports.recv()).await {
                Some(report) => {
                    let hit = wanted(&report);
                    seen.push(report);
                    if hit {
                        return seen;
                    }
                }
                None => panic!("{what}: the reports ended after {seen:?}"),
            }
        }
    }
}

/// The synthetic RTC (APPLICATIONS.md 1.6.6) on a socket of its own.
struct Rtc {
    sip: UdpSocket,
    rtp: UdpSocket,
    front: SocketAddrV4,
    port: u16,
    tag: String,
    number: u32,
}

impl Rtc {
    async fn new() -> Self {
        let sip = socket::udp((HERE, 0).into()).await.unwrap();
        let (rtp, _rtcp) = socket::rtp_pair(HERE).await.unwrap();
        let port = sip.local_addr().unwrap().port();
        Self {
            sip,
            rtp,
            front: SocketAddrV4::new(HERE, 0),
            port,
            tag: String::new(),
            number: 1,
        }
    }

    async fn send(&self, method: &str, sdp: &str) {
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

    fn offer(&self) -> String {
        let port = self.rtp.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nb=CT:1000\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 97 111 112 6 0 8 4 5 3 101\r\na=rtpmap:97 red/8000\r\n\
             a=rtpmap:111 SIREN/16000\r\na=fmtp:111 bitrate=16000\r\na=rtpmap:112 G7221/16000\r\n\
             a=rtpmap: 3 GSM/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
             a=encryption:optional\r\n"
        )
    }

    /// The next message with this status or method; others are passed over.
    async fn expect(&self, wanted: &str) -> Message {
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
    async fn call(&mut self, front: u16) -> SocketAddrV4 {
        self.front = SocketAddrV4::new(HERE, front);
        self.send("INVITE", &self.offer()).await;
        let ok = self.expect("200").await;
        self.tag = format!(";tag={}", ok.fields().to.tag.as_ref().unwrap());
        self.send("ACK", "").await;
        let session = crate::media::sdp::read(&ok.fields().body).unwrap();
        let audio = session.audio().unwrap();
        assert!(
            audio
                .formats
                .iter()
                .all(|f| [0, 8, 101].contains(&f.payload_type))
        );
        SocketAddrV4::new(audio.ip.unwrap(), audio.port)
    }

    async fn hang_up(&mut self) {
        self.number += 1;
        self.send("BYE", "").await;
        self.expect("200").await;
    }

    /// Sends a 440 Hz tone for some packets and gives what came back: mu-law samples.
    async fn talk(&self, to: SocketAddrV4, packets: u16) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 2048];
        for i in 0..packets {
            let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78];
            packet[2..4].copy_from_slice(&i.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(i) * 160).to_be_bytes());
            for n in 0..160 {
                let t = f64::from(u32::from(i) * 160 + n) / 8000.0;
                let sample = (t * 440.0 * std::f64::consts::TAU).sin() * 12000.0;
                packet.push(audio_codec_algorithms::encode_ulaw(sample as i16));
            }
            self.rtp.send_to(&packet, to).await.unwrap();
            let pace = tokio::time::sleep(Duration::from_millis(20));
            tokio::pin!(pace);
            loop {
                tokio::select! {
                    () = &mut pace => break,
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

async fn linphone(sound: &str) -> Option<Contender> {
    let program = which::which("linphonec").ok()?;
    let port = socket::free_port(HERE).await.unwrap();
    let rtp = socket::free_port(HERE).await.unwrap();
    let files = PrivateDir::new().unwrap();
    files
        .make_dir(std::path::Path::new("home/.local/share/linphone"))
        .unwrap();
    let rc = format!(
        "[sip]\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nguess_hostname=0\n\
         contact=sip:bridge@127.0.0.1:{port}\nuse_ipv6=0\nipv6_migration_done=1\ndefault_proxy=-1\n\
         [rtp]\naudio_rtp_port={rtp}\n[net]\nbind_address=127.0.0.1\n[sound]\nechocancellation=0\n{sound}\n\
         [video]\nenabled=0\n"
    );
    let rc = files
        .write(std::path::Path::new("rc"), rc.as_bytes())
        .unwrap();
    let home = files.path().join("home");
    let at = SocketAddrV4::new(HERE, port);
    Some(Contender::Program {
        plan: Plan {
            name: "linphonec".to_owned(),
            program,
            args: vec!["-a".into(), "-c".into(), rc.into()],
            env: vec![("HOME".into(), home.into())],
            dir: None,
            ready: Ready::Udp(at.into()),
            ready_within: Duration::from_secs(10),
            stop: Stop {
                words: Some("quit\n".to_owned()),
                grace: Duration::from_secs(2),
            },
        },
        files: Some(files),
        user: Token::new("bridge").ok(),
        at,
    })
}

async fn baresip(tone: &std::path::Path) -> Option<(Contender, PathBuf)> {
    let program = which::which("baresip").ok()?;
    let port = socket::free_port(HERE).await.unwrap();
    let rtp = socket::free_port(HERE).await.unwrap();
    let files = PrivateDir::new().unwrap();
    let dir = files.path().to_path_buf();
    let config = format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\ncall_max_calls 1\n\
         audio_source aufile,{}\naudio_player aubridge,sink\naudio_alert aubridge,alert\n\
         rtp_ports {rtp}-{}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\n\
         module aubridge.so\nmodule sndfile.so\nmodule_app account.so\nmodule_app menu.so\nsnd_path {}\n",
        tone.display(),
        rtp + 10,
        dir.display(),
    );
    let accounts = format!(
        "<sip:bridge@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1\n"
    );
    for (name, text) in [
        ("config", config),
        ("accounts", accounts),
        ("contacts", String::new()),
    ] {
        files
            .write(std::path::Path::new(name), text.as_bytes())
            .unwrap();
    }
    let at = SocketAddrV4::new(HERE, port);
    Some((
        Contender::Program {
            plan: Plan {
                name: "baresip".to_owned(),
                program,
                args: vec!["-4".into(), "-f".into(), dir.clone().into()],
                env: vec![],
                dir: None,
                ready: Ready::Udp(at.into()),
                ready_within: Duration::from_secs(10),
                stop: Stop::default(),
            },
            files: Some(files),
            user: Token::new("bridge").ok(),
            at,
        },
        dir,
    ))
}

/// Level of a tone in what was heard, against full scale.
fn level(samples: &[f64], hz: f64) -> f64 {
    let step = hz / 8000.0 * std::f64::consts::TAU;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in (0_u32..).zip(samples) {
        re += sample * (f64::from(i) * step).cos();
        im += sample * (f64::from(i) * step).sin();
    }
    (re.hypot(im) * 2.0 / samples.len().max(1) as f64) / 32768.0
}

fn decoded(heard: &[u8]) -> Vec<f64> {
    heard
        .iter()
        .map(|byte| f64::from(audio_codec_algorithms::decode_ulaw(*byte)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linphone_takes_a_call_of_a_synthetic_rtc() {
    let Some(contender) = linphone("").await else {
        eprintln!("linphonec is not installed: not tested");
        return;
    };
    let (task, mut given) = task(Role::Invitee);
    tokio::spawn(serve(
        task,
        Settings::default(),
        Contenders::new([contender]),
    ));
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    let heard = rtc.talk(sound, 100).await;
    eprintln!("linphone: heard {} samples", heard.len());
    rtc.hang_up().await;
    let seen = given
        .until("the end", |r| matches!(r, Report::Finished(_)))
        .await;
    eprintln!("{seen:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_takes_a_call_of_a_synthetic_rtc() {
    let dir = tempfile::tempdir().unwrap();
    let tone = dir.path().join("tone.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&tone, spec).unwrap();
    for n in 0..80_000_u32 {
        let sample = (f64::from(n) / 8000.0 * 880.0 * std::f64::consts::TAU).sin() * 12000.0;
        wav.write_sample(sample as i16).unwrap();
    }
    wav.finalize().unwrap();
    let Some((contender, files)) = baresip(&tone).await else {
        eprintln!("baresip is not installed: not tested");
        return;
    };
    let (task, mut given) = task(Role::Invitee);
    tokio::spawn(serve(
        task,
        Settings::default(),
        Contenders::new([contender]),
    ));
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    let heard = rtc.talk(sound, 100).await;
    eprintln!(
        "baresip: heard {} samples, 880: {} 440: {}",
        heard.len(),
        level(&decoded(&heard), 880.0),
        level(&decoded(&heard), 440.0)
    );
    rtc.hang_up().await;
    for f in std::fs::read_dir(files).unwrap() {
        eprintln!("{:?}", f.unwrap().path());
    }
    let seen = given
        .until("the end", |r| matches!(r, Report::Finished(_)))
        .await;
    eprintln!("{seen:#?}");
}
