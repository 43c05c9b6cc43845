//! VideoCapability of H.245. An MPI is the least time between pictures, in units of 1/29.97 s.

use rasn::prelude::*;

use super::address::NonStandardParameter;
use crate::adapter::h323::per::{Flags, Unread};

/// VideoCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum VideoCapability {
    NonStandard(NonStandardParameter),
    H261(H261),
    H262(H262),
    H263(Box<H263>),
    Is11172(Is11172Video),
    #[rasn(extension_addition)]
    Generic(Unread),
    #[rasn(extension_addition)]
    Extended(Unread),
}

/// H261VideoCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H261 {
    /// MPI of 176x144.
    #[rasn(value("1..=4"))]
    pub qcif: Option<u8>,
    /// MPI of 352x288.
    #[rasn(value("1..=4"))]
    pub cif: Option<u8>,
    /// temporalSpatialTradeOffCapability.
    pub trade_off: bool,
    /// In 100 bit/s.
    #[rasn(value("1..=19200"))]
    pub max_bit_rate: u16,
    /// Annex D.
    pub still_image: bool,
}

/// H263VideoCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H263 {
    /// MPI of 128x96.
    #[rasn(value("1..=32"))]
    pub sqcif: Option<u8>,
    /// MPI of 176x144.
    #[rasn(value("1..=32"))]
    pub qcif: Option<u8>,
    /// MPI of 352x288.
    #[rasn(value("1..=32"))]
    pub cif: Option<u8>,
    /// MPI of 704x576.
    #[rasn(value("1..=32"))]
    pub cif4: Option<u8>,
    /// MPI of 1408x1152.
    #[rasn(value("1..=32"))]
    pub cif16: Option<u8>,
    /// In 100 bit/s.
    #[rasn(value("1..=192400"))]
    pub max_bit_rate: u32,
    /// unrestrictedVector, arithmeticCoding, advancedPrediction, pbFrames,
    /// temporalSpatialTradeOffCapability.
    pub annexes: Flags<5>,
    /// hrd-B.
    #[rasn(value("0..=524287"))]
    pub hrd_b: Option<u32>,
    /// bppMaxKb.
    pub bpp_max_kb: Option<u16>,
}

/// H262VideoCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H262 {
    /// Profiles and levels.
    pub profiles: Flags<11>,
    /// videoBitRate.
    #[rasn(value("0..=1073741823"))]
    pub bit_rate: Option<u32>,
    /// vbvBufferSize.
    #[rasn(value("0..=262143"))]
    pub buffer: Option<u32>,
    /// samplesPerLine.
    #[rasn(value("0..=16383"))]
    pub samples: Option<u16>,
    /// linesPerFrame.
    #[rasn(value("0..=16383"))]
    pub lines: Option<u16>,
    /// framesPerSecond.
    #[rasn(value("0..=15"))]
    pub frames: Option<u8>,
    /// luminanceSampleRate.
    pub luminance: Option<u32>,
}

/// IS11172VideoCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Is11172Video {
    /// constrainedBitstream.
    pub constrained: bool,
    /// videoBitRate.
    #[rasn(value("0..=1073741823"))]
    pub bit_rate: Option<u32>,
    /// vbvBufferSize.
    #[rasn(value("0..=262143"))]
    pub buffer: Option<u32>,
    /// samplesPerLine.
    #[rasn(value("0..=16383"))]
    pub samples: Option<u16>,
    /// linesPerFrame.
    #[rasn(value("0..=16383"))]
    pub lines: Option<u16>,
    /// pictureRate.
    #[rasn(value("0..=15"))]
    pub rate: Option<u8>,
    /// luminanceSampleRate.
    pub luminance: Option<u32>,
}
