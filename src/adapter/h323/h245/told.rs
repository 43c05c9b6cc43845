//! CommandMessage and IndicationMessage of H.245, which want no answer.

use rasn::prelude::*;

use crate::adapter::h323::per::Unread;

/// CommandMessage.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Command {
    NonStandard(Unread),
    MaintenanceLoopOff(Unread),
    SendTerminalCapabilitySet(Unread),
    Encryption(Unread),
    FlowControl(Unread),
    EndSession(EndSession),
    Miscellaneous(Unread),
    #[rasn(extension_addition)]
    CommunicationMode(Unread),
    #[rasn(extension_addition)]
    Conference(Unread),
    #[rasn(extension_addition)]
    H223MultiplexReconfiguration(Unread),
    #[rasn(extension_addition)]
    NewAtmVc(Unread),
    #[rasn(extension_addition)]
    MobileMultilinkReconfiguration(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// EndSessionCommand.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum EndSession {
    NonStandard(Unread),
    Disconnect(()),
    GstnOptions(Unread),
    #[rasn(extension_addition)]
    IsdnOptions(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// IndicationMessage: none that changes a call here. Only what it is, is read.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Indication {
    NonStandard(Unread),
    FunctionNotUnderstood(Unread),
    MasterSlaveDeterminationRelease(Unread),
    TerminalCapabilitySetRelease(Unread),
    OpenLogicalChannelConfirm(Unread),
    RequestChannelCloseRelease(Unread),
    MultiplexEntrySendRelease(Unread),
    RequestMultiplexEntryRelease(Unread),
    RequestModeRelease(Unread),
    Miscellaneous(Unread),
    Jitter(Unread),
    H223Skew(Unread),
    NewAtmVc(Unread),
    UserInput(Unread),
    #[rasn(extension_addition)]
    H2250MaximumSkew(Unread),
    #[rasn(extension_addition)]
    McLocation(Unread),
    #[rasn(extension_addition)]
    Conference(Unread),
    #[rasn(extension_addition)]
    VendorIdentification(Unread),
    #[rasn(extension_addition)]
    FunctionNotSupported(Unread),
    #[rasn(extension_addition)]
    Multilink(Unread),
    #[rasn(extension_addition)]
    LogicalChannelRateRelease(Unread),
    #[rasn(extension_addition)]
    FlowControl(Unread),
    #[rasn(extension_addition)]
    MobileMultilinkReconfiguration(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}
