//! Where an address lies, seen from this machine: what a person wants to know of a contact's.

use std::{cell::RefCell, net::Ipv4Addr, time::Duration};

use crate::{clock::Clock, invitation::Candidate};

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

/// For how long what the system told is taken as told. To ask costs more than all else that is done for
/// an invitation (docs/PERFORMANCE.md), and it is asked several times for each.
const FRESH: Duration = Duration::from_secs(1);

thread_local! {
    // Of a thread, because what a thread sees is its network namespace's.
    static LAST: RefCell<Option<(Clock, Vec<Neighbourhood>)>> = const { RefCell::new(None) };
}

/// The networks of our interfaces, as they were within the last second; none when the system does not
/// tell.
#[must_use]
pub fn neighbourhoods() -> Vec<Neighbourhood> {
    LAST.with_borrow_mut(|last| match last {
        Some((since, near)) if since.now() < FRESH => near.clone(),
        _ => {
            let near = asked();
            *last = Some((Clock::start(), near.clone()));
            near
        }
    })
}

fn asked() -> Vec<Neighbourhood> {
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

/// No one on the internet reaches it: RFC 1918, or a provider's shared address (RFC 6598).
#[must_use]
pub fn is_private(ip: Ipv4Addr) -> bool {
    ip.is_private() || is_shared(ip)
}

fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second)
}

/// Where it lies.
#[must_use]
pub fn of(ip: Ipv4Addr, near: &[Neighbourhood]) -> Whereabouts {
    if ip.is_loopback() || near.iter().any(|network| network.own == ip) {
        Whereabouts::Here
    } else if near.iter().any(|network| network.contains(ip)) {
        Whereabouts::Near
    } else if ip.is_private() {
        Whereabouts::Private
    } else if is_shared(ip) {
        Whereabouts::Shared
    } else if ip.is_link_local() {
        Whereabouts::Link
    } else {
        Whereabouts::Internet
    }
}

/// The order in which to try a peer's addresses: in our own network first, where no router is in
/// between, then the internet, then private ones of other networks. `public` is our own address on
/// the internet, where it is known: a peer that tells another one is not in our network, even if
/// its home numbers it as ours does.
pub fn sort(candidates: &mut [Candidate], near: &[Neighbourhood], public: Option<Ipv4Addr>) {
    let lies = |candidate: &Candidate| of(candidate.ip, near);
    let same_home = public.is_none()
        || candidates
            .iter()
            .all(|it| lies(it) != Whereabouts::Internet || Some(it.ip) == public);
    candidates.sort_by_key(|candidate| match lies(candidate) {
        Whereabouts::Here | Whereabouts::Near if same_home => 0,
        Whereabouts::Internet => 1,
        Whereabouts::Here | Whereabouts::Near => 2,
        Whereabouts::Shared => 3,
        Whereabouts::Private | Whereabouts::Link => 4,
    });
}

impl Neighbourhood {
    /// Whether it is the address of everybody there: the last one, or, as the first systems had it, the
    /// first. A network of two machines has none (RFC 3021).
    #[must_use]
    pub fn reaches_all(&self, ip: Ipv4Addr) -> bool {
        let rest = !self.mask & ip;
        let has_one = !self.mask > Ipv4Addr::new(0, 0, 0, 1);
        has_one && self.contains(ip) && (rest == !self.mask || rest.is_unspecified())
    }

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
    fn near_addresses_are_tried_first_unless_the_peer_is_elsewhere() {
        let near = [Neighbourhood {
            own: Ipv4Addr::new(192, 168, 1, 20),
            mask: Ipv4Addr::new(255, 255, 255, 0),
        }];
        for (told, public, want) in [
            (
                &["10.9.9.9", "8.8.8.8", "192.168.1.7"][..],
                None,
                &["192.168.1.7", "8.8.8.8", "10.9.9.9"][..],
            ),
            // Behind the same router.
            (
                &["8.8.8.8", "192.168.1.7"],
                Some("8.8.8.8"),
                &["192.168.1.7", "8.8.8.8"],
            ),
            // Behind another one that gives the same addresses.
            (
                &["192.168.1.7", "8.8.8.8"],
                Some("9.9.9.9"),
                &["8.8.8.8", "192.168.1.7"],
            ),
            (&["192.168.1.7"], Some("9.9.9.9"), &["192.168.1.7"]),
        ] {
            let mut candidates: Vec<Candidate> = told
                .iter()
                .map(|ip| Candidate {
                    ip: ip.parse().unwrap(),
                    port: Some(5060),
                    source: crate::invitation::AddressSource::IpAddress,
                })
                .collect();
            let public = public.map(|ip| ip.parse().unwrap());
            sort(&mut candidates, &near, public);
            let sorted: Vec<String> = candidates.iter().map(|it| it.ip.to_string()).collect();
            assert_eq!(sorted, want, "{told:?}");
        }
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let loopback = |network: &Neighbourhood| network.own.is_loopback();
        assert!(neighbourhoods().iter().any(loopback));
    }
}
