//! The gate to RTCP (RFC 3550 section 6): rtcp-types writes; what comes is read leniently.
//!
//! RTC may send a lone report without a description, and ends its texts with NUL (APPLICATIONS.md
//! 1.4). So the packets of a datagram are walked here one by one, whatever they begin with, and
//! one that cannot be read costs none of the others.

use core::time::Duration;

use rtcp_types::{
    Bye, Compound, ReceiverReport, ReportBlock, RtcpPacketParser as _, RtcpPacketWriter,
    RtcpPacketWriterExt as _, RtcpWriteError, Sdes, SdesChunk, SdesItem, SenderReport,
};

use super::statistics::Reception;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// Longest text of an item (RFC 3550 section 6.5).
const MAX_TEXT: usize = 255;
/// Most packets that are read in one datagram.
const MAX_PACKETS: usize = 32;

/// What a sender says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When, since any epoch; on the wire an NTP timestamp.
    pub at: Duration,
    /// The same moment in units of the payload's clock.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Bytes of their payloads.
    pub octets: u32,
}

/// A report of the other side that is echoed, for it to know the time of the round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// [`Report::middle`] of its last report.
    pub middle: u32,
    /// How long ago that came.
    pub delay: Duration,
}

/// A report of ours, to be written.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Our source.
    pub source: u32,
    /// Our name (CNAME).
    pub name: &'a str,
    /// What we sent. Without, it is a receiver's report.
    pub sent: Option<Sent>,
    /// What we heard.
    pub heard: Option<Reception>,
    /// What we heard last.
    pub echo: Option<Echo>,
    /// Whether we leave: a BYE comes at the end.
    pub bye: bool,
}

/// What a datagram of the other side says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub source: Option<u32>,
    /// What it sent: NTP timestamp, RTP timestamp, packets, bytes.
    pub sent: Option<(u64, u32, u32, u32)>,
    /// What it heard, of whom.
    pub heard: Vec<Reception>,
    /// Its name (CNAME), without NUL and what follows; unreadable letters are replaced.
    pub name: Option<String>,
    /// Whether a source leaves.
    pub bye: bool,
    /// Who leaves. A BYE may name nobody.
    pub leaving: Vec<u32>,
}

impl Report {
    /// The middle of its NTP timestamp, for [`Echo`].
    #[must_use]
    pub fn middle(&self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, reason = "the middle 32 of 64 bits")]
        self.sent.map(|(ntp, ..)| (ntp >> 16) as u32)
    }

    /// Whether that source leaves: it is named, or the BYE names nobody.
    #[must_use]
    pub fn is_leaving(&self, source: u32) -> bool {
        self.bye && (self.leaving.is_empty() || self.leaving.contains(&source))
    }
}

/// Writes a report: SR or RR, SDES with the name, BYE when leaving.
#[must_use]
pub fn write(own: &Own<'_>) -> Vec<u8> {
    let item = SdesItem::builder(SdesItem::CNAME, shortened(own.name));
    let description = Sdes::builder().add_chunk(SdesChunk::builder(own.source).add_item(item));
    let block = own.heard.map(|heard| {
        let echo = own
            .echo
            .map_or((0, 0), |echo| (echo.middle, in_65536ths(echo.delay).max(1)));
        ReportBlock::builder(heard.source)
            .fraction_lost(heard.fraction_lost)
            .cumulative_lost(heard.lost.min(0x7f_ffff))
            .extended_sequence_number(heard.highest)
            .interarrival_jitter(heard.jitter)
            .last_sender_report_timestamp(echo.0)
            .delay_since_last_sender_report_timestamp(echo.1)
    });
    let compound = Compound::builder();
    let compound = match own.sent {
        Some(sent) => {
            let mut report = SenderReport::builder(own.source)
                .ntp_timestamp(ntp(sent.at))
                .rtp_timestamp(sent.timestamp)
                .packet_count(sent.packets)
                .octet_count(sent.octets);
            if let Some(block) = block {
                report = report.add_report_block(block);
            }
            compound.add_packet(report)
        }
        None => {
            let mut report = ReceiverReport::builder(own.source);
            if let Some(block) = block {
                report = report.add_report_block(block);
            }
            compound.add_packet(report)
        }
    };
    let compound = compound.add_packet(description);
    if own.bye {
        bytes(&compound.add_packet(Bye::builder().add_source(own.source)))
    } else {
        bytes(&compound)
    }
}

fn bytes(packet: &impl RtcpPacketWriter) -> Vec<u8> {
    let write = || -> Result<Vec<u8>, RtcpWriteError> {
        let mut bytes = vec![0; packet.calculate_size()?];
        packet.write_into(&mut bytes)?;
        Ok(bytes)
    };
    // Every length and count above is within its limits.
    write().unwrap_or_default()
}

fn shortened(text: &str) -> &str {
    let text = text.split('\0').next().unwrap_or_default();
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// A duration as an NTP timestamp: seconds, and below them their 2^32nd parts.
fn ntp(at: Duration) -> u64 {
    (at.as_secs() << 32) | ((u64::from(at.subsec_nanos()) << 32) / 1_000_000_000)
}

fn in_65536ths(time: Duration) -> u32 {
    u32::try_from(ntp(time) >> 16).unwrap_or(u32::MAX)
}

/// Reads a datagram. `None` if it holds no RTCP at all.
#[must_use]
pub fn read(datagram: &[u8]) -> Option<Report> {
    let mut report = Report::default();
    let mut any = false;
    let mut rest = datagram;
    for _ in 0..MAX_PACKETS {
        let [first, kind, high, low, ..] = rest else {
            break;
        };
        if first >> 6 != 2 || !(192..=223).contains(kind) {
            break;
        }
        let length = 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
        // The last one may be cut off; then it is read as far as it goes, if that is possible.
        let packet = rest.get(..length).unwrap_or(rest);
        any = true;
        report.take(*kind, packet);
        rest = rest.get(length..).unwrap_or_default();
    }
    any.then_some(report)
}

impl Report {
    fn take(&mut self, kind: u8, packet: &[u8]) {
        match kind {
            SENDER_REPORT => {
                let Ok(report) = SenderReport::parse(packet) else {
                    return;
                };
                self.source = Some(report.ssrc());
                self.sent = Some((
                    report.ntp_timestamp(),
                    report.rtp_timestamp(),
                    report.packet_count(),
                    report.octet_count(),
                ));
                self.heard.extend(report.report_blocks().map(reception));
            }
            RECEIVER_REPORT => {
                let Ok(report) = ReceiverReport::parse(packet) else {
                    return;
                };
                self.source = Some(report.ssrc());
                self.heard.extend(report.report_blocks().map(reception));
            }
            DESCRIPTION => {
                // The first chunk is enough: source, then items of type, length, text.
                let Some(mut items) = packet.get(8..) else {
                    return;
                };
                while let [kind, length, text @ ..] = items {
                    if *kind == 0 {
                        return;
                    }
                    let Some((text, more)) = text.split_at_checked(usize::from(*length)) else {
                        return;
                    };
                    if *kind == SdesItem::CNAME && self.name.is_none() {
                        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                        self.name = Some(String::from_utf8_lossy(text).into_owned());
                    }
                    items = more;
                }
            }
            BYE => {
                self.bye = true;
                let count = usize::from(packet.first().copied().unwrap_or_default() & 0x1f);
                let (sources, _) = packet.get(4..).unwrap_or_default().as_chunks::<4>();
                let sources = sources.iter().take(count);
                self.leaving
                    .extend(sources.map(|source| u32::from_be_bytes(*source)));
            }
            _ => {}
        }
    }
}

fn reception(block: ReportBlock<'_>) -> Reception {
    Reception {
        source: block.ssrc(),
        fraction_lost: block.fraction_lost(),
        lost: block.cumulative_lost(),
        highest: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEARD: Reception = Reception {
        source: 7,
        fraction_lost: 3,
        lost: 9,
        highest: 0x1_0005,
        jitter: 40,
    };

    fn own(sent: bool, bye: bool) -> Own<'static> {
        Own {
            source: 0x0102_0304,
            name: "somebody",
            sent: sent.then_some(Sent {
                at: Duration::from_millis(2500),
                timestamp: 160,
                packets: 3,
                octets: 480,
            }),
            heard: Some(HEARD),
            echo: Some(Echo {
                middle: 0xaabb_ccdd,
                delay: Duration::from_millis(1500),
            }),
            bye,
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_compound() {
        for (sent, bye, kinds) in [
            (true, false, &[200_u8, 202][..]),
            (false, false, &[201, 202]),
            (true, true, &[200, 202, 203]),
            (false, true, &[201, 202, 203]),
        ] {
            let bytes = write(&own(sent, bye));
            let strict: Vec<u8> = Compound::parse(&bytes)
                .unwrap()
                .map(|packet| match packet.unwrap() {
                    rtcp_types::Packet::Sr(_) => 200,
                    rtcp_types::Packet::Rr(_) => 201,
                    rtcp_types::Packet::Sdes(_) => 202,
                    rtcp_types::Packet::Bye(_) => 203,
                    _ => 0,
                })
                .collect();
            assert_eq!(strict, kinds);
            let report = read(&bytes).unwrap();
            assert_eq!(report.source, Some(0x0102_0304));
            assert_eq!(report.heard, [HEARD]);
            assert_eq!(report.name.as_deref(), Some("somebody"));
            assert_eq!(report.is_leaving(0x0102_0304), bye);
            assert!(!report.is_leaving(7));
            let ntp = 0x0000_0002_8000_0000;
            assert_eq!(report.sent, sent.then_some((ntp, 160, 3, 480)));
            assert_eq!(report.middle(), sent.then_some(0x0002_8000));
        }
    }

    #[test]
    fn an_echo_is_in_parts_of_a_65536th_of_a_second() {
        let bytes = write(&own(false, false));
        // Header, source, then the block's last two words.
        assert_eq!(bytes[24..32], [0xaa, 0xbb, 0xcc, 0xdd, 0, 1, 0x80, 0]);
    }

    #[test]
    fn what_rtc_bends_is_read_all_the_same() {
        let lone = [
            0x80, 200, 0, 6, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3,
        ];
        let report = read(&lone).unwrap();
        assert_eq!((report.source, report.bye), (Some(5), false));
        assert_eq!(report.sent, Some((0x0102_0304_0506_0708, 9, 2, 3)));

        // A description that ends its text with NUL, before its end and without padding.
        let name = |text: &[u8]| {
            let mut bytes = vec![
                0x81,
                202,
                0,
                3,
                0,
                0,
                0,
                5,
                1,
                u8::try_from(text.len()).unwrap(),
            ];
            bytes.extend(text);
            read(&bytes).unwrap().name
        };
        assert_eq!(name(b"pc\0\0\0\0").as_deref(), Some("pc"));
        assert_eq!(name(b"\xffpc\0xx").as_deref(), Some("\u{fffd}pc"));

        for (bytes, leaving) in [
            (&[0x80, 203, 0, 0][..], &[][..]),
            (&[0x81, 203, 0, 1, 0, 0, 0, 5], &[5]),
            (&[0x82, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6], &[5, 6]),
            // Cut off, and after a packet that nobody can read.
            (&[0x82, 203, 0, 9, 0, 0, 0, 5, 0], &[5]),
            (&[0x85, 201, 0, 0, 0x81, 203, 0, 1, 0, 0, 0, 5], &[5]),
        ] {
            let report = read(bytes).unwrap();
            assert!(report.bye);
            assert_eq!(report.leaving, leaving, "{bytes:?}");
        }
        for nothing in [&b""[..], b"xx", &[0x80, 0, 0, 0], &[0x40, 203, 0, 0]] {
            assert_eq!(read(nothing), None);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let name = "ä".repeat(200);
        let bytes = write(&Own {
            name: &name,
            ..own(true, false)
        });
        assert_eq!(read(&bytes).unwrap().name, Some("ä".repeat(127)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            first in 0..6_u8,
            second in 0..6_u8,
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in 0..20_u8,
        ) {
            // Mostly plausible: two headers, the second where the first says.
            let second_at = 4 + 4 * usize::from(length);
            for (at, kind) in [(0, first), (second_at, second)] {
                if let Some([flags, there, high, low]) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    *flags = 0x80 | (*flags & 0x3f);
                    *there = 200 + kind;
                    *high = 0;
                    *low = if at == 0 { length } else { *low % 40 };
                }
            }
            let _ = read(&bytes);
        }

        #[test]
        fn whatever_we_say_is_written(
            source: u32,
            name in ".{0,300}",
            lost: u32,
            seconds: u64,
        ) {
            let mut own = own(true, true);
            own.source = source;
            own.name = &name;
            own.heard = Some(Reception { lost, ..HEARD });
            own.echo = Some(Echo { middle: 0, delay: Duration::from_secs(seconds) });
            own.sent = Some(Sent { at: Duration::from_secs(seconds), timestamp: 0, packets: 0, octets: 0 });
            prop_assert!(read(&write(&own)).is_some_and(|report| report.is_leaving(source)));
        }
    }
}
