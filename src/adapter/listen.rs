//! A program of ours is called by the peer's: it is started, and listens, before our address is
//! told.

use std::{io, net::SocketAddr};

use super::{
    Order, Report, Task,
    netmeeting::Watch,
    one_program::{self, Started},
    relay_tcp,
};
use crate::{
    bridge::{AdapterKind, Value, Watched},
    endpoint::{mapping::Door, socket},
    launch::Exit,
    negotiation::{Remote, Transport},
};

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
                let Some((started, port)) = listen(&mut task, known.as_ref()).await else {
                    return;
                };
                ready(&task, port).await;
                return match known {
                    Some(remote) => called(task, started, &remote).await,
                    None => attend(task, started, port).await,
                };
            }
            Some(Order::Connected(remote)) if by_context => known = Some(remote),
            Some(Order::Connected(remote)) => {
                if let Some((started, _)) = listen(&mut task, Some(&remote)).await {
                    called(task, started, &remote).await;
                }
                return;
            }
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    }
}

async fn ready(task: &Task, port: u16) {
    let opened = match task.bridge.application.port {
        Some(port) => task.network.open(&one_program::doors(port)).await,
        None => task.network.open(&Door::both(port)).await,
    };
    task.report(Report::Ready(opened.announced));
}

/// Starts a program that listens; why there is none is told.
async fn listen(task: &mut Task, remote: Option<&Remote>) -> Option<(Started, u16)> {
    let port = match free_port(task).await {
        Ok(port) => port,
        Err(why) => {
            task.fail(why);
            return None;
        }
    };
    let mut values = one_program::known(task).with("own.port", Value::Port(port));
    // A program that need not know who comes can do without.
    let peers = remote.map(|remote| relay_tcp::peers(task, remote));
    if let Some(Ok(peers)) = peers
        && let Some(peer) = peers.known().first()
    {
        values.set("peer.ip", Value::Ip(*peer));
    }
    let handoffs = task.handoffs(AdapterKind::Listen);
    match one_program::start(task, &handoffs, &values).await {
        Ok(started) => Some((started, port)),
        Err(why) => {
            one_program::give_up(task, why);
            None
        }
    }
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
async fn called(task: Task, started: Started, remote: &Remote) {
    let handoffs = task.handoffs(AdapterKind::Listen);
    let first = handoffs.iter().find(|handoff| handoff.fits().is_ok());
    let _watch = match first.and_then(|handoff| handoff.watch) {
        // Our program has the port of calls. Without an allowed peer nobody is served.
        Some(Watched::NetMeeting) => {
            let peers = relay_tcp::peers(&task, remote).unwrap_or_default();
            Some(Watch::t120(&task, &peers).await)
        }
        None => None,
    };
    one_program::attend(task, started).await;
}

/// What comes first once our address is told.
enum Next {
    Connected(Remote),
    ProgramEnded(Exit),
    Ended,
}

/// Stays with a program that listens already, until it or the invitation ends.
async fn attend(mut task: Task, mut started: Started, port: u16) {
    let next = loop {
        tokio::select! {
            exit = started.ended() => break Next::ProgramEnded(exit),
            order = task.orders.recv() => match order {
                Some(Order::Prepare(_)) => ready(&task, port).await,
                Some(Order::Connected(remote)) => break Next::Connected(remote),
                Some(Order::Context(_)) => {}
                Some(Order::End) | None => break Next::Ended,
            },
        }
    };
    match next {
        Next::Connected(remote) => called(task, started, &remote).await,
        Next::ProgramEnded(exit) => one_program::leave(&task, started, Some(exit)).await,
        Next::Ended => one_program::leave(&task, started, None).await,
    }
}
