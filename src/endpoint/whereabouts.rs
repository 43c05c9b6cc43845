//! Where an address lies, seen from this machine: what a person wants to know of a contact's.

use std::net::Ipv4Addr;

/// An IPv4 network that an interface of ours is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbourhood {
    /// Our address there.
    pub own: Ipv4Addr,
    /// Its mask.
    pub mask: Ipv4Addr,
}

/// Where an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is one of ours.
    Here,
    /// In a network of ours.
    Near,
    /// In a private network that is not ours (RFC 1918).
    Private,
    /// Behind a provider's shared address (RFC 6598).
    Shared,
    /// It connects to one link only (RFC 3927).
    Link,
    /// Anywhere else.
    Internet,
}

impl std::fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Here => "on this machine",
            Self::Near => "in your own network",
            Self::Private => "in a private network that is not yours",
            Self::Shared => "behind a provider's shared address",
            Self::Link => "on a link without a router",
            Self::Internet => "on the internet",
        })
    }
}

/// The networks of our interfaces; none when the system does not tell.
#[must_use]
pub fn neighbourhoods() -> Vec<Neighbourhood> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .filter_map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => Some(Neighbourhood {
                own: v4.ip,
                mask: v4.netmask,
            }),
            if_addrs::IfAddr::V6(_) => None,
        })
        .collect()
}

/// Where it lies.
#[must_use]
pub fn of(ip: Ipv4Addr, near: &[Neighbourhood]) -> Whereabouts {
    let [a, b, ..] = ip.octets();
    if ip.is_loopback() || near.iter().any(|network| network.own == ip) {
        Whereabouts::Here
    } else if near.iter().any(|network| network.contains(ip)) {
        Whereabouts::Near
    } else if ip.is_private() {
        Whereabouts::Private
    } else if a == 100 && (64..128).contains(&b) {
        Whereabouts::Shared
    } else if ip.is_link_local() {
        Whereabouts::Link
    } else {
        Whereabouts::Internet
    }
}

impl Neighbourhood {
    fn contains(&self, ip: Ipv4Addr) -> bool {
        // A mask of nothing would make the whole world our neighbours.
        !self.mask.is_unspecified() && self.own & self.mask == ip & self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_somewhere() {
        let near = [
            Neighbourhood {
                own: Ipv4Addr::new(192, 168, 1, 20),
                mask: Ipv4Addr::new(255, 255, 255, 0),
            },
            Neighbourhood {
                own: Ipv4Addr::new(203, 0, 113, 9),
                mask: Ipv4Addr::UNSPECIFIED,
            },
        ];
        for (ip, want) in [
            ("127.0.0.3", Whereabouts::Here),
            ("192.168.1.20", Whereabouts::Here),
            ("203.0.113.9", Whereabouts::Here),
            ("192.168.1.77", Whereabouts::Near),
            ("192.168.2.77", Whereabouts::Private),
            ("10.0.0.1", Whereabouts::Private),
            ("100.64.0.1", Whereabouts::Shared),
            ("100.128.0.1", Whereabouts::Internet),
            ("169.254.3.4", Whereabouts::Link),
            ("8.8.4.4", Whereabouts::Internet),
        ] {
            assert_eq!(of(ip.parse().unwrap(), &near), want, "{ip}");
        }
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let loopback = |network: &Neighbourhood| network.own.is_loopback();
        assert!(neighbourhoods().iter().any(loopback));
    }
}
