//! The built-in agent: takes the sound where no softphone does, plays a file or silence, and
//! records what it hears to a WAV file.

use std::{
    fs,
    io::BufWriter,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{net::UdpSocket, sync::watch};

use crate::{
    clock::Clock,
    media::{
        answerer::{Answerer, Law, PACKET, REPORT_EVERY},
        record,
    },
};

use super::{
    front::Media,
    sound::{Lock, MAX_PACKET},
};

/// Samples per second of G.711.
const RATE: u32 = 8000;
/// Longest recording, in samples: four hours.
const MAX_RECORDED: u32 = 4 * 3600 * RATE;
/// Longest announcement read from a file, in samples: ten minutes.
const MAX_PLAYED: usize = 600 * RATE as usize;

/// What the built-in agent is given.
pub(super) struct BuiltIn {
    /// What it plays: samples at 8 kHz.
    pub play: Vec<i16>,
    /// Where it records; the folder is made when there is something to record.
    pub recording: PathBuf,
    /// Unguessable bytes.
    pub seed: [u8; 10],
}

impl BuiltIn {
    /// Serves a call on the peer's sockets until it is over. Gives the recording, if there is one.
    pub(super) async fn serve(
        self,
        [rtp, rtcp]: [Arc<UdpSocket>; 2],
        mut plan: watch::Receiver<Option<Media>>,
    ) -> Option<PathBuf> {
        let media = plan.borrow_and_update().clone()?;
        let clock = Clock::start();
        let mut sound = Lock::new(media.peer.0);
        let mut reports = Lock::new(media.peer.1);
        let law = media
            .audio
            .iter()
            .find_map(|format| Law::of(format.payload_type))
            .unwrap_or(Law::Mu);
        let mut answerer = Answerer::new(law, self.seed, self.play);
        let mut recording = Recording::new(self.recording);
        let mut packet_due = tokio::time::interval(PACKET);
        let mut report_due = tokio::time::interval(REPORT_EVERY);
        let mut buffer = [0_u8; MAX_PACKET];
        let mut control = [0_u8; MAX_PACKET];
        loop {
            tokio::select! {
                changed = plan.changed() => {
                    let media = plan.borrow_and_update().clone();
                    let (Ok(()), Some(media)) = (changed, media) else { break };
                    sound.turn(media.peer.0);
                    reports.turn(media.peer.1);
                    if let Some(first) = media.audio.first() {
                        answerer.turn(first.payload_type);
                    }
                }
                _ = packet_due.tick() => send(&rtp, &answerer.packet(), sound.there()).await,
                _ = report_due.tick() => {
                    send(&rtcp, &answerer.report(clock.now()), reports.there()).await;
                }
                Ok((n, from)) = rtp.recv_from(&mut buffer) => {
                    if sound.admits(from) {
                        let packet = buffer.get(..n).unwrap_or_default();
                        recording.write(&answerer.hear(packet, clock.now()));
                    }
                }
                Ok((n, from)) = rtcp.recv_from(&mut control) => {
                    if reports.admits(from) {
                        answerer.hear_report(control.get(..n).unwrap_or_default());
                    }
                }
            }
        }
        send(&rtcp, &answerer.farewell(clock.now()), reports.there()).await;
        recording.finish()
    }
}

async fn send(socket: &UdpSocket, packet: &[u8], to: SocketAddr) {
    // The next packet is due in a moment; one that is not sent is as good as lost.
    let _ = socket.send_to(packet, to).await;
}

/// A WAV file that is made when there is something to write.
struct Recording {
    path: PathBuf,
    file: Option<hound::WavWriter<BufWriter<fs::File>>>,
    failed: bool,
}

impl Recording {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            failed: false,
        }
    }

    fn write(&mut self, samples: &[i16]) {
        if samples.is_empty() || self.failed {
            return;
        }
        if let Err(error) = self.try_write(samples) {
            tracing::warn!(path = %self.path.display(), %error, "the call is not recorded");
            self.failed = true;
        }
    }

    fn try_write(&mut self, samples: &[i16]) -> Result<(), hound::Error> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let spec = hound::WavSpec {
                    channels: 1,
                    sample_rate: RATE,
                    bits_per_sample: 16,
                    sample_format: hound::SampleFormat::Int,
                };
                let file = BufWriter::new(record::create(&self.path)?);
                self.file.insert(hound::WavWriter::new(file, spec)?)
            }
        };
        for sample in samples {
            if file.duration() >= MAX_RECORDED {
                break;
            }
            file.write_sample(*sample)?;
        }
        Ok(())
    }

    fn finish(self) -> Option<PathBuf> {
        let file = self.file?;
        match file.finalize() {
            Ok(()) => Some(self.path),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the recording is incomplete");
                None
            }
        }
    }
}

/// Reads what is to be played: the first channel, brought to 8 kHz by the nearest sample.
///
/// # Errors
/// When the file is no WAV file of whole numbers.
pub(super) fn announcement(path: &Path) -> Result<Vec<i16>, hound::Error> {
    let mut wav = hound::WavReader::open(path)?;
    let spec = wav.spec();
    if spec.sample_format != hound::SampleFormat::Int || !matches!(spec.bits_per_sample, 8 | 16) {
        return Err(hound::Error::Unsupported);
    }
    let shift = 16 - spec.bits_per_sample;
    let channels = usize::from(spec.channels.max(1));
    let per_sample = f64::from(spec.sample_rate.max(1)) / f64::from(RATE);
    let most = (MAX_PLAYED as f64 * per_sample) as usize;
    let first: Vec<i16> = wav
        .samples::<i16>()
        .step_by(channels)
        .take(most)
        .collect::<Result<_, _>>()?;
    Ok((0..MAX_PLAYED)
        .map_while(|n| first.get((n as f64 * per_sample) as usize))
        .map(|sample| sample << shift)
        .collect())
}
