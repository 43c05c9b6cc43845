//! Who may come to an endpoint that a peer was told of: the addresses it told itself. A peer that
//! told none but private ones of another network is behind a router whose address it does not
//! know; then the first that comes from the internet is taken for it, and nobody after that.

use std::net::Ipv4Addr;

use super::whereabouts::{self, Neighbourhood, Whereabouts};

/// The addresses that are served.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    known: Vec<Ipv4Addr>,
    /// Its router is still to be met.
    hidden: bool,
    /// It is behind a router, of which one address may be known already.
    behind: bool,
    near: Vec<Neighbourhood>,
}

impl Callers {
    /// For the addresses that the peer told and the policy allows, on a machine in these networks.
    #[must_use]
    pub fn new(known: Vec<Ipv4Addr>, near: Vec<Neighbourhood>) -> Self {
        let elsewhere = |ip: &Ipv4Addr| matches!(whereabouts::of(*ip, &near), Whereabouts::Private);
        Self {
            hidden: !known.is_empty() && known.iter().all(elsewhere),
            behind: known.iter().any(elsewhere),
            known,
            near,
        }
    }

    /// Whether it is the peer's.
    #[must_use]
    pub fn knows(&self, ip: Ipv4Addr) -> bool {
        self.known.contains(&ip)
    }

    /// Whether it could be the router of a peer that told private addresses only.
    #[must_use]
    pub fn may_be(&self, ip: Ipv4Addr) -> bool {
        self.hidden && self.is_outside(ip)
    }

    /// Whether it could be, for one who can tell a private address of the peer's: a provider's router
    /// may have several addresses, and use another one than the peer was told.
    #[must_use]
    pub fn may_introduce_itself(&self, ip: Ipv4Addr) -> bool {
        self.behind && self.is_outside(ip)
    }

    fn is_outside(&self, ip: Ipv4Addr) -> bool {
        match whereabouts::of(ip, &self.near) {
            Whereabouts::Internet | Whereabouts::Shared => true,
            // Our own network may be a piece of the internet.
            Whereabouts::Near => !ip.is_private() && !ip.is_link_local(),
            Whereabouts::Here | Whereabouts::Private | Whereabouts::Link => false,
        }
    }

    /// From now on this is the peer's.
    pub fn learn(&mut self, ip: Ipv4Addr) {
        self.hidden = false;
        self.behind = false;
        self.known.push(ip);
    }

    /// Whether it is served. The first that may be the peer's router is, and is known from then on.
    pub fn admit(&mut self, ip: Ipv4Addr) -> bool {
        if !self.knows(ip) && self.may_be(ip) {
            tracing::info!(%ip, "taken for the router of a contact that told private addresses only");
            self.learn(ip);
        }
        self.knows(ip)
    }

    /// The peer's addresses, as far as they are known.
    #[must_use]
    pub fn known(&self) -> &[Ipv4Addr] {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_hidden_peer_may_come_from_elsewhere_and_from_one_place() {
        let near = [Neighbourhood {
            own: ip("192.168.1.20"),
            mask: ip("255.255.255.0"),
        }];
        for (told, from, served) in [
            (&["8.8.8.8"][..], "8.8.8.8", true),
            (&["8.8.8.8"], "8.8.4.4", false),
            (&["8.8.8.8", "10.0.0.2"], "8.8.4.4", false),
            // In our own network it comes from the address it told.
            (&["192.168.1.7"], "8.8.4.4", false),
            (&["192.168.2.7"], "8.8.4.4", true),
            (&["192.168.2.7"], "100.64.3.1", true),
            // Another machine of our own network is not its router.
            (&["192.168.2.7"], "192.168.1.9", false),
            (&["192.168.2.7"], "10.1.1.1", false),
            (&[], "8.8.4.4", false),
        ] {
            let known = told.iter().map(|it| ip(it)).collect();
            let mut callers = Callers::new(known, near.to_vec());
            assert_eq!(callers.admit(ip(from)), served, "{told:?} {from}");
            assert!(callers.knows(ip(from)) == served);
            if served {
                // Whoever came first keeps it.
                assert!(!callers.admit(ip("9.9.9.9")), "{told:?} {from}");
                assert!(callers.admit(ip(from)), "{told:?} {from}");
            }
        }
    }
}
