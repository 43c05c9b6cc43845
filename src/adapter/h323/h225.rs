//! What H.323 puts into the user-user element of call signalling: H323-UserInformation of H.225.0,
//! Annex H, as far as a terminal needs it. The names are the Recommendation's.

mod address;
mod beside;
mod party;
mod setup;

use rasn::prelude::*;

use super::per::{self, NotPer, Unread};
pub use address::*;
pub use beside::{Facility, FacilityReason, Information, ReleaseComplete, ReleaseReason};
pub use party::*;
pub use setup::*;

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
#[allow(clippy::large_enum_variant)] // One lives as long as it is looked at.
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
