//! A program of ours is called by the peer's: it is started, and listens, before our address is
//! told.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Order, Report, Task,
    netmeeting::Watch,
    one_program::{self, Started},
    relay_tcp,
};
use crate::{
    bridge::{AdapterKind, Handoff, Value, Watched, Way},
    endpoint::{mapping::Door, socket},
    launch::Exit,
    negotiation::{Remote, Transport},
};

/// A program of ours that listens.
struct Listening {
    started: Started,
    /// What the peer is told.
    port: u16,
    /// Where the program is, if the port is ours and the program behind it.
    gate: Option<(TcpListener, SocketAddr)>,
}

/// Serves one invitation.
pub async fn run(mut task: Task) {
    // Where our address goes out in a context message it is asked for after the handshake.
    let by_context = task.bridge.application.sends_address_context(task.role);
    let mut known: Option<Remote> = None;
    loop {
        match task.orders.recv().await {
            // Who announces nothing is not asked to listen before.
            Some(Order::Prepare(announcement))
                if !task.bridge.application.must_listen(task.role, announcement) =>
            {
                task.ready().await;
            }
            Some(Order::Prepare(_)) => {
                let Some(listening) = listen(&mut task, known.as_ref()).await else {
                    return;
                };
                ready(&mut task, &listening).await;
                return match known {
                    Some(remote) => called(task, listening, &remote).await,
                    None => attend(task, listening).await,
                };
            }
            Some(Order::Connected(remote)) if by_context => known = Some(remote),
            Some(Order::Connected(remote)) => {
                if let Some(listening) = listen(&mut task, Some(&remote)).await {
                    called(task, listening, &remote).await;
                }
                return;
            }
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    }
}

async fn ready(task: &mut Task, listening: &Listening) {
    let port = listening.port;
    let opened = match (task.bridge.application.port, &listening.gate) {
        (Some(port), _) => task.open(&one_program::doors(port)).await,
        (None, Some(_)) => task.open(&[Door::tcp(port)]).await,
        (None, None) => task.open(&Door::both(port)).await,
    };
    task.report(Report::Ready(opened.announced));
}

/// Starts a program that listens; why there is none is told.
async fn listen(task: &mut Task, remote: Option<&Remote>) -> Option<Listening> {
    let mut handoffs = task.handoffs(AdapterKind::Listen);
    let way = first(&handoffs).map_or(Way::Direct, |handoff| handoff.way);
    handoffs.retain(|handoff| handoff.way == way);
    let place = match way {
        Way::Direct => free_port(task).await.map(|port| (port, None)),
        Way::Gate => gate(task).await.map(|(port, gate)| (port, Some(gate))),
    };
    let (port, gate) = match place {
        Ok(place) => place,
        Err(why) => {
            task.fail(why);
            return None;
        }
    };
    let mut values = one_program::known(task).with("own.port", Value::Port(port));
    if let Some((_, inside)) = &gate {
        values.set("own.ip", Value::Ip(Ipv4Addr::LOCALHOST));
        values.set("own.port", Value::Port(inside.port()));
    }
    // A program that need not know who comes can do without.
    let peers = remote.map(|remote| relay_tcp::peers(task, remote));
    if let Some(Ok(peers)) = peers
        && let Some(peer) = peers.known().first()
    {
        values.set("peer.ip", Value::Ip(*peer));
    }
    match one_program::start(task, &handoffs, &values).await {
        Ok(started) => Some(Listening {
            started,
            port,
            gate,
        }),
        Err(why) => {
            one_program::give_up(task, why);
            None
        }
    }
}

/// The one that is tried first.
fn first(handoffs: &[Handoff]) -> Option<&Handoff> {
    handoffs.iter().find(|handoff| handoff.fits().is_ok())
}

/// Takes the port that the peer is told, and finds one for the program.
async fn gate(task: &Task) -> Result<(u16, (TcpListener, SocketAddr)), String> {
    let port = free_port(task).await?;
    let at = SocketAddr::from((task.own_ip(), port));
    let listener = socket::tcp_listen(at).await;
    let listener = listener.map_err(|error| format!("cannot listen at TCP {at}: {error}"))?;
    let inside = socket::free_port(Ipv4Addr::LOCALHOST).await;
    let inside = inside.map_err(|error| format!("no port is free for the program: {error}"))?;
    Ok((port, (listener, (Ipv4Addr::LOCALHOST, inside).into())))
}

/// The application's own port when it is free, or any that is.
///
/// It is given back for the program to take. Another may be quicker: then ours does not listen
/// there, and nothing is announced.
async fn free_port(task: &Task) -> Result<u16, String> {
    let own = task.own_ip();
    let Some(port) = task.bridge.application.port else {
        // By either transport: the bridge does not say which one the program takes.
        let pair = socket::udp_tcp_pair(task.network.bind.clone()).await;
        return pair
            .and_then(|(socket, _)| Ok(socket.local_addr()?.port()))
            .map_err(|error| format!("no port is free at {own}: {error}"));
    };
    let at = SocketAddr::from((own, port.number));
    let (transport, free) = match port.transport {
        Transport::Tcp => ("TCP", socket::tcp_listen(at).await.map(drop)),
        Transport::Udp => ("UDP", socket::udp(at).await.map(drop)),
    };
    match free {
        Ok(()) => Ok(port.number),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(format!(
            "{transport} port {} at {own} is taken by another program, and {} knows no other port: \
             end that program first",
            port.number, task.bridge.application.name
        )),
        Err(error) => Err(format!("cannot listen at {transport} {at}: {error}")),
    }
}

/// The other side knows our address: it may call.
async fn called(task: Task, listening: Listening, remote: &Remote) {
    let handoffs = task.handoffs(AdapterKind::Listen);
    // Without an allowed peer nobody is served.
    let peers = relay_tcp::peers(&task, remote).unwrap_or_default();
    let _watch = match first(&handoffs).and_then(|handoff| handoff.watch) {
        // Our program has the port of calls.
        Some(Watched::NetMeeting) => Some(Watch::t120(&task, &peers).await),
        None => None,
    };
    // Ended when this is dropped.
    let mut gates = JoinSet::new();
    if let Some((listener, inside)) = listening.gate {
        let limit = task.bandwidth.forwarded;
        gates.spawn(relay_tcp::gate(listener, peers, inside, limit));
    }
    one_program::attend(task, listening.started).await;
}

/// What comes first once our address is told.
enum Next {
    Connected(Remote),
    ProgramEnded(Exit),
    Ended,
}

/// Stays with a program that listens already, until it or the invitation ends.
async fn attend(mut task: Task, mut listening: Listening) {
    let next = loop {
        tokio::select! {
            exit = listening.started.ended() => break Next::ProgramEnded(exit),
            order = task.orders.recv() => match order {
                Some(Order::Prepare(_)) => ready(&mut task, &listening).await,
                Some(Order::Connected(remote)) => break Next::Connected(remote),
                Some(Order::Context(_)) => {}
                Some(Order::End) | None => break Next::Ended,
            },
        }
    };
    let exit = match next {
        Next::Connected(remote) => return called(task, listening, &remote).await,
        Next::ProgramEnded(exit) => Some(exit),
        Next::Ended => None,
    };
    one_program::leave(&task, listening.started, exit).await;
}
