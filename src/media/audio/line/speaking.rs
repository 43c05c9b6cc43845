//! What a line says: packets of a source, and reports of them. Pure.

use core::time::Duration;

use super::{LineSettings, PACKET};
use crate::media::{
    audio::{RATE, SAMPLES, codec::G711, source::Source},
    rtcp::{self, Echo, Own, Sent},
    rtp::{self, Packet},
    statistics::Reception,
};

pub(super) struct Speaking {
    payload: G711,
    source: Source,
    ssrc: u32,
    cname: String,
    sequence: u16,
    timestamp: u32,
    /// Timestamp at the beginning.
    first: u32,
    packets: u64,
    /// The next packet is the first one after a pause.
    marker: bool,
}

impl Speaking {
    pub(super) fn new(settings: LineSettings) -> Self {
        Self {
            payload: settings.payload,
            source: settings.source,
            ssrc: settings.ssrc.max(1),
            cname: settings.cname,
            sequence: settings.first_sequence,
            timestamp: settings.first_timestamp,
            first: settings.first_timestamp,
            packets: 0,
            marker: true,
        }
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// The next packet. It always is one; the gate refuses only what is never asked of it here.
    pub(super) fn packet(&mut self) -> Option<Vec<u8>> {
        let mut samples = [0; SAMPLES];
        self.source.fill(&mut samples);
        let payload: Vec<u8> = self.payload.encode(&samples).collect();
        let packet = rtp::write(&Packet {
            payload_type: self.payload.payload_type(),
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            source: self.ssrc,
            payload: &payload,
        })?;
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        self.packets += 1;
        Some(packet)
    }

    /// Leaves out as many whole packets as fit into that time, and gives the time they take. Their
    /// timestamps are used up, their numbers are not: nothing was lost.
    pub(super) fn leave_out(&mut self, behind: Duration) -> Duration {
        let count = u32::try_from(behind.as_millis() / PACKET.as_millis()).unwrap_or(u32::MAX);
        self.timestamp = self
            .timestamp
            .wrapping_add(count.wrapping_mul(SAMPLES as u32));
        self.marker = true;
        PACKET * count
    }

    /// A report at `now` since the beginning.
    pub(super) fn report(
        &self,
        heard: Option<Reception>,
        echo: Option<Echo>,
        now: Duration,
        bye: bool,
    ) -> Vec<u8> {
        let elapsed = now.as_millis() * u128::from(RATE) / 1000;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "counters of the wire count modulo 2^32"
        )]
        let sent = Sent {
            at: now,
            timestamp: self.first.wrapping_add(elapsed as u32),
            packets: self.packets as u32,
            octets: (self.packets * SAMPLES as u64) as u32,
        };
        rtcp::write(&Own {
            source: self.ssrc,
            name: &self.cname,
            sent: Some(sent),
            heard,
            echo,
            bye,
        })
    }
}
