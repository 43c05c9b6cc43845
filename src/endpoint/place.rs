//! Where a socket for a peer may be bound, and what the peer is told of it: behind a router these are
//! two addresses.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use super::{
    choice::{self, Choice, Known},
    mapping::Door,
    outside::Outside,
    own, whereabouts,
};
use crate::negotiation::Announced;

use tokio_util::task::TaskTracker;

/// An address of ours and, where the user restricts them, ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// An address of an interface of ours.
    pub ip: Ipv4Addr,
    /// The ports that may be taken; any without it.
    pub ports: Option<PortRange>,
}

impl From<Ipv4Addr> for Place {
    fn from(ip: Ipv4Addr) -> Self {
        Self { ip, ports: None }
    }
}

/// A range of ports, such as those that a router forwards.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange(RangeInclusive<u16>);

/// What a text that should be a range of ports is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no range of ports: write one with 8 ports or more, such as 30000-30031, above 1023"
)]
pub struct NoRange(String);

/// A call takes four ports, six with a picture, and one may be taken.
const FEWEST: u16 = 8;

impl PortRange {
    /// The ports, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.0.clone()
    }
}

impl FromStr for PortRange {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let read = || {
            let (first, last) = text.split_once('-')?;
            let first: u16 = first.trim().parse().ok()?;
            let last: u16 = last.trim().parse().ok()?;
            let enough = last.checked_sub(first)? >= FEWEST - 1;
            (first > 1023 && enough).then_some(Self(first..=last))
        };
        read().ok_or_else(|| NoRange(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for PortRange {
    type Error = NoRange;

    fn try_from(text: String) -> Result<Self, NoRange> {
        text.parse()
    }
}

/// How long a router may take to close what it opened for us.
const CLOSING: Duration = Duration::from_secs(6);

/// What is bound and what is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where sockets are bound.
    pub bind: Place,
    /// The address that peers are told, unless a router forwards to us.
    pub announce: Ipv4Addr,
    /// What is known of how we look from outside.
    pub outside: Outside,
}

/// Ports of ours as peers reach them, until the session is over.
#[derive(Debug)]
pub struct Opened {
    /// What the peer is told of the first of them.
    pub announced: Announced,
    /// The same as an address.
    pub at: SocketAddrV4,
    /// Why that one.
    pub why: choice::Why,
}

impl Network {
    /// Bound where it is announced.
    #[must_use]
    pub fn plain(ip: Ipv4Addr) -> Self {
        Self {
            bind: ip.into(),
            announce: ip,
            outside: Outside::default(),
        }
    }

    /// For an address that peers are told: if it is none of ours, a router has it, and we are behind
    /// the interface that leads there.
    pub async fn announcing(announce: Ipv4Addr, ports: Option<PortRange>) -> Self {
        let here = whereabouts::of(announce, &whereabouts::neighbourhoods());
        let ip = if here == whereabouts::Whereabouts::Here {
            announce
        } else {
            own::address_towards(announce).await.unwrap_or(announce)
        };
        Self {
            bind: Place { ip, ports },
            announce,
            outside: Outside::default(),
        }
    }

    /// What goes into the next message of a port that no router forwards for us.
    #[must_use]
    pub fn announced(&self, port: Option<u16>) -> Announced {
        self.choice(None, port).announced()
    }

    /// Has the router forward these ports, where there is one that does, and says what the peer is
    /// told. The first of them is the one to announce.
    pub async fn open(&self, doors: &[Door]) -> Opened {
        let port = doors.first().map_or(0, |door| door.port);
        let mapped = match (&self.outside.mapper, self.outside.held(doors)) {
            (None, _) => None,
            (Some(_), Some(external)) => Some(external),
            (Some(mapper), None) => match mapper.open(doors, &self.outside.closing).await {
                Ok(held) => {
                    let external = held.external;
                    self.outside.hold(doors, held);
                    Some(external)
                }
                Err(error) => {
                    tracing::warn!(%error, port, "the router does not forward");
                    None
                }
            },
        };
        let choice = self.choice(mapped, Some(port));
        tracing::info!(ip = %choice.ip, port = choice.port, why = %choice.why, "announced");
        Opened {
            announced: choice.announced(),
            at: SocketAddrV4::new(choice.ip, choice.port.unwrap_or(port)),
            why: choice.why,
        }
    }

    fn choice(&self, mapped: Option<SocketAddrV4>, port: Option<u16>) -> Choice {
        let known = Known {
            set: (self.announce != self.bind.ip).then_some(self.announce),
            interface: self.bind.ip,
            mapped,
            seen: self.outside.seen,
            profile: self.outside.profile,
        };
        choice::choose(&known, port)
    }

    /// Waits until the router has taken back what was opened, once the session has dropped it.
    pub async fn closed(closing: TaskTracker) {
        closing.close();
        let _ = tokio::time::timeout(CLOSING, closing.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invitation::ConnType;

    #[test]
    fn ranges_are_read_or_explained() {
        for (text, fine) in [
            ("30000-30031", true),
            (" 30000 - 30007", true),
            ("30000-30006", false),
            ("30031-30000", false),
            ("80-100", false),
            ("30000", false),
            ("", false),
            ("1-99999", false),
        ] {
            assert_eq!(text.parse::<PortRange>().is_ok(), fine, "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_told_and_not_bound() {
        let plain = Network::announcing(Ipv4Addr::LOCALHOST, None).await;
        assert_eq!(plain, Network::plain(Ipv4Addr::LOCALHOST));
        assert_eq!(plain.announced(Some(5)).connection, None);

        let behind = Network {
            bind: Ipv4Addr::new(192, 168, 1, 2).into(),
            announce: Ipv4Addr::new(203, 0, 113, 9),
            outside: Outside::default(),
        };
        let told = behind.announced(Some(5));
        assert_eq!((told.ip, told.port), (behind.announce, Some(5)));
        let connection = told.connection.unwrap();
        assert_eq!(connection.conn_type, ConnType::IpRestrictNat);
        assert_eq!(connection.private_ip, Some(behind.bind.ip));
    }
}
