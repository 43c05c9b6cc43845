//! The pictures that an RTP stream carries, by its payload type: which packets begin one that can
//! be shown without the ones before, and the stream that a player opens as a file.
//!
//! Pure. What is malformed is an error for the caller to count; nothing a peer sends panics.

mod bits;
mod continuity;
mod h261;
mod h263;
mod jpeg;
mod jpeg_file;
mod jpeg_tables;
mod key;
mod mpv;

pub use key::begins_key_picture;

use super::rtp::Packet;

/// How the pictures are coded (RFC 3551 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Payload type 26: JPEG, RFC 2435.
    Jpeg,
    /// Payload type 31: H.261, RFC 4587.
    H261,
    /// Payload type 32: MPEG-1 or MPEG-2 video, RFC 2250.
    Mpv,
    /// Payload type 34: H.263, RFC 2190.
    H263,
}

impl Coding {
    /// The coding of a static payload type.
    #[must_use]
    pub fn of(payload_type: u8) -> Option<Self> {
        match payload_type {
            26 => Some(Self::Jpeg),
            31 => Some(Self::H261),
            32 => Some(Self::Mpv),
            34 => Some(Self::H263),
            _ => None,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::H261 => "H.261",
            Self::Mpv => "MPEG",
            Self::H263 => "H.263",
        }
    }

    /// The ending of a file that holds the pictures, as players know it.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "mjpeg",
            Self::H261 => "h261",
            Self::Mpv => "mpg",
            Self::H263 => "h263",
        }
    }

    /// What ffmpeg calls the format of such a file.
    #[must_use]
    pub fn demuxer(self) -> &'static str {
        match self {
            Self::Jpeg => "mjpeg",
            Self::H261 => "h261",
            Self::Mpv => "mpegvideo",
            Self::H263 => "h263",
        }
    }
}

/// A payload that is not what its payload type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payload that is malformed: {0}")]
pub struct Malformed(&'static str);

/// Makes the stream of a file from packets in their order.
#[derive(Debug)]
pub struct Depacketiser(State);

#[derive(Debug)]
enum State {
    Jpeg(Box<jpeg::Frames>),
    H261(h261::Stream),
    Mpv(mpv::Stream),
    H263(h263::Stream),
}

impl Depacketiser {
    /// For a stream so coded.
    #[must_use]
    pub fn new(coding: Coding) -> Self {
        Self(match coding {
            Coding::Jpeg => State::Jpeg(Box::default()),
            Coding::H261 => State::H261(h261::Stream::default()),
            Coding::Mpv => State::Mpv(mpv::Stream::default()),
            Coding::H263 => State::H263(h263::Stream::default()),
        })
    }

    /// Takes the next packet and gives the bytes that are complete by it; for JPEG these are whole
    /// pictures. Pieces that nothing can be made of, since what they continue is lost, are left
    /// out.
    ///
    /// # Errors
    /// When the payload is malformed. The next one may be taken all the same.
    pub fn take(&mut self, packet: &Packet<'_>) -> Result<Vec<u8>, Malformed> {
        match &mut self.0 {
            State::Jpeg(frames) => frames.take(packet),
            State::H261(stream) => stream.take(packet),
            State::Mpv(stream) => stream.take(packet),
            State::H263(stream) => stream.take(packet),
        }
    }

    /// What is left at the end.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Jpeg(_) | State::Mpv(_) => Vec::new(),
            State::H261(stream) => stream.finish(),
            State::H263(stream) => stream.finish(),
        }
    }
}
