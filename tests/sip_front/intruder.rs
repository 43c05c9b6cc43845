//! Whoever sends media without having been negotiated (ANCHORS.md E.3 row 6): before the call
//! stands, while it does and after it. Such a sender is not heard, is not answered, and does not
//! draw the sound to itself. Seen from outside, so it holds for whatever carries the media.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinHandle};

use super::*;

/// The tone of an intruder; whole periods fit into a packet of 20 ms.
const SHRILL: f64 = 1200.0;
const OURS: f64 = 880.0;
const THEIRS: f64 = 440.0;
/// The source that [`Rtc::talk`] uses: an intruder that has guessed it.
const SOURCE: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// Sends a tone and BYEs, at five times the speed of a call, from a pair of ports.
struct Intruder {
    rtp: Arc<UdpSocket>,
    rtcp: Arc<UdpSocket>,
    sent: watch::Receiver<u32>,
    task: JoinHandle<()>,
}

impl Intruder {
    /// At another host than the peer's, or at the peer's and another port.
    async fn at(ip: Ipv4Addr, target: SocketAddrV4) -> Self {
        let (rtp, rtcp) = socket::rtp_pair(ip).await.unwrap();
        let (rtp, rtcp) = (Arc::new(rtp), Arc::new(rtcp));
        let (count, sent) = watch::channel(0);
        let task = tokio::spawn(flood(rtp.clone(), rtcp.clone(), target, count));
        Self {
            rtp,
            rtcp,
            sent,
            task,
        }
    }

    /// Waits until that many more packets were sent.
    async fn sends(&mut self, more: u32) {
        let enough = *self.sent.borrow() + more;
        within("the intruder", self.sent.wait_for(|sent| *sent >= enough))
            .await
            .unwrap();
    }

    /// Stops, and asserts that nothing ever came back.
    fn got_nothing(self) {
        self.task.abort();
        let mut buffer = [0; 2048];
        for socket in [&self.rtp, &self.rtcp] {
            if let Ok((n, from)) = socket.try_recv_from(&mut buffer) {
                panic!("{n} bytes from {from}: {:?}", &buffer[..n.min(12)]);
            }
        }
    }
}

async fn flood(
    rtp: Arc<UdpSocket>,
    rtcp: Arc<UdpSocket>,
    target: SocketAddrV4,
    count: watch::Sender<u32>,
) {
    let mut pace = tokio::time::interval(Duration::from_millis(4));
    let reports = SocketAddrV4::new(*target.ip(), target.port() + 1);
    let goodbye = [&[0x81, 203, 0, 1], SOURCE.as_slice()].concat();
    // Far ahead of the real numbers and timestamps: what it says would not be "late".
    for number in 30_000_u32.. {
        pace.tick().await;
        let mut packet = vec![0x80, 0x80];
        packet.extend_from_slice(&(number as u16).to_be_bytes());
        packet.extend_from_slice(&(number * 160).to_be_bytes());
        packet.extend_from_slice(&SOURCE);
        packet.extend((0..160_u32).map(|n| {
            let t = f64::from(n) / 8000.0;
            let sample = (t * SHRILL * std::f64::consts::TAU).sin() * 20_000.0;
            audio_codec_algorithms::encode_ulaw(sample as i16)
        }));
        // An ICMP answer to an earlier packet is reported here; it stops nobody.
        let _ = rtp.send_to(&packet, target).await;
        let _ = rtcp.send_to(&goodbye, reports).await;
        count.send_replace(number - 29_999);
    }
}

/// A tone, and none of the intruder's.
fn is_clean(who: &str, samples: &[f64], rate: u32, wanted: f64) {
    let (there, shrill) = (level(samples, rate, wanted), level(samples, rate, SHRILL));
    assert!(
        there > 0.2 && shrill < 0.003,
        "{who}: {} samples, {wanted} Hz {there:.3}, {SHRILL} Hz {shrill:.4}",
        samples.len()
    );
    // A median hides what is short: no window may hold the intruder.
    for chunk in samples.chunks_exact((rate * 2 / 5) as usize) {
        let shrill = level(chunk, rate, SHRILL);
        assert!(shrill < 0.05, "{who}: {SHRILL} Hz {shrill:.4} in a window");
    }
}

/// The peer's RTCP: a lone receiver report.
async fn reports(rtc: &Rtc, sound: SocketAddrV4) {
    let report = [&[0x80, 201, 0, 1], SOURCE.as_slice()].concat();
    let to = SocketAddrV4::new(*sound.ip(), sound.port() + 1);
    rtc.rtcp.send_to(&report, to).await.unwrap();
}

/// Another host of this machine, as far as anybody can tell from a packet.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intruder_is_not_recorded_or_answered_before_during_or_after_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let call = Call {
        play: Some(tone(dir.path(), OURS)),
        ..Call::default()
    };
    let folder = dir.path().join("recordings");
    let bridge = bridge(dir.path(), BUILT_IN);
    let mut given = start_in(Role::Invitee, bridge, call, folder.clone());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    // Before the peer has said a word.
    let mut elsewhere = Intruder::at(ELSEWHERE, sound).await;
    elsewhere.sends(20).await;
    // Now the peer speaks first, and then a neighbour of it tries as well. Each channel has its
    // lock, so the peer reports as well, as RTC does at once (APPLICATIONS.md 1.4).
    reports(&rtc, sound).await;
    let mut heard = rtc.talk(sound, 5).await;
    let mut beside = Intruder::at(HERE, sound).await;
    heard.extend(rtc.talk_from(sound, 5, 120).await);
    is_clean("the peer", &decoded(&heard), 8000, OURS);
    assert!(heard.len() > 100 * 160, "{} samples", heard.len());
    rtc.hang_up().await;
    given.until("the end", finished).await;
    let made = recordings(&folder);
    assert_eq!(made.len(), 1);
    let size = fs::metadata(&made[0]).unwrap().len();
    elsewhere.sends(20).await;
    beside.sends(20).await;
    elsewhere.got_nothing();
    beside.got_nothing();
    assert_eq!(fs::metadata(&made[0]).unwrap().len(), size);
    let (recorded, rate) = recorded(&made[0]);
    is_clean("the recording", &recorded, rate, THEIRS);
    // Nor was the call longer than it was.
    assert!(recorded.len() <= 125 * 160, "{} samples", recorded.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intruder_does_not_reach_the_softphone_behind_the_relay() {
    if !have(&["baresip"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tone = tone(dir.path(), OURS);
    let bridge = bridge(dir.path(), &baresip(dir.path(), &tone));
    let mut given = start(Role::Invitee, bridge, Call::default());
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    given.connected(rtc.port);
    let sound = rtc.call(front).await;
    let mut elsewhere = Intruder::at(ELSEWHERE, sound).await;
    elsewhere.sends(20).await;
    reports(&rtc, sound).await;
    let mut heard = rtc.talk(sound, 5).await;
    let mut beside = Intruder::at(HERE, sound).await;
    heard.extend(rtc.talk_from(sound, 5, 145).await);
    // baresip begins when it has found its file: the first windows may be silent.
    is_clean("the peer", &decoded(&heard), 8000, OURS);
    rtc.hang_up().await;
    given.until("the end", finished).await;
    elsewhere.sends(20).await;
    beside.sends(20).await;
    elsewhere.got_nothing();
    beside.got_nothing();
    let dump = recordings(dir.path())
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("-dec.wav"))
        .unwrap();
    let (recorded, rate) = recorded(&dump);
    is_clean("baresip", &recorded, rate, THEIRS);
}
