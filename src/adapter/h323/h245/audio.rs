//! AudioCapability of H.245. Numbers are the most frames of a packet; one of G.711 is a
//! millisecond (H.225.0 section 6.2.5).

use rasn::prelude::*;

use super::address::NonStandardParameter;
use crate::adapter::h323::per::{Flags, Unread};

/// AudioCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum AudioCapability {
    NonStandard(NonStandardParameter),
    #[rasn(value("1..=256"))]
    G711Alaw64k(u16),
    #[rasn(value("1..=256"))]
    G711Alaw56k(u16),
    #[rasn(value("1..=256"))]
    G711Ulaw64k(u16),
    #[rasn(value("1..=256"))]
    G711Ulaw56k(u16),
    #[rasn(value("1..=256"))]
    G722At64k(u16),
    #[rasn(value("1..=256"))]
    G722At56k(u16),
    #[rasn(value("1..=256"))]
    G722At48k(u16),
    G7231(G7231),
    #[rasn(value("1..=256"))]
    G728(u16),
    #[rasn(value("1..=256"))]
    G729(u16),
    #[rasn(value("1..=256"))]
    G729AnnexA(u16),
    Is11172(Is11172Audio),
    Is13818(Is13818Audio),
    #[rasn(extension_addition)]
    G729WithAnnexB(Unread),
    #[rasn(extension_addition)]
    G729AnnexAWithAnnexB(Unread),
    #[rasn(extension_addition)]
    G7231AnnexC(Unread),
    #[rasn(extension_addition)]
    GsmFullRate(Unread),
    #[rasn(extension_addition)]
    GsmHalfRate(Unread),
    #[rasn(extension_addition)]
    GsmEnhancedFullRate(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
    #[rasn(extension_addition)]
    G729Extensions(Unread),
    #[rasn(extension_addition)]
    Vbd(Unread),
    #[rasn(extension_addition)]
    TelephonyEvent(Unread),
    #[rasn(extension_addition)]
    Tone(Unread),
}

/// g7231 of AudioCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct G7231 {
    /// The most frames of a packet.
    #[rasn(value("1..=256"))]
    pub frames: u16,
    /// Whether silence is left out.
    pub silence_suppression: bool,
}

/// IS11172AudioCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Is11172Audio {
    /// Layers, rates, channels.
    pub what: Flags<8>,
    /// In kbit/s.
    #[rasn(value("1..=448"))]
    pub bit_rate: u16,
}

/// IS13818AudioCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Is13818Audio {
    /// Layers, rates, channels.
    pub what: Flags<20>,
    /// In kbit/s.
    #[rasn(value("1..=1130"))]
    pub bit_rate: u16,
}
