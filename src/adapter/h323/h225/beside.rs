//! Messages of H.225.0 that end a call or stand beside it: ReleaseComplete-UUIE, Facility-UUIE,
//! Information-UUIE.

use rasn::prelude::*;

use super::{AliasAddress, CallIdentifier, TransportAddress};
use crate::adapter::h323::per::Unread;

/// Information-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Information {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
}

/// ReleaseComplete-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct ReleaseComplete {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// Why.
    pub reason: Option<ReleaseReason>,
    /// callIdentifier.
    #[rasn(extension_addition)]
    pub call: Option<CallIdentifier>,
}

impl ReleaseComplete {
    /// One of ours.
    #[must_use]
    pub fn new(reason: ReleaseReason, call: Option<CallIdentifier>) -> Self {
        Self {
            protocol: super::protocol(),
            reason: Some(reason),
            call,
        }
    }
}

/// ReleaseCompleteReason.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum ReleaseReason {
    NoBandwidth(()),
    GatekeeperResources(()),
    UnreachableDestination(()),
    DestinationRejection(()),
    InvalidRevision(()),
    NoPermission(()),
    UnreachableGatekeeper(()),
    GatewayResources(()),
    BadFormatAddress(()),
    AdaptiveBusy(()),
    InConf(()),
    UndefinedReason(()),
    #[rasn(extension_addition)]
    FacilityCallDeflection(()),
    #[rasn(extension_addition)]
    SecurityDenied(()),
    #[rasn(extension_addition)]
    CalledPartyNotRegistered(()),
    #[rasn(extension_addition)]
    CallerNotRegistered(()),
    #[rasn(extension_addition)]
    NewConnectionNeeded(()),
    #[rasn(extension_addition)]
    NonStandardReason(Unread),
    #[rasn(extension_addition)]
    ReplaceWithConferenceInvite(Unread),
    #[rasn(extension_addition)]
    GenericDataReason(()),
    #[rasn(extension_addition)]
    NeededFeatureNotSupported(()),
    #[rasn(extension_addition)]
    TunnelledSignallingRejected(()),
    #[rasn(extension_addition)]
    InvalidCid(()),
    #[rasn(extension_addition)]
    SecurityError(Unread),
    #[rasn(extension_addition)]
    HopCountExceeded(()),
}

/// Facility-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Facility {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// Where to call instead.
    pub alternative_address: Option<TransportAddress>,
    /// Whom to call instead.
    pub alternative_alias: Option<Vec<AliasAddress>>,
    /// The conference.
    pub conference_id: Option<FixedOctetString<16>>,
    /// What for.
    pub reason: FacilityReason,
    /// callIdentifier.
    #[rasn(extension_addition)]
    pub call: Option<CallIdentifier>,
    /// destExtraCallInfo.
    #[rasn(extension_addition)]
    pub extra_call_info: Option<Unread>,
    /// remoteExtensionAddress.
    #[rasn(extension_addition)]
    pub remote_extension: Option<Unread>,
    /// tokens.
    #[rasn(extension_addition)]
    pub tokens: Option<Unread>,
    /// cryptoTokens.
    #[rasn(extension_addition)]
    pub crypto_tokens: Option<Unread>,
    /// conferences.
    #[rasn(extension_addition)]
    pub conferences: Option<Unread>,
    /// Where the sender listens for H.245.
    #[rasn(extension_addition)]
    pub h245_address: Option<TransportAddress>,
    /// The proposed channels that are taken.
    #[rasn(extension_addition)]
    pub fast_start: Option<Vec<OctetString>>,
}

impl Facility {
    /// One of ours.
    #[must_use]
    pub fn new(reason: FacilityReason, call: CallIdentifier) -> Self {
        Self {
            protocol: super::protocol(),
            alternative_address: None,
            alternative_alias: None,
            conference_id: None,
            reason,
            call: Some(call),
            extra_call_info: None,
            remote_extension: None,
            tokens: None,
            crypto_tokens: None,
            conferences: None,
            h245_address: None,
            fast_start: None,
        }
    }
}

/// FacilityReason.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum FacilityReason {
    RouteCallToGatekeeper(()),
    CallForwarded(()),
    RouteCallToMc(()),
    UndefinedReason(()),
    #[rasn(extension_addition)]
    ConferenceListChoice(()),
    #[rasn(extension_addition)]
    StartH245(()),
    #[rasn(extension_addition)]
    NoH245(()),
    #[rasn(extension_addition)]
    NewTokens(()),
    #[rasn(extension_addition)]
    FeatureSetUpdate(()),
    #[rasn(extension_addition)]
    ForwardedElements(()),
    #[rasn(extension_addition)]
    TransportedInformation(()),
}
