//! DataApplicationCapability of H.245: T.120 and others.

use rasn::prelude::*;

use std::net::SocketAddrV4;

use super::address::{NonStandardParameter, TransportAddress};
use crate::adapter::h323::per::{Flags, Unread};

/// DataApplicationCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct DataApplicationCapability {
    /// What it is.
    pub application: DataApplication,
    /// In 100 bit/s.
    pub max_bit_rate: u32,
}

/// application of DataApplicationCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DataApplication {
    NonStandard(NonStandardParameter),
    T120(DataProtocol),
    DsmCc(DataProtocol),
    UserData(DataProtocol),
    T84(T84),
    T434(DataProtocol),
    H224(DataProtocol),
    Nlpid(Nlpid),
    DsvdControl(()),
    H222DataPartitioning(DataProtocol),
    #[rasn(extension_addition)]
    T30Fax(Unread),
    #[rasn(extension_addition)]
    T140(Unread),
    #[rasn(extension_addition)]
    T38Fax(Unread),
    #[rasn(extension_addition)]
    Generic(Unread),
}

/// DataProtocolCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DataProtocol {
    NonStandard(NonStandardParameter),
    V14Buffered(()),
    V42Lapm(()),
    HdlcFrameTunnelling(()),
    H310SeparateVcStack(()),
    H310SingleVcStack(()),
    Transparent(()),
    #[rasn(extension_addition)]
    SegmentationAndReassembly(()),
    #[rasn(extension_addition)]
    HdlcFrameTunnellingWithSar(()),
    #[rasn(extension_addition)]
    V120(()),
    #[rasn(extension_addition)]
    SeparateLanStack(()),
    #[rasn(extension_addition)]
    V76WithCompression(Unread),
    #[rasn(extension_addition)]
    Tcp(()),
    #[rasn(extension_addition)]
    Udp(()),
}

/// t84 of DataApplicationCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct T84 {
    /// t84Protocol.
    pub protocol: DataProtocol,
    /// t84Profile.
    pub profile: T84Profile,
}

/// T84Profile.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[allow(missing_docs)]
pub enum T84Profile {
    Unrestricted(()),
    Restricted(T84Restricted),
}

/// t84Restricted of T84Profile.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct T84Restricted {
    /// Sizes and codings.
    pub what: Flags<19>,
}

/// nlpid of DataApplicationCapability.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct Nlpid {
    /// nlpidProtocol.
    pub protocol: DataProtocol,
    /// nlpidData.
    pub data: OctetString,
}

/// NetworkAccessParameters: where T.120 is.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct NetworkAccess {
    /// distribution.
    pub distribution: Option<Distribution>,
    /// networkAddress.
    pub address: NetworkAddress,
    /// associateConference.
    pub associate: bool,
    /// externalReference.
    #[rasn(size("1..=255"))]
    pub external_reference: Option<OctetString>,
}

impl NetworkAccess {
    /// There.
    #[must_use]
    pub fn at(address: SocketAddrV4) -> Self {
        Self {
            distribution: None,
            address: NetworkAddress::Local(address.into()),
            associate: false,
            external_reference: None,
        }
    }
}

/// distribution of NetworkAccessParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Distribution {
    Unicast(()),
    Multicast(()),
}

/// networkAddress of NetworkAccessParameters.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum NetworkAddress {
    /// Of ATM, which makes the message unread from here on.
    Q2931(Unread),
    #[rasn(size("1..=128"), from("0..=9", "#", "*", ","))]
    E164(Ia5String),
    Local(TransportAddress),
}
