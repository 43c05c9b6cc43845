//! What H.323 puts into the user-user element of call signalling: H323-UserInformation of H.225.0,
//! Annex H, as far as a terminal needs it. The names are the Recommendation's.

mod beside;
mod party;

use rasn::prelude::*;

use super::per::{self, NotPer, Unread};
pub use beside::{Facility, FacilityReason, Information, ReleaseComplete, ReleaseReason};
pub use party::{
    AliasAddress, EndpointType, H221NonStandard, NonStandardIdentifier, NonStandardParameter,
    Terminal, TransportAddress, VendorIdentifier,
};

/// The version whose additions are known here: {itu-t recommendation h 2250 version 4}.
const VERSION: &Oid = Oid::const_new(&[0, 0, 8, 2250, 0, 4]);

/// The protocolIdentifier that every message begins with.
#[must_use]
pub fn protocol() -> ObjectIdentifier {
    VERSION.to_owned()
}

/// H323-UserInformation.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct UserInformation {
    /// h323-uu-pdu.
    pub pdu: UuPdu,
    /// user-data, which nothing here uses.
    pub user_data: Option<UserData>,
}

/// user-data of H323-UserInformation.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct UserData {
    /// What it is.
    pub protocol_discriminator: u8,
    /// The data.
    #[rasn(size("1..=131"))]
    pub user_information: OctetString,
}

/// H323-UU-PDU.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct UuPdu {
    /// h323-message-body.
    pub body: Body,
    /// Something of a maker's own; NetMeeting names itself here (APPLICATIONS.md 3).
    pub non_standard: Option<NonStandardParameter>,
    /// h4501SupplementaryService.
    #[rasn(extension_addition)]
    pub supplementary: Option<Unread>,
    /// Whether H.245 may come this way.
    #[rasn(extension_addition)]
    pub h245_tunnelling: Option<bool>,
    /// H.245 that comes this way.
    #[rasn(extension_addition)]
    pub h245_control: Option<Vec<OctetString>>,
}

/// h323-message-body.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum Body {
    /// A call begins.
    Setup(Setup),
    /// The called side has it.
    CallProceeding(Proceeding),
    /// It is taken.
    Connect(Connect),
    /// It rings.
    Alerting(Proceeding),
    /// Something beside it.
    Information(Information),
    /// It is over.
    ReleaseComplete(ReleaseComplete),
    /// Something beside it.
    Facility(Facility),
    /// What the network heard of it.
    #[rasn(extension_addition)]
    Progress(Unread),
    /// No message, only what is tunnelled.
    #[rasn(extension_addition)]
    Empty(()),
    /// How far it is.
    #[rasn(extension_addition)]
    Status(Unread),
    /// How far is it?
    #[rasn(extension_addition)]
    StatusInquiry(Unread),
    /// The Setup came.
    #[rasn(extension_addition)]
    SetupAcknowledge(Unread),
    /// Something beside it.
    #[rasn(extension_addition)]
    Notify(Unread),
}

/// CallIdentifier.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct CallIdentifier {
    /// The same in all messages of a call.
    pub guid: FixedOctetString<16>,
}

impl CallIdentifier {
    /// That one.
    #[must_use]
    pub fn new(guid: [u8; 16]) -> Self {
        Self { guid: guid.into() }
    }
}

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

/// CallProceeding-UUIE and Alerting-UUIE, which are alike where they are read.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Proceeding {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// What the called side is.
    pub destination_info: EndpointType,
    /// Where it listens for H.245.
    pub h245_address: Option<TransportAddress>,
    /// callIdentifier.
    #[rasn(extension_addition)]
    pub call: Option<CallIdentifier>,
    /// h245SecurityMode.
    #[rasn(extension_addition)]
    pub security: Option<Unread>,
    /// tokens.
    #[rasn(extension_addition)]
    pub tokens: Option<Unread>,
    /// cryptoTokens.
    #[rasn(extension_addition)]
    pub crypto_tokens: Option<Unread>,
    /// The proposed channels that are taken.
    #[rasn(extension_addition)]
    pub fast_start: Option<Vec<OctetString>>,
}

/// Connect-UUIE.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Connect {
    /// protocolIdentifier.
    pub protocol: ObjectIdentifier,
    /// Where the called side listens for H.245.
    pub h245_address: Option<TransportAddress>,
    /// What it is.
    pub destination_info: EndpointType,
    /// The conference.
    pub conference_id: FixedOctetString<16>,
    /// callIdentifier.
    #[rasn(extension_addition)]
    pub call: Option<CallIdentifier>,
    /// h245SecurityMode.
    #[rasn(extension_addition)]
    pub security: Option<Unread>,
    /// tokens.
    #[rasn(extension_addition)]
    pub tokens: Option<Unread>,
    /// cryptoTokens.
    #[rasn(extension_addition)]
    pub crypto_tokens: Option<Unread>,
    /// The proposed channels that are taken.
    #[rasn(extension_addition)]
    pub fast_start: Option<Vec<OctetString>>,
}

impl UserInformation {
    /// That body and nothing else.
    #[must_use]
    pub fn of(body: Body) -> Self {
        Self {
            pdu: UuPdu {
                body,
                non_standard: None,
                supplementary: None,
                h245_tunnelling: None,
                h245_control: None,
            },
            user_data: None,
        }
    }

    /// Reads the ASN.1 of a user-user element.
    ///
    /// # Errors
    /// When it is no H323-UserInformation.
    pub fn read(bytes: &[u8]) -> Result<Self, NotPer> {
        per::read(bytes, "H323-UserInformation")
    }

    /// The ASN.1 of a user-user element.
    ///
    /// # Errors
    /// When a value is outside of what its type allows.
    pub fn write(&self) -> Result<Vec<u8>, NotPer> {
        per::write(self, "H323-UserInformation")
    }
}
