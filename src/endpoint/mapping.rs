//! Ports of ours that the router at home forwards to us because we ask it to: UPnP IGD (the igd-next
//! crate), PCP and NAT-PMP (RFC 6887, RFC 6886; the crab_nat crate).
//!
//! A router is a stranger. Every question has a time limit, and the crates run in tasks of their own,
//! so that whatever they make of an answer ends there. What was asked for ends with a lease, also
//! when this program dies.

use std::{
    fmt,
    future::Future,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use igd_next::{
    SearchOptions,
    aio::{
        Gateway,
        tokio::{Tokio, search_gateway},
    },
};
use tokio::sync::oneshot;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{debug, info, warn};

use super::{default_route, own, whereabouts};

mod lease;

use lease::Lease;

/// How long the search for a UPnP router may take.
const SEARCH: Duration = Duration::from_secs(3);
/// How long one question to the router may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How many numbers are tried for a group of ports.
const TRIES: usize = 4;

/// A port of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// What comes in there.
    pub transport: Transport,
    /// Its number on this machine.
    pub port: u16,
}

/// What comes in at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// How a router was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// UPnP IGD.
    Upnp,
    /// PCP or NAT-PMP.
    Pcp,
}

/// Why the router does not forward a port.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// No router speaks any of these languages.
    #[error("no router answers by UPnP, PCP or NAT-PMP")]
    NoRouter,
    /// It did not answer in time.
    #[error("the router does not answer")]
    Silent,
    /// That number is somebody else's.
    #[error("the router has given that port away already")]
    Taken,
    /// It said no.
    #[error("the router refuses: {0}")]
    Refused(String),
}

/// A router that forwards ports. Clones are the same router.
#[derive(Clone)]
pub struct Mapper(Arc<Router>);

struct Router {
    own: Ipv4Addr,
    external: Ipv4Addr,
    way: Way,
}

enum Way {
    Upnp(Gateway<Tokio>),
    Pcp(Ipv4Addr),
}

/// Ports that the router forwards, until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The first door, as seen from outside. The others are at the same distance as here.
    pub external: SocketAddrV4,
    _end: DropGuard,
}

impl Door {
    /// For datagrams.
    #[must_use]
    pub fn udp(port: u16) -> Self {
        Self {
            transport: Transport::Udp,
            port,
        }
    }

    /// For connections.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            port,
        }
    }

    /// For both.
    #[must_use]
    pub fn both(port: u16) -> [Self; 2] {
        [Self::udp(port), Self::tcp(port)]
    }

    /// For RTP and RTCP: a port and the next one.
    #[must_use]
    pub fn rtp(port: u16) -> [Self; 2] {
        [Self::udp(port), Self::udp(port.saturating_add(1))]
    }
}

impl Mapper {
    /// Looks for the router of the network in which that address of ours is.
    ///
    /// # Errors
    /// When none answers, or one that has no address itself.
    pub async fn find(own: Ipv4Addr) -> Result<Self, MappingError> {
        let search = async move {
            match upnp(own).await {
                Ok(found) => return Ok(found),
                Err(error) => debug!(%error, "no UPnP"),
            }
            pcp(own).await.map_err(|error| {
                debug!(%error, "no PCP or NAT-PMP");
                MappingError::NoRouter
            })
        };
        // In a task of its own: a crate that panics at an answer takes nothing else along.
        let found = tokio::spawn(search).await;
        let (external, way) = found.map_err(|_| MappingError::NoRouter)??;
        let router = Router { own, external, way };
        info!(language = %router.language(), %external, "a router forwards ports");
        Ok(Self(Arc::new(router)))
    }

    /// The router's own address, which is public unless it stands behind another router.
    #[must_use]
    pub fn external(&self) -> Ipv4Addr {
        self.0.external
    }

    /// How it is spoken to.
    #[must_use]
    pub fn language(&self) -> Language {
        self.0.language()
    }

    /// Has these ports forwarded, if possible with the numbers they have here. The tracker knows
    /// when the last of them is given back after [`Held`] was dropped.
    ///
    /// # Errors
    /// When the router does not forward them all.
    pub async fn open(&self, doors: &[Door], tracker: &TaskTracker) -> Result<Held, MappingError> {
        let (answer, answered) = oneshot::channel();
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let count = doors.len();
        let (router, doors) = (Arc::clone(&self.0), doors.to_vec());
        tracker.spawn(async move {
            match router.lease(&doors).await {
                Ok((external, leases)) => {
                    // Who asked may be gone by now, and then `end` has come.
                    let _ = answer.send(Ok(external));
                    lease::keep(&router, leases, end).await;
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            }
        });
        let external = answered.await.map_err(|_| MappingError::Silent)??;
        info!(%external, count, "the router forwards");
        Ok(Held {
            external,
            _end: guard,
        })
    }
}

impl Router {
    fn language(&self) -> Language {
        match self.way {
            Way::Upnp(_) => Language::Upnp,
            Way::Pcp(_) => Language::Pcp,
        }
    }

    /// All doors or none, at the same distance from each other as here.
    async fn lease(&self, doors: &[Door]) -> Result<(SocketAddrV4, Vec<Lease>), MappingError> {
        let first = doors.first().ok_or(MappingError::NoRouter)?.port;
        let mut base = first;
        for _ in 0..TRIES {
            match self.lease_at(doors, first, base).await {
                Ok(leases) => return Ok((SocketAddrV4::new(self.external, base), leases)),
                Err(MappingError::Taken) => debug!(base, "taken at the router"),
                Err(error) => return Err(error),
            }
            base = another(first);
        }
        Err(MappingError::Taken)
    }

    async fn lease_at(
        &self,
        doors: &[Door],
        first: u16,
        base: u16,
    ) -> Result<Vec<Lease>, MappingError> {
        let mut leases = Vec::new();
        for door in doors {
            let wanted = base.wrapping_add(door.port.wrapping_sub(first));
            match Lease::take(self, *door, wanted).await {
                Ok(lease) => leases.push(lease),
                Err(error) => {
                    lease::give_back(self, leases).await;
                    return Err(error);
                }
            }
        }
        Ok(leases)
    }
}

/// Another number, as even or odd as the one here (RFC 3550 section 11).
fn another(port: u16) -> u16 {
    let mut bytes = [0; 2];
    // Without randomness the same number is tried again, and refused again.
    let _ = getrandom::fill(&mut bytes);
    (20_000 + u16::from_le_bytes(bytes) % 40_000) & !1 | port & 1
}

async fn within<T, E: fmt::Display>(
    limit: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, MappingError> {
    match tokio::time::timeout(limit, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let told = crate::shown::line(&error.to_string(), 120);
            Err(MappingError::Refused(told))
        }
        Err(_) => Err(MappingError::Silent),
    }
}

async fn upnp(own: Ipv4Addr) -> Result<(Ipv4Addr, Way), MappingError> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::from((own, 0));
    options.timeout = Some(SEARCH);
    let gateway = within(SEARCH, search_gateway(options)).await?;
    // A stranger's machine that answers a multicast from afar is no router of ours.
    let near = whereabouts::neighbourhoods();
    match gateway.addr {
        SocketAddr::V4(at)
            if matches!(
                whereabouts::of(*at.ip(), &near),
                whereabouts::Whereabouts::Near
            ) => {}
        at => {
            warn!(%at, "answers as a router, and is not in our network");
            return Err(MappingError::NoRouter);
        }
    }
    match within(ANSWER, gateway.get_external_ip()).await? {
        std::net::IpAddr::V4(external) if !external.is_unspecified() => {
            Ok((external, Way::Upnp(gateway)))
        }
        _ => Err(MappingError::NoRouter),
    }
}

async fn pcp(own: Ipv4Addr) -> Result<(Ipv4Addr, Way), MappingError> {
    let gateway = default_route::gateway().ok_or(MappingError::NoRouter)?;
    // With a VPN the way out may be another interface's than the one of the default route, and then
    // this router would forward to an address at which nobody listens.
    if self::own::address_towards(gateway).await.ok() != Some(own) {
        return Err(MappingError::NoRouter);
    }
    let external = lease::external_address(gateway, own).await?;
    if external.is_unspecified() {
        return Err(MappingError::NoRouter);
    }
    Ok((external, Way::Pcp(gateway)))
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upnp => "UPnP",
            Self::Pcp => "PCP or NAT-PMP",
        })
    }
}

impl fmt::Debug for Mapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.language(), self.external())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_is_as_even_and_above_the_well_known_ones() {
        for port in [5060, 5061, 65534, 65535] {
            for _ in 0..50 {
                let other = another(port);
                assert_eq!(other % 2, port % 2);
                assert!((20_000..60_001).contains(&other), "{other}");
            }
        }
    }
}
