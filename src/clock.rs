//! The one place that reads a clock. Everything else is told what time it is.

use std::time::{Duration, Instant, SystemTime};

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

/// What the calendar says: the time since the beginning of 1970, in UTC. For what people read
/// later; it may jump.
#[allow(clippy::disallowed_methods, reason = "the owner of the clock")]
#[must_use]
pub fn today() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
