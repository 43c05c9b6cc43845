//! The one place that reads a clock. Everything else is told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the clock was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts a clock at zero.
    #[allow(clippy::disallowed_methods, reason = "the owner of the clock")]
    #[must_use]
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// Time since [`Clock::start`]; never goes back.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

/// The time of day, in seconds since 1970, for a file that says when it was made. Never for
/// measuring.
#[allow(clippy::disallowed_methods, reason = "the owner of the clock")]
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
