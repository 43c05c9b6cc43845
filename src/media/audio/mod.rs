//! Sound over RTP: G.711, where it comes from, where it goes, and a line that does both.

pub mod codec;
pub mod line;

pub mod recorder;
pub mod source;

/// Samples per second of G.711, and of everything here.
pub const RATE: u32 = 8000;
/// Samples in a packet: 20 ms (APPLICATIONS.md 1.4).
pub const SAMPLES: usize = 160;
