//! How much may be carried in a second: what exceeds it is for the caller to drop, or to hold back.
//!
//! Pure: a bucket that fills with time and holds what half a second brings, so that a picture's
//! burst of packets passes and a flood does not.

use core::time::Duration;

/// The default for media, in bits per second: 64 kbit/s is a voice of these applications, and 1 Mbit/s
/// is more than their pictures take.
pub const BITS_PER_SECOND: u32 = 20_000_000;

/// How much of what comes from a contact, and goes to it, is carried; in bits per second, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Of each of a call's sound and picture.
    pub media: u32,
    /// Of all TCP connections of an invitation together that are forwarded to a program.
    pub forwarded: u32,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self {
            media: BITS_PER_SECOND,
            forwarded: 100_000_000,
        }
    }
}

/// Counted in parts of a byte, so that nothing is lost in rounding: a byte is 8 bits times a
/// thousand million nanoseconds.
const PER_BYTE: i128 = 8 * 1_000_000_000;
/// For how long of silence credit is kept.
const KEPT: Duration = Duration::from_millis(500);

/// What may still be carried. Time is since any epoch of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    rate: u32,
    /// Below zero when more has been promised than there is.
    credit: i128,
    last: Duration,
}

impl Limit {
    /// So many bits per second, all of the burst at hand.
    #[must_use]
    pub fn new(bits_per_second: u32) -> Self {
        Self {
            rate: bits_per_second,
            credit: most(bits_per_second),
            last: Duration::ZERO,
        }
    }

    /// Whether so many bytes may go at `now`; they are counted then. A clock that goes back gives
    /// nothing.
    pub fn admits(&mut self, bytes: usize, now: Duration) -> bool {
        self.gain(now);
        let left = self.credit.saturating_sub(cost(bytes));
        if left < 0 {
            return false;
        }
        self.credit = left;
        true
    }

    /// How long so many bytes that came at `now` must wait before they may go; they are counted now, so
    /// that what comes after them waits for them too.
    pub fn wait(&mut self, bytes: usize, now: Duration) -> Duration {
        self.gain(now);
        self.credit = self.credit.saturating_sub(cost(bytes));
        let owed = self.credit.min(0).unsigned_abs();
        let nanos = owed.div_ceil(u128::from(self.rate.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn gain(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        self.credit = self
            .credit
            .saturating_add(gained(self.rate, passed))
            .min(most(self.rate));
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::new(BITS_PER_SECOND)
    }
}

fn most(rate: u32) -> i128 {
    gained(rate, KEPT)
}

/// What that time brings.
fn gained(rate: u32, passed: Duration) -> i128 {
    let nanos = i128::try_from(passed.as_nanos()).unwrap_or(i128::MAX);
    nanos.saturating_mul(i128::from(rate))
}

fn cost(bytes: usize) -> i128 {
    PER_BYTE.saturating_mul(i128::try_from(bytes).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_a_flood_does_not_and_time_gives_it_back() {
        // A thousand bytes a second, five hundred at once.
        let mut limit = Limit::new(8_000);
        let at = Duration::from_secs;
        assert!(limit.admits(500, at(9)));
        assert!(!limit.admits(1, at(9)));
        assert!(limit.admits(100, at(9) + Duration::from_millis(100)));
        assert!(!limit.admits(1, at(9) + Duration::from_millis(100)));
        // Of a long silence no more is kept than a burst.
        assert!(!limit.admits(501, at(99)));
        assert!(limit.admits(500, at(99)));
        // Back in time nothing is gained.
        assert!(!limit.admits(1, at(3)));
        assert!(!limit.admits(1, at(99)));
    }

    #[test]
    fn what_waits_goes_in_turn_and_nothing_is_lost() {
        let mut limit = Limit::new(8_000);
        let at = Duration::from_millis;
        for (bytes, now, waits) in [
            (500, 0, 0),
            (100, 0, 100),
            // Behind the one that waits already.
            (50, 0, 150),
            (50, 100, 100),
            (0, 200, 0),
            (1, 200, 1),
            (499, 9_000, 0),
            (2, 9_000, 1),
        ] {
            assert_eq!(limit.wait(bytes, at(now)), at(waits), "{bytes} at {now}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            rate in 1_u32..50_000_000,
            packets in proptest::collection::vec((0_usize..2048, 0_u64..20_000_000), 1..500),
        ) {
            let mut limit = Limit::new(rate);
            let (mut now, mut carried) = (Duration::ZERO, 0_i128);
            for (bytes, after) in packets {
                now += Duration::from_nanos(after);
                if limit.admits(bytes, now) {
                    carried += bytes as i128;
                }
                prop_assert!(carried * PER_BYTE <= gained(rate, now + KEPT));
            }
        }

        #[test]
        fn what_waits_its_turn_is_never_more_than_the_burst_and_the_rate(
            rate in 1_u32..50_000_000,
            pieces in proptest::collection::vec((0_usize..20_000, 0_u64..20_000_000), 1..500),
        ) {
            let mut limit = Limit::new(rate);
            let (mut now, mut carried) = (Duration::ZERO, 0_i128);
            for (bytes, after) in pieces {
                now += Duration::from_nanos(after);
                let goes = now + limit.wait(bytes, now);
                carried += bytes as i128;
                prop_assert!(carried * PER_BYTE <= gained(rate, goes + KEPT));
            }
        }

        #[test]
        fn a_steady_stream_below_the_rate_loses_nothing(bytes in 1_usize..2048) {
            let mut limit = Limit::default();
            // A packet each millisecond: 16.4 Mbit/s at most.
            for millisecond in 0..3_000 {
                prop_assert!(limit.admits(bytes, Duration::from_millis(millisecond)));
            }
        }
    }
}
