//! What a line hears: one voice, put in order, counted and recorded. Pure but for the recording.

use std::{path::PathBuf, time::Duration};

use crate::media::{
    audio::{codec::G711, recorder::Recorder},
    reorder::Reorder,
    rtcp::{self, Echo},
    rtp::{self, Datagram, Packet},
    statistics::{Reception, Statistics, Summary},
};

/// Packets held back to restore their order: 160 ms.
const DEPTH: usize = 8;
/// How long a voice may be silent before another one is heard.
const VOICE_GONE: Duration = Duration::from_secs(2);

/// A packet that waits for its turn; without samples if it is no sound, such as a key pressed.
struct Sound {
    timestamp: u32,
    samples: Vec<i16>,
}

struct Voice {
    source: u32,
    heard_at: Duration,
}

pub(super) struct Hearing {
    /// Our own source: an echo of us is no voice.
    own: u32,
    voice: Option<Voice>,
    order: Reorder<Sound>,
    statistics: Statistics,
    recorder: Option<Recorder>,
    last_report: Option<(u32, Duration)>,
    pub(super) foreign: u64,
    pub(super) reports: u64,
    pub(super) left: bool,
}

impl Hearing {
    pub(super) fn new(own: u32, recorder: Option<Recorder>) -> Self {
        Self {
            own,
            voice: None,
            order: Reorder::new(DEPTH),
            statistics: Statistics::new(),
            recorder,
            last_report: None,
            foreign: 0,
            reports: 0,
            left: false,
        }
    }

    /// A datagram where sound is expected; `admits` tells whether it is from the right place, and
    /// is asked only if it is RTP, since the answer may settle that place.
    pub(super) fn sound(&mut self, bytes: &[u8], now: Duration, admits: impl FnOnce() -> bool) {
        let Datagram::Rtp(packet) = rtp::read(bytes) else {
            return;
        };
        if packet.source == self.own || !admits() || !self.is_voice(packet.source, now) {
            self.foreign += 1;
            return;
        }
        self.statistics.arrived(&packet, now);
        for sound in self.order.push(packet.sequence, decoded(&packet)) {
            self.record(&sound, now);
        }
    }

    fn is_voice(&mut self, source: u32, now: Duration) -> bool {
        match &mut self.voice {
            Some(voice) if voice.source == source => {
                voice.heard_at = now;
                return true;
            }
            Some(voice) if now.saturating_sub(voice.heard_at) < VOICE_GONE => return false,
            _ => {}
        }
        self.finish_voice(now);
        self.voice = Some(Voice {
            source,
            heard_at: now,
        });
        self.left = false;
        true
    }

    /// Nothing more is expected of this voice.
    fn finish_voice(&mut self, now: Duration) {
        for sound in self.order.flush() {
            self.record(&sound, now);
        }
        self.order = Reorder::new(DEPTH);
        self.voice = None;
        if let Some(recorder) = &mut self.recorder {
            recorder.restart();
        }
    }

    fn record(&mut self, sound: &Sound, now: Duration) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.write(sound.timestamp, &sound.samples, now)
        {
            tracing::warn!(%error, "the recording is incomplete");
            // What is there already is kept.
            self.recorder = None;
        }
    }

    /// A datagram where reports are expected; `admits` as in [`Self::sound`].
    pub(super) fn report_came(
        &mut self,
        bytes: &[u8],
        now: Duration,
        admits: impl FnOnce() -> bool,
    ) {
        let Some(report) = rtcp::read(bytes) else {
            return;
        };
        if !admits() {
            self.foreign += 1;
            return;
        }
        self.reports += 1;
        if let Some(middle) = report.middle() {
            self.last_report = Some((middle, now));
        }
        if let Some(voice) = &self.voice
            && report.is_leaving(voice.source)
        {
            self.finish_voice(now);
            self.left = true;
        }
    }

    pub(super) fn summary(&self) -> Summary {
        self.statistics.summary()
    }

    pub(super) fn report(&mut self) -> Option<Reception> {
        self.statistics.report()
    }

    pub(super) fn echo(&self, now: Duration) -> Option<Echo> {
        self.last_report.map(|(middle, at)| Echo {
            middle,
            delay: now.saturating_sub(at),
        })
    }

    /// Completes the recording, if something was recorded.
    pub(super) fn finish(mut self, now: Duration) -> Option<PathBuf> {
        self.finish_voice(now);
        match self.recorder?.finish() {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(%error, "the recording is incomplete");
                None
            }
        }
    }
}

fn decoded(packet: &Packet<'_>) -> Sound {
    let samples = G711::of(packet.payload_type)
        .map(|law| law.decode(packet.payload).collect())
        .unwrap_or_default();
    Sound {
        timestamp: packet.timestamp,
        samples,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::rtcp::Own;

    fn packet(source: u32, n: u16, payload_type: u8) -> Vec<u8> {
        rtp::write(&Packet {
            payload_type,
            marker: false,
            sequence: n,
            timestamp: u32::from(n) * 2,
            source,
            payload: &[u8::try_from(n).unwrap(); 2],
        })
        .unwrap()
    }

    fn bye(source: u32) -> Vec<u8> {
        rtcp::write(&Own {
            source,
            name: "x",
            sent: None,
            heard: None,
            echo: None,
            bye: true,
        })
    }

    struct Stage {
        _folder: tempfile::TempDir,
        hearing: Hearing,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let recorder = Recorder::create(&folder.path().join("a.wav")).unwrap();
            Self {
                _folder: folder,
                hearing: Hearing::new(99, Some(recorder)),
            }
        }

        fn hear(&mut self, bytes: &[u8], second: u64) {
            let now = Duration::from_secs(second);
            self.hearing.sound(bytes, now, || true);
        }

        /// The numbers of the packets recorded: their payload, before the codec. 0 is a gap.
        fn recorded(self) -> Vec<u16> {
            let path = self.hearing.finish(Duration::from_secs(9));
            let Some(path) = path else { return Vec::new() };
            let known: Vec<i16> = (0..20)
                .flat_map(|n| G711::Ulaw.decode(&[n]).collect::<Vec<_>>())
                .collect();
            let mut wav = hound::WavReader::open(path).unwrap();
            wav.samples::<i16>()
                .step_by(2)
                .map(|sample| {
                    let sample = sample.unwrap();
                    let at = known.iter().position(|known| *known == sample);
                    at.map_or(0, |at| u16::try_from(at).unwrap())
                })
                .collect()
        }
    }

    #[test]
    fn what_is_recorded_is_in_order_and_keys_are_no_sound() {
        let mut stage = Stage::new();
        for (n, payload_type) in [(1, 0), (3, 0), (2, 0), (3, 0), (4, 101), (5, 13), (6, 0)] {
            stage.hear(&packet(5, n, payload_type), 0);
        }
        let summary = stage.hearing.summary();
        assert_eq!(
            (summary.lost, summary.duplicates, summary.reordered),
            (0, 1, 1)
        );
        assert_eq!(stage.recorded(), [1, 2, 3, 0, 0, 6]);
    }

    #[test]
    fn one_voice_is_heard_until_it_says_bye_or_is_silent() {
        let mut stage = Stage::new();
        stage.hear(&packet(5, 1, 0), 0);
        stage.hear(&packet(6, 2, 0), 1);
        stage.hear(&packet(99, 3, 0), 1);
        assert_eq!(stage.hearing.foreign, 2);

        let now = Duration::from_secs(1);
        stage.hearing.report_came(&bye(6), now, || true);
        assert!(!stage.hearing.left);
        stage.hearing.report_came(&bye(5), now, || false);
        assert!(!stage.hearing.left);
        stage.hearing.report_came(&bye(5), now, || true);
        assert!(stage.hearing.left);
        stage.hear(&packet(6, 4, 0), 1);
        assert!(!stage.hearing.left);

        stage.hear(&packet(7, 5, 0), 2);
        stage.hear(&packet(7, 6, 0), 3);
        assert_eq!(stage.hearing.foreign, 4);
        assert_eq!(stage.recorded(), [1, 4, 6]);
    }

    #[test]
    fn who_is_elsewhere_is_not_heard_and_rubbish_settles_nothing() {
        let mut stage = Stage::new();
        let now = Duration::ZERO;
        stage.hearing.sound(&packet(5, 1, 0), now, || false);
        stage
            .hearing
            .sound(b"rubbish", now, || panic!("asked about rubbish"));
        stage
            .hearing
            .report_came(b"rubbish", now, || panic!("asked about rubbish"));
        assert_eq!(stage.hearing.foreign, 1);
        assert!(stage.recorded().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0..5_u64), 0..30)
        ) {
            let mut hearing = Hearing::new(1, None);
            for (mut bytes, second) in datagrams {
                if let Some(first) = bytes.first_mut() {
                    *first = *first & 0x3f | 0x80;
                }
                let now = Duration::from_secs(second);
                hearing.sound(&bytes, now, || true);
                hearing.report_came(&bytes, now, || true);
                let _ = (hearing.report(), hearing.echo(now), hearing.summary());
            }
        }
    }
}
