//! The built-in agent: takes the sound where no softphone does, plays a file or silence, and
//! records what it hears to a WAV file. To the relay it is an agent like any other.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::media::{
    audio::{
        codec::G711,
        line::{Line, LineSettings},
        source::Source,
    },
    relay::Relay,
    sdp::Format,
};

/// The built-in agent of one call.
pub(super) struct BuiltIn {
    /// What it plays.
    play: Source,
    /// Where it records.
    recording: PathBuf,
    /// Unguessable bytes.
    seed: [u8; 10],
    /// It talks, with this codec.
    talking: Option<(Line, G711)>,
    made: Vec<PathBuf>,
}

impl BuiltIn {
    pub(super) fn new(play: Source, recording: PathBuf, seed: [u8; 10]) -> Self {
        Self {
            play,
            recording,
            seed,
            talking: None,
            made: Vec::new(),
        }
    }

    /// Talks through the relay, with the first codec that it knows. Asked again with the same one
    /// it goes on.
    pub(super) async fn talk(&mut self, relay: &Relay, agreed: &[Format]) -> io::Result<()> {
        let codec = agreed
            .iter()
            .find_map(|format| G711::of(format.payload_type))
            .unwrap_or(G711::Ulaw);
        if let Some((line, _)) = self.talking.take_if(|(_, before)| *before != codec) {
            // Another codec is another stream, with a file of its own and nothing left to play.
            self.made.extend(line.stop().await.recorded);
            self.recording = beside(&self.recording);
            self.play = Source::Silence;
            let [first, ..] = &mut self.seed;
            *first = first.wrapping_add(1);
        }
        if self.talking.is_some() {
            return Ok(());
        }
        let mut line = Line::open(Ipv4Addr::LOCALHOST).await?;
        relay.connect_agent((Ipv4Addr::LOCALHOST, line.port()).into(), None)?;
        let [a, b, c, d, e, f, g, h, i, j] = self.seed;
        let mut settings = LineSettings {
            remote_rtp: (Ipv4Addr::LOCALHOST, relay.agent_port()).into(),
            remote_rtcp: None,
            payload: codec,
            source: self.play.clone(),
            record: Some(self.recording.clone()),
            ssrc: u32::from_be_bytes([a, b, c, d]),
            first_sequence: u16::from_be_bytes([e, f]),
            first_timestamp: u32::from_be_bytes([g, h, i, j]),
            cname: "msn-handoff".to_owned(),
        };
        if let Err(error) = line.start(settings.clone()) {
            // A call without a recording is better than none.
            warn!(path = %self.recording.display(), %error, "the call is not recorded");
            settings.record = None;
            line.start(settings)?;
        }
        self.talking = Some((line, codec));
        Ok(())
    }

    /// Ends it. Gives the recordings that were made.
    pub(super) async fn end(mut self) -> Vec<PathBuf> {
        if let Some((line, _)) = self.talking.take() {
            self.made.extend(line.stop().await.recorded);
        }
        self.made
    }
}

/// Another name in the same folder.
fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-2.wav"))
}
