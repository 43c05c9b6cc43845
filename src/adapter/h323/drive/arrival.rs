//! The connection for call signalling: the peer's, or ours to the first of its addresses that takes
//! one.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};

use crate::{
    adapter::Report,
    bridge::Handoff,
    endpoint::{callers::Callers, policy::Allowed, socket},
};

/// How long one address may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long until all are tried again: the other side may still be starting its program.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an accept that failed is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a caller may take to say its first word.
const SPEAKS_WITHIN: Duration = Duration::from_secs(5);
/// How long the peer may take to call.
const CALLED_WITHIN: Duration = Duration::from_secs(120);

/// A connection for call signalling.
pub(super) struct Arrived {
    pub(super) stream: TcpStream,
    /// Where the peer really is.
    pub(super) peer: Ipv4Addr,
    /// Where we called it; nothing when it calls.
    pub(super) target: Option<Allowed>,
}

/// The first that is there. The error is for people.
pub(super) async fn first(
    own: Ipv4Addr,
    listener: Option<&TcpListener>,
    targets: &[Allowed],
    peers: &mut Callers,
    handoff: &Handoff,
    reports: &UnboundedSender<Report>,
) -> Result<Arrived, String> {
    let within = match targets {
        [] => CALLED_WITHIN,
        _ => handoff.wait + handoff.probe_within,
    };
    let arrival = async {
        tokio::select! {
            arrived = taken(listener, peers) => arrived,
            arrived = made(own, targets, handoff.wait, reports) => arrived,
        }
    };
    timeout(within, arrival).await.map_err(|_| match targets {
        [] => format!("the other side did not call within {} s", within.as_secs()),
        _ => {
            let tried: Vec<String> = targets.iter().map(ToString::to_string).collect();
            format!("nobody takes a call at {}", tried.join(" or "))
        }
    })
}

/// The first call of the peer's.
async fn taken(listener: Option<&TcpListener>, peers: &mut Callers) -> Arrived {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match from.ip() {
                // Somebody may only look whether we listen, and is nobody yet.
                IpAddr::V4(peer)
                    if (peers.knows(peer) || peers.may_be(peer))
                        && speaks(&stream).await
                        && peers.admit(peer) =>
                {
                    return Arrived {
                        stream,
                        peer,
                        target: None,
                    };
                }
                _ => tracing::info!(%from, "turned away"),
            },
            Err(error) => {
                tracing::debug!(%error, "not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether something comes on it.
async fn speaks(stream: &TcpStream) -> bool {
    let peeked = timeout(SPEAKS_WITHIN, stream.peek(&mut [0])).await;
    matches!(peeked, Ok(Ok(1..)))
}

/// Our call, once somebody takes it.
async fn made(
    own: Ipv4Addr,
    targets: &[Allowed],
    wait: Duration,
    reports: &UnboundedSender<Report>,
) -> Arrived {
    if targets.is_empty() {
        return std::future::pending().await;
    }
    sleep(wait).await;
    for round in 0_u32.. {
        for target in targets {
            if round == 0 {
                // A dispatcher that is gone wants no words.
                let _ = reports.send(Report::Say(format!("calling {target}")));
            }
            match socket::tcp_connect_peer_from(own, *target, CONNECT_WITHIN).await {
                Ok(stream) => {
                    return Arrived {
                        stream,
                        peer: target.ip(),
                        target: Some(*target),
                    };
                }
                Err(error) => tracing::info!(%target, %error, "no connection"),
            }
        }
        sleep(AGAIN).await;
    }
    std::future::pending().await
}
