//! OpenLogicalChannel of H.245 and its answers, as H.323 uses them.

use rasn::prelude::*;

use super::{
    AudioCapability, DataApplicationCapability, NetworkAccess, VideoCapability,
    address::{NonStandardParameter, TransportAddress},
};
use crate::adapter::h323::per::Unread;

/// OpenLogicalChannel.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct OpenLogicalChannel {
    /// forwardLogicalChannelNumber.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
    /// What the sender will send.
    pub forward: ForwardParameters,
    /// What it wants to be sent on the same channel, or, in fast start, on the other one.
    pub reverse: Option<ReverseParameters>,
    /// separateStack, of T.120.
    #[rasn(extension_addition)]
    pub separate_stack: Option<NetworkAccess>,
}

/// forwardLogicalChannelParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct ForwardParameters {
    /// portNumber.
    pub port: Option<u16>,
    /// What is sent.
    pub data: DataType,
    /// Over what.
    pub multiplex: MultiplexParameters,
}

/// reverseLogicalChannelParameters of OpenLogicalChannel.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct ReverseParameters {
    /// What is sent.
    pub data: DataType,
    /// Over what.
    pub multiplex: Option<ReverseMultiplexParameters>,
}

/// multiplexParameters of forwardLogicalChannelParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum MultiplexParameters {
    /// Not of H.323, which makes the message unread from here on.
    H222(Unread),
    /// Likewise.
    H223(Unread),
    /// Likewise.
    V76(Unread),
    #[rasn(extension_addition)]
    H2250(ChannelParameters),
    #[rasn(extension_addition)]
    None(()),
}

/// multiplexParameters of reverseLogicalChannelParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum ReverseMultiplexParameters {
    /// Not of H.323, which makes the message unread from here on.
    H223(Unread),
    /// Likewise.
    V76(Unread),
    #[rasn(extension_addition)]
    H2250(ChannelParameters),
}

/// DataType.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DataType {
    NonStandard(NonStandardParameter),
    Null(()),
    Video(VideoCapability),
    Audio(AudioCapability),
    Data(DataApplicationCapability),
    Encryption(EncryptionMode),
    #[rasn(extension_addition)]
    H235Control(Unread),
    #[rasn(extension_addition)]
    H235Media(Unread),
    #[rasn(extension_addition)]
    MultiplexedStream(Unread),
    #[rasn(extension_addition)]
    RedundancyEncoding(Unread),
    #[rasn(extension_addition)]
    MultiplePayloadStream(Unread),
    #[rasn(extension_addition)]
    DepFec(Unread),
    #[rasn(extension_addition)]
    Fec(Unread),
}

/// EncryptionMode.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum EncryptionMode {
    NonStandard(NonStandardParameter),
    H233(()),
}

/// H2250LogicalChannelParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Default)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct ChannelParameters {
    /// nonStandard.
    pub non_standard: Option<Vec<NonStandardParameter>>,
    /// sessionID: 1 is audio, 2 video, 3 data, 0 wants the master to choose.
    pub session: u8,
    /// associatedSessionID.
    #[rasn(value("1..=255"))]
    pub associated: Option<u8>,
    /// Where media goes to.
    pub media: Option<TransportAddress>,
    /// mediaGuaranteedDelivery.
    pub media_guaranteed: Option<bool>,
    /// Where RTCP goes to.
    pub control: Option<TransportAddress>,
    /// mediaControlGuaranteedDelivery.
    pub control_guaranteed: Option<bool>,
    /// silenceSuppression.
    pub silence_suppression: Option<bool>,
    /// destination.
    pub destination: Option<TerminalLabel>,
    /// dynamicRTPPayloadType.
    #[rasn(value("96..=127"))]
    pub payload_type: Option<u8>,
    /// mediaPacketization.
    pub packetization: Option<MediaPacketization>,
}

/// TerminalLabel.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct TerminalLabel {
    /// mcuNumber.
    #[rasn(value("0..=192"))]
    pub mcu: u8,
    /// terminalNumber.
    #[rasn(value("0..=192"))]
    pub terminal: u8,
}

/// mediaPacketization of H2250LogicalChannelParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum MediaPacketization {
    H261a(()),
    #[rasn(extension_addition)]
    RtpPayloadType(Unread),
}
