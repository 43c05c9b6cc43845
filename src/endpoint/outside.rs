//! How this machine looks from outside: the router that forwards ports, what a STUN server sees. Both
//! are looked for when an account signs in, and what was found holds for some minutes.

use std::{
    net::Ipv4Addr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::{
    mapping::{Door, Held, Mapper, MappingError},
    stun::{self, Seen, StunError},
    whereabouts,
};
use crate::{clock::Clock, config::NetworkSettings};

/// How long a router that was found is believed in.
const HOLDS: Duration = Duration::from_secs(10 * 60);
/// How long it is believed that there is none.
const MISSING: Duration = Duration::from_secs(2 * 60);
/// How long a call waits for a search; it goes on for the next one.
const PATIENCE: Duration = Duration::from_secs(4);

/// `[network] mapping`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// Asks the router when our address is private and the user set none.
    #[default]
    Auto,
    /// Asks no router.
    Off,
}

/// What one session knows of the outside.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// The router that forwards.
    pub mapper: Option<Mapper>,
    /// What STUN sees.
    pub seen: Option<Seen>,
    /// What the server said in the profile: where it sees us.
    pub profile: Option<Ipv4Addr>,
    /// What the router still has to take back.
    pub closing: TaskTracker,
    /// What it forwards, until the session is over.
    held: Arc<std::sync::Mutex<Vec<Forwarded>>>,
}

/// Doors of ours and what the router forwards to them.
type Forwarded = (Vec<Door>, Held);

impl Outside {
    /// What the router forwards to these doors already.
    pub(super) fn held(&self, doors: &[Door]) -> Option<std::net::SocketAddrV4> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|(have, _)| have == doors);
        found.map(|(_, held)| held.external)
    }

    /// Keeps it until the session is over.
    pub(super) fn hold(&self, doors: &[Door], held: Held) {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((doors.to_vec(), held));
    }
}

impl PartialEq for Outside {
    fn eq(&self, other: &Self) -> bool {
        let router = |it: &Self| it.mapper.as_ref().map(Mapper::external);
        router(self) == router(other) && self.seen == other.seen && self.profile == other.profile
    }
}

impl Eq for Outside {}

/// What a search gave.
#[derive(Debug)]
pub struct Search {
    /// The router; nothing when none was to be asked.
    pub router: Option<Result<Mapper, MappingError>>,
    /// What STUN says; nothing when none was to be asked.
    pub stun: Option<Result<Seen, StunError>>,
}

/// Looks outside. With the defaults it never does. Clones are one.
#[derive(Debug, Clone)]
pub struct Lookout {
    mapping: Mapping,
    stun: Option<String>,
    clock: Clock,
    last: Arc<Mutex<Option<Last>>>,
}

#[derive(Debug)]
struct Last {
    interface: Ipv4Addr,
    until: Duration,
    mapper: Option<Mapper>,
    seen: Option<Seen>,
}

impl Default for Lookout {
    fn default() -> Self {
        Self {
            mapping: Mapping::Off,
            stun: None,
            clock: Clock::start(),
            last: Arc::default(),
        }
    }
}

impl Lookout {
    /// As configured. Who says which address contacts are told has arranged the rest as well.
    #[must_use]
    pub fn new(network: &NetworkSettings) -> Self {
        if network.announce.is_some() {
            return Self::default();
        }
        Self {
            mapping: network.mapping,
            stun: network.stun.clone(),
            ..Self::default()
        }
    }

    /// Asks the router and the STUN server now.
    pub async fn search(&self, interface: Ipv4Addr) -> Search {
        let wanted = self.mapping == Mapping::Auto && whereabouts::is_private(interface);
        let router = async {
            match wanted {
                true => Some(Mapper::find(interface).await),
                false => None,
            }
        };
        let stun = async {
            match self.stun.as_deref() {
                Some(server) if !interface.is_loopback() && !interface.is_unspecified() => {
                    Some(stun::ask(server, interface).await)
                }
                _ => None,
            }
        };
        let (router, stun) = tokio::join!(router, stun);
        Search { router, stun }
    }

    /// How that address of ours looks from outside. Who asks while it is looked for waits for the
    /// same answer, but not for long.
    pub async fn look(&self, interface: Ipv4Addr) -> Outside {
        if self.mapping == Mapping::Off && self.stun.is_none() {
            return Outside::default();
        }
        let all = self.clone();
        // It goes on when nobody waits for it any more.
        let looking = tokio::spawn(async move { all.look_now(interface).await });
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(outside)) => outside,
            _ => Outside::default(),
        }
    }

    async fn look_now(&self, interface: Ipv4Addr) -> Outside {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref()
            && last.interface == interface
            && self.clock.now() < last.until
        {
            return last.outside();
        }
        let Search { router, stun } = self.search(interface).await;
        if let Some(Err(error)) = &router {
            tracing::info!(%interface, %error, "contacts elsewhere may not reach this machine");
        }
        if let Some(Err(error)) = &stun {
            tracing::warn!(server = self.stun, %error, "STUN");
        }
        let failed = matches!(router, Some(Err(_))) || matches!(stun, Some(Err(_)));
        let holds = if failed { MISSING } else { HOLDS };
        let last = last.insert(Last {
            interface,
            until: self.clock.now().saturating_add(holds),
            mapper: router.and_then(Result::ok),
            seen: stun.and_then(Result::ok),
        });
        last.outside()
    }
}

impl Last {
    /// For one session.
    fn outside(&self) -> Outside {
        Outside {
            mapper: self.mapper.clone(),
            seen: self.seen,
            ..Outside::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_asked_without_need() {
        let public = Ipv4Addr::new(203, 0, 113, 9);
        let home = Ipv4Addr::new(192, 168, 1, 2);
        let settings = |announce, mapping| NetworkSettings {
            announce,
            mapping,
            ..NetworkSettings::default()
        };
        for (settings, interface) in [
            (settings(None, Mapping::Auto), public),
            (settings(None, Mapping::Auto), Ipv4Addr::LOCALHOST),
            (settings(None, Mapping::Off), home),
            (settings(Some(public), Mapping::Auto), home),
        ] {
            let search = Lookout::new(&settings).search(interface).await;
            assert!(search.router.is_none() && search.stun.is_none());
        }
    }
}
