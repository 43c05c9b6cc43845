//! What a voice client says about its network (PROTOCOL.md section 4 and 4.1).

use core::net::Ipv4Addr;

/// The value of `Conn-Type` (PROTOCOL.md 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnType {
    /// `Direct-Connect`: no NAT.
    DirectConnect,
    /// `IP-Restrict-NAT`: the address changes, the port does not.
    IpRestrictNat,
    /// `Port-Restrict-NAT`: the port changes.
    PortRestrictNat,
    /// `Symmetric-NAT`: both change.
    SymmetricNat,
    /// `Unknown-NAT`
    UnknownNat,
    /// `Firewall`: nothing comes in.
    Firewall,
    /// `Unknown-Connect`; any unknown value and a missing one are read as this.
    UnknownConnect,
}

impl ConnType {
    /// Reads a value; letter case and blanks around it do not matter.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        for known in [
            Self::DirectConnect,
            Self::IpRestrictNat,
            Self::PortRestrictNat,
            Self::SymmetricNat,
            Self::UnknownNat,
            Self::Firewall,
        ] {
            if value.eq_ignore_ascii_case(known.as_str().as_bytes()) {
                return known;
            }
        }
        Self::UnknownConnect
    }

    /// The value as it stands in a message.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DirectConnect => "Direct-Connect",
            Self::IpRestrictNat => "IP-Restrict-NAT",
            Self::PortRestrictNat => "Port-Restrict-NAT",
            Self::SymmetricNat => "Symmetric-NAT",
            Self::UnknownNat => "Unknown-NAT",
            Self::Firewall => "Firewall",
            Self::UnknownConnect => "Unknown-Connect",
        }
    }
}

/// The five fields from `Conn-Type` to `UPnP`, which stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// `Conn-Type`
    pub conn_type: ConnType,
    /// `Sip-Capability`; 1 in every capture, 0 from aMSN's "computer call".
    pub sip_capability: Option<u8>,
    /// `Public-IP`, when behind a NAT.
    pub public_ip: Option<Ipv4Addr>,
    /// `Private-IP`, when behind a NAT.
    pub private_ip: Option<Ipv4Addr>,
    /// `UPnP`, when behind a NAT.
    pub upnp: Option<bool>,
}

impl Connection {
    /// No NAT, SIP spoken: `Direct-Connect` and `Sip-Capability: 1`.
    #[must_use]
    pub fn direct() -> Self {
        Self {
            conn_type: ConnType::DirectConnect,
            sip_capability: Some(1),
            public_ip: None,
            private_ip: None,
            upnp: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_is_read_back_and_others_are_unknown() {
        for text in [
            "Direct-Connect",
            "IP-Restrict-NAT",
            "Port-Restrict-NAT",
            "Symmetric-NAT",
            "Unknown-NAT",
            "Firewall",
            "Unknown-Connect",
        ] {
            assert_eq!(ConnType::read(text.as_bytes()).as_str(), text);
            assert_eq!(
                ConnType::read(text.to_uppercase().as_bytes()).as_str(),
                text
            );
        }
        assert_eq!(ConnType::read(b"Teleport"), ConnType::UnknownConnect);
    }
}
