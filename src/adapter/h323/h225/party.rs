//! Who somebody is, as H.225.0 writes it (its Annex H, H323-MESSAGES).

use rasn::prelude::*;

use crate::adapter::h323::per::Unread;

/// AliasAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum AliasAddress {
    /// A number.
    #[rasn(size("1..=128"), from("0..=9", "#", "*", ","))]
    DialledDigits(Ia5String),
    /// A name.
    #[rasn(size("1..=256"))]
    H323Id(BmpString),
    /// A URL.
    #[rasn(extension_addition)]
    UrlId(Unread),
    /// A transport address.
    #[rasn(extension_addition)]
    TransportId(Unread),
    /// An address of mail.
    #[rasn(extension_addition)]
    EmailId(Unread),
    /// A number of a numbering plan.
    #[rasn(extension_addition)]
    PartyNumber(Unread),
    /// A mobile's number.
    #[rasn(extension_addition)]
    MobileUim(Unread),
    /// A number of ISUP.
    #[rasn(extension_addition)]
    IsupNumber(Unread),
}

impl AliasAddress {
    /// That name, cut to what may be sent.
    #[must_use]
    pub fn name(name: &str) -> Option<Self> {
        // Two octets of each character; what needs more is left out.
        let units = name
            .chars()
            .filter_map(|c| u16::try_from(u32::from(c)).ok());
        let octets: Vec<u8> = units.take(128).flat_map(u16::to_be_bytes).collect();
        let name = BmpString::try_from(octets.as_slice()).ok()?;
        (!octets.is_empty()).then_some(Self::H323Id(name))
    }
}

/// NonStandardParameter.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct NonStandardParameter {
    /// Whose it is.
    pub identifier: NonStandardIdentifier,
    /// What it is.
    pub data: OctetString,
}

/// NonStandardIdentifier.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum NonStandardIdentifier {
    /// By object identifier.
    Object(ObjectIdentifier),
    /// By country and maker.
    H221(H221NonStandard),
}

/// H221NonStandard.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct H221NonStandard {
    /// The country, of T.35.
    pub country: u8,
    /// Its extension.
    pub extension: u8,
    /// The maker.
    pub manufacturer: u16,
}

/// EndpointType.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Default)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct EndpointType {
    /// Something of a maker's own.
    pub non_standard: Option<NonStandardParameter>,
    /// Who made it.
    pub vendor: Option<VendorIdentifier>,
    /// It is a gatekeeper.
    pub gatekeeper: Option<Terminal>,
    /// It is a gateway.
    pub gateway: Option<Gateway>,
    /// It is a multipoint control unit.
    pub mcu: Option<Terminal>,
    /// It is a terminal.
    pub terminal: Option<Terminal>,
    /// It has a multipoint controller.
    pub mc: bool,
    /// It is none of these.
    pub undefined_node: bool,
}

impl EndpointType {
    /// A terminal, which is what we are.
    #[must_use]
    pub fn terminal() -> Self {
        Self {
            terminal: Some(Terminal::default()),
            ..Self::default()
        }
    }
}

/// VendorIdentifier.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct VendorIdentifier {
    /// The maker.
    pub vendor: H221NonStandard,
    /// What it made.
    #[rasn(size("1..=256"))]
    pub product: Option<OctetString>,
    /// Which one.
    #[rasn(size("1..=256"))]
    pub version: Option<OctetString>,
}

/// TerminalInfo, GatekeeperInfo and McuInfo: all the same where they are read.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Default)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Terminal {
    /// Something of a maker's own.
    pub non_standard: Option<NonStandardParameter>,
}

/// GatewayInfo.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Gateway {
    /// What it speaks towards elsewhere.
    pub protocol: Option<Vec<SupportedProtocol>>,
    /// Something of a maker's own.
    pub non_standard: Option<NonStandardParameter>,
}

/// SupportedProtocols. What is said of each is alike where it is read.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum SupportedProtocol {
    NonStandard(NonStandardParameter),
    H310(Terminal),
    H320(Terminal),
    H321(Terminal),
    H322(Terminal),
    H323(Terminal),
    H324(Terminal),
    Voice(Terminal),
    T120Only(Terminal),
    #[rasn(extension_addition)]
    NonStandardProtocol(Unread),
    #[rasn(extension_addition)]
    T38FaxAnnexBOnly(Unread),
    #[rasn(extension_addition)]
    Sip(Unread),
}
