//! TransportAddress and NonStandardParameter of H.245, which differ from those of H.225.0.

use std::net::{Ipv4Addr, SocketAddrV4};

use rasn::prelude::*;

use crate::adapter::h323::per::Unread;

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
pub enum NonStandardIdentifier {
    /// By object identifier.
    Object(ObjectIdentifier),
    /// By country and maker.
    H221(H221NonStandard),
}

/// h221NonStandard of NonStandardIdentifier.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct H221NonStandard {
    /// The country, of T.35.
    pub country: u8,
    /// Its extension.
    pub extension: u8,
    /// The maker.
    pub manufacturer: u16,
}

/// TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum TransportAddress {
    /// Of one.
    Unicast(UnicastAddress),
    /// Of a group.
    Multicast(MulticastAddress),
}

/// UnicastAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum UnicastAddress {
    Ip(IpAddress),
    Ipx(IpxAddress),
    Ip6(Ip6Address),
    NetBios(FixedOctetString<16>),
    IpSourceRoute(IpSourceRoute),
    #[rasn(extension_addition)]
    Nsap(Unread),
    #[rasn(extension_addition)]
    NonStandard(Unread),
}

/// MulticastAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum MulticastAddress {
    Ip(IpAddress),
    Ip6(Ip6Address),
    #[rasn(extension_addition)]
    Nsap(Unread),
    #[rasn(extension_addition)]
    NonStandard(Unread),
}

/// iPAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct IpAddress {
    /// The four octets.
    pub network: FixedOctetString<4>,
    /// The port.
    pub port: u16,
}

/// iPXAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct IpxAddress {
    /// The node.
    pub node: FixedOctetString<6>,
    /// The network.
    pub netnum: FixedOctetString<4>,
    /// The socket.
    pub port: FixedOctetString<2>,
}

/// iP6Address.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Ip6Address {
    /// The sixteen octets.
    pub network: FixedOctetString<16>,
    /// The port.
    pub port: u16,
}

/// iPSourceRouteAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct IpSourceRoute {
    /// Whether only by way of these.
    pub routing: Routing,
    /// The four octets.
    pub network: FixedOctetString<4>,
    /// The port.
    pub port: u16,
    /// By way of these.
    pub route: Vec<FixedOctetString<4>>,
}

/// routing of iPSourceRouteAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[allow(missing_docs)]
pub enum Routing {
    Strict(()),
    Loose(()),
}

impl From<SocketAddrV4> for TransportAddress {
    fn from(at: SocketAddrV4) -> Self {
        Self::Unicast(UnicastAddress::Ip(IpAddress {
            network: at.ip().octets().into(),
            port: at.port(),
        }))
    }
}

impl TransportAddress {
    /// The address, if it is of one host and of IPv4.
    #[must_use]
    pub fn ipv4(&self) -> Option<SocketAddrV4> {
        let Self::Unicast(UnicastAddress::Ip(IpAddress { network, port })) = self else {
            return None;
        };
        Some(SocketAddrV4::new(Ipv4Addr::from(**network), *port))
    }
}
