//! What arrived of a stream, and what did not: RFC 3550 A.1 (numbers), A.3 (losses), A.8 (jitter).
//!
//! Pure. Unlike A.1, a source need not prove itself with two packets in order: the address is
//! locked ([`super::lock`]), and the first packet of a voice is worth hearing.

use core::{fmt, time::Duration};
use std::sync::Arc;

use super::rtp::Packet;

/// A jump ahead that is still taken for losses (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// How far behind a packet may come and still count as late (RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

/// What arrived, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets that came, without repetitions.
    pub received: u64,
    /// Packets that should have come and did not.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Variation of the time between packets (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// How often another source, or the same one with other numbers, took over.
    pub restarts: u64,
}

impl Summary {
    /// How a voice arrived, in words.
    #[must_use]
    pub fn as_voice(&self) -> String {
        if self.received == 0 {
            return "nothing was heard from the contact: its sound did not reach this machine"
                .to_owned();
        }
        let sent = self.received.saturating_add(self.lost);
        let tenths = self.lost.saturating_mul(1000) / sent.max(1);
        format!(
            "the contact's sound: {}.{} % lost, jitter {} ms",
            tenths / 10,
            tenths % 10,
            self.jitter.as_millis()
        )
    }
}

/// Tells, whenever it is asked, what has arrived of a stream so far.
#[derive(Clone)]
pub struct Meter(Arc<dyn Fn() -> Summary + Send + Sync>);

impl Meter {
    /// Reads from there.
    pub fn new(read: impl Fn() -> Summary + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// What has arrived so far.
    #[must_use]
    pub fn read(&self) -> Summary {
        (self.0)()
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

/// What a report says of the other side (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// The source it is about.
    pub source: u32,
    /// Part lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost, at most 24 bits; never negative, though repetitions count as received.
    pub lost: u32,
    /// Highest number received, and above it how often the numbers began again.
    pub highest: u32,
    /// Jitter in units of the payload's clock.
    pub jitter: u32,
}

/// One run of numbers of one source.
#[derive(Debug, Clone, Copy)]
struct Run {
    source: u32,
    /// Extended number of the first and the highest packet. The first may not be the lowest.
    base: u64,
    highest: u64,
    /// Which of the numbers up to the highest came: bit 0 is the highest.
    came: u128,
    received: u64,
    duplicates: u64,
    /// The number after one that did not fit: if it comes, the numbers have begun anew.
    anew: Option<u16>,
    expected_before: u64,
    arrived_before: u64,
}

/// Transit of the last packet, for jitter.
#[derive(Debug, Clone, Copy)]
struct Transit {
    rate: u32,
    units: u32,
}

/// Statistics of a stream. Time is since any epoch of the caller's.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    run: Option<Run>,
    /// Of the runs before this one.
    before: Summary,
    reordered: u64,
    transit: Option<Transit>,
    /// Sixteen times the jitter, in units of the clock (RFC 3550 A.8).
    jitter16: u32,
}

/// Units per second of a payload's timestamps (RFC 3551 section 6; APPLICATIONS.md 1.4 for the
/// dynamic ones that RTC uses).
#[must_use]
pub fn clock_rate(payload_type: u8) -> u32 {
    match payload_type {
        6 | 111 | 112 => 16_000,
        10 | 11 => 44_100,
        16 => 11_025,
        17 => 22_050,
        14 | 25..=34 => 90_000,
        _ => 8_000,
    }
}

impl Statistics {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet arrived at `now`.
    pub fn arrived(&mut self, packet: &Packet<'_>, now: Duration) {
        let fits = match &mut self.run {
            Some(run) if run.source == packet.source => match run.place(packet.sequence) {
                Place::Ahead => true,
                Place::Late => {
                    self.reordered += 1;
                    true
                }
                Place::Repeated => return,
                Place::Elsewhere => {
                    if run.anew != Some(packet.sequence) {
                        run.anew = Some(packet.sequence.wrapping_add(1));
                        return;
                    }
                    false
                }
            },
            Some(_) => false,
            None => {
                self.run = Some(Run::new(packet));
                true
            }
        };
        if !fits {
            self.before = self.summary();
            self.before.restarts += 1;
            self.reordered = 0;
            self.transit = None;
            self.run = Some(Run::new(packet));
        }
        self.jitter(packet, now);
    }

    /// Whether a packet goes on with the present run: the same source, and a number that is next, or
    /// not far ahead.
    #[must_use]
    pub fn goes_on(&self, packet: &Packet<'_>) -> bool {
        self.run.as_ref().is_some_and(|run| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the lower half is the number on the wire"
            )]
            let ahead = packet.sequence.wrapping_sub(run.highest as u16);
            run.source == packet.source && (1..MAX_DROPOUT).contains(&ahead)
        })
    }

    /// RFC 3550 A.8, in integers.
    fn jitter(&mut self, packet: &Packet<'_>, now: Duration) {
        let rate = clock_rate(packet.payload_type);
        let arrival = now.as_nanos() * u128::from(rate) / 1_000_000_000;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "timestamps count modulo 2^32"
        )]
        let units = (arrival as u32).wrapping_sub(packet.timestamp);
        if let Some(last) = self.transit.filter(|last| last.rate == rate) {
            let change = units.wrapping_sub(last.units);
            // A difference has a sign: beyond half the ring it is negative.
            let change = change.min(change.wrapping_neg());
            // A new timestamp base is no jitter: more than ten seconds do not count.
            if change < rate * 10 {
                self.jitter16 = (self.jitter16 + change).saturating_sub((self.jitter16 + 8) >> 4);
            }
        } else {
            self.jitter16 = 0;
        }
        self.transit = Some(Transit { rate, units });
    }

    /// What arrived so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let jitter = self.transit.map_or(self.before.jitter, |transit| {
            Duration::from_secs(u64::from(self.jitter16 >> 4)) / transit.rate
        });
        let (received, lost, duplicates) = self.run.as_ref().map_or((0, 0, 0), |run| {
            let lost = run.expected().saturating_sub(run.received);
            (run.received, lost, run.duplicates)
        });
        Summary {
            received: self.before.received + received,
            lost: self.before.lost + lost,
            duplicates: self.before.duplicates + duplicates,
            reordered: self.before.reordered + self.reordered,
            jitter,
            restarts: self.before.restarts,
        }
    }

    /// What to report of the present source, and begins the next interval. `None` if nothing
    /// arrived.
    pub fn report(&mut self) -> Option<Reception> {
        let jitter = self.jitter16 >> 4;
        self.run.as_mut().map(|run| run.report(jitter))
    }
}

/// Where a number stands.
enum Place {
    Ahead,
    Late,
    Repeated,
    Elsewhere,
}

impl Run {
    fn new(packet: &Packet<'_>) -> Self {
        // A late packet may be lower than the first one: room below.
        let base = u64::from(packet.sequence) + (1 << 16);
        Self {
            source: packet.source,
            base,
            highest: base,
            came: 1,
            received: 1,
            duplicates: 0,
            anew: None,
            expected_before: 0,
            arrived_before: 0,
        }
    }

    fn place(&mut self, sequence: u16) -> Place {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lower half is the number on the wire"
        )]
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.highest += u64::from(ahead);
            self.came = self.came.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.received += 1;
            self.anew = None;
            return Place::Ahead;
        }
        if behind > MAX_MISORDER {
            return Place::Elsewhere;
        }
        let bit = 1_u128 << behind;
        if self.came & bit != 0 {
            self.duplicates += 1;
            return Place::Repeated;
        }
        self.came |= bit;
        self.base = self.base.min(self.highest - u64::from(behind));
        self.received += 1;
        Place::Late
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    /// RFC 3550 A.3, where repetitions count as received.
    fn report(&mut self, jitter: u32) -> Reception {
        let (expected, arrived) = (self.expected(), self.received + self.duplicates);
        let lost = expected.saturating_sub(arrived).min(0x7f_ffff);
        let expected_now = expected.saturating_sub(self.expected_before);
        let lost_now = expected_now.saturating_sub(arrived - self.arrived_before);
        self.expected_before = expected;
        self.arrived_before = arrived;
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let highest = (self.highest - (1 << 16)) & u64::from(u32::MAX);
        Reception {
            source: self.source,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: u32::try_from(lost).unwrap_or(0x7f_ffff),
            highest: u32::try_from(highest).unwrap_or(u32::MAX),
            jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(source: u32, sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp,
            source,
            payload: &[],
        }
    }

    fn of(numbers: &[u16]) -> Statistics {
        let mut statistics = Statistics::new();
        for number in numbers {
            statistics.arrived(&packet(1, *number, 0), Duration::ZERO);
        }
        statistics
    }

    #[test]
    fn how_a_voice_arrived_is_told_in_words() {
        for (received, lost, words) in [
            (0, 0, "nothing was heard"),
            (1000, 0, ": 0.0 % lost, jitter 4 ms"),
            (985, 15, ": 1.5 % lost"),
        ] {
            let summary = Summary {
                received,
                lost,
                jitter: Duration::from_micros(4900),
                ..Summary::default()
            };
            assert!(summary.as_voice().contains(words), "{}", summary.as_voice());
        }
    }

    #[test]
    fn losses_repetitions_and_late_ones_are_counted() {
        for (numbers, received, lost, duplicates, reordered, restarts) in [
            (&[][..], 0, 0, 0, 0, 0),
            (&[5, 6, 7][..], 3, 0, 0, 0, 0),
            (&[5, 7, 8][..], 3, 1, 0, 0, 0),
            (&[5, 7, 6, 8][..], 4, 0, 0, 1, 0),
            (&[5, 6, 6, 7, 5][..], 3, 0, 2, 0, 0),
            (&[6, 5, 7][..], 3, 0, 0, 1, 0),
            (&[0, 65_535, 1][..], 3, 0, 0, 1, 0),
            (&[65_534, 65_535, 0, 1][..], 4, 0, 0, 0, 0),
            (&[65_534, 1][..], 2, 2, 0, 0, 0),
            // A lone number far away is no loss; two in order are a new beginning.
            (&[5, 40_000, 6][..], 2, 0, 0, 0, 0),
            (&[5, 40_000, 40_001, 40_002][..], 3, 0, 0, 0, 1),
            (&[5, 7, 40_000, 40_001, 40_003][..], 4, 2, 0, 0, 1),
        ] {
            let summary = of(numbers).summary();
            let have = (
                summary.received,
                summary.lost,
                summary.duplicates,
                summary.reordered,
                summary.restarts,
            );
            let want = (received, lost, duplicates, reordered, restarts);
            assert_eq!(have, want, "{numbers:?}");
        }
    }

    #[test]
    fn another_source_is_counted_and_keeps_what_was() {
        let mut statistics = of(&[5, 7]);
        statistics.arrived(&packet(2, 900, 0), Duration::ZERO);
        let summary = statistics.summary();
        assert_eq!(
            (summary.received, summary.lost, summary.restarts),
            (3, 1, 1)
        );
        assert_eq!(statistics.report().unwrap().source, 2);
    }

    #[test]
    fn even_arrival_has_no_jitter_and_uneven_has_the_jitter_of_the_rfc() {
        let run = |late: fn(u32) -> u64| {
            let mut statistics = Statistics::new();
            for n in 0..400_u16 {
                let now = Duration::from_millis(u64::from(n) * 20 + late(n.into()));
                statistics.arrived(&packet(1, n, u32::from(n) * 160), now);
            }
            statistics.summary().jitter
        };
        assert_eq!(run(|_| 0), Duration::ZERO);
        // Every second packet 5 ms late: the transit always changes by 5 ms.
        let jitter = run(|n| u64::from(n % 2) * 5);
        assert!((4..=5).contains(&jitter.as_millis()), "{jitter:?}");
    }

    #[test]
    fn a_report_says_what_was_lost_since_the_last_one() {
        let mut statistics = of(&[10, 11, 13, 14]);
        let first = statistics.report().unwrap();
        assert_eq!(
            (first.fraction_lost, first.lost, first.highest),
            (51, 1, 14)
        );
        statistics.arrived(&packet(1, 15, 0), Duration::ZERO);
        let second = statistics.report().unwrap();
        assert_eq!(
            (second.fraction_lost, second.lost, second.highest),
            (0, 1, 15)
        );
        assert_eq!(Statistics::new().report(), None);
        // The numbers began again once.
        assert_eq!(of(&[65_535, 0]).report().unwrap().highest, 0x1_0000);
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_counted_once(
            packets in prop::collection::vec((0..3_u32, any::<u16>(), any::<u32>(), any::<u8>(), any::<u32>()), 0..300)
        ) {
            let mut statistics = Statistics::new();
            let count = packets.len() as u64;
            for (source, sequence, timestamp, payload_type, now) in packets {
                let mut packet = packet(source, sequence, timestamp);
                packet.payload_type = payload_type;
                statistics.arrived(&packet, Duration::from_micros(u64::from(now)));
                let _ = statistics.report();
            }
            let summary = statistics.summary();
            prop_assert!(summary.received + summary.duplicates <= count);
        }

        #[test]
        fn what_is_missing_of_a_run_is_what_is_lost(
            first: u16,
            came in prop::collection::vec(any::<bool>(), 3..500)
        ) {
            let mut statistics = Statistics::new();
            let mut want = 0;
            let end = came.len() - 1;
            for (n, came) in came.into_iter().enumerate() {
                if came || n == 0 || n == end {
                    let sequence = first.wrapping_add(u16::try_from(n).unwrap());
                    statistics.arrived(&packet(1, sequence, 0), Duration::ZERO);
                } else {
                    want += 1;
                }
            }
            prop_assert_eq!(statistics.summary().lost, want);
        }
    }
}
