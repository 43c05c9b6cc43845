//! A ruler for what was heard: tones written and their level measured (TOOLS.md 3).

use std::{f64::consts::TAU, path::Path};

/// Samples a second of everything here.
pub(crate) const RATE: u32 = 8000;

/// Seconds of a tone at half of full scale (-6 dB).
pub(crate) fn tone(hz: f64, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(RATE)) as u32;
    (0..count)
        .map(|n| {
            let phase = TAU * hz * f64::from(n) / f64::from(RATE);
            (phase.sin() * 0.5 * f64::from(i16::MAX)) as i16
        })
        .collect()
}

/// Writes a tone as a WAV file.
pub(crate) fn write_tone(path: &Path, hz: f64, seconds: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    for sample in tone(hz, seconds) {
        file.write_sample(sample).unwrap();
    }
    file.finalize().unwrap();
}

/// What somebody heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) samples: Vec<i16>,
    pub(crate) rate: u32,
}

impl Heard {
    /// Reads a WAV file; its first channel.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        // A recorder that was ended may not have put the length into the header; what follows
        // the header is sound all the same.
        let mut reader = hound::WavReader::new(bytes.as_slice()).unwrap();
        let spec = reader.spec();
        let mut samples: Vec<i16> = reader.samples::<i16>().map_while(Result::ok).collect();
        if samples.is_empty() {
            samples = bytes
                .get(44..)
                .unwrap_or_default()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|pair| i16::from_le_bytes(*pair))
                .collect();
        }
        Self {
            samples: samples
                .into_iter()
                .step_by(usize::from(spec.channels))
                .collect(),
            rate: spec.sample_rate,
        }
    }

    /// How long it is, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The level of a tone in dB of full scale: the median over pieces of 0.4 s, so that a start
    /// or an end in silence does not count.
    pub(crate) fn level(&self, hz: f64) -> f64 {
        let piece = (f64::from(self.rate) * 0.4) as usize;
        let turn = 2.0 * (TAU * hz / f64::from(self.rate)).cos();
        let mut levels: Vec<f64> = self
            .samples
            .chunks_exact(piece)
            .map(|samples| {
                // Goertzel's algorithm.
                let (last, before) = samples.iter().fold((0.0, 0.0), |(last, before), sample| {
                    (f64::from(*sample) / 32_768.0 + turn * last - before, last)
                });
                let power: f64 = last * last + before * before - turn * last * before;
                2.0 * power.max(0.0).sqrt() / piece as f64
            })
            .collect();
        levels.sort_by(f64::total_cmp);
        let median = levels.get(levels.len() / 2).copied().unwrap_or(0.0);
        20.0 * (median + 1e-9).log10()
    }

    /// Asserts that the other side's tone arrived, not one's own, for long enough.
    pub(crate) fn assert_tone(&self, who: &str, wanted: f64, unwanted: f64, seconds: f64) {
        let (there, not_there) = (self.level(wanted), self.level(unwanted));
        assert!(
            there > -10.0 && not_there < -50.0 && self.seconds() > seconds,
            "{who} heard {:.1} s: {wanted} Hz at {there:.1} dB, {unwanted} Hz at {not_there:.1} dB",
            self.seconds()
        );
    }
}
