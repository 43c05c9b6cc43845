//! How loud a tone is in a recording: the proof that sound arrived (TOOLS.md 3). One frequency is
//! picked out (Goertzel) in pieces of 0.4 s, and the middle one of their levels counts, so that
//! neither the silence at the ends nor one lost packet decides.

use std::path::{Path, PathBuf};

/// Seconds in one piece.
const PIECE: f64 = 0.4;
/// What a level of nothing is called, in dBFS.
const SILENCE: f64 = -180.0;

/// A recording: 16-bit PCM, its first channel.
#[derive(Debug, Clone)]
pub struct Recording {
    rate: u32,
    samples: Vec<i16>,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It is not there, or it is no WAV.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: hound::Error,
    },
    /// It is a WAV of another kind.
    #[error("{path} is not 16-bit PCM")]
    NotPcm16 {
        /// The file.
        path: PathBuf,
    },
}

impl Recording {
    /// Reads a WAV file.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |source| RecordingError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut reader = hound::WavReader::open(path).map_err(unreadable)?;
        let spec = reader.spec();
        if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err(RecordingError::NotPcm16 {
                path: path.to_owned(),
            });
        }
        let samples = reader
            .samples::<i16>()
            .step_by(usize::from(spec.channels.max(1)))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        Ok(Self {
            rate: spec.sample_rate,
            samples,
        })
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }

    /// Level of a tone in dB full scale: 0 is a sine that uses the whole range, -6 half of it.
    #[must_use]
    pub fn level(&self, hertz: f64) -> f64 {
        level(&self.samples, self.rate, hertz)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a piece is a few thousand samples"
)]
fn level(samples: &[i16], rate: u32, hertz: f64) -> f64 {
    let length = (f64::from(rate) * PIECE) as usize;
    if length == 0 {
        return SILENCE;
    }
    let turn = 2.0 * (std::f64::consts::TAU * hertz / f64::from(rate)).cos();
    let mut amplitudes: Vec<f64> = samples
        .chunks_exact(length)
        .map(|piece| {
            let (mut last, mut before) = (0.0_f64, 0.0_f64);
            for sample in piece {
                let now = turn.mul_add(last, f64::from(*sample) / 32_768.0 - before);
                before = last;
                last = now;
            }
            let power = last * last + before * before - turn * last * before;
            2.0 * power.max(0.0).sqrt() / length as f64
        })
        .collect();
    amplitudes.sort_by(f64::total_cmp);
    let middle = amplitudes.get(amplitudes.len() / 2).copied().unwrap_or(0.0);
    (20.0 * middle.log10()).max(SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, amplitude: f64, rate: u32, seconds: u32) -> Vec<i16> {
        (0..rate * seconds)
            .map(|n| {
                let phase = std::f64::consts::TAU * hertz * f64::from(n) / f64::from(rate);
                (phase.sin() * amplitude * 32_767.0) as i16
            })
            .collect()
    }

    #[test]
    fn the_level_of_a_tone_is_found_and_no_other_is_heard() {
        for (hertz, amplitude, rate, want) in [
            (440.0, 0.5, 8_000, -6.0),
            (440.0, 1.0, 8_000, 0.0),
            (880.0, 0.1, 16_000, -20.0),
        ] {
            let samples = sine(hertz, amplitude, rate, 3);
            assert!((level(&samples, rate, hertz) - want).abs() < 0.2, "{hertz}");
            let other = if hertz < 600.0 { 880.0 } else { 440.0 };
            assert!(level(&samples, rate, other) < -50.0, "{other}");
        }
        assert!(level(&[0; 8_000], 8_000, 440.0) <= -150.0);
        assert!(level(&[], 8_000, 440.0) <= -150.0);
        assert!(level(&[1; 100], 0, 440.0) <= -150.0);
    }

    #[test]
    fn silence_at_the_ends_does_not_decide() {
        let mut samples = vec![0; 8_000];
        samples.extend(sine(440.0, 0.5, 8_000, 4));
        samples.extend([0; 8_000]);
        assert!((level(&samples, 8_000, 440.0) + 6.0).abs() < 0.5);
    }

    #[test]
    fn a_wav_is_read_and_one_of_another_kind_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let spec = |bits, channels| hound::WavSpec {
            channels,
            sample_rate: 8_000,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec(16, 2)).unwrap();
        for sample in sine(440.0, 0.5, 8_000, 2) {
            writer.write_sample(sample).unwrap();
            writer.write_sample(0_i16).unwrap();
        }
        writer.finalize().unwrap();
        let recording = Recording::read(&path).unwrap();
        assert!((recording.seconds() - 2.0).abs() < 0.01);
        assert!((recording.level(440.0) + 6.0).abs() < 0.2);

        let mut writer = hound::WavWriter::create(&path, spec(8, 1)).unwrap();
        writer.write_sample(0_i8).unwrap();
        writer.finalize().unwrap();
        assert!(matches!(
            Recording::read(&path),
            Err(RecordingError::NotPcm16 { .. })
        ));
        assert!(Recording::read(&dir.path().join("none.wav")).is_err());
    }
}
