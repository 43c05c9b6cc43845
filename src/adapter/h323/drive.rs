//! Gives the call what it has not: connections, the time, a relay for its sound, and a phone on this
//! machine. Every address that the peer names is checked before anything goes there.
//!
//! * `arrival` brings the connection for call signalling, whoever makes it.
//! * `phone` is the other leg: our own SIP front, which is told that somebody calls.
//! * `talk` is one call from its first byte to its last.

mod arrival;
mod phone;
mod talk;

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    adapter::{Order, Report, Task, netmeeting::Watch, one_program, relay_tcp},
    bridge::AdapterKind,
    endpoint::{callers::Callers, mapping::Door, socket},
    negotiation::{Announcement, Remote},
};

/// Where calls are set up, where the bridge names no other port.
const CALLS: u16 = 1720;
/// Where T.120 is spoken. Nothing can move it.
const T120: u16 = 1503;

/// Serves one invitation to NetMeeting (PROTOCOL.md 5.3): who invites listens, who is invited calls, and
/// a peer that calls although it should be called is taken.
pub async fn run(mut task: Task) {
    let port = task.bridge.application.port;
    let port = port.map_or(CALLS, |port| port.number);
    let Some((listener, remote)) = begin(&mut task, port).await else {
        return;
    };
    if let Err(why) = serve(&mut task, port, listener, &remote).await {
        task.fail(why);
    }
}

/// Follows the handshake to its end.
async fn begin(task: &mut Task, port: u16) -> Option<(Option<TcpListener>, Remote)> {
    let mut listener = None;
    loop {
        match task.orders.recv().await {
            Some(Order::Prepare(announcement)) => {
                if !task.bridge.application.must_listen(task.role, announcement) {
                    task.ready().await;
                    continue;
                }
                if listener.is_none() {
                    match listen(task.own_ip(), port).await {
                        Ok(bound) => listener = Some(bound),
                        Err(why) => {
                            task.fail(why);
                            return None;
                        }
                    }
                }
                let opened = task.network.open(&[Door::tcp(port)]).await;
                task.report(Report::Ready(opened.announced));
            }
            Some(Order::Connected(remote)) => return Some((listener, remote)),
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return None,
        }
    }
}

async fn listen(own: Ipv4Addr, port: u16) -> Result<TcpListener, String> {
    let at = SocketAddr::from((own, port));
    let listener = socket::tcp_listen(at).await;
    listener.map_err(|error| {
        format!("cannot listen at TCP {at}: {error}; end the program that has this port")
    })
}

/// The handshake is complete. The error is for people.
async fn serve(
    task: &mut Task,
    port: u16,
    listener: Option<TcpListener>,
    remote: &Remote,
) -> Result<(), String> {
    let mut peers = relay_tcp::peers(task, remote)?;
    let handoffs = task.handoffs(AdapterKind::H323);
    let handoff = handoffs.into_iter().find(|it| it.fits().is_ok());
    let handoff = handoff.ok_or("no handoff of the bridge can run here")?;
    let called = task
        .bridge
        .application
        .must_listen(task.role, Announcement::Accept);
    let told = remote.told().map(|(ip, _)| (ip, Some(port)));
    let targets = match task.policy.those_allowed(told) {
        _ if called => Vec::new(),
        Ok(targets) => targets.into_iter().map(|(at, _)| at).collect(),
        Err(error) => return Err(error.to_string()),
    };
    // Who is invited need not listen, and the port may be another program's.
    let listener = match listener {
        None => listen(task.own_ip(), port).await.ok(),
        bound => bound,
    };
    let own = task.own_ip();
    let (reports, orders) = (&task.reports, &mut task.orders);
    let arrived = tokio::select! {
        arrived = arrival::first(own, listener.as_ref(), &targets, &mut peers, &handoff, reports) => arrived?,
        () = one_program::end_ordered(orders) => return Ok(()),
    };
    // Whoever else calls is told that we are busy.
    let _watch = listener.map(|listener| Watch::over(listener, task, &peers));
    // Ended when this is dropped.
    let mut data = JoinSet::new();
    let t120 = match handoff.to {
        Some(to) => {
            let to = (to, handoff.to_port.unwrap_or(T120)).into();
            relay_data(task, &peers, to, &mut data).await
        }
        None => false,
    };
    talk::run(task, arrived, &peers, t120.then_some(T120)).await
}

/// Relays T.120 to a program; whether that can be.
async fn relay_data(task: &Task, peers: &Callers, to: SocketAddr, tasks: &mut JoinSet<()>) -> bool {
    match listen(task.own_ip(), T120).await {
        Ok(listener) => {
            task.network.open(&[Door::tcp(T120)]).await;
            tasks.spawn(relay_tcp::gate(listener, peers.clone(), to));
            true
        }
        Err(why) => {
            task.say(why);
            false
        }
    }
}
