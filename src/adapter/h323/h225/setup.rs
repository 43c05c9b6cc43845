//! Setup-UUIE of H.225.0: a call begins.

use rasn::prelude::*;

use super::{AliasAddress, CallIdentifier, EndpointType, TransportAddress};
use crate::adapter::h323::per::{self, Unread};

/// Setup-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Setup {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// Where the caller listens for H.245.
    pub h245_address: Option<TransportAddress>,
    /// What the caller is called.
    pub source_address: Option<Vec<AliasAddress>>,
    /// What the caller is.
    pub source_info: EndpointType,
    /// Who is called.
    pub destination_address: Option<Vec<AliasAddress>>,
    /// Where the called side is.
    pub destination_signal: Option<TransportAddress>,
    /// destExtraCallInfo.
    pub extra_call_info: Option<Vec<AliasAddress>>,
    /// destExtraCRV.
    pub extra_references: Option<Vec<u16>>,
    /// The caller has a multipoint controller that works.
    pub active_mc: bool,
    /// The conference.
    pub conference_id: FixedOctetString<16>,
    /// What it is called for.
    pub conference_goal: ConferenceGoal,
    /// callServices.
    pub call_services: Option<QSeriesOptions>,
    /// How many take part.
    pub call_type: CallType,
    /// Where the caller is.
    #[rasn(extension_addition)]
    pub source_signal: Option<TransportAddress>,
    /// remoteExtensionAddress.
    #[rasn(extension_addition)]
    pub remote_extension: Option<Unread>,
    /// callIdentifier.
    #[rasn(extension_addition)]
    pub call: Option<CallIdentifier>,
    /// h245SecurityCapability.
    #[rasn(extension_addition)]
    pub security: Option<Unread>,
    /// tokens.
    #[rasn(extension_addition)]
    pub tokens: Option<Unread>,
    /// cryptoTokens.
    #[rasn(extension_addition)]
    pub crypto_tokens: Option<Unread>,
    /// Channels that are proposed at once, each an OpenLogicalChannel.
    #[rasn(extension_addition)]
    pub fast_start: Option<Vec<OctetString>>,
}

/// conferenceGoal of Setup-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum ConferenceGoal {
    /// A new one.
    Create(()),
    /// One that there is.
    Join(()),
    /// To one that there is.
    Invite(()),
    /// None: what can the other side do?
    #[rasn(extension_addition)]
    CapabilityNegotiation(()),
    /// None.
    #[rasn(extension_addition)]
    SupplementaryService(()),
}

/// CallType.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum CallType {
    /// Two.
    PointToPoint(()),
    /// One speaks to many.
    OneToN(()),
    /// Many speak to one.
    NToOne(()),
    /// All speak to all.
    NToN(()),
}

/// QseriesOptions.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct QSeriesOptions {
    /// Q.932, Q.951 to Q.953, Q.955 to Q.957.
    pub full: per::Flags<7>,
    /// Q.954.
    pub q954: Q954Details,
}

/// Q954Details.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Q954Details {
    /// conferenceCalling, threePartyService.
    pub services: per::Flags<2>,
}
