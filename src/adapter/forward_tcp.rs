//! A TCP relay from ports of the announced address to another machine of ours: a program in a
//! virtual machine that listens there, while the contact reaches only this one.
//!
//! The ports are bound before our address goes out. Only the peer's addresses are served; others
//! are turned away without a word.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Order, Report, Task,
    relay_tcp::{self, Activity, CONNECT_WITHIN, MAX_RELAYS, MAX_WAITING},
};
use crate::{
    bridge::{AdapterKind, Handoff},
    endpoint::{callers::Callers, mapping::Door, socket},
};

/// Most ports that a router is asked for: each question takes its time.
const MOST_MAPPED: usize = 16;

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let handoff = task
        .handoffs(AdapterKind::ForwardTcp)
        .into_iter()
        .find(|handoff| handoff.fits().is_ok());
    let Some((handoff, to)) = handoff.and_then(|it| it.to.map(|to| (it, to))) else {
        return task.fail("no machine is named to forward to".to_owned());
    };
    if to == task.own_ip() {
        return task.fail(format!("{to} would be forwarded to itself"));
    }
    let mut listeners = Vec::new();
    let remote = loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_)) => match bind(&task, &handoff, &mut listeners).await {
                Ok(()) => announce(&mut task, &handoff).await,
                Err(why) => return task.fail(why),
            },
            Some(Order::Connected(remote)) => break remote,
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    };
    // Who announces nothing has not been asked to prepare.
    if let Err(why) = bind(&task, &handoff, &mut listeners).await {
        return task.fail(why);
    }
    let mut peers = match relay_tcp::peers(&task, &remote) {
        Ok(peers) => peers,
        Err(why) => return task.fail(why),
    };
    task.say(format!("what the other side sends goes on to {to}"));
    serve(task, listeners, &mut peers, to, &handoff).await;
}

/// Has the router forward the ports, and tells the first of them.
async fn announce(task: &mut Task, handoff: &Handoff) {
    let doors: Vec<Door> = handoff.ports.iter().map(Door::tcp).collect();
    if doors.len() > MOST_MAPPED {
        tracing::info!("a router is asked for the first ports only");
    }
    let first = doors.get(..MOST_MAPPED).unwrap_or(&doors);
    let opened = task.open(first).await;
    task.report(Report::Ready(opened.announced));
}

/// Listens at every port.
async fn bind(
    task: &Task,
    handoff: &Handoff,
    listeners: &mut Vec<(TcpListener, u16)>,
) -> Result<(), String> {
    if listeners.is_empty() {
        for port in handoff.ports.iter() {
            let address = SocketAddr::from((task.own_ip(), port));
            let listener = socket::tcp_listen(address).await;
            let listener =
                listener.map_err(|error| format!("cannot listen at {address}: {error}"))?;
            listeners.push((listener, port));
        }
    }
    if listeners.is_empty() {
        return Err("no port is named to forward".to_owned());
    }
    Ok(())
}

/// How a connection to the other machine went.
enum Tried {
    Taken,
    Refused(SocketAddr, std::io::Error),
}

async fn serve(
    mut task: Task,
    listeners: Vec<(TcpListener, u16)>,
    peers: &mut Callers,
    to: Ipv4Addr,
    handoff: &Handoff,
) {
    let activity = Arc::new(Activity::start(task.bandwidth.forwarded));
    // Dropped at the end, which ends every connection.
    let mut acceptors = JoinSet::new();
    let mut relays = JoinSet::new();
    let (sender, mut arrivals) = mpsc::channel(MAX_WAITING);
    for (listener, port) in listeners {
        acceptors.spawn(relay_tcp::accept(listener, port, sender.clone()));
    }
    let (tried, mut outcomes) = mpsc::channel(MAX_RELAYS);
    let mut running = false;
    // A client that tries again and again is told of once.
    let mut refused = HashSet::new();
    loop {
        let left = handoff.idle.saturating_sub(activity.silence());
        if running && left.is_zero() {
            let seconds = handoff.idle.as_secs();
            return task.report(Report::Finished(format!(
                "nothing was sent for {seconds} s"
            )));
        }
        tokio::select! {
            order = task.orders.recv() => match order {
                // Where the address goes by a context message it is asked for only now.
                Some(Order::Prepare(_)) => announce(&mut task, handoff).await,
                Some(Order::Connected(_) | Order::Context(_)) => {}
                Some(Order::End) | None => return,
            },
            Some((stream, from, port)) = arrivals.recv() => {
                let is_peer = matches!(from.ip(), IpAddr::V4(ip) if peers.admit(ip));
                if !is_peer || relays.len() >= MAX_RELAYS {
                    tracing::info!(invitation = task.invitation.0, %from, is_peer, "turned away");
                    continue;
                }
                activity.touch();
                let at = SocketAddr::from((to, port));
                relays.spawn(relay(stream, at, Arc::clone(&activity), tried.clone()));
            }
            Some(_) = relays.join_next() => {}
            Some(outcome) = outcomes.recv() => match outcome {
                Tried::Taken if !running => {
                    running = true;
                    task.report(Report::Running);
                }
                Tried::Taken => {}
                Tried::Refused(at, _) if !refused.insert(at) => {}
                Tried::Refused(at, error) => task.say(format!("{at} takes no connection: {error}")),
            },
            () = tokio::time::sleep(left), if running => {}
        }
    }
}

async fn relay(
    outside: TcpStream,
    at: SocketAddr,
    activity: Arc<Activity>,
    tried: mpsc::Sender<Tried>,
) {
    let inside = match socket::tcp_connect(at, CONNECT_WITHIN).await {
        Ok(inside) => inside,
        Err(error) => {
            let _ = tried.send(Tried::Refused(at, error)).await;
            return;
        }
    };
    let _ = tried.send(Tried::Taken).await;
    relay_tcp::join(outside, inside, &[], &activity).await;
}
