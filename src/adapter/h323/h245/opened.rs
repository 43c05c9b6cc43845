//! What answers an OpenLogicalChannel of H.245.

use rasn::prelude::*;

use super::{
    NetworkAccess,
    address::{NonStandardParameter, TransportAddress},
};
use crate::adapter::h323::per::Unread;

/// OpenLogicalChannelAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct OpenLogicalChannelAck {
    /// forwardLogicalChannelNumber.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
    /// Of a channel of both directions, as T.120's.
    pub reverse: Option<ReverseAck>,
    /// separateStack.
    #[rasn(extension_addition)]
    pub separate_stack: Option<NetworkAccess>,
    /// forwardMultiplexAckParameters.
    #[rasn(extension_addition)]
    pub forward: Option<ForwardMultiplexAck>,
}

/// reverseLogicalChannelParameters of OpenLogicalChannelAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct ReverseAck {
    /// reverseLogicalChannelNumber.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
    /// portNumber.
    pub port: Option<u16>,
    /// Over what.
    pub multiplex: Option<ReverseAckMultiplex>,
}

/// multiplexParameters of reverseLogicalChannelParameters of OpenLogicalChannelAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum ReverseAckMultiplex {
    /// Not of H.323, which makes the message unread from here on.
    H222(Unread),
    #[rasn(extension_addition)]
    H2250(super::ChannelParameters),
}

/// forwardMultiplexAckParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum ForwardMultiplexAck {
    H2250(AckParameters),
}

/// H2250LogicalChannelAckParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Default)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct AckParameters {
    /// nonStandard.
    pub non_standard: Option<Vec<NonStandardParameter>>,
    /// sessionID.
    #[rasn(value("1..=255"))]
    pub session: Option<u8>,
    /// Where media is wanted.
    pub media: Option<TransportAddress>,
    /// Where RTCP is wanted.
    pub control: Option<TransportAddress>,
    /// dynamicRTPPayloadType.
    #[rasn(value("96..=127"))]
    pub payload_type: Option<u8>,
}

/// OpenLogicalChannelReject.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct OpenLogicalChannelReject {
    /// forwardLogicalChannelNumber.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
    /// Why.
    pub cause: RejectCause,
}

/// cause of OpenLogicalChannelReject.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum RejectCause {
    Unspecified(()),
    UnsuitableReverseParameters(()),
    DataTypeNotSupported(()),
    DataTypeNotAvailable(()),
    UnknownDataType(()),
    DataTypeAlCombinationNotSupported(()),
    #[rasn(extension_addition)]
    MulticastChannelNotAllowed(()),
    #[rasn(extension_addition)]
    InsufficientBandwidth(()),
    #[rasn(extension_addition)]
    SeparateStackEstablishmentFailed(()),
    #[rasn(extension_addition)]
    InvalidSessionId(()),
    #[rasn(extension_addition)]
    MasterSlaveConflict(()),
    #[rasn(extension_addition)]
    WaitForCommunicationMode(()),
    #[rasn(extension_addition)]
    InvalidDependentChannel(()),
    #[rasn(extension_addition)]
    ReplacementForRejected(()),
    #[rasn(extension_addition)]
    SecurityDenied(()),
    #[rasn(extension_addition)]
    QosControlNotSupported(()),
}
