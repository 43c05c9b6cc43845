//! The media side of a peer of the tests: plays a tone as mu-law RTP, keeps what it hears, and
//! sends RTCP as the genuine client does (APPLICATIONS.md 1.4): a lone sender report as a probe,
//! right before the real report, whose SDES text is NUL-terminated.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use msn_handoff::endpoint::socket;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{
    sound::{self, Heard},
    until,
};

const PCMU: u8 = 0;
/// Samples in a packet of 20 ms.
const FRAME: usize = 160;
const SSRC: [u8; 4] = [0x4d, 0x53, 0x4e, 0x01];

/// What came in.
#[derive(Debug, Default)]
struct Received {
    samples: Vec<i16>,
    packets: usize,
    /// Packet types of RTCP, in order.
    reports: Vec<u8>,
    from: Option<SocketAddr>,
    payload_types: Vec<u8>,
}

/// One end of a media session.
pub(crate) struct Media {
    rtp: Arc<UdpSocket>,
    rtcp: Arc<UdpSocket>,
    received: Arc<Mutex<Received>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Media {
    /// Opens an RTP port and the RTCP port above it, and listens.
    pub(crate) async fn open(ip: Ipv4Addr) -> Self {
        let (rtp, rtcp) = socket::rtp_pair(ip).await.unwrap();
        let mut media = Self {
            rtp: Arc::new(rtp),
            rtcp: Arc::new(rtcp),
            received: Arc::default(),
            tasks: Vec::new(),
        };
        let (rtp, received) = (Arc::clone(&media.rtp), Arc::clone(&media.received));
        media.tasks.push(tokio::spawn(async move {
            let mut packet = [0; 2048];
            while let Ok((length, from)) = rtp.recv_from(&mut packet).await {
                let Some((header, payload)) = packet[..length].split_at_checked(12) else {
                    continue;
                };
                let mut received = received.lock().unwrap();
                received.packets += 1;
                received.from = Some(from);
                let payload_type = header[1] & 0x7f;
                if !received.payload_types.contains(&payload_type) {
                    received.payload_types.push(payload_type);
                }
                if payload_type == PCMU {
                    received
                        .samples
                        .extend(payload.iter().map(|byte| decode_ulaw(*byte)));
                }
            }
        }));
        let (rtcp, received) = (Arc::clone(&media.rtcp), Arc::clone(&media.received));
        media.tasks.push(tokio::spawn(async move {
            let mut packet = [0; 2048];
            while let Ok((length, _)) = rtcp.recv_from(&mut packet).await {
                let mut rest = &packet[..length];
                while let [_, kind, high, low, ..] = rest {
                    received.lock().unwrap().reports.push(*kind);
                    let size = 4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1);
                    rest = rest.get(size..).unwrap_or_default();
                }
            }
        }));
        media
    }

    /// Where it listens for RTP.
    pub(crate) fn port(&self) -> u16 {
        self.rtp.local_addr().unwrap().port()
    }

    /// Plays a tone to that address from now on, with reports to the port above.
    pub(crate) fn play(&mut self, hz: f64, to: SocketAddr) {
        let rtp = Arc::clone(&self.rtp);
        self.tasks.push(tokio::spawn(async move {
            // A whole second of a whole number of periods can be repeated without a step.
            let samples = sound::tone(hz.round(), 1.0);
            let mut interval = tokio::time::interval(Duration::from_millis(20));
            let frames = samples.chunks_exact(FRAME).cycle();
            for (number, frame) in (0_u32..).zip(frames) {
                interval.tick().await;
                let marker = if number == 0 { 0x80 } else { 0 };
                let mut packet = vec![0x80, marker | PCMU];
                packet.extend_from_slice(&(number as u16).to_be_bytes());
                packet.extend_from_slice(&number.wrapping_mul(FRAME as u32).to_be_bytes());
                packet.extend_from_slice(&SSRC);
                packet.extend(frame.iter().map(|sample| encode_ulaw(*sample)));
                let _ = rtp.send_to(&packet, to).await;
            }
        }));
        let rtcp = Arc::clone(&self.rtcp);
        let to = SocketAddr::new(to.ip(), to.port() + 1);
        self.tasks.push(tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_millis(250));
            loop {
                interval.tick().await;
                let probe = sender_report();
                let _ = rtcp.send_to(&probe, to).await;
                let _ = rtcp.send_to(&[probe, description()].concat(), to).await;
            }
        }));
    }

    /// Sends one packet of RTCP as it is to the port above `to`.
    pub(crate) async fn reports_raw(&self, packet: &[u8], to: SocketAddr) {
        let to = SocketAddr::new(to.ip(), to.port() + 1);
        self.rtcp.send_to(packet, to).await.unwrap();
    }

    /// What it heard so far.
    pub(crate) fn heard(&self) -> Heard {
        Heard {
            samples: self.received().samples.clone(),
            rate: sound::RATE,
        }
    }

    /// Waits until that many packets came in.
    pub(crate) async fn packets(&self, count: usize) {
        until(&format!("{count} packets of RTP"), || {
            (self.received().packets >= count).then_some(())
        })
        .await;
    }

    /// How many packets came in.
    pub(crate) fn packet_count(&self) -> usize {
        self.received().packets
    }

    /// Where the packets come from.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        self.received().from
    }

    /// The payload types that were seen.
    pub(crate) fn payload_types(&self) -> Vec<u8> {
        self.received().payload_types.clone()
    }

    /// The RTCP packet types that were seen (200 sender report, 201 receiver report, 203 BYE).
    pub(crate) fn reports(&self) -> Vec<u8> {
        self.received().reports.clone()
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap()
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A sender report without blocks (RFC 3550 section 6.4.1).
fn sender_report() -> Vec<u8> {
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(&SSRC);
    report.extend_from_slice(&[0; 20]);
    report
}

/// A source description whose text counts the NUL that ends it (APPLICATIONS.md 1.4).
fn description() -> Vec<u8> {
    let name = b"alice@example.com\0";
    let mut body = SSRC.to_vec();
    body.push(1);
    body.push(name.len() as u8);
    body.extend_from_slice(name);
    body.push(0);
    body.resize(body.len().next_multiple_of(4), 0);
    let words = (body.len() / 4) as u8;
    [&[0x81, 202, 0, words], body.as_slice()].concat()
}
