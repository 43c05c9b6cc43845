//! Gives the call what it has not: connections, the time, a relay for its sound, and a phone on this
//! machine. Every address that the peer names is checked before anything goes there.
//!
//! * `arrival` brings the connection for call signalling, whoever makes it.
//! * `phone` is the other leg: our own SIP front, which is told that somebody calls.
//! * `talk` is one call from its first byte to its last.

mod arrival;
mod phone;
mod talk;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::{
    adapter::{Order, Orders, Report, Task, netmeeting::Watch, one_program, relay_tcp},
    bridge::AdapterKind,
    endpoint::{mapping::Door, socket},
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
    // Its end is waited for while the rest of the task is lent out.
    let mut orders = std::mem::replace(&mut task.orders, mpsc::unbounded_channel().1.into());
    if let Err(why) = serve(&mut task, &mut orders, port, listener, &remote).await {
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
                let opened = task.open(&[Door::tcp(port)]).await;
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
    orders: &mut Orders,
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
    let arriving = async {
        // All of it before the call, in which the other side waits for each answer.
        let listener = match listener {
            None if called => {
                task.open(&[Door::tcp(port)]).await;
                Some(listen(task.own_ip(), port).await?)
            }
            // Who is invited need not listen, and the port may be another program's.
            None => listen(task.own_ip(), port).await.ok(),
            bound => bound,
        };
        let data = match handoff.to {
            Some(to) => data(task, (to, handoff.to_port.unwrap_or(T120)).into()).await,
            None => None,
        };
        let ready = talk::Ready::open(task).await?;
        let own = task.own_ip();
        let first = arrival::first(
            own,
            listener.as_ref(),
            &targets,
            &mut peers,
            &handoff,
            &task.reports,
        );
        Ok::<_, String>((first.await?, listener, data, ready))
    };
    let (arrived, listener, data, ready) = tokio::select! {
        arrived = arriving => arrived?,
        () = one_program::end_ordered(orders) => return Ok(()),
    };
    let task = &*task;
    // Nobody else is taken for the peer any more.
    peers.learn(arrived.peer);
    let words = match arrived.target {
        Some(_) => "our own call is used",
        None => "the first call goes on",
    };
    let _watch = listener.map(|listener| Watch::over(listener, task, &peers, words));
    // Ended when this is dropped.
    let mut relays = JoinSet::new();
    let t120 = data.map(|data| {
        let (peers, limit) = (peers.clone(), task.bandwidth.forwarded);
        relays.spawn(relay_tcp::gate(data.listener, peers, data.to, limit));
        data.told
    });
    talk::run(task, orders, ready, arrived, &peers, t120).await;
    Ok(())
}

/// The port of T.120, for a program.
struct Data {
    listener: TcpListener,
    /// Where the peer is told to connect to.
    told: SocketAddrV4,
    to: SocketAddr,
}

/// Listens for T.120; why that cannot be is told, and the call goes on without.
async fn data(task: &mut Task, to: SocketAddr) -> Option<Data> {
    match listen(task.own_ip(), T120).await {
        Ok(listener) => Some(Data {
            listener,
            told: task.open(&[Door::tcp(T120)]).await.at,
            to,
        }),
        Err(why) => {
            task.say(why);
            None
        }
    }
}
