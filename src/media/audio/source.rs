//! Where sound comes from: a tone, a file, or nothing. Pure but for [`Source::open`].

use std::path::Path;

use super::RATE;

/// Longest sound read from a file, in seconds.
const MAX_SECONDS: u32 = 600;

/// A source of sound at 8 kHz, one channel.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// Nothing.
    #[default]
    Silence,
    /// A sine.
    Tone(Tone),
    /// Samples, once; then nothing.
    Samples {
        /// The samples.
        samples: Vec<i16>,
        /// How many of them were given already.
        given: usize,
    },
}

/// A sine.
#[derive(Debug, Clone, Copy)]
pub struct Tone {
    hz: f64,
    amplitude: f64,
    /// Number of the next sample, within a second: whole frequencies fit into it exactly.
    next: u32,
    /// Where in its period a second begins, for the others.
    phase: f64,
}

impl Source {
    /// A tone. 0 dBFS is a sine that uses the whole range, -6 half of it; more is cut to 0.
    #[must_use]
    pub fn tone(hz: f64, dbfs: f64) -> Self {
        Self::Tone(Tone {
            hz,
            amplitude: 10_f64.powf(dbfs.min(0.0) / 20.0) * f64::from(i16::MAX),
            next: 0,
            phase: 0.0,
        })
    }

    /// Samples at 8 kHz, once.
    #[must_use]
    pub fn samples(samples: Vec<i16>) -> Self {
        Self::Samples { samples, given: 0 }
    }

    /// A WAV file of 8 or 16 bits, of any rate and number of channels; its first ten minutes.
    ///
    /// # Errors
    /// When it cannot be read, or is of another kind ([`hound::Error::Unsupported`]).
    pub fn open(path: &Path) -> Result<Self, hound::Error> {
        let mut wav = hound::WavReader::open(path)?;
        let spec = wav.spec();
        let shift = match (spec.sample_format, spec.bits_per_sample) {
            (hound::SampleFormat::Int, 8) => 8,
            (hound::SampleFormat::Int, 16) => 0,
            _ => return Err(hound::Error::Unsupported),
        };
        if spec.sample_rate == 0 || spec.channels == 0 {
            return Err(hound::Error::Unsupported);
        }
        let channels = usize::from(spec.channels);
        let most = (MAX_SECONDS as usize)
            .saturating_mul(spec.sample_rate as usize)
            .saturating_mul(channels);
        let all: Vec<i16> = wav
            .samples::<i16>()
            .take(most)
            .map(|sample| sample.map(|sample| sample << shift))
            .collect::<Result<_, _>>()?;
        let mono = mixed(&all, channels);
        Ok(Self::samples(resampled(&mono, spec.sample_rate)))
    }

    /// Gives the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        samples.fill(0);
        match self {
            Self::Silence => {}
            Self::Tone(tone) => samples.fill_with(|| tone.sample()),
            Self::Samples {
                samples: all,
                given,
            } => {
                let rest = all.get(*given..).unwrap_or_default();
                for (to, from) in samples.iter_mut().zip(rest) {
                    *to = *from;
                }
                *given = given.saturating_add(samples.len());
            }
        }
    }
}

impl Tone {
    fn sample(&mut self) -> i16 {
        let turns = self.phase + self.hz * f64::from(self.next) / f64::from(RATE);
        self.next += 1;
        if self.next == RATE {
            self.next = 0;
            self.phase = (self.phase + self.hz).fract();
        }
        whole((turns * core::f64::consts::TAU).sin() * self.amplitude)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float beyond the range becomes its end"
)]
fn whole(sample: f64) -> i16 {
    sample.round() as i16
}

/// The mean of all channels.
fn mixed(all: &[i16], channels: usize) -> Vec<i16> {
    all.chunks_exact(channels.max(1))
        .map(|frame| {
            let sum: f64 = frame.iter().copied().map(f64::from).sum();
            whole(sum / frame.len() as f64)
        })
        .collect()
}

/// Brings samples of that rate to 8 kHz, on straight lines between them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "quotients of numbers that came from a usize"
)]
fn resampled(samples: &[i16], rate: u32) -> Vec<i16> {
    if rate == RATE {
        return samples.to_vec();
    }
    let (from, to) = (u64::from(rate), u64::from(RATE));
    let length = samples.len() as u64 * to / from;
    (0..length)
        .filter_map(|n| {
            let (place, rest) = (n * from / to, n * from % to);
            let here = f64::from(*samples.get(place as usize)?);
            let next = samples
                .get(place as usize + 1)
                .map_or(here, |next| f64::from(*next));
            Some(whole(here + (next - here) * rest as f64 / to as f64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(source: &mut Source, count: usize) -> Vec<i16> {
        let mut samples = vec![7; count];
        source.fill(&mut samples);
        samples
    }

    fn wav(spec: hound::WavSpec, samples: &[i16]) -> Result<Vec<i16>, hound::Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in samples {
            match spec.sample_format {
                hound::SampleFormat::Int => writer.write_sample(*sample).unwrap(),
                hound::SampleFormat::Float => writer.write_sample(f32::from(*sample)).unwrap(),
            }
        }
        writer.finalize().unwrap();
        match Source::open(&path)? {
            Source::Samples { samples, .. } => Ok(samples),
            other => panic!("{other:?}"),
        }
    }

    fn spec(bits: u16, rate: u32, channels: u16) -> hound::WavSpec {
        hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        }
    }

    #[test]
    fn files_become_one_channel_of_16_bits_at_8_khz() {
        for (spec, have, want) in [
            (spec(16, 8000, 1), &[1, -2, 3][..], &[1, -2, 3][..]),
            (spec(8, 8000, 1), &[1, -2, 127], &[256, -512, 32_512]),
            (spec(16, 8000, 2), &[10, 20, -10, -30], &[15, -20]),
            (spec(16, 16_000, 1), &[0, 10, 20, 30], &[0, 20]),
            (spec(16, 4000, 1), &[0, 10, 20], &[0, 5, 10, 15, 20, 20]),
            (spec(16, 12_000, 1), &[0, 10, 20, 30], &[0, 15]),
            (spec(16, 8000, 1), &[], &[]),
        ] {
            assert_eq!(wav(spec, have).unwrap(), want, "{spec:?}");
        }
    }

    #[test]
    fn other_kinds_of_files_are_refused() {
        let float = hound::WavSpec {
            sample_format: hound::SampleFormat::Float,
            ..spec(32, 8000, 1)
        };
        for spec in [float, spec(24, 8000, 1)] {
            assert!(matches!(wav(spec, &[1]), Err(hound::Error::Unsupported)));
        }
        assert!(Source::open(Path::new("/nonexistent/a.wav")).is_err());
    }

    #[test]
    fn a_tone_has_its_level_and_goes_on_without_a_step() {
        for (hz, dbfs, peak) in [
            (440.0, -6.0, 16_422),
            (1000.5, 0.0, 32_767),
            (50.0, 9.0, 32_767),
        ] {
            let mut source = Source::tone(hz, dbfs);
            let samples: Vec<i16> = (0..120).flat_map(|_| take(&mut source, 160)).collect();
            let loudest = samples.iter().copied().max().unwrap();
            assert!((peak - 40..=peak).contains(&loudest), "{hz}: {loudest}");
            // No step is larger than the steepest of a sine, over more than two seconds.
            let steepest = core::f64::consts::TAU * hz / 8000.0 * f64::from(peak) + 2.0;
            for pair in samples.windows(2) {
                let step = f64::from(pair[1]) - f64::from(pair[0]);
                assert!(step.abs() <= steepest, "{hz}: {pair:?}");
            }
        }
    }

    #[test]
    fn samples_come_once_and_then_nothing() {
        let mut source = Source::samples(vec![1, 2, 3, 4, 5]);
        assert_eq!(take(&mut source, 3), [1, 2, 3]);
        assert_eq!(take(&mut source, 3), [4, 5, 0]);
        assert_eq!(take(&mut source, 3), [0, 0, 0]);
        assert_eq!(take(&mut Source::Silence, 2), [0, 0]);
    }
}
