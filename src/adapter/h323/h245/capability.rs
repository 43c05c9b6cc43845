//! TerminalCapabilitySet of H.245: what a terminal can receive and send.

use rasn::prelude::*;

use super::{
    AudioCapability, DataApplicationCapability, VideoCapability, address::NonStandardParameter,
};
use crate::adapter::h323::per::{Flags, Unread};

/// TerminalCapabilitySet.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct TerminalCapabilitySet {
    /// sequenceNumber.
    pub number: u8,
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// What the channels go over.
    pub multiplex: Option<MultiplexCapability>,
    /// What can be done.
    #[rasn(size("1..=256"))]
    pub table: Option<Vec<CapabilityTableEntry>>,
    /// What of it at once.
    #[rasn(size("1..=256"))]
    pub descriptors: Option<Vec<CapabilityDescriptor>>,
}

/// CapabilityTableEntry.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct CapabilityTableEntry {
    /// capabilityTableEntryNumber.
    #[rasn(value("1..=65535"))]
    pub number: u16,
    /// None takes that entry back.
    pub capability: Option<Capability>,
}

/// CapabilityDescriptor.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct CapabilityDescriptor {
    /// capabilityDescriptorNumber.
    pub number: u8,
    /// One of each set.
    #[rasn(size("1..=256"))]
    pub simultaneous: Option<Vec<AlternativeCapabilitySet>>,
}

/// AlternativeCapabilitySet: numbers of entries.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(delegate, size("1..=256"))]
pub struct AlternativeCapabilitySet(pub Vec<EntryNumber>);

/// CapabilityTableEntryNumber.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(delegate, value("1..=65535"))]
pub struct EntryNumber(pub u16);

/// MultiplexCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum MultiplexCapability {
    NonStandard(NonStandardParameter),
    /// Of ATM; no terminal of H.323 has it, so that nothing after it is missed.
    H222(Unread),
    /// Of telephone lines; likewise.
    H223(Unread),
    /// Of modems; likewise.
    V76(Unread),
    #[rasn(extension_addition)]
    H2250(H2250Capability),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// H2250Capability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H2250Capability {
    /// In ms.
    #[rasn(value("0..=1023"))]
    pub jitter: u16,
    /// receiveMultipointCapability.
    pub receive: MultipointCapability,
    /// transmitMultipointCapability.
    pub transmit: MultipointCapability,
    /// receiveAndTransmitMultipointCapability.
    pub both: MultipointCapability,
    /// mcCapability.
    pub mc: McCapability,
    /// rtcpVideoControlCapability.
    pub rtcp_video_control: bool,
    /// mediaPacketizationCapability.
    pub packetization: MediaPacketizationCapability,
}

impl H2250Capability {
    /// Of a terminal that has calls of two.
    #[must_use]
    pub fn of_two() -> Self {
        let multipoint = MultipointCapability {
            multicast_and_unicast: Flags([false; 2]),
            distribution: vec![MediaDistributionCapability {
                what: Flags([false; 6]),
                centralized_data: None,
                distributed_data: None,
            }],
        };
        Self {
            jitter: 60,
            receive: multipoint.clone(),
            transmit: multipoint.clone(),
            both: multipoint,
            mc: McCapability {
                conferences: Flags([false; 2]),
            },
            rtcp_video_control: false,
            packetization: MediaPacketizationCapability { h261a: false },
        }
    }
}

/// MultipointCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct MultipointCapability {
    /// multicastCapability, multiUniCastConference.
    pub multicast_and_unicast: Flags<2>,
    /// mediaDistributionCapability.
    pub distribution: Vec<MediaDistributionCapability>,
}

/// MediaDistributionCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct MediaDistributionCapability {
    /// Control, audio and video; of each: centralized, distributed.
    pub what: Flags<6>,
    /// centralizedData.
    pub centralized_data: Option<Vec<DataApplicationCapability>>,
    /// distributedData.
    pub distributed_data: Option<Vec<DataApplicationCapability>>,
}

/// mcCapability of H2250Capability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct McCapability {
    /// centralizedConferenceMC, decentralizedConferenceMC.
    pub conferences: Flags<2>,
}

/// MediaPacketizationCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct MediaPacketizationCapability {
    /// h261aVideoPacketization.
    pub h261a: bool,
}

/// Capability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Capability {
    NonStandard(NonStandardParameter),
    ReceiveVideo(VideoCapability),
    TransmitVideo(VideoCapability),
    BothVideo(VideoCapability),
    ReceiveAudio(AudioCapability),
    TransmitAudio(AudioCapability),
    BothAudio(AudioCapability),
    ReceiveData(DataApplicationCapability),
    TransmitData(DataApplicationCapability),
    BothData(DataApplicationCapability),
    H233Transmit(bool),
    H233Receive(H233Receive),
    #[rasn(extension_addition)]
    Conference(Unread),
    #[rasn(extension_addition)]
    H235Security(Unread),
    #[rasn(extension_addition)]
    MaxPendingReplacementFor(Unread),
    #[rasn(extension_addition)]
    ReceiveUserInput(Unread),
    #[rasn(extension_addition)]
    TransmitUserInput(Unread),
    #[rasn(extension_addition)]
    BothUserInput(Unread),
    #[rasn(extension_addition)]
    GenericControl(Unread),
    #[rasn(extension_addition)]
    ReceiveMultiplexedStream(Unread),
    #[rasn(extension_addition)]
    TransmitMultiplexedStream(Unread),
    #[rasn(extension_addition)]
    BothMultiplexedStream(Unread),
    #[rasn(extension_addition)]
    ReceiveTelephonyEvent(Unread),
    #[rasn(extension_addition)]
    ReceiveTone(Unread),
    #[rasn(extension_addition)]
    DepFec(Unread),
    #[rasn(extension_addition)]
    MultiplePayloadStream(Unread),
    #[rasn(extension_addition)]
    Fec(Unread),
    #[rasn(extension_addition)]
    RedundancyEncoding(Unread),
    #[rasn(extension_addition)]
    OneOf(Unread),
}

/// h233EncryptionReceiveCapability of Capability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H233Receive {
    /// h233IVResponseTime.
    pub response_time: u8,
}
