//! Asks every port at which the game may be, until one answers.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Found,
    probe::{self, Challenge},
};
use crate::{
    bridge::Handoff,
    endpoint::{
        policy::{Allowed, NoneAllowed, Policy},
        socket,
    },
    negotiation::Remote,
};

/// How often a port is asked. Hosts answer no faster, so that they cannot be abused.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long. The host has a map to load.
const ASK_FOR: Duration = Duration::from_secs(120);
/// Most ports that are asked, over all addresses of the peer.
const MAX_TARGETS: usize = 64;
/// The longest datagram that is read, in bytes.
const MAX_DATAGRAM: usize = 65_536;

/// Where the game may be: every allowed address of the peer with every port of the bridge, after
/// the port that the peer named itself.
pub(super) fn targets(
    policy: &Policy,
    remote: &Remote,
    handoffs: &[Handoff],
) -> Result<Vec<Allowed>, String> {
    let ports = || handoffs.iter().flat_map(|handoff| handoff.ports.iter());
    let told = remote.told().flat_map(|(ip, port)| {
        let ports = port.into_iter().chain(ports());
        ports.map(move |port| (ip, Some(port)))
    });
    let allowed = policy.those_allowed(told).map_err(|error| match error {
        NoneAllowed::NotTold if !remote.candidates.is_empty() => {
            "the bridge names no ports to ask".to_owned()
        }
        error => error.to_string(),
    })?;
    let targets = allowed.into_iter().map(|(at, _)| at);
    Ok(targets.take(MAX_TARGETS).collect())
}

/// The first game that answers.
pub(super) async fn search(own: Ipv4Addr, targets: &[Allowed]) -> Result<Found, String> {
    let mut challenges = HashMap::new();
    for target in targets {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
        challenges.insert(target.address(), (*target, Challenge::new(bytes)));
    }
    let socket = socket::udp((own, 0).into())
        .await
        .map_err(|error| format!("no port to ask from at {own}: {error}"))?;
    let answer = async {
        tokio::select! {
            found = listen(&socket, &challenges) => found,
            never = ask(&socket, &challenges) => never,
        }
    };
    timeout(ASK_FOR, answer)
        .await
        .map_err(|_| format!("no game answered within {} s", ASK_FOR.as_secs()))
}

type Challenges = HashMap<SocketAddr, (Allowed, Challenge)>;

async fn ask<Never>(socket: &UdpSocket, challenges: &Challenges) -> Never {
    let mut interval = interval(ASK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for (target, challenge) in challenges.values() {
            // A port that is closed says so on the next send: nothing to do about it.
            let question = probe::getinfo(challenge);
            if let Err(error) = socket.send_to(&question, target.address()).await {
                tracing::debug!(%target, %error, "question not sent");
            }
        }
    }
}

async fn listen(socket: &UdpSocket, challenges: &Challenges) -> Found {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let Ok((n, from)) = socket.recv_from(&mut buffer).await else {
            // What the system says of a closed port.
            continue;
        };
        let Some((target, challenge)) = challenges.get(&from) else {
            tracing::debug!(%from, "a datagram from where we did not ask");
            continue;
        };
        match probe::read_info(buffer.get(..n).unwrap_or_default(), challenge) {
            Ok(info) => {
                let at = SocketAddrV4::new(target.ip(), target.port());
                return Found { at, info };
            }
            Err(why) => tracing::debug!(%from, %why, "not an answer"),
        }
    }
}
