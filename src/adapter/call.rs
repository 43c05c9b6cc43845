//! A program of ours calls the peer's: it is started when the handshake is complete, with the
//! address that the peer told.
//!
//! The peer may have told its address before its program listens. A handoff can leave it some
//! seconds, look whether anybody listens there, or both.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{Order, Report, Task, netmeeting::Watch, one_program};
use crate::{
    bridge::{AdapterKind, Handoff, Probe, Value, Values, Watched},
    endpoint::{callers::Callers, policy::Allowed, socket, whereabouts},
    negotiation::Remote,
};

/// How often the peer is asked whether it listens, and how long it may take to answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most addresses of the peer that are asked.
const MAX_TARGETS: usize = 4;

/// Where the peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    at: Allowed,
    /// Whether its port was told, or is the application's own.
    has_port: bool,
}

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let remote = loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_)) => task.ready().await,
            Some(Order::Connected(remote)) => break remote,
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    };
    let handoffs = task.handoffs(AdapterKind::Call);
    let targets = match targets(&task, &remote) {
        Ok(targets) => targets,
        Err(why) => return task.fail(why),
    };
    // Where none can run nothing is waited for: the start tells why.
    let first = handoffs.iter().find(|handoff| handoff.fits().is_ok());
    let mut watch = match first.and_then(|handoff| handoff.watch) {
        Some(Watched::NetMeeting) => {
            let peers = targets.iter().map(|target| target.at.ip()).collect();
            let peers = Callers::new(peers, whereabouts::neighbourhoods());
            Some(Watch::calls_and_t120(&task, &peers).await)
        }
        None => None,
    };
    let (reports, orders) = (&task.reports, &mut task.orders);
    let target = tokio::select! {
        found = find(first, &targets, reports) => found,
        () = one_program::end_ordered(orders) => return,
    };
    let values = match target {
        Ok(target) => values(&task, target),
        Err(why) => return task.fail(why),
    };
    if let Some(watch) = &mut watch {
        watch.leave_calls().await;
    }
    match one_program::start(&mut task, &handoffs, &values).await {
        Ok(started) => one_program::attend(task, started).await,
        Err(why) => one_program::give_up(&task, why),
    }
}

/// Every allowed address of the peer, best first; not none.
fn targets(task: &Task, remote: &Remote) -> Result<Vec<Target>, String> {
    let fixed = task.bridge.application.port.map(|port| port.number);
    let told = remote.told().map(|(ip, port)| (ip, port.or(fixed)));
    let mut allowed = task
        .policy
        .those_allowed(told)
        .map_err(|error| error.to_string())?;
    allowed.truncate(MAX_TARGETS);
    let targets = allowed.iter().map(|(at, port)| Target {
        at: *at,
        has_port: port.is_some(),
    });
    Ok(targets.collect())
}

/// Leaves the peer its time and finds out at which of its addresses it listens.
async fn find(
    handoff: Option<&Handoff>,
    targets: &[Target],
    reports: &tokio::sync::mpsc::UnboundedSender<Report>,
) -> Result<Target, String> {
    let first = targets.first().copied();
    let first = first.ok_or_else(|| "the peer gave no address".to_owned());
    let Some(handoff) = handoff else {
        return first;
    };
    // Sleeping for no time at all takes a millisecond.
    if !handoff.wait.is_zero() {
        sleep(handoff.wait).await;
    }
    if handoff.probe != Some(Probe::Tcp) {
        return first;
    }
    let known: Vec<Target> = targets.iter().copied().filter(|it| it.has_port).collect();
    if known.is_empty() {
        return Err("the other side told no port to look at".to_owned());
    }
    let _ = reports.send(Report::Say(
        "waiting until the other side's program listens".to_owned(),
    ));
    let within = handoff.probe_within;
    let listening = timeout(within, listening(&known)).await;
    listening.map_err(|_| {
        let places: Vec<String> = known.iter().map(|it| it.at.to_string()).collect();
        format!(
            "nobody listened at {} within {} s",
            places.join(" or "),
            within.as_secs()
        )
    })
}

/// The first that takes a connection. It is closed at once: the program will make its own.
async fn listening(targets: &[Target]) -> Target {
    let mut interval = interval(ASK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let mut asking = JoinSet::new();
        for target in targets.iter().copied() {
            asking.spawn(async move {
                let taken = socket::tcp_connect_peer(target.at, ASK_EVERY).await;
                taken.map(|_| target)
            });
        }
        while let Some(asked) = asking.join_next().await {
            match asked {
                Ok(Ok(target)) => return target,
                Ok(Err(error)) => tracing::debug!(%error, "not listening yet"),
                Err(error) => tracing::warn!(%error, "a question was not asked"),
            }
        }
    }
}

fn values(task: &Task, target: Target) -> Values {
    let mut values = one_program::known(task).with("peer.ip", Value::Ip(target.at.ip()));
    if target.has_port {
        values.set("peer.port", Value::Port(target.at.port()));
    }
    values
}
