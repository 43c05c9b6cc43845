//! The built-in agent's sound: G.711 over RTP, both ways, without socket or clock.
//!
//! A fallback and a test peer (APPLICATIONS.md 1.6.5): it plays a file or silence, gives what it
//! hears as samples, and sends reports often enough that RTC does not hang up under silence (1.4).
//! Packets are read through the gate ([`super::rtp`]); what is built here is ours alone.

use core::time::Duration;

use rtcp_types::{
    Bye, Compound, ReportBlock, RtcpPacketWriter, RtcpPacketWriterExt as _, RtcpWriteError, Sdes,
    SdesChunk, SdesItem, SenderReport,
};
use rtp_rs::RtpPacketBuilder;

use super::rtp::{self, Datagram};

/// Samples in a packet: 20 ms at 8 kHz.
pub const SAMPLES: usize = 160;
/// How long a packet lasts.
pub const PACKET: Duration = Duration::from_millis(20);
/// How often a report is due.
pub const REPORT_EVERY: Duration = Duration::from_secs(4);
/// Longest gap filled with silence, in samples: a second. A longer jump is a new beginning.
const MAX_GAP: u32 = 8000;
/// How much earlier than its time a packet may come, in samples: 200 ms of jitter.
const SLACK: u128 = 1600;
/// How long one voice may be silent before another is listened to.
const VOICE_GONE: Duration = Duration::from_secs(50);

/// One of the two laws of G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// µ-law, payload type 0.
    Mu,
    /// A-law, payload type 8.
    A,
}

impl Law {
    /// By static payload type (RFC 3551 section 6).
    #[must_use]
    pub fn of(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Mu),
            8 => Some(Self::A),
            _ => None,
        }
    }

    fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => audio_codec_algorithms::encode_ulaw(sample),
            Self::A => audio_codec_algorithms::encode_alaw(sample),
        }
    }

    fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Mu => audio_codec_algorithms::decode_ulaw(byte),
            Self::A => audio_codec_algorithms::decode_alaw(byte),
        }
    }
}

/// The voice that is listened to: one at a time (APPLICATIONS.md 0.6).
#[derive(Debug, Clone, Copy)]
struct Voice {
    source: u32,
    /// Timestamp of the sample after the last one heard.
    next: u32,
    highest: u16,
    received: u32,
    heard_at: Duration,
}

/// One side of a call.
#[derive(Debug)]
pub struct Answerer {
    law: Law,
    source: u32,
    sequence: u16,
    timestamp: u32,
    packets: u32,
    octets: u32,
    play: Vec<i16>,
    played: usize,
    voice: Option<Voice>,
}

impl Answerer {
    /// Begins. `seed` is unguessable and makes the source, the first number and the first
    /// timestamp (RFC 3550 section 5.1); `play` is played once, 8 kHz mono, then silence.
    #[must_use]
    pub fn new(law: Law, seed: [u8; 10], play: Vec<i16>) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = seed;
        Self {
            law,
            // RTC takes no source 0 (APPLICATIONS.md 1.4).
            source: u32::from_be_bytes([a, b, c, d]).max(1),
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([g, h, i, j]),
            packets: 0,
            octets: 0,
            play,
            played: 0,
            voice: None,
        }
    }

    /// The other law from now on, if the payload type names one.
    pub fn turn(&mut self, payload_type: u8) {
        if let Some(law) = Law::of(payload_type) {
            self.law = law;
        }
    }

    /// The next packet; one is due every [`PACKET`].
    pub fn packet(&mut self) -> Vec<u8> {
        let rest = self.play.get(self.played..).unwrap_or_default();
        let payload: Vec<u8> = rest
            .iter()
            .copied()
            .chain(core::iter::repeat(0))
            .take(SAMPLES)
            .map(|sample| self.law.encode(sample))
            .collect();
        self.played = self.played.saturating_add(SAMPLES);
        let packet = RtpPacketBuilder::new()
            .payload_type(self.law.payload_type())
            .marked(self.packets == 0)
            .sequence(self.sequence.into())
            .timestamp(self.timestamp)
            .ssrc(self.source)
            .payload(&payload)
            .build()
            .unwrap_or_default();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(SAMPLES as u32);
        packet
    }

    /// What a packet of the peer says: its samples, after silence for what was lost before it.
    /// Packets of another kind or voice, late ones and rubbish give nothing.
    pub fn hear(&mut self, packet: &[u8], now: Duration) -> Vec<i16> {
        // rtp-rs takes RTCP for RTP (RFC 5761 section 4 tells them apart).
        let Datagram::Rtp(packet) = rtp::read(packet) else {
            return Vec::new();
        };
        let Some(law) = Law::of(packet.payload_type) else {
            return Vec::new();
        };
        let payload = packet.payload;
        let (source, timestamp) = (packet.source, packet.timestamp);
        let length = u32::try_from(payload.len()).unwrap_or_default();
        if length == 0 || source == self.source {
            return Vec::new();
        }
        let known = self
            .voice
            .filter(|voice| now.saturating_sub(voice.heard_at) < VOICE_GONE);
        let mut gap = 0;
        let received = match known {
            Some(voice) if voice.source != source => return Vec::new(),
            Some(voice) => {
                let ahead = timestamp.wrapping_sub(voice.next);
                if ahead >= 1 << 31 {
                    // Late or repeated: its place is filled already.
                    return Vec::new();
                }
                // No more silence than time has passed, or timestamps that leap would fill the disk.
                let passed = now
                    .saturating_sub(voice.heard_at)
                    .as_millis()
                    .saturating_mul(8);
                if ahead <= MAX_GAP && u128::from(ahead) <= passed.saturating_add(SLACK) {
                    gap = ahead as usize;
                }
                voice.received.wrapping_add(1)
            }
            None => 1,
        };
        self.voice = Some(Voice {
            source,
            next: timestamp.wrapping_add(length),
            highest: packet.sequence,
            received,
            heard_at: now,
        });
        core::iter::repeat_n(0, gap)
            .chain(payload.iter().map(|byte| law.decode(*byte)))
            .collect()
    }

    /// What an RTCP packet of the peer says: a BYE of the voice frees its place.
    pub fn hear_report(&mut self, packet: &[u8]) {
        // RTC's may not be compound and its texts are NUL-terminated (APPLICATIONS.md 1.4):
        // only a BYE matters, and it is looked for by hand in whatever packets there are.
        let mut rest = packet;
        while let [first, kind, high, low, after @ ..] = rest {
            let words = usize::from(u16::from_be_bytes([*high, *low]));
            let body = after.get(..words * 4).unwrap_or(after);
            if first >> 6 == 2
                && *kind == 203
                && let [a, b, c, d, ..] = body
                && self
                    .voice
                    .is_some_and(|voice| voice.source == u32::from_be_bytes([*a, *b, *c, *d]))
            {
                self.voice = None;
            }
            rest = after.get(words * 4..).unwrap_or_default();
        }
    }

    /// A report: due every [`REPORT_EVERY`]. `now` is time since any epoch of ours.
    #[must_use]
    pub fn report(&self, now: Duration) -> Vec<u8> {
        let mut report = SenderReport::builder(self.source)
            .ntp_timestamp((now.as_secs() << 32) | u64::from(fraction(now)))
            .rtp_timestamp(self.timestamp)
            .packet_count(self.packets)
            .octet_count(self.octets);
        if let Some(voice) = &self.voice {
            report = report.add_report_block(
                ReportBlock::builder(voice.source)
                    .extended_sequence_number(u32::from(voice.highest)),
            );
        }
        written(
            &Compound::builder()
                .add_packet(report)
                .add_packet(name(self.source)),
        )
    }

    /// The last packet: RTC may then hear another voice (APPLICATIONS.md 0.6).
    #[must_use]
    pub fn farewell(&self, now: Duration) -> Vec<u8> {
        let report = SenderReport::builder(self.source)
            .ntp_timestamp((now.as_secs() << 32) | u64::from(fraction(now)))
            .rtp_timestamp(self.timestamp)
            .packet_count(self.packets)
            .octet_count(self.octets);
        written(
            &Compound::builder()
                .add_packet(report)
                .add_packet(name(self.source))
                .add_packet(Bye::builder().add_source(self.source)),
        )
    }

    /// Whether anything was heard.
    #[must_use]
    pub fn heard(&self) -> bool {
        self.voice.is_some()
    }
}

fn name(source: u32) -> rtcp_types::SdesBuilder<'static> {
    let item = SdesItem::builder(SdesItem::CNAME, "msn-handoff");
    Sdes::builder().add_chunk(SdesChunk::builder(source).add_item(item))
}

/// The lower half of an NTP timestamp.
fn fraction(now: Duration) -> u32 {
    u32::try_from((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000).unwrap_or(u32::MAX)
}

fn written(packet: &impl RtcpPacketWriter) -> Vec<u8> {
    let write = || -> Result<Vec<u8>, RtcpWriteError> {
        let mut bytes = vec![0; packet.calculate_size()?];
        packet.write_into(&mut bytes)?;
        Ok(bytes)
    };
    write().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn one(seed: u8, play: Vec<i16>) -> Answerer {
        Answerer::new(Law::Mu, [seed; 10], play)
    }

    #[test]
    fn two_of_them_hear_each_other() {
        let tone: Vec<i16> = (0..400)
            .map(|n| if n % 8 < 4 { 8000 } else { -8000 })
            .collect();
        let mut a = one(1, tone.clone());
        let mut b = one(2, Vec::new());
        let mut heard = Vec::new();
        for n in 0..4 {
            let packet = a.packet();
            assert_eq!(packet.len(), 12 + SAMPLES);
            heard.extend(b.hear(&packet, at(n * 20)));
        }
        assert_eq!(heard.len(), 640);
        for (have, want) in heard.iter().zip(&tone) {
            assert!(
                (i32::from(*have) - i32::from(*want)).abs() < 400,
                "{have} {want}"
            );
        }
        assert!(heard[400..].iter().all(|sample| sample.abs() < 16));
    }

    #[test]
    fn what_was_lost_is_silence_and_what_comes_late_or_twice_is_nothing() {
        let mut a = one(1, vec![8000; 1000]);
        let mut b = one(2, Vec::new());
        let packets: Vec<Vec<u8>> = (0..4).map(|_| a.packet()).collect();
        assert_eq!(b.hear(&packets[0], at(0)).len(), SAMPLES);
        let heard = b.hear(&packets[2], at(40));
        assert_eq!(heard.len(), 2 * SAMPLES);
        assert!(heard[..SAMPLES].iter().all(|sample| *sample == 0));
        assert!(b.hear(&packets[1], at(41)).is_empty());
        assert!(b.hear(&packets[2], at(42)).is_empty());
        assert_eq!(b.hear(&packets[3], at(60)).len(), SAMPLES);
    }

    #[test]
    fn one_voice_is_heard_until_it_says_bye_or_is_long_silent() {
        let (mut a, mut c) = (one(1, Vec::new()), one(3, Vec::new()));
        let mut b = one(2, Vec::new());
        assert_eq!(b.hear(&a.packet(), at(0)).len(), SAMPLES);
        assert!(b.hear(&c.packet(), at(20)).is_empty());
        b.hear_report(&c.farewell(at(30)));
        assert!(b.hear(&c.packet(), at(40)).is_empty());
        b.hear_report(&a.farewell(at(50)));
        assert_eq!(b.hear(&c.packet(), at(60)).len(), SAMPLES);
        assert!(b.hear(&a.packet(), at(80)).is_empty());
        assert_eq!(b.hear(&a.packet(), at(51_000)).len(), SAMPLES);
    }

    #[test]
    fn reports_are_compound_and_told_from_sound() {
        let mut a = one(1, Vec::new());
        a.packet();
        let mut b = one(2, Vec::new());
        b.hear(&a.packet(), at(0));
        let report = b.report(at(4000));
        let parsed = Compound::parse(&report).unwrap();
        assert_eq!(parsed.count(), 2);
        assert!(a.hear(&report, at(0)).is_empty());
        assert!(!a.heard());
    }

    #[test]
    fn our_own_echo_and_other_payloads_are_not_heard() {
        let mut a = one(1, Vec::new());
        let packet = a.packet();
        assert!(a.hear(&packet, at(0)).is_empty());
        let mut b = one(2, Vec::new());
        let mut gsm = packet;
        gsm[1] = 3;
        assert!(b.hear(&gsm, at(0)).is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_grow(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20)
        ) {
            let mut a = one(1, Vec::new());
            for (n, mut packet) in (0..).zip(packets) {
                if let Some(first) = packet.first_mut() {
                    *first = *first & 0x3f | 0x80;
                }
                let samples = a.hear(&packet, at(n));
                prop_assert!(samples.len() <= MAX_GAP as usize + 300);
                a.hear_report(&packet);
            }
            let _ = a.report(at(1));
        }
    }
}
