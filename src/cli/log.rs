//! The log's volume: whoever can make us write a line could fill a disk. A burst is written, then so
//! many lines a second; how many were left out is told by the next one. What is asked for by name
//! (`--log debug`, `--log trace`) is written whatever it is.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::clock::Clock;

/// Lines that are written at once.
const BURST: u32 = 500;
/// How long the next line takes after that: ten a second.
const STEP: Duration = Duration::from_millis(100);

/// Writes as much as is allowed to another writer.
pub(super) struct Bounded<M> {
    inner: M,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the whole burst is allowed again.
    full_again: Duration,
    left_out: u64,
}

impl<M> Bounded<M> {
    pub(super) fn new(inner: M) -> Self {
        Self {
            inner,
            clock: Clock::start(),
            state: Mutex::default(),
        }
    }

    /// Whether a line may be written, and how many were left out before it.
    fn allows(&self, now: Duration) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full = state.full_again.max(now) + STEP;
        if full > now + STEP * BURST {
            state.left_out += 1;
            return None;
        }
        state.full_again = full;
        Some(std::mem::take(&mut state.left_out))
    }
}

/// One line of the log, or none.
pub(super) enum Line<W> {
    Written(W),
    LeftOut,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Bounded<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        let Some(left_out) = self.allows(self.clock.now()) else {
            return Line::LeftOut;
        };
        let mut inner = self.inner.make_writer();
        if left_out > 0 {
            // A log that cannot be written can tell nobody so.
            let _ = writeln!(inner, "{left_out} lines of the log were left out here");
        }
        Line::Written(inner)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        if *meta.level() > Level::INFO {
            Line::Written(self.inner.make_writer_for(meta))
        } else {
            self.make_writer()
        }
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Written(inner) => inner.write(bytes),
            Self::LeftOut => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Written(inner) => inner.flush(),
            Self::LeftOut => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_burst_is_written_then_some_and_what_is_left_out_is_counted() {
        let log = Bounded::new(io::sink);
        let at = Duration::from_secs(1_000);
        let written = (0..10_000).filter(|_| log.allows(at).is_some()).count();
        assert_eq!(written, 500);
        assert_eq!(log.allows(at + STEP), Some(9_500));
        assert_eq!(log.allows(at + STEP), None);
        assert_eq!(log.allows(at + STEP * 2), Some(1));
        let later = at + Duration::from_secs(3_600);
        assert_eq!(
            (0..600).filter(|_| log.allows(later).is_some()).count(),
            500
        );
    }

    /// A buffer that a writer adds to.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_warnings_is_cut_and_what_was_asked_for_is_not() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_writer(Bounded::new(move || writer.clone()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..2_000 {
                tracing::warn!("a warning");
                tracing::debug!("a detail");
            }
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("a detail"), 2_000);
        // A slow machine gets some more in the time.
        assert!(
            (500..1_000).contains(&count("a warning")),
            "{}",
            count("a warning")
        );
    }
}
