//! A recording: 16 bits, 8 kHz, one channel, in a file that only we can read.
//!
//! Its time is that of the stream: what was lost or not sent is silence. It is never longer than
//! the call, whatever timestamps say, and the file is sound even if this program is killed.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    time::Duration,
};

use super::RATE;
use crate::media::record;

/// Longest recording, in samples: four hours.
const MAX_SAMPLES: u64 = 4 * 3600 * RATE as u64;
/// How much more than the time that has passed may be recorded: what was on its way.
const AHEAD: u64 = 2 * RATE as u64;
/// How often the length in the header is brought up to date, in samples.
const FLUSH_EVERY: u64 = RATE as u64;

/// A recording being made.
pub struct Recorder {
    path: PathBuf,
    wav: hound::WavWriter<BufWriter<File>>,
    written: u64,
    flushed: u64,
    stream: Option<Stream>,
}

/// Where the stream stands.
#[derive(Debug, Clone, Copy)]
struct Stream {
    /// When its first packet was written, and how much was there before.
    began: Duration,
    /// Timestamp of the sample after the last one written, if the next packet is of that stream.
    due: Option<u32>,
}

impl core::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

fn io_error(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl Recorder {
    /// Begins a new file; nothing is overwritten.
    ///
    /// # Errors
    /// As [`record::create`].
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(record::create(path)?);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        Ok(Self {
            path: path.to_owned(),
            wav: hound::WavWriter::new(file, spec).map_err(io_error)?,
            written: 0,
            flushed: 0,
            stream: None,
        })
    }

    /// Another stream begins: its timestamps have nothing to do with those before.
    pub fn restart(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.due = None;
        }
    }

    /// Writes the samples of a packet with that timestamp, at `now` since any epoch. What is
    /// missing before it is silence; what is there already is left as it is.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&mut self, timestamp: u32, samples: &[i16], now: Duration) -> io::Result<()> {
        let stream = self.stream.get_or_insert(Stream {
            began: now,
            due: None,
        });
        let passed = now.saturating_sub(stream.began).as_millis() * u128::from(RATE) / 1000;
        let room = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_add(AHEAD)
            .min(MAX_SAMPLES)
            .saturating_sub(self.written);
        let due = stream.due.unwrap_or(timestamp);
        let gap = timestamp.wrapping_sub(due);
        let overlap = gap.wrapping_neg();
        let (from, silence, samples) = if (1..RATE).contains(&overlap) {
            (due, 0, samples.get(overlap as usize..).unwrap_or_default())
        } else if u64::from(gap) <= room {
            (timestamp, u64::from(gap), samples)
        } else {
            // Nobody was silent for longer than the call has lasted: other timestamps.
            (timestamp, 0, samples)
        };
        let samples = usize::try_from(room - silence.min(room))
            .ok()
            .and_then(|room| samples.get(..room))
            .unwrap_or(samples);
        if samples.is_empty() {
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, reason = "a datagram is shorter")]
        let length = samples.len() as u32;
        stream.due = Some(from.wrapping_add(length));
        for _ in 0..silence {
            self.wav.write_sample(0_i16).map_err(io_error)?;
        }
        for sample in samples {
            self.wav.write_sample(*sample).map_err(io_error)?;
        }
        self.written += silence + u64::from(length);
        if self.written - self.flushed >= FLUSH_EVERY {
            self.wav.flush().map_err(io_error)?;
            self.flushed = self.written;
        }
        Ok(())
    }

    /// Samples written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Completes the file; `None` when nothing came, and then there is no file.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(self) -> io::Result<Option<PathBuf>> {
        self.wav.finalize().map_err(io_error)?;
        if self.written == 0 {
            std::fs::remove_file(&self.path)?;
            return Ok(None);
        }
        Ok(Some(self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn read(path: &Path) -> Vec<i16> {
        let mut wav = hound::WavReader::open(path).unwrap();
        wav.samples().map(Result::unwrap).collect()
    }

    fn recorded(packets: &[(u32, &[i16])]) -> Vec<i16> {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(&folder.path().join("a.wav")).unwrap();
        for (timestamp, samples) in packets {
            recorder.write(*timestamp, samples, Duration::ZERO).unwrap();
        }
        read(&recorder.finish().unwrap().unwrap())
    }

    #[test]
    fn gaps_are_silence_and_nothing_is_written_twice() {
        let wrap = u32::MAX - 1;
        for (packets, want) in [
            (&[(5, &[1, 2][..]), (7, &[3])][..], &[1, 2, 3][..]),
            (&[(5, &[1, 2]), (9, &[3])], &[1, 2, 0, 0, 3]),
            (&[(5, &[1, 2]), (5, &[1, 2]), (7, &[3])], &[1, 2, 3]),
            (&[(5, &[1, 2]), (6, &[2, 3]), (8, &[4])], &[1, 2, 3, 4]),
            (&[(wrap, &[1, 2]), (1, &[3])], &[1, 2, 0, 3]),
            // Longer than the call: no gap.
            (&[(5, &[1]), (900_000, &[2]), (900_001, &[3])], &[1, 2, 3]),
            (&[(900_000, &[1]), (5, &[2]), (6, &[3])], &[1, 2, 3]),
        ] {
            assert_eq!(recorded(packets), want, "{packets:?}");
        }
    }

    #[test]
    fn a_long_silence_is_kept_if_it_took_that_long() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(&folder.path().join("a.wav")).unwrap();
        recorder.write(0, &[1], Duration::ZERO).unwrap();
        recorder
            .write(80_000, &[2], Duration::from_secs(10))
            .unwrap();
        assert_eq!(recorder.written(), 80_001);
    }

    #[test]
    fn another_stream_follows_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(&folder.path().join("a.wav")).unwrap();
        recorder.restart();
        recorder.write(5, &[1, 2], Duration::ZERO).unwrap();
        recorder.restart();
        recorder.write(6, &[3], Duration::ZERO).unwrap();
        recorder.write(8, &[4], Duration::ZERO).unwrap();
        assert_eq!(read(&recorder.finish().unwrap().unwrap()), [1, 2, 3, 0, 4]);
    }

    #[test]
    fn the_file_is_private_and_sound_before_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls/a.wav");
        let mut recorder = Recorder::create(&path).unwrap();
        for n in 0..60 {
            recorder.write(n * 160, &[9; 160], Duration::ZERO).unwrap();
        }
        // As if it was killed now.
        let copy = folder.path().join("copy.wav");
        std::fs::copy(&path, &copy).unwrap();
        assert!(read(&copy).len() >= 8000);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        recorder.finish().unwrap();
        assert_eq!(read(&path).len(), 9600);
    }

    #[test]
    fn an_empty_recording_leaves_no_file_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        assert_eq!(Recorder::create(&path).unwrap().finish().unwrap(), None);
        assert!(!path.exists());
        std::fs::write(&path, "mine").unwrap();
        assert!(Recorder::create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_recording_is_longer_than_the_call(
            packets in prop::collection::vec((any::<u32>(), 0..2000_usize, 0..50_u64), 0..60)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut recorder = Recorder::create(&folder.path().join("a.wav")).unwrap();
            let mut now = 0;
            for (timestamp, length, later) in packets {
                recorder.write(timestamp, &vec![1; length], Duration::from_millis(now)).unwrap();
                prop_assert!(recorder.written() <= now * 8 + AHEAD);
                now += later;
            }
        }
    }
}
