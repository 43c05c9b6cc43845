//! A recorder: TCP and UDP at the announced port, and a file of everything that the peer sends there,
//! for an application that nothing here understands. Nothing is ever answered.

mod ears;
mod flows;
mod keeping;
mod notes;

use std::{
    net::{SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    net::{TcpListener, UdpSocket},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Order, Report, Task, relay_tcp};
use crate::{
    bridge::{AdapterKind, Handoff},
    clock::{self, Clock},
    endpoint::{mapping::Door, socket},
    negotiation::Remote,
    shown,
};
use ears::Ears;
use keeping::{Full, Keeping};
use notes::Subject;

/// How often what was kept is brought to the file system.
const FLUSH: Duration = Duration::from_secs(1);
/// When the end is ordered, what is on its way is still kept: until it is silent so long,
const SILENCE: Duration = Duration::from_millis(50);
/// but not longer than this.
const LAST_CALL: Duration = Duration::from_secs(1);
/// Most protocols that the user is told of.
const MAX_TOLD: usize = 8;
/// The longest handle in a file, in characters.
const MAX_NAME: usize = 120;

/// The sockets at the announced port.
struct Bound {
    udp: UdpSocket,
    tcp: TcpListener,
    at: SocketAddrV4,
}

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let Some(handoff) = task.handoffs(AdapterKind::Record).into_iter().next() else {
        return task.fail("no handoff records".to_owned());
    };
    let mut bound = None;
    let remote = loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_)) => match listen(&task, &mut bound).await {
                Ok(at) => ready(&mut task, at).await,
                Err(why) => return task.fail(why),
            },
            Some(Order::Connected(remote)) => break remote,
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    };
    // Who announces nothing has not been asked to prepare.
    if let Err(why) = listen(&task, &mut bound).await {
        return task.fail(why);
    }
    if let Some(bound) = bound
        && let Err(why) = record(&mut task, &handoff, bound, &remote).await
    {
        task.fail(why);
    }
}

async fn ready(task: &mut Task, at: SocketAddrV4) {
    let opened = task.open(&Door::both(at.port())).await;
    task.report(Report::Ready(opened.announced));
}

/// Binds both sockets at the application's own port, or at one that is free.
async fn listen(task: &Task, bound: &mut Option<Bound>) -> Result<SocketAddrV4, String> {
    if let Some(bound) = bound {
        return Ok(bound.at);
    }
    let own = task.own_ip();
    let (udp, tcp, port) = match task.bridge.application.port {
        None => {
            let pair = socket::udp_tcp_pair(task.network.bind.clone()).await;
            let (udp, tcp) = pair.map_err(|error| format!("no port is free at {own}: {error}"))?;
            let port = tcp.local_addr().map_or(0, |at| at.port());
            (udp, tcp, port)
        }
        Some(port) => {
            let at = SocketAddr::from((own, port.number));
            let taken = |error| format!("cannot listen at {at}: {error}");
            let tcp = socket::tcp_listen(at).await.map_err(taken)?;
            (socket::udp(at).await.map_err(taken)?, tcp, port.number)
        }
    };
    let at = SocketAddrV4::new(own, port);
    *bound = Some(Bound { udp, tcp, at });
    Ok(at)
}

/// Why a recording is over.
enum Over {
    Ordered,
    Silent(Duration),
    Full(Full),
}

/// Keeps what comes until it is over. The error is for people.
async fn record(
    task: &mut Task,
    handoff: &Handoff,
    bound: Bound,
    remote: &Remote,
) -> Result<(), String> {
    let peers = relay_tcp::peers(task, remote)?;
    let at = bound.at;
    let application = &task.bridge.application;
    let subject = Subject {
        application: shown::line(&application.name, MAX_NAME),
        id: application.id.clone(),
        invitation: task.invitation,
        peer: shown::line(&task.peer, MAX_NAME),
        at,
    };
    let cannot = |error| format!("the recording cannot be written: {error}");
    let times = Times::start();
    let mut keeping =
        Keeping::create(&task.recordings, subject, handoff.keep, times.today()).map_err(cannot)?;
    task.say(format!(
        "what the other side sends to {at}, by TCP or UDP, is recorded in {} and {}",
        keeping.pcap().display(),
        keeping.text().display()
    ));
    let mut ears = Ears::new(bound.udp, bound.tcp, peers);
    let over = listen_in(task, handoff, &mut ears, &mut keeping, &times).await;
    drop(ears);
    let (over, kept) = (
        over.map_err(cannot)?,
        keeping.finish(times.today()).map_err(cannot)?,
    );
    let why = match over {
        Over::Ordered => String::new(),
        Over::Silent(idle) => format!("nothing came for {} s; ", idle.as_secs()),
        Over::Full(full) => format!("{full}; "),
    };
    let seconds = times.elapsed().as_secs();
    task.report(Report::Finished(match kept {
        Some(kept) => format!("{why}{kept} in {seconds} s"),
        None => format!("{why}nothing was recorded in {seconds} s"),
    }));
    Ok(())
}

/// The calendar at the beginning, and the time since: a recording's times never go back.
struct Times {
    began: Duration,
    clock: Clock,
}

impl Times {
    fn start() -> Self {
        Self {
            began: clock::today(),
            clock: Clock::start(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.now()
    }

    fn today(&self) -> Duration {
        self.began + self.elapsed()
    }
}

async fn listen_in(
    task: &mut Task,
    handoff: &Handoff,
    ears: &mut Ears,
    keeping: &mut Keeping,
    times: &Times,
) -> std::io::Result<Over> {
    let mut ticks = interval(FLUSH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Since the first of it.
    let mut since: Option<Duration> = None;
    let mut last = Duration::ZERO;
    let mut told = 0;
    loop {
        tokio::select! {
            heard = ears.heard() => {
                if let Err(full) = keeping.keep(ears, heard, times.today())? {
                    return Ok(Over::Full(full));
                }
                last = times.elapsed();
                if since.is_none() {
                    since = Some(last);
                    task.report(Report::Running);
                }
                for protocol in keeping.recognised() {
                    told += 1;
                    if told <= MAX_TOLD {
                        task.say(format!("what comes looks like {protocol}"));
                    }
                }
            }
            _ = ticks.tick() => {
                keeping.flush()?;
                let now = times.elapsed();
                if since.is_some_and(|since| now - since >= handoff.keep.time) {
                    return Ok(Over::Full(Full::Time(handoff.keep.time)));
                }
                // Before the first of it the negotiation's own patience ends it.
                if since.is_some() && now - last >= handoff.idle {
                    return Ok(Over::Silent(handoff.idle));
                }
            }
            order = task.orders.recv() => match order {
                Some(Order::Prepare(_)) => ready(task, keeping.at()).await,
                Some(Order::Context(data)) => keeping.context(&data, times.today())?,
                Some(Order::Connected(_)) => {}
                Some(Order::End) | None => break,
            }
        }
    }
    let deadline = times.elapsed() + LAST_CALL;
    while times.elapsed() < deadline {
        let Ok(heard) = timeout(SILENCE, ears.heard()).await else {
            break;
        };
        if keeping.keep(ears, heard, times.today())?.is_err() {
            break;
        }
    }
    Ok(Over::Ordered)
}
