//! The SIP front against a synthetic RTC (APPLICATIONS.md 1.3, 1.6.6) on one side and programs
//! nobody here wrote on the other: linphonec, baresip, sipp (TOOLS.md 4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ffmpeg;
mod intruder;
mod rtc;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use msn_handoff::{
    adapter::{self, Order, Report, Task},
    bridge::{self, AdapterKind, Bridge, Reading, Registry, Requires},
    config::{Call, Caller},
    endpoint::{
        place::{Network, Place},
        policy::Policy,
        socket,
    },
    invitation::{AddressSource, Candidate},
    launch::{self, Plan, Program, Ready, Stop},
    media::sip::{self, Draft, Message, Text, Token},
    negotiation::{Announcement, InvitationId, Remote, Role},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
    sync::mpsc,
};

use rtc::Rtc;
use support::{child::Child, have};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

struct Given {
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
}

fn start(role: Role, bridge: Arc<Bridge>, call: Call) -> Given {
    start_in(role, bridge, call, std::env::temp_dir())
}

fn start_in(role: Role, bridge: Arc<Bridge>, call: Call, recordings: PathBuf) -> Given {
    start_at(role, bridge, call, recordings, Network::plain(HERE))
}

fn start_at(
    role: Role,
    bridge: Arc<Bridge>,
    call: Call,
    recordings: PathBuf,
    network: Network,
) -> Given {
    let (orders, orders_in) = mpsc::unbounded_channel();
    let (reports_out, reports) = mpsc::unbounded_channel();
    let task = Task {
        invitation: InvitationId(1),
        role,
        bridge,
        peer: "alice@example.com".to_owned(),
        media: Vec::new(),
        network,
        policy: Policy::new(HERE, Vec::new()),
        call,
        bandwidth: msn_handoff::media::limit::Bandwidth::default(),
        phones: None,
        recordings,
        orders: orders_in.into(),
        reports: reports_out,
    };
    tokio::spawn(adapter::run(AdapterKind::Sip, task));
    Given { orders, reports }
}

/// A bridge whose only handoffs are these.
fn bridge(dir: &Path, handoffs: &str) -> Arc<Bridge> {
    let path = dir.join("voice.toml");
    let text = format!(
        "id = \"voice\"\nname = \"a call\"\nguids = [\"{{02D3C01F-BF30-4825-A83A-DE7AF41648AA}}\"]\n\
         announce = \"an audio conversation\"\n[negotiation]\ndialect = \"sm1\"\naddress = \"ip:port\"\n\
         listens = \"both\"\nmedia = [\"audio\", \"video\"]\nconnection = true\n{handoffs}"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    match bridge::read_file(&path).unwrap() {
        Reading::Bridge(bridge) => Arc::new(*bridge),
        Reading::Hidden(id) => panic!("{id} is hidden"),
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
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

/// Level of a tone against full scale: the median over windows of 0.4 s, so that a gap or a jump
/// in phase (a jitter buffer at work) costs one window.
fn level(samples: &[f64], rate: u32, hz: f64) -> f64 {
    let step = hz / f64::from(rate) * std::f64::consts::TAU;
    let window = (rate * 2 / 5) as usize;
    let mut levels: Vec<f64> = samples
        .chunks_exact(window)
        .map(|chunk| {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, sample) in (0_u32..).zip(chunk) {
                re += sample * (f64::from(i) * step).cos();
                im += sample * (f64::from(i) * step).sin();
            }
            re.hypot(im) * 2.0 / window as f64 / 32768.0
        })
        .collect();
    levels.sort_by(f64::total_cmp);
    levels.get(levels.len() / 2).copied().unwrap_or_default()
}

fn decoded(heard: &[u8]) -> Vec<f64> {
    heard
        .iter()
        .map(|byte| f64::from(audio_codec_algorithms::decode_ulaw(*byte)))
        .collect()
}

/// A WAV file with a tone, long enough for any test here.
fn tone(dir: &Path, hz: f64) -> PathBuf {
    let path = dir.join("tone.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&path, spec).unwrap();
    for n in 0..160_000_u32 {
        let sample = (f64::from(n) / 8000.0 * hz * std::f64::consts::TAU).sin() * 12000.0;
        wav.write_sample(sample as i16).unwrap();
    }
    wav.finalize().unwrap();
    path
}

/// The samples of a recording, and its rate. One whose program was ended may be shorter than its
/// header says.
fn recorded(path: &Path) -> (Vec<f64>, u32) {
    let mut wav = hound::WavReader::open(path).unwrap();
    let rate = wav.spec().sample_rate;
    let samples = wav
        .samples::<i16>()
        .map_while(Result::ok)
        .map(f64::from)
        .collect();
    (samples, rate)
}

/// A handoff to a headless baresip that plays `tone` and writes what it hears to `dir`.
fn baresip(dir: &Path, tone: &Path) -> String {
    format!(
        r#"
[[handoff]]
name = "baresip"
adapter = "sip"
run = ["baresip", "-4", "-f", "{{dir}}"]
agent = "sip:handoff@127.0.0.1:{{agent.port}}"
[handoff.files]
contacts = ""
accounts = """
<sip:handoff@127.0.0.1:{{agent.port}}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1
"""
config = """
poll_method epoll
sip_listen 127.0.0.1:{{agent.port}}
net_interface 127.0.0.1
call_max_calls 1
audio_source aufile,{tone}
audio_player aubridge,sink
audio_alert aubridge,alert
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path {dir}
"""
"#,
        tone = tone.display(),
        dir = dir.display()
    )
}

fn finished(report: &Report) -> bool {
    matches!(report, Report::Finished(_))
}

fn says(reports: &[Report], text: &str) -> bool {
    reports.iter().any(|report| match report {
        Report::Say(line) | Report::Finished(line) => line.contains(text),
        Report::ProgramEnded { program, .. } => program.contains(text),
        Report::Started { program, .. } => program.contains(text),
        _ => false,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_linphone_of_the_built_in_bridge_takes_a_call_of_rtc() {
    if !have(&["linphonec"]) {
        return;
    }
    let registry = Registry::load(&[]).unwrap();
    let mut voice = Bridge::clone(registry.by_id("voice").unwrap());
    // A machine for tests has no sound, and linphone answers without.
    voice.handoffs[0].requires = Requires::default();
    let mut given = start(Role::Invitee, Arc::new(voice), Call::default());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    rtc.call(front).await;
    let seen = given
        .until("linphone", |r| {
            says(std::slice::from_ref(r), "linphone has it")
        })
        .await;
    assert!(says(&seen, "the peer calls"), "{seen:?}");
    rtc.hang_up().await;
    let seen = given.until("the end", finished).await;
    assert!(says(&seen, "linphone"), "its end is told: {seen:?}");
    assert!(says(&seen, "the peer hung up"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baresip_and_rtc_hear_each_other_and_no_dialect() {
    if !have(&["baresip"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), 880.0);
    // The first cannot start, the second leaves at once, the third takes the call.
    let handoffs = format!(
        "[[handoff]]\nname = \"nothing\"\nadapter = \"sip\"\nrun = [\"no-such-softphone\"]\n\
         agent = \"sip:127.0.0.1:{{agent.port}}\"\n\
         [[handoff]]\nname = \"leaver\"\nadapter = \"sip\"\nrun = [\"false\"]\n\
         agent = \"sip:127.0.0.1:{{agent.port}}\"\n{}",
        baresip(dir.path(), &tone)
    );
    let bridge = bridge(dir.path(), &handoffs);
    let mut given = start(Role::Invitee, bridge, Call::default());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    let heard = decoded(&rtc.talk(sound, 150).await);
    assert!(heard.len() > 16_000, "{} samples", heard.len());
    assert!(level(&heard, 8000, 880.0) > 0.3 && level(&heard, 8000, 440.0) < 0.003);
    rtc.hang_up().await;
    given.until("the end", finished).await;
    let dump = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("-dec.wav"))
        .unwrap();
    let (other, rate) = recorded(&dump);
    assert!(other.len() > 12_000, "{} samples", other.len());
    assert!(level(&other, rate, 440.0) > 0.3 && level(&other, rate, 880.0) < 0.003);
}

/// A linphonec somebody started, with files for a sound card.
async fn running_linphone(dir: &Path, tone: &Path) -> (Program, u16) {
    let port = socket::free_port(HERE).await.unwrap();
    let rtp = socket::free_port(HERE).await.unwrap();
    fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
    let rc = dir.join("rc");
    fs::write(
        &rc,
        format!(
            "[sip]\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nguess_hostname=0\n\
             contact=sip:lp@127.0.0.1:{port}\nuse_ipv6=0\nipv6_migration_done=1\ndefault_proxy=-1\n\
             [rtp]\naudio_rtp_port={rtp}\n[net]\nbind_address=127.0.0.1\n[sound]\nechocancellation=0\n\
             [video]\nenabled=0\n"
        ),
    )
    .unwrap();
    let script = format!(
        "(echo 'soundcard use files'; echo 'play {}'; echo 'record {}'; exec cat) | exec linphonec -a -c {}",
        tone.display(),
        dir.join("heard.wav").display(),
        rc.display()
    );
    let plan = Plan {
        name: "linphonec".to_owned(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("HOME".into(), dir.into())],
        dir: None,
        confined: None,
        ready: Ready::Udp(SocketAddr::from((HERE, port))),
        ready_within: Duration::from_secs(10),
        stop: Stop {
            words: Some("quit\n".to_owned()),
            grace: Duration::from_secs(3),
        },
    };
    let mut program = launch::start(&plan).unwrap();
    program.ready().await.unwrap();
    (program, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_that_runs_already_and_rtc_hear_each_other() {
    if !have(&["linphonec"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), 880.0);
    let (mut linphone, port) = running_linphone(dir.path(), &tone).await;
    let handoff = format!(
        "[[handoff]]\nname = \"my phone\"\nadapter = \"sip\"\nagent = \"sip:lp@127.0.0.1:{port}\"\n"
    );
    let mut given = start(Role::Invitee, bridge(dir.path(), &handoff), Call::default());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    let heard = decoded(&rtc.talk(sound, 150).await);
    rtc.hang_up().await;
    let seen = given.until("the end", finished).await;
    assert!(says(&seen, "my phone has it"), "{seen:?}");
    assert!(heard.len() > 12_000, "{} samples", heard.len());
    assert!(level(&heard, 8000, 880.0) > 0.2 && level(&heard, 8000, 440.0) < 0.01);
    linphone.stop().await;
    let (other, rate) = recorded(&dir.path().join("heard.wav"));
    assert!(other.len() > rate as usize, "{} samples", other.len());
    let levels = (level(&other, rate, 440.0), level(&other, rate, 880.0));
    assert!(levels.0 > 0.2 && levels.1 < 0.01, "{levels:?} at {rate}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_rtc_does_not_call_we_do_and_it_sees_a_userless_request() {
    if !have(&["baresip"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), 880.0);
    let bridge = bridge(dir.path(), &baresip(dir.path(), &tone));
    let settings = Call {
        caller: Caller::Inviter,
        ..Call::default()
    };
    let mut given = start(Role::Inviter, bridge, settings);
    given.prepared().await;
    let rtc = Rtc::new().await;
    given.connected(rtc.port);
    let Message::Request(invite) = rtc.expect("INVITE").await else {
        panic!()
    };
    assert_eq!(
        invite.uri.to_string(),
        format!("sip:127.0.0.1:{}", rtc.port)
    );
    let offer = msn_handoff::media::sdp::read(&invite.fields.body).unwrap();
    let audio = offer.audio().unwrap();
    let front = SocketAddrV4::new(audio.ip.unwrap(), audio.port);
    let at = SocketAddrV4::new(HERE, invite.fields.via.port.unwrap());
    // As RTC: no word of ours in the answer but what must be copied.
    let tag = Token::new("f3c0de00-1111-2222-3333-444444444444").unwrap();
    let reply =
        |request: &sip::Fields, status| Draft::reply(status, "OK", None, request, Some(&tag));
    let contact = Text::new(format!("<sip:127.0.0.1:{}>", rtc.port)).unwrap();
    let ok = reply(&invite.fields, 200)
        .header("Contact", &contact)
        .with_sdp(rtc.offer().as_bytes());
    rtc.sip.send_to(&ok, at).await.unwrap();
    rtc.expect("ACK").await;
    given
        .until("baresip", |r| {
            says(std::slice::from_ref(r), "baresip has it")
        })
        .await;
    let heard = decoded(&rtc.talk(front, 100).await);
    assert!(level(&heard, 8000, 880.0) > 0.3, "{} samples", heard.len());
    given.orders.send(Order::End).unwrap();
    let bye = rtc.expect("BYE").await;
    rtc.sip
        .send_to(&reply(bye.fields(), 200).finish(), at)
        .await
        .unwrap();
    let seen = given.until("the end", finished).await;
    assert!(says(&seen, "ended here"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rtc_may_come_by_tcp_and_before_we_know_where_it_is_but_strangers_get_nothing() {
    if !have(&["baresip"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), 880.0);
    let bridge = bridge(dir.path(), &baresip(dir.path(), &tone));
    let mut given = start(Role::Invitee, bridge, Call::default());
    let front = given.prepared().await;
    let at = SocketAddr::from((HERE, front));
    let stranger = socket::udp((Ipv4Addr::new(127, 0, 0, 2), 0).into())
        .await
        .unwrap();
    stranger
        .send_to(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: s\r\nCSeq: 1 OPTIONS\r\n\r\n", at)
        .await
        .unwrap();
    let rtc = Rtc::new().await;
    let port = rtc.port;
    let invite = |method: &str, number: u32, tag: &str, sdp: &str| {
        format!(
            "{method} sip:{at} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port}\r\n\
             From: <sip:alice@example.com>;tag=0e5a\r\nTo: <sip:{at}>{tag}\r\nCall-ID: tcp@127.0.0.1\r\n\
             CSeq: {number} {method}\r\nContact: <sip:127.0.0.1:{port};transport=tcp>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    };
    let mut stream = socket::tcp_connect(at, Duration::from_secs(2))
        .await
        .unwrap();
    // In two pieces, and before the handshake is complete.
    let text = invite("INVITE", 1, "", &rtc.offer());
    let (one, two) = text.split_at(200);
    stream.write_all(one.as_bytes()).await.unwrap();
    given.connected(port);
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut frames = sip::frame::Stream::default();
    let mut next = async |stream: &mut tokio::net::TcpStream, wanted: u16| {
        let mut buffer = vec![0; 4096];
        loop {
            while let Some(bytes) = frames.next().unwrap() {
                if let Message::Response(response) = sip::read(&bytes).unwrap()
                    && response.status == wanted
                {
                    return response;
                }
            }
            let n = within("an answer", stream.read(&mut buffer)).await.unwrap();
            assert!(n > 0, "the connection was closed");
            frames.push(&buffer[..n]);
        }
    };
    let ok = next(&mut stream, 200).await;
    let tag = format!(";tag={}", ok.fields.to.tag.unwrap());
    stream
        .write_all(invite("ACK", 1, &tag, "").as_bytes())
        .await
        .unwrap();
    stream
        .write_all(invite("BYE", 2, &tag, "").as_bytes())
        .await
        .unwrap();
    next(&mut stream, 200).await;
    given.until("the end", finished).await;
    // Everything is over: had the stranger been answered, it would have it by now.
    let mut buffer = [0; 100];
    assert!(stranger.try_recv(&mut buffer).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_calls_as_rtc_does() {
    sipp_calls("rtc.xml", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_repeats_what_is_lost_and_there_is_one_call() {
    sipp_calls("rtc_bad_line.xml", &["-nr"]).await;
}

async fn sipp_calls(scenario: &str, more: &[&str]) {
    if !have(&["baresip", "sipp"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), 880.0);
    let bridge = bridge(dir.path(), &baresip(dir.path(), &tone));
    let mut given = start(Role::Invitee, bridge, Call::default());
    let front = given.prepared().await;
    let port = socket::free_port(HERE).await.unwrap();
    given.connected(port);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip_front");
    let scenario = folder.join(scenario);
    let mut args = [
        "-sf",
        &scenario.to_string_lossy(),
        "-i",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-m",
        "1",
        "-timeout",
        "15s",
        "-timeout_error",
        "-nostdin",
        &format!("127.0.0.1:{front}"),
    ]
    .map(std::ffi::OsString::from)
    .to_vec();
    args.extend(more.iter().map(std::ffi::OsString::from));
    let plan = Plan {
        name: "sipp".to_owned(),
        program: which::which("sipp").unwrap(),
        args,
        env: vec![("TERM".into(), "dumb".into())],
        dir: Some(dir.path().to_owned()),
        confined: None,
        ready: Ready::Started,
        ready_within: Duration::from_secs(1),
        stop: Stop::default(),
    };
    let mut sipp = launch::start(&plan).unwrap();
    let exit = within("sipp", sipp.wait()).await;
    assert_eq!(exit.code, Some(0), "{}", sipp.last_words());
    let seen = given.until("the end", finished).await;
    let calls = |it: &&Report| matches!(it, Report::Say(line) if line == "the peer calls");
    assert_eq!(seen.iter().filter(calls).count(), 1, "{seen:?}");
    assert!(says(&seen, "baresip has it"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_here_can_take_it_people_are_told_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let handoff = "[[handoff]]\nname = \"my phone\"\nadapter = \"sip\"\nrun = [\"no-such-softphone\"]\n\
                   agent = \"sip:127.0.0.1:{agent.port}\"\n";
    let mut given = start(Role::Invitee, bridge(dir.path(), handoff), Call::default());
    given.prepared().await;
    given.connected(9);
    let seen = given.until("the end", finished).await;
    assert!(
        says(&seen, "no-such-softphone is not installed"),
        "{seen:?}"
    );
}

const BUILT_IN: &str = "[[handoff]]\nname = \"ours\"\nadapter = \"sip\"\nbuiltin = true\n";

/// The recordings of a folder.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_softphone_at_all_the_call_is_answered_played_to_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let call = Call {
        play: Some(tone(dir.path(), 880.0)),
        ..Call::default()
    };
    let folder = dir.path().join("recordings");
    let bridge = bridge(dir.path(), BUILT_IN);
    let mut given = start_in(Role::Invitee, bridge, call, folder.clone());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    given
        .until("running", |r| matches!(r, Report::Running))
        .await;
    let heard = decoded(&rtc.talk(sound, 100).await);
    assert!(level(&heard, 8000, 880.0) > 0.3, "{} samples", heard.len());
    // RTC ends a call without reports.
    let mut report = [0; 500];
    let (n, _) = within("RTCP", rtc.rtcp.recv_from(&mut report))
        .await
        .unwrap();
    assert_eq!((report[0] >> 6, report[1]), (2, 200), "{n} bytes");
    rtc.hang_up().await;
    // Had our answer been lost, the BYE would come again.
    rtc.send("BYE", "").await;
    rtc.expect("200").await;
    let seen = given.until("the end", finished).await;
    let made = recordings(&folder);
    assert_eq!(made.len(), 1);
    assert!(says(&seen, &made[0].display().to_string()), "{seen:?}");
    let (other, rate) = recorded(&made[0]);
    assert!(other.len() > 12_000, "{} samples", other.len());
    assert!(level(&other, rate, 440.0) > 0.3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_us_find_each_other_whoever_calls() {
    for caller in [Caller::Auto, Caller::Inviter, Caller::Invitee] {
        let dir = tempfile::tempdir().unwrap();
        let call = Call {
            caller,
            wait: 0.1,
            play: Some(tone(dir.path(), 880.0)),
            ..Call::default()
        };
        let folders = [dir.path().join("a"), dir.path().join("b")];
        let bridge = bridge(dir.path(), BUILT_IN);
        let mut a = start_in(
            Role::Inviter,
            bridge.clone(),
            call.clone(),
            folders[0].clone(),
        );
        let mut b = start_in(Role::Invitee, bridge, call, folders[1].clone());
        let (at_a, at_b) = (a.prepared().await, b.prepared().await);
        a.connected(at_b);
        b.connected(at_a);
        a.until("running", |r| matches!(r, Report::Running)).await;
        b.until("running", |r| matches!(r, Report::Running)).await;
        // Long enough for two windows of the tone.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        a.orders.send(Order::End).unwrap();
        let seen = a.until("the end", finished).await;
        assert!(says(&seen, "ended here"), "{seen:?}");
        let seen = b.until("the end", finished).await;
        assert!(says(&seen, "the peer hung up"), "{seen:?}");
        for folder in &folders {
            let made = recordings(folder);
            assert_eq!(made.len(), 1, "{caller:?}");
            let (other, rate) = recorded(&made[0]);
            assert!(level(&other, rate, 880.0) > 0.3, "{caller:?}");
        }
    }
}

/// ffmpeg, sending a film as RTC does: H.263 after RFC 2190, payload type 34.
fn camera(video: SocketAddrV4) -> Program {
    let plan = Plan {
        name: "ffmpeg".to_owned(),
        program: which::which("ffmpeg").unwrap(),
        args: [
            "-nostdin",
            "-loglevel",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=176x144:rate=15",
            "-t",
            "20",
            "-c:v",
            "h263",
            "-ps",
            "600",
            "-g",
            "15",
            "-f",
            "rtp",
            "-payload_type",
            "34",
            "-rtpflags",
            "rfc2190",
            &format!("rtp://{video}?pkt_size=1200"),
        ]
        .map(Into::into)
        .to_vec(),
        env: vec![],
        dir: None,
        confined: None,
        ready: Ready::Started,
        ready_within: Duration::from_secs(1),
        stop: Stop::default(),
    };
    launch::start(&plan).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_of_rtc_goes_to_a_player() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mkv");
    let player = format!(
        "{BUILT_IN}[[handoff]]\nname = \"ffmpeg\"\nadapter = \"sip\"\nmedium = \"video\"\n\
         run = [\"ffmpeg\", \"-nostdin\", \"-loglevel\", \"error\", \"-protocol_whitelist\", \"file,udp,rtp\", \"-analyzeduration\", \"500000\", \
         \"-i\", \"{{sdp}}\", \"-c\", \"copy\", \"-t\", \"2\", \"{}\"]\n",
        film.display()
    );
    let bridge = bridge(dir.path(), &player);
    let folder = dir.path().join("recordings");
    let mut given = start_in(Role::Invitee, bridge, Call::default(), folder);
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    rtc.video = true;
    given.connected(rtc.port);
    rtc.call(front).await;
    let video = rtc.video_at.unwrap();
    let mut camera = camera(video);
    // The player has its two seconds and leaves by itself.
    let left = |report: &Report| matches!(report, Report::ProgramEnded { .. });
    let seen = given.until("the film", left).await;
    assert!(says(&seen, "ffmpeg shows the picture"), "{seen:?}");
    camera.stop().await;
    rtc.hang_up().await;
    given.until("the end", finished).await;
    let size = fs::metadata(&film).map_or(0, |m| m.len());
    assert!(size > 20_000, "{size} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_of_rtc_is_recorded_where_there_is_no_player() {
    if !have(&["ffmpeg", "tshark"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let recorder = format!(
        "{BUILT_IN}[[handoff]]\nname = \"a recording\"\nadapter = \"sip\"\nmedium = \"video\"\nbuiltin = true\n"
    );
    let bridge = bridge(dir.path(), &recorder);
    let folder = dir.path().join("recordings");
    let mut given = start_in(Role::Invitee, bridge, Call::default(), folder.clone());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    rtc.video = true;
    given.connected(rtc.port);
    rtc.call(front).await;
    let mut camera = camera(rtc.video_at.unwrap());
    // Long enough for some pictures: the file grows as they come.
    let dump = within("the recording", async {
        loop {
            let grown = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .find(|entry| {
                    entry.path().extension().is_some_and(|end| end == "pcap")
                        && entry
                            .metadata()
                            .is_ok_and(|metadata| metadata.len() > 20_000)
                });
            if let Some(entry) = grown {
                return entry.path();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    camera.stop().await;
    rtc.hang_up().await;
    let seen = given.until("the end", finished).await;
    assert!(says(&seen, &dump.display().to_string()), "{seen:?}");
    let mut tshark = Child::start(
        "tshark",
        [
            "-Q",
            "-r",
            dump.to_str().unwrap(),
            "-o",
            "rtp.heuristic_rtp:TRUE",
            "-Y",
            "h263",
            "-T",
            "fields",
            "-e",
            "rtp.p_type",
        ],
        dir.path(),
    );
    assert_eq!(tshark.wait().await, Some(0), "{}", tshark.output());
    // As root it also warns, among the lines.
    let said = tshark.output();
    let types: Vec<u8> = said.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(
        types.len() > 10 && types.iter().all(|kind| *kind == 34),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_router_its_address_is_told_and_ours_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let router = Ipv4Addr::new(203, 0, 113, 9);
    let first = support::ports().await;
    let ports = format!("{first}-{}", first + 15).parse().unwrap();
    let network = Network {
        bind: Place {
            ip: HERE,
            ports: Some(ports),
        },
        announce: router,
        outside: msn_handoff::endpoint::outside::Outside::default(),
    };
    let handoffs = "[[handoff]]\nname = \"ours\"\nadapter = \"sip\"\nbuiltin = true\n";
    let bridge = bridge(dir.path(), handoffs);
    let recordings = dir.path().to_owned();
    let call = Call::default();
    let mut given = start_at(Role::Invitee, bridge, call, recordings, network);
    given
        .orders
        .send(Order::Prepare(Announcement::Accept))
        .unwrap();
    let Some(Report::Ready(told)) = within("ready", given.reports.recv()).await else {
        panic!("not ready")
    };
    let port = told.port.unwrap();
    assert_eq!(told.ip, router);
    let connection = told.connection.unwrap();
    assert_eq!(connection.public_ip, Some(router));
    assert_eq!(connection.private_ip, Some(HERE));
    let allowed = first..first + 16;
    assert!(allowed.contains(&port), "{port}");

    // The call comes to the bound address, as a router would bring it.
    let rtc = socket::udp((HERE, 0).into()).await.unwrap();
    given.connected(rtc.local_addr().unwrap().port());
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 40000 RTP/AVP 0\r\n";
    let invite = format!(
        "INVITE sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {at}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: x@127.0.0.1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:{at}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {length}\r\n\r\n{sdp}",
        at = rtc.local_addr().unwrap(),
        length = sdp.len()
    );
    let mut buffer = [0; 4096];
    let answer = within("the answer", async {
        loop {
            rtc.send_to(invite.as_bytes(), (HERE, port)).await.unwrap();
            let got = tokio::time::timeout(Duration::from_millis(500), rtc.recv(&mut buffer)).await;
            if let Ok(Ok(length)) = got {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with("SIP/2.0 200") {
                    return text;
                }
            }
        }
    })
    .await;
    assert!(answer.contains("c=IN IP4 203.0.113.9\r\n"), "{answer}");
    assert!(answer.contains(&format!("@203.0.113.9:{port}")), "{answer}");
    let audio = answer.split("m=audio ").nth(1).unwrap();
    let audio: u16 = audio.split(' ').next().unwrap().parse().unwrap();
    assert!(
        allowed.contains(&audio) && audio.is_multiple_of(2),
        "{audio}"
    );
    given.orders.send(Order::End).unwrap();
    given.until("the end", finished).await;
}
