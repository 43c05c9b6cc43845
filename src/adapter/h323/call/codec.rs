//! The codecs of a call, as H.245 says them.

use crate::adapter::h323::{
    h245::{AudioCapability, DataType, H261, H263, VideoCapability},
    per::Flags,
};

/// Milliseconds of G.711 in a packet.
const FRAMES: u16 = 20;
/// In 100 bit/s.
const VIDEO_RATE: u16 = 3840;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Voice.
    Audio,
    /// Pictures.
    Video,
}

impl Medium {
    /// Its sessionID (H.245, H2250LogicalChannelParameters).
    pub(super) fn session(self) -> u8 {
        match self {
            Self::Audio => 1,
            Self::Video => 2,
        }
    }
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 u-law.
    Ulaw,
    /// G.711 A-law.
    Alaw,
    /// H.261.
    H261,
    /// H.263 of 1996.
    H263,
}

impl Codec {
    /// The medium it is of.
    #[must_use]
    pub fn medium(self) -> Medium {
        match self {
            Self::Ulaw | Self::Alaw => Medium::Audio,
            Self::H261 | Self::H263 => Medium::Video,
        }
    }

    /// Its RTP payload type (RFC 3551 section 6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Ulaw => 0,
            Self::Alaw => 8,
            Self::H261 => 31,
            Self::H263 => 34,
        }
    }

    /// What H.245 calls it.
    pub(super) fn data(self) -> DataType {
        match self {
            Self::Ulaw => DataType::Audio(AudioCapability::G711Ulaw64k(FRAMES)),
            Self::Alaw => DataType::Audio(AudioCapability::G711Alaw64k(FRAMES)),
            Self::H261 => DataType::Video(VideoCapability::H261(H261 {
                qcif: Some(1),
                cif: Some(1),
                trade_off: false,
                max_bit_rate: VIDEO_RATE,
                still_image: false,
            })),
            Self::H263 => DataType::Video(VideoCapability::H263(Box::new(H263 {
                sqcif: Some(1),
                qcif: Some(1),
                cif: Some(1),
                cif4: None,
                cif16: None,
                max_bit_rate: VIDEO_RATE.into(),
                annexes: Flags([false; 5]),
                hrd_b: None,
                bpp_max_kb: None,
            }))),
        }
    }

    /// The one that is meant, if it is one of these.
    pub(super) fn of(data: &DataType) -> Option<Self> {
        match data {
            DataType::Audio(audio) => Self::of_audio(audio),
            DataType::Video(video) => Self::of_video(video),
            _ => None,
        }
    }

    pub(super) fn of_audio(audio: &AudioCapability) -> Option<Self> {
        match audio {
            AudioCapability::G711Ulaw64k(_) => Some(Self::Ulaw),
            AudioCapability::G711Alaw64k(_) => Some(Self::Alaw),
            _ => None,
        }
    }

    pub(super) fn of_video(video: &VideoCapability) -> Option<Self> {
        match video {
            VideoCapability::H261(_) => Some(Self::H261),
            VideoCapability::H263(_) => Some(Self::H263),
            _ => None,
        }
    }
}
