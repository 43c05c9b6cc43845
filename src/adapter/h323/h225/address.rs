//! Where somebody is, as H.225.0 writes it.

use std::net::{Ipv4Addr, SocketAddrV4};

use rasn::prelude::*;

use super::NonStandardParameter;

/// TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum TransportAddress {
    /// IPv4, the only one that is used here.
    Ip(IpAddress),
    /// IPv4 by way of others.
    IpSourceRoute(IpSourceRoute),
    /// IPX.
    Ipx(IpxAddress),
    /// IPv6.
    Ip6(Ip6Address),
    /// A NetBIOS name.
    NetBios(FixedOctetString<16>),
    /// OSI.
    #[rasn(size("1..=20"))]
    Nsap(OctetString),
    /// Something of a maker's own.
    NonStandard(NonStandardParameter),
}

/// ipAddress of TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct IpAddress {
    /// The four octets.
    pub ip: FixedOctetString<4>,
    /// The port.
    pub port: u16,
}

/// ipSourceRoute of TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct IpSourceRoute {
    /// The four octets.
    pub ip: FixedOctetString<4>,
    /// The port.
    pub port: u16,
    /// By way of these.
    pub route: Vec<FixedOctetString<4>>,
    /// Whether only by way of these.
    pub routing: Routing,
}

/// routing of ipSourceRoute.
#[derive(AsnType, Decode, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
#[non_exhaustive]
pub enum Routing {
    /// Only by way of these.
    Strict(()),
    /// By way of these and others.
    Loose(()),
}

/// ipxAddress of TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct IpxAddress {
    /// The node.
    pub node: FixedOctetString<6>,
    /// The network.
    pub netnum: FixedOctetString<4>,
    /// The socket.
    pub port: FixedOctetString<2>,
}

/// ip6Address of TransportAddress.
#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct Ip6Address {
    /// The sixteen octets.
    pub ip: FixedOctetString<16>,
    /// The port.
    pub port: u16,
}

impl From<SocketAddrV4> for TransportAddress {
    fn from(at: SocketAddrV4) -> Self {
        Self::Ip(IpAddress {
            ip: at.ip().octets().into(),
            port: at.port(),
        })
    }
}

impl TransportAddress {
    /// The address, if it is one of IPv4.
    #[must_use]
    pub fn ipv4(&self) -> Option<SocketAddrV4> {
        let Self::Ip(IpAddress { ip, port }) = self else {
            return None;
        };
        Some(SocketAddrV4::new(Ipv4Addr::from(**ip), *port))
    }
}
