//! H.245, the control of a call: MultimediaSystemControlMessage (its Annex A), as far as a terminal
//! of voice and picture needs it. The names are the Recommendation's. What nothing here answers to
//! is [`Unread`] to its end.

mod address;
mod audio;
mod capability;
mod channel;
mod data;
mod opened;
mod told;
mod video;

use rasn::prelude::*;

use super::per::{self, NotPer, Unread};
pub use address::*;
pub use audio::*;
pub use capability::*;
pub use channel::*;
pub use data::*;
pub use opened::*;
pub use told::*;
pub use video::*;

/// MultimediaSystemControlMessage.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Is one.
    Response(Response),
    /// Is obeyed.
    Command(Command),
    /// Is told.
    Indication(Indication),
}

/// RequestMessage.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
#[allow(clippy::large_enum_variant)] // One lives as long as it is looked at.
pub enum Request {
    NonStandard(Unread),
    MasterSlaveDetermination(MasterSlaveDetermination),
    TerminalCapabilitySet(TerminalCapabilitySet),
    OpenLogicalChannel(OpenLogicalChannel),
    CloseLogicalChannel(CloseLogicalChannel),
    RequestChannelClose(RequestChannelClose),
    MultiplexEntrySend(Unread),
    RequestMultiplexEntry(Unread),
    RequestMode(Unread),
    RoundTripDelay(RoundTripDelay),
    MaintenanceLoop(Unread),
    #[rasn(extension_addition)]
    CommunicationMode(Unread),
    #[rasn(extension_addition)]
    Conference(Unread),
    #[rasn(extension_addition)]
    Multilink(Unread),
    #[rasn(extension_addition)]
    LogicalChannelRate(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// ResponseMessage.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
#[allow(clippy::large_enum_variant)] // One lives as long as it is looked at.
pub enum Response {
    NonStandard(Unread),
    MasterSlaveDeterminationAck(MasterSlaveDeterminationAck),
    MasterSlaveDeterminationReject(Unread),
    TerminalCapabilitySetAck(Numbered),
    TerminalCapabilitySetReject(Unread),
    OpenLogicalChannelAck(OpenLogicalChannelAck),
    OpenLogicalChannelReject(OpenLogicalChannelReject),
    CloseLogicalChannelAck(OfChannel),
    RequestChannelCloseAck(OfChannel),
    RequestChannelCloseReject(Unread),
    MultiplexEntrySendAck(Unread),
    MultiplexEntrySendReject(Unread),
    RequestMultiplexEntryAck(Unread),
    RequestMultiplexEntryReject(Unread),
    RequestModeAck(Unread),
    RequestModeReject(Unread),
    RoundTripDelay(RoundTripDelay),
    MaintenanceLoopAck(Unread),
    MaintenanceLoopReject(Unread),
    #[rasn(extension_addition)]
    CommunicationMode(Unread),
    #[rasn(extension_addition)]
    Conference(Unread),
    #[rasn(extension_addition)]
    Multilink(Unread),
    #[rasn(extension_addition)]
    LogicalChannelRateAcknowledge(Unread),
    #[rasn(extension_addition)]
    LogicalChannelRateReject(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// MasterSlaveDetermination.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct MasterSlaveDetermination {
    /// 50 for a terminal without multipoint controller (H.323 table 1).
    pub terminal_type: u8,
    /// Random.
    #[rasn(value("0..=16777215"))]
    pub number: u32,
}

/// MasterSlaveDeterminationAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct MasterSlaveDeterminationAck {
    /// What the one who hears it is.
    pub decision: Decision,
}

/// decision of MasterSlaveDeterminationAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
pub enum Decision {
    /// The master.
    Master(()),
    /// The slave.
    Slave(()),
}

/// What has a sequence number and nothing more that is read: TerminalCapabilitySetAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Numbered {
    /// The number of what is answered.
    pub number: u8,
}

/// RoundTripDelayRequest and RoundTripDelayResponse.
pub type RoundTripDelay = Numbered;

/// What names a channel and nothing more that is read: CloseLogicalChannelAck,
/// RequestChannelCloseAck.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct OfChannel {
    /// The channel.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
}

/// RequestChannelClose, up to what is read of it.
pub type RequestChannelClose = OfChannel;

/// CloseLogicalChannel.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct CloseLogicalChannel {
    /// The channel, of the sender's.
    #[rasn(value("1..=65535"))]
    pub channel: u16,
    /// Who closes it.
    pub source: CloseSource,
}

/// source of CloseLogicalChannel.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
pub enum CloseSource {
    /// Who uses it.
    User(()),
    /// The signalling.
    Lcse(()),
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none that is known.
    pub fn read(bytes: &[u8]) -> Result<Self, NotPer> {
        per::read(bytes, "H.245")
    }

    /// Writes it. Only what has no [`Unread`] in it makes sense on the wire.
    ///
    /// # Errors
    /// When a value is outside of what its type allows.
    pub fn write(&self) -> Result<Vec<u8>, NotPer> {
        per::write(self, "H.245")
    }
}
