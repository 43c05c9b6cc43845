//! The one place that reads a clock. Everything else is told what time it is.

use std::time::{Duration, Instant};

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
