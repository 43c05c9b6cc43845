//! Which of a ticket's addresses answers: all of them are tried in order, the first that takes a
//! connection is used (MS-RA 3.1.5).

use std::{net::SocketAddrV4, pin::pin, time::Duration};

use futures_util::stream::{self, StreamExt as _};

use super::ticket::{Address, Host};
use crate::{
    endpoint::{
        policy::{Allowed, Policy},
        socket,
    },
    negotiation::Remote,
    shown,
};

/// How long one address may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The longest name that is shown, in characters.
const SHOWN: usize = 40;
/// Most addresses that are tried.
const MAX_TARGETS: usize = 40;
/// So many at once; the first in order that takes a connection is used.
const AT_A_TIME: usize = 10;

/// Where to try, and what is left out.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// What the policy allows, in order, each once.
    pub(super) allowed: Vec<Allowed>,
    /// Why others are not tried, for people.
    pub(super) left_out: Vec<String>,
}

/// The addresses of the ticket, then the address that the peer's client announced with the
/// ticket's ports: behind a router the ticket may know only the inner one.
pub(super) fn targets(policy: &Policy, addresses: &[Address], remote: &Remote) -> Targets {
    let mut targets = Targets::default();
    for address in addresses {
        match &address.host {
            Host::Ip(ip) => targets.add(policy.check(*ip, address.port)),
            // A name that Windows machines of a home know each other by means nothing here, and to
            // look it up would tell others about it, or lead to where its owner likes.
            Host::Other(name) => targets.leave_out(format!(
                "{} is a name or no IPv4 address, and is not looked up",
                shown::line(name, SHOWN)
            )),
        }
    }
    for candidate in &remote.candidates {
        for address in addresses {
            targets.add(policy.check(candidate.ip, address.port));
        }
    }
    targets.allowed.truncate(MAX_TARGETS);
    targets
}

impl Targets {
    fn add(&mut self, checked: Result<Allowed, impl std::fmt::Display>) {
        match checked {
            Ok(allowed) if !self.allowed.contains(&allowed) => self.allowed.push(allowed),
            Ok(_) => {}
            Err(refusal) => self.leave_out(refusal.to_string()),
        }
    }

    fn leave_out(&mut self, why: String) {
        if !self.left_out.contains(&why) {
            self.left_out.push(why);
        }
    }
}

/// The first that takes a connection, which is closed again at once. The error tells of each why
/// not.
pub(super) async fn probe(targets: &[Allowed]) -> Result<SocketAddrV4, String> {
    let mut failures = Vec::new();
    // Some at a time, for most of those that are not there say nothing until the time is over.
    let connecting = stream::iter(targets.to_vec()).map(|target| async move {
        let tried = socket::tcp_connect_peer(target, CONNECT_WITHIN).await;
        (target, tried)
    });
    let mut tried = pin!(connecting.buffered(AT_A_TIME));
    while let Some((target, tried)) = tried.next().await {
        match tried {
            Ok(_) => return Ok(SocketAddrV4::new(target.ip(), target.port())),
            Err(error) => {
                tracing::info!(%target, %error, "no connection");
                failures.push(format!("{target} ({})", error.kind()));
            }
        }
    }
    Err(failures.join(", "))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::invitation::{AddressSource, Candidate};

    #[test]
    fn every_allowed_address_is_tried_once_in_order_and_no_name() {
        let read = |host: &str, port: &str| Address::read(host, port).unwrap();
        let addresses = [
            read("10.0.0.1", "3389"),
            read("BOBS-PC", "3389"),
            read("127.0.0.1", "3389"),
            read("10.0.0.1", "3389"),
            read("10.0.0.2", "4000"),
        ];
        let candidate = |ip: &str| Candidate {
            ip: ip.parse().unwrap(),
            port: None,
            source: AddressSource::IpAddress,
        };
        let remote = Remote {
            candidates: vec![candidate("10.0.0.2"), candidate("8.8.8.8")],
            ..Remote::default()
        };
        let policy = Policy::new(Ipv4Addr::new(10, 0, 0, 9), Vec::new());
        let targets = targets(&policy, &addresses, &remote);
        let tried: Vec<String> = targets.allowed.iter().map(ToString::to_string).collect();
        assert_eq!(
            tried,
            [
                "10.0.0.1:3389",
                "10.0.0.2:4000",
                "10.0.0.2:3389",
                "8.8.8.8:3389",
                "8.8.8.8:4000"
            ]
        );
        assert_eq!(targets.left_out.len(), 2);
        assert!(targets.left_out[0].starts_with("BOBS-PC is a name"));
        assert!(targets.left_out[1].starts_with("127.0.0.1:3389 is on this machine"));
    }

    #[tokio::test]
    async fn the_first_that_takes_a_connection_is_used() {
        let policy = Policy::new(Ipv4Addr::LOCALHOST, Vec::new());
        let open = socket::tcp_listen((Ipv4Addr::LOCALHOST, 0).into()).await;
        let open = open.unwrap();
        let port = open.local_addr().unwrap().port();
        let closed = policy.check(Ipv4Addr::new(127, 9, 9, 9), port).unwrap();
        let target = policy.check(Ipv4Addr::LOCALHOST, port).unwrap();
        let found = probe(&[closed, target]).await.unwrap();
        assert_eq!(found, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let why = probe(&[closed]).await.unwrap_err();
        assert_eq!(why, format!("127.9.9.9:{port} (connection refused)"));
    }
}
