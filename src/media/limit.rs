//! How much may be carried in a second: what exceeds it is for the caller to drop.
//!
//! Pure: a bucket that fills with time and holds what half a second brings, so that a picture's
//! burst of packets passes and a flood does not.

use core::time::Duration;

/// The default, in bits per second: 64 kbit/s is a voice of these applications, and 1 Mbit/s is more
/// than their pictures take.
pub const BITS_PER_SECOND: u32 = 20_000_000;

/// Counted in parts of a byte, so that nothing is lost in rounding: a byte is 8 bits times a
/// thousand million nanoseconds.
const PER_BYTE: u128 = 8 * 1_000_000_000;
/// For how long of silence credit is kept.
const KEPT: Duration = Duration::from_millis(500);

/// What may still be carried. Time is since any epoch of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    rate: u32,
    credit: u128,
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
        let passed = now.saturating_sub(self.last).as_nanos();
        self.last = self.last.max(now);
        let gained = passed.saturating_mul(u128::from(self.rate));
        self.credit = self.credit.saturating_add(gained).min(most(self.rate));
        let cost = PER_BYTE.saturating_mul(bytes as u128);
        match self.credit.checked_sub(cost) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::new(BITS_PER_SECOND)
    }
}

fn most(rate: u32) -> u128 {
    KEPT.as_nanos().saturating_mul(u128::from(rate))
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

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            rate in 1_u32..50_000_000,
            packets in proptest::collection::vec((0_usize..2048, 0_u64..20_000_000), 1..500),
        ) {
            let mut limit = Limit::new(rate);
            let (mut now, mut carried) = (Duration::ZERO, 0_u128);
            for (bytes, after) in packets {
                now += Duration::from_nanos(after);
                if limit.admits(bytes, now) {
                    carried += bytes as u128;
                }
                prop_assert!(carried * PER_BYTE <= (now + KEPT).as_nanos() * u128::from(rate));
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
