//! Which address of ours a peer is told, of all that are known, and what is said of it beside
//! (PROTOCOL.md 4.1, 12.8). `docs/NETWORK.md` has the same order in words.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddrV4},
};

use super::{stun::Seen, whereabouts::is_private};
use crate::{
    invitation::{ConnType, Connection},
    negotiation::Announced,
};

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What the user set, if it is another address than the interface's.
    pub set: Option<Ipv4Addr>,
    /// Our address on the interface that leads to the server.
    pub interface: Ipv4Addr,
    /// Where a router forwards from.
    pub mapped: Option<SocketAddrV4>,
    /// What a STUN server sees.
    pub seen: Option<Seen>,
    /// What the messenger's server sees, as it says in the profile.
    pub profile: Option<Ipv4Addr>,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// `IP-Address`.
    pub ip: Ipv4Addr,
    /// Its port.
    pub port: Option<u16>,
    /// The fields from `Conn-Type` to `UPnP`; without them a direct connection is told.
    pub connection: Option<Connection>,
    /// Why this address.
    pub why: Why,
}

/// Why an address is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user says so.
    Set,
    /// A router has it and forwards to us.
    Mapped,
    /// STUN tells it, and a router forwards to us that is itself behind another one.
    MappedTwice,
    /// STUN sees the address of our interface: nothing is between.
    Direct,
    /// It is our interface's, and public as far as we can tell.
    Interface,
    /// It is private, and nothing better is known.
    Private,
    /// It is private: a router forwards to us, but is itself behind another one.
    Behind,
}

/// The order of preference.
#[must_use]
pub fn choose(known: &Known, port: Option<u16>) -> Choice {
    let interface = known.interface;
    let behind = |conn_type, public, upnp| Connection {
        conn_type,
        public_ip: public,
        private_ip: Some(interface),
        upnp: Some(upnp),
        ..Connection::direct()
    };
    let told = |ip, port, connection, why| Choice {
        ip,
        port,
        connection,
        why,
    };
    if let Some(set) = known.set {
        // A router forwards these ports under their own numbers, or the user would not say so.
        let connection = behind(ConnType::IpRestrictNat, Some(set), false);
        return told(set, port, Some(connection), Why::Set);
    }
    if known.seen.is_some_and(|seen| *seen.at.ip() == interface) {
        return told(interface, port, None, Why::Direct);
    }
    let public = known.seen.map(|seen| *seen.at.ip()).or(known.profile);
    let public = public.filter(|ip| !is_private(*ip) && !ip.is_loopback() && *ip != interface);
    if let Some(mapped) = known.mapped {
        let (public, why) = match public {
            _ if !is_private(*mapped.ip()) => (Some(*mapped.ip()), Why::Mapped),
            // Perhaps the outer router hands everything on; if not, nothing helps.
            Some(public) => (Some(public), Why::MappedTwice),
            None => (None, Why::Behind),
        };
        if let Some(public) = public {
            let kind = kind_of_nat(port == Some(mapped.port()));
            let connection = behind(kind, Some(public), true);
            return told(public, Some(mapped.port()), Some(connection), why);
        }
    }
    if !is_private(interface) {
        return told(interface, port, None, Why::Interface);
    }
    let kind = known.seen.map_or(ConnType::UnknownConnect, |seen| {
        kind_of_nat(seen.at.port() == seen.port)
    });
    let connection = behind(kind, public, false);
    let why = known.mapped.map_or(Why::Private, |_| Why::Behind);
    told(interface, port, Some(connection), why)
}

/// What clients call a NAT that changes the address and, perhaps, the port.
fn kind_of_nat(same_port: bool) -> ConnType {
    if same_port {
        ConnType::IpRestrictNat
    } else {
        ConnType::SymmetricNat
    }
}

impl Choice {
    /// As the negotiation takes it.
    #[must_use]
    pub fn announced(&self) -> Announced {
        let mut announced = Announced::new(self.ip, self.port);
        announced.connection = self.connection;
        announced
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set => "you set it",
            Self::Mapped => "your router has it and forwards to this machine",
            Self::MappedTwice => {
                "it is seen from outside; your router forwards, but is behind another one, which must forward as well"
            }
            Self::Direct => "STUN sees this machine's own address: nothing is between",
            Self::Interface => "it leads out and is public",
            Self::Private => {
                "it leads out, and no router forwards: private, so contacts elsewhere cannot reach it"
            }
            Self::Behind => {
                "it leads out; your router forwards, but is itself behind another one: contacts \
                 elsewhere cannot reach it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.168.1.2";

    fn known(set: &str, interface: &str, mapped: &str, seen: &str) -> Known {
        Known {
            set: set.parse().ok(),
            interface: interface.parse().unwrap(),
            mapped: mapped.parse().ok(),
            seen: seen.parse().ok().map(|at| Seen { at, port: 4000 }),
            profile: None,
        }
    }

    #[test]
    fn what_the_server_sees_is_told_beside_a_private_address() {
        for (interface, profile, told) in [
            (HOME, "203.0.113.2", Some("203.0.113.2")),
            // The server is in our own network, or sees a private address.
            (HOME, HOME, None),
            (HOME, "10.0.0.1", None),
        ] {
            let known = Known {
                profile: profile.parse().ok(),
                ..known("", interface, "", "")
            };
            let choice = choose(&known, Some(5000));
            assert_eq!(choice.ip, known.interface);
            let public = choice.connection.unwrap().public_ip;
            assert_eq!(public, told.map(|ip| ip.parse().unwrap()));
        }
    }

    #[test]
    fn the_order_of_preference() {
        use ConnType::{IpRestrictNat, SymmetricNat, UnknownConnect};
        // set, interface, mapped, seen by STUN -> told, Conn-Type, Public-IP, UPnP
        for (known, ip, port, connection, why) in [
            (
                known("203.0.113.9", HOME, "203.0.113.1:5000", "203.0.113.2:4000"),
                "203.0.113.9",
                5000,
                Some((IpRestrictNat, "203.0.113.9", false)),
                Why::Set,
            ),
            (
                known("", HOME, "203.0.113.1:5000", ""),
                "203.0.113.1",
                5000,
                Some((IpRestrictNat, "203.0.113.1", true)),
                Why::Mapped,
            ),
            (
                known("", HOME, "203.0.113.1:6000", "203.0.113.1:4000"),
                "203.0.113.1",
                6000,
                Some((SymmetricNat, "203.0.113.1", true)),
                Why::Mapped,
            ),
            (
                known("", HOME, "100.64.0.7:5000", "203.0.113.2:4000"),
                "203.0.113.2",
                5000,
                Some((IpRestrictNat, "203.0.113.2", true)),
                Why::MappedTwice,
            ),
            (
                known("", HOME, "100.64.0.7:6000", ""),
                HOME,
                5000,
                Some((UnknownConnect, "", false)),
                Why::Behind,
            ),
            (
                known("", HOME, "", "192.168.1.2:4000"),
                HOME,
                5000,
                None,
                Why::Direct,
            ),
            (
                known("", HOME, "", "203.0.113.2:4000"),
                HOME,
                5000,
                Some((IpRestrictNat, "203.0.113.2", false)),
                Why::Private,
            ),
            (
                known("", HOME, "", "203.0.113.2:4001"),
                HOME,
                5000,
                Some((SymmetricNat, "203.0.113.2", false)),
                Why::Private,
            ),
            (
                known("", HOME, "", ""),
                HOME,
                5000,
                Some((UnknownConnect, "", false)),
                Why::Private,
            ),
            (
                known("", "203.0.113.5", "", ""),
                "203.0.113.5",
                5000,
                None,
                Why::Interface,
            ),
            (
                known("", "127.0.0.1", "", ""),
                "127.0.0.1",
                5000,
                None,
                Why::Interface,
            ),
        ] {
            let told = choose(&known, Some(5000));
            let connection = connection.map(|(conn_type, public, upnp)| Connection {
                conn_type,
                public_ip: public.parse().ok(),
                private_ip: Some(known.interface),
                upnp: Some(upnp),
                ..Connection::direct()
            });
            let want = Choice {
                ip: ip.parse().unwrap(),
                port: Some(port),
                connection,
                why,
            };
            assert_eq!(told, want, "{known:?}");
        }
    }

    #[test]
    fn an_address_without_a_port_stays_without_one() {
        assert_eq!(choose(&known("", HOME, "", ""), None).port, None);
    }
}
