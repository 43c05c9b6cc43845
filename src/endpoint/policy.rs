//! The only place that says an address of theirs is allowed (ANCHORS.md E.3 row 3).
//!
//! A contact names the address we will connect, relay or send to. Without a rule it could name our
//! own machine, a multicast group or the router, and have us speak to it.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    str::FromStr,
};

use tracing::debug;

use super::whereabouts::Neighbourhood;

/// The last of the ports that are the system's (RFC 6335 section 6).
const SYSTEM_PORTS: u16 = 1023;

/// Which remote addresses may be used.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    loopback: bool,
    allowed: Vec<Network>,
    own: Vec<SocketAddrV4>,
    /// The networks that this machine is in.
    near: Vec<Neighbourhood>,
}

/// A range of IPv4 addresses, written `192.0.2.0/24` or as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    first: u32,
    mask: u32,
}

/// An address that passed the policy. Only [`Policy::check`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Allowed(SocketAddrV4);

/// Why an address is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {why}{}", why.remedy())]
pub struct Refusal {
    address: SocketAddrV4,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("no address at all")]
    Unspecified,
    #[error("on this machine")]
    Loopback,
    #[error("a multicast group")]
    Multicast,
    #[error("a broadcast address")]
    Broadcast,
    #[error("link-local")]
    LinkLocal,
    #[error("reserved for documentation")]
    Documentation,
    #[error("in a reserved range")]
    Reserved,
    #[error("without a port")]
    NoPort,
    #[error("a port of the system's services")]
    SystemPort,
    #[error("where we listen ourselves")]
    Own,
}

impl Why {
    fn remedy(self) -> &'static str {
        match self {
            Self::NoPort | Self::Own => "",
            _ => "; `allow` under [network] in the configuration can permit it",
        }
    }
}

/// Why none of a peer's addresses is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoneAllowed {
    /// It told none, or none with a port.
    #[error("the peer gave no address")]
    NotTold,
    /// The last one, and why not.
    #[error("the peer's address is not used: {0}")]
    Refused(Refusal),
}

/// What a text that should be a network is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write an IPv4 address, or one with a prefix such as 192.168.0.0/16")]
pub struct NotANetwork(String);

impl Policy {
    /// The policy for a given announced address: whoever announces a loopback address (a test, the
    /// demo) expects its peers there.
    #[must_use]
    pub fn new(announced: Ipv4Addr, allowed: Vec<Network>) -> Self {
        Self {
            loopback: announced.is_loopback(),
            allowed,
            own: Vec::new(),
            near: Vec::new(),
        }
    }

    /// The same, for another address that peers are told, on a machine in these networks.
    #[must_use]
    pub fn announcing(mut self, announced: Ipv4Addr, near: Vec<Neighbourhood>) -> Self {
        self.loopback = announced.is_loopback();
        self.near = near;
        self
    }

    /// The same, knowing where we listen: a peer that names that address would have us talk to
    /// ourselves. No configuration permits it.
    #[must_use]
    pub fn with_own(mut self, listening: SocketAddr) -> Self {
        self.add_own(listening);
        self
    }

    /// As [`Policy::with_own`].
    pub fn add_own(&mut self, listening: SocketAddr) {
        match listening {
            SocketAddr::V4(listening) => self.own.push(listening),
            // `[::]` listens on IPv4 as well.
            SocketAddr::V6(listening) if listening.ip().is_unspecified() => {
                let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, listening.port());
                self.own.push(everywhere);
            }
            SocketAddr::V6(_) => {}
        }
    }

    /// Where it listens everywhere we know only that the loopback addresses are ours.
    fn is_own(&self, address: SocketAddrV4) -> bool {
        self.own.iter().any(|own| {
            let everywhere = own.ip().is_unspecified() && address.ip().is_loopback();
            own.port() == address.port() && (own.ip() == address.ip() || everywhere)
        })
    }

    /// Whether that address may be used.
    ///
    /// # Errors
    /// When it may not, with the reason.
    pub fn check(&self, ip: Ipv4Addr, port: u16) -> Result<Allowed, Refusal> {
        let allowed = self.check_any(ip, port)?;
        // Nothing that people share listens there, and a mail server or a router might.
        // Whoever announces a loopback address plays with itself.
        let exempt = self.loopback && ip.is_loopback()
            || self.allowed.iter().any(|network| network.contains(ip));
        if port <= SYSTEM_PORTS && !exempt {
            return Err(Refusal {
                address: allowed.0,
                why: Why::SystemPort,
            });
        }
        Ok(allowed)
    }

    /// Whether the address of a peer that told no port may be used: to be listened to, or connected
    /// at a port that is not of its choosing. The port of what is given means nothing.
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub fn check_host(&self, ip: Ipv4Addr) -> Result<Allowed, Refusal> {
        self.check_any(ip, 1)
    }

    /// Those of a peer's addresses that may be used, each once, with their ports. Without a port the
    /// address alone is judged.
    ///
    /// # Errors
    /// [`NoneAllowed`]
    pub fn those_allowed(
        &self,
        told: impl IntoIterator<Item = (Ipv4Addr, Option<u16>)>,
    ) -> Result<Vec<(Allowed, Option<u16>)>, NoneAllowed> {
        let mut allowed = Vec::new();
        let mut none = NoneAllowed::NotTold;
        for (ip, port) in told {
            let checked = match port {
                Some(port) => self.check(ip, port),
                None => self.check_host(ip),
            };
            match checked {
                Ok(at) if allowed.contains(&(at, port)) => {}
                Ok(at) => allowed.push((at, port)),
                Err(refusal) => {
                    debug!(%refusal, "an address of the peer's is not used");
                    none = NoneAllowed::Refused(refusal);
                }
            }
        }
        if allowed.is_empty() {
            Err(none)
        } else {
            Ok(allowed)
        }
    }

    fn check_any(&self, ip: Ipv4Addr, port: u16) -> Result<Allowed, Refusal> {
        let address = SocketAddrV4::new(ip, port);
        let refuse = |why| Err(Refusal { address, why });
        if port == 0 {
            return refuse(Why::NoPort);
        }
        if self.is_own(address) {
            return refuse(Why::Own);
        }
        if self.allowed.iter().any(|network| network.contains(ip)) {
            return Ok(Allowed(address));
        }
        // Whoever announces a loopback address has everybody on this machine.
        if !self.loopback && self.near.iter().any(|network| network.own == ip) {
            return refuse(Why::Loopback);
        }
        if self.near.iter().any(|network| network.reaches_all(ip)) {
            return refuse(Why::Broadcast);
        }
        match special(ip) {
            None => Ok(Allowed(address)),
            Some(Why::Loopback) if self.loopback => Ok(Allowed(address)),
            Some(why) => refuse(why),
        }
    }
}

/// What is special about an address, by the IANA registry of special-purpose addresses.
fn special(ip: Ipv4Addr) -> Option<Why> {
    let [first, ..] = ip.octets();
    if first == 0 {
        Some(Why::Unspecified)
    } else if ip.is_loopback() {
        Some(Why::Loopback)
    } else if ip.is_link_local() {
        Some(Why::LinkLocal)
    } else if ip.is_multicast() {
        Some(Why::Multicast)
    } else if ip.is_broadcast() {
        Some(Why::Broadcast)
    } else if ip.is_documentation() {
        Some(Why::Documentation)
    } else if first >= 240 {
        Some(Why::Reserved)
    } else {
        None
    }
}

impl Allowed {
    /// The address.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        SocketAddr::V4(self.0)
    }

    /// Its IP part.
    #[must_use]
    pub fn ip(self) -> Ipv4Addr {
        *self.0.ip()
    }

    /// Its port.
    #[must_use]
    pub fn port(self) -> u16 {
        self.0.port()
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Network {
    fn contains(self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & self.mask == self.first
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.chars().take(64).collect());
        let (ip, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let ip: Ipv4Addr = ip.parse().map_err(|_| wrong())?;
        let prefix: u32 = prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= 32)
            .ok_or_else(wrong)?;
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        Ok(Self {
            first: u32::from(ip) & mask,
            mask,
        })
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn special_addresses_are_refused_by_default() {
        let policy = Policy::default();
        for (address, why) in [
            ("0.0.0.0", Why::Unspecified),
            ("0.1.2.3", Why::Unspecified),
            ("127.0.0.1", Why::Loopback),
            ("127.255.0.9", Why::Loopback),
            ("169.254.7.7", Why::LinkLocal),
            ("224.0.0.1", Why::Multicast),
            ("239.255.255.250", Why::Multicast),
            ("255.255.255.255", Why::Broadcast),
            ("192.0.2.10", Why::Documentation),
            ("198.51.100.20", Why::Documentation),
            ("203.0.113.7", Why::Documentation),
            ("240.0.0.1", Why::Reserved),
        ] {
            assert_eq!(
                policy.check(ip(address), 5060).unwrap_err().why,
                why,
                "{address}"
            );
        }
    }

    #[test]
    fn ordinary_and_private_addresses_are_allowed() {
        for address in [
            "8.8.8.8",
            "10.27.95.174",
            "192.168.1.102",
            "172.16.0.1",
            "223.255.255.1",
        ] {
            assert!(
                Policy::default().check(ip(address), 8348).is_ok(),
                "{address}"
            );
        }
    }

    #[test]
    fn port_zero_is_refused_even_where_the_address_is_allowed() {
        let policy = Policy::new(ip("127.0.0.1"), vec!["0.0.0.0/0".parse().unwrap()]);
        assert_eq!(policy.check(ip("8.8.8.8"), 0).unwrap_err().why, Why::NoPort);
    }

    #[test]
    fn ports_of_the_system_are_refused_unless_the_address_is_allowed() {
        let policy = Policy::new(ip("10.0.0.1"), vec!["10.0.0.7".parse().unwrap()]);
        for (address, port, allowed) in [
            ("10.0.0.8", 1, false),
            ("10.0.0.8", 25, false),
            ("10.0.0.8", 1_023, false),
            ("10.0.0.8", 1_024, true),
            ("10.0.0.7", 25, true),
        ] {
            let checked = policy.check(ip(address), port);
            assert_eq!(checked.is_ok(), allowed, "{address}:{port}");
        }
        let here = Policy::new(ip("127.0.0.1"), vec![]);
        assert!(here.check(ip("127.0.0.1"), 631).is_ok());
        assert!(here.check(ip("10.0.0.8"), 631).is_err());
        assert!(policy.check_host(ip("10.0.0.8")).is_ok());
        assert!(policy.check_host(ip("127.0.0.1")).is_err());
        assert_eq!(
            policy.check(ip("10.0.0.8"), 25).unwrap_err().to_string(),
            "10.0.0.8:25 is a port of the system's services; `allow` under [network] in the configuration can permit it"
        );
    }

    #[test]
    fn whoever_announces_loopback_reaches_loopback() {
        assert!(
            Policy::new(ip("127.0.0.1"), vec![])
                .check(ip("127.0.0.1"), 9_000)
                .is_ok()
        );
        assert!(
            Policy::new(ip("192.168.0.2"), vec![])
                .check(ip("127.0.0.1"), 9_000)
                .is_err()
        );
    }

    #[test]
    fn where_we_listen_nobody_sends_us() {
        let everything = vec!["0.0.0.0/0".parse().unwrap()];
        let policy = Policy::new(ip("127.0.0.1"), everything)
            .with_own("127.0.0.1:1863".parse().unwrap())
            .with_own("0.0.0.0:7000".parse().unwrap())
            .with_own("[::]:7001".parse().unwrap())
            .with_own("192.168.0.2:5060".parse().unwrap());
        for (address, port, allowed) in [
            ("127.0.0.1", 1863, false),
            ("127.0.0.1", 1864, true),
            ("127.0.0.2", 1863, true),
            ("127.0.0.9", 7000, false),
            ("127.0.0.1", 7001, false),
            ("8.8.8.8", 7000, true),
            ("192.168.0.2", 5060, false),
            ("192.168.0.2", 5061, true),
            ("192.168.0.3", 5060, true),
        ] {
            let checked = policy.check(ip(address), port);
            assert_eq!(checked.is_ok(), allowed, "{address}:{port}");
        }
        let told = policy.check(ip("127.0.0.1"), 1863).unwrap_err();
        assert_eq!(
            told.to_string(),
            "127.0.0.1:1863 is where we listen ourselves"
        );
    }

    #[test]
    fn a_configured_network_permits_what_it_holds_and_no_more() {
        let policy = Policy::new(ip("10.0.0.1"), vec!["192.0.2.0/24".parse().unwrap()]);
        assert!(policy.check(ip("192.0.2.200"), 9).is_ok());
        assert!(policy.check(ip("198.51.100.1"), 9_000).is_err());
    }

    #[test]
    fn networks_are_strict_dotted_quads_with_a_prefix() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "0x7f.1",
            "01.2.3.4",
            "::1",
            "1.2.3.4/",
            "a",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!(
            "10.1.2.3/8".parse::<Network>().unwrap(),
            "10.0.0.0/8".parse::<Network>().unwrap()
        );
    }

    fn network(own: &str, mask: &str) -> Neighbourhood {
        Neighbourhood {
            own: ip(own),
            mask: ip(mask),
        }
    }

    /// What goes there reaches every machine of the network, and each may answer.
    #[test]
    fn the_broadcast_addresses_of_our_networks_are_refused() {
        let near = || {
            vec![
                network("192.168.1.20", "255.255.255.0"),
                network("10.7.7.7", "255.255.240.0"),
                // Two machines and no more, one machine, and what the system does not tell.
                network("172.16.0.1", "255.255.255.254"),
                network("172.16.9.1", "255.255.255.255"),
                network("172.17.0.1", "0.0.0.0"),
                network("127.0.0.1", "255.0.0.0"),
            ]
        };
        let lan = ip("192.168.1.20");
        for announced in [lan, Ipv4Addr::LOCALHOST] {
            let policy = Policy::new(announced, Vec::new()).announcing(announced, near());
            for (address, why) in [
                ("192.168.1.255", Some(Why::Broadcast)),
                // So did the BSD of long ago, and some systems still obey.
                ("192.168.1.0", Some(Why::Broadcast)),
                ("192.168.1.254", None),
                ("192.168.2.255", None),
                ("10.7.15.255", Some(Why::Broadcast)),
                ("10.7.0.0", Some(Why::Broadcast)),
                ("10.7.1.255", None),
                ("172.16.0.0", None),
                ("172.17.255.255", None),
                ("127.255.255.255", Some(Why::Broadcast)),
            ] {
                let refused = policy.check(ip(address), 5_060).err().map(|it| it.why);
                assert_eq!(refused, why, "{address}");
            }
        }
        let allowed = vec!["192.168.1.0/24".parse().unwrap()];
        let policy = Policy::new(lan, allowed).announcing(lan, near());
        assert!(policy.check(ip("192.168.1.255"), 5_060).is_ok());
        let told = policy.check(ip("10.7.15.255"), 5_060).unwrap_err();
        assert_eq!(
            told.to_string(),
            "10.7.15.255:5060 is a broadcast address; `allow` under [network] in the configuration can permit it"
        );
    }

    #[test]
    fn our_own_addresses_are_refused_unless_everybody_is_on_this_machine() {
        let lan = Ipv4Addr::new(192, 168, 1, 20);
        let here = || {
            vec![
                network("192.168.1.20", "255.255.255.0"),
                network("127.0.0.1", "255.0.0.0"),
            ]
        };
        let policy = Policy::new(lan, Vec::new()).announcing(lan, here());
        let refusal = policy.check(lan, 2_222).unwrap_err().to_string();
        assert!(refusal.contains("on this machine"), "{refusal}");
        assert!(policy.check(Ipv4Addr::new(192, 168, 1, 21), 2_222).is_ok());
        let allowed = vec!["192.168.1.20".parse().unwrap()];
        let policy = Policy::new(lan, allowed).announcing(lan, here());
        assert!(policy.check(lan, 2_222).is_ok());
        let policy = policy.announcing(Ipv4Addr::LOCALHOST, here());
        assert!(policy.check(lan, 2_222).is_ok());
    }

    #[test]
    fn the_refusal_says_what_would_permit_it() {
        let refusal = Policy::default().check(ip("127.0.0.1"), 2_525).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "127.0.0.1:2525 is on this machine; `allow` under [network] in the configuration can permit it"
        );
    }
}
