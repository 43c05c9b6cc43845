//! One port that the router forwards: taken, kept by renewing it, given back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    time::Duration,
};

use crab_nat::{
    GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, PortMappingType,
    TimeoutConfig, natpmp,
};
use igd_next::{AddPortError, PortMappingProtocol};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ANSWER, Door, MappingError, Router, Transport, Way, within};

/// How long the router forwards when it never hears of us again, in seconds.
const LEASE: u32 = 20 * 60;
/// A lease is renewed when half of it is over; a router that grants less than this twice is not
/// asked more often.
const SOONEST: Duration = Duration::from_secs(30);
/// What stands beside it in the router's list.
const NAME: &str = "msn-handoff";
/// How patiently PCP and NAT-PMP are asked: their own defaults take a minute.
const PATIENCE: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 2,
    max_retry_timeout: Some(Duration::from_secs(1)),
};

/// One forwarded port.
pub(super) enum Lease {
    Upnp { door: Door, external: u16 },
    Pcp(PortMapping),
}

impl Lease {
    /// Takes exactly that number.
    pub(super) async fn take(
        router: &Router,
        door: Door,
        external: u16,
    ) -> Result<Self, MappingError> {
        match &router.way {
            Way::Upnp(_) => {
                forward(router, door, external).await?;
                Ok(Self::Upnp { door, external })
            }
            Way::Pcp(gateway) => {
                let external = NonZeroU16::new(external).ok_or(MappingError::Taken)?;
                let mapped = pcp(*gateway, router.own, door, Some(external), LEASE).await?;
                if mapped.external_port() == external {
                    return Ok(Self::Pcp(mapped));
                }
                // It gave another number.
                give_back(router, vec![Self::Pcp(mapped)]).await;
                Err(MappingError::Taken)
            }
        }
    }

    /// How long it may wait until it is renewed.
    fn half(&self) -> Duration {
        let seconds = match self {
            Self::Upnp { .. } => LEASE,
            Self::Pcp(mapped) => mapped.lifetime(),
        };
        Duration::from_secs(u64::from(seconds) / 2).max(SOONEST)
    }

    async fn renew(&mut self, router: &Router) -> Result<(), MappingError> {
        match self {
            Self::Upnp { door, external } => forward(router, *door, *external).await,
            Self::Pcp(mapped) => within(ANSWER, mapped.renew()).await,
        }
    }

    async fn end(self, router: &Router) -> Result<(), MappingError> {
        match (self, &router.way) {
            (Self::Upnp { door, external }, Way::Upnp(gateway)) => {
                within(ANSWER, gateway.remove_port(protocol(door), external)).await
            }
            (Self::Pcp(mapped), _) => {
                let drop = async { mapped.try_drop().await.map_err(|(error, _)| error) };
                within(ANSWER, drop).await
            }
            (Self::Upnp { .. }, Way::Pcp(_)) => Ok(()),
        }
    }
}

/// Renews until the end comes, then gives all back.
pub(super) async fn keep(router: &Router, mut leases: Vec<Lease>, end: CancellationToken) {
    let mut all_renewed = true;
    loop {
        let half = leases.iter().map(Lease::half).min().unwrap_or(SOONEST);
        // What a lost packet cost is asked for again while the lease lasts.
        let pause = if all_renewed { half } else { half.min(SOONEST) };
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        all_renewed = true;
        for lease in &mut leases {
            if let Err(error) = lease.renew(router).await {
                warn!(%error, "the router no longer forwards a port");
                all_renewed = false;
            }
        }
    }
    give_back(router, leases).await;
}

pub(super) async fn give_back(router: &Router, leases: Vec<Lease>) {
    for lease in leases {
        if let Err(error) = lease.end(router).await {
            warn!(%error, "a port stays open at the router until its lease is over");
        }
    }
}

/// The router's own address, as it tells by NAT-PMP, or else by a short PCP lease.
pub(super) async fn external_address(
    gateway: Ipv4Addr,
    own: Ipv4Addr,
) -> Result<Ipv4Addr, MappingError> {
    let at = GatewayAddress::IpV4(gateway);
    if let Ok(external) = within(ANSWER, natpmp::external_address(at, Some(PATIENCE))).await {
        return Ok(external);
    }
    let door = Door {
        transport: Transport::Udp,
        // Nothing listens there: what matters is the address in the answer.
        port: 9,
    };
    let mapped = pcp(gateway, own, door, None, 30).await?;
    let kind = mapped.mapping_type();
    let _ = within(ANSWER, async {
        mapped.try_drop().await.map_err(|(error, _)| error)
    })
    .await;
    match kind {
        PortMappingType::Pcp {
            external_ip: IpAddr::V4(external),
            ..
        } => Ok(external),
        _ => Err(MappingError::NoRouter),
    }
}

async fn pcp(
    gateway: Ipv4Addr,
    own: Ipv4Addr,
    door: Door,
    external: Option<NonZeroU16>,
    seconds: u32,
) -> Result<PortMapping, MappingError> {
    let port = NonZeroU16::new(door.port).ok_or(MappingError::Taken)?;
    let options = PortMappingOptions {
        external_port: external,
        lifetime_seconds: Some(seconds),
        timeout_config: Some(PATIENCE),
    };
    let protocol = match door.transport {
        Transport::Udp => InternetProtocol::Udp,
        Transport::Tcp => InternetProtocol::Tcp,
    };
    let gateway = GatewayAddress::IpV4(gateway);
    let question = PortMapping::new(gateway, own.into(), protocol, port, options);
    within(ANSWER, question).await
}

async fn forward(router: &Router, door: Door, external: u16) -> Result<(), MappingError> {
    let Way::Upnp(gateway) = &router.way else {
        return Err(MappingError::NoRouter);
    };
    let own = SocketAddr::from((router.own, door.port));
    let ask = |seconds| gateway.add_port(protocol(door), external, own, seconds, NAME);
    let answer = tokio::time::timeout(ANSWER, ask(LEASE))
        .await
        .map_err(|_| MappingError::Silent)?;
    match answer {
        Ok(()) => Ok(()),
        Err(AddPortError::PortInUse) => Err(MappingError::Taken),
        // Old routers forward for ever or not at all; then only our own end ends it.
        Err(AddPortError::OnlyPermanentLeasesSupported) => {
            warn!("the router knows no leases: a port stays open should this program be killed");
            within(ANSWER, ask(0)).await
        }
        Err(error) => Err(MappingError::Refused(crate::shown::line(
            &error.to_string(),
            120,
        ))),
    }
}

fn protocol(door: Door) -> PortMappingProtocol {
    match door.transport {
        Transport::Udp => PortMappingProtocol::UDP,
        Transport::Tcp => PortMappingProtocol::TCP,
    }
}
