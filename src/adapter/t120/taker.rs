//! Who takes the T.120 here: a program that runs already, one that is started for it, or nobody.

use std::net::{Ipv4Addr, SocketAddr};

use super::arrival::Taker;
use crate::{
    adapter::{
        Report, Task,
        one_program::{self, NotStarted, Started},
    },
    bridge::{AdapterKind, Handoff, Value},
    endpoint::socket,
};

/// T.120's own port.
pub(super) const T120: u16 = 1503;

/// Who takes it.
pub(super) struct Found {
    pub taker: Taker,
    /// The port at which the other side's T.120 is taken.
    pub port: u16,
    /// The program, if it was started for it.
    pub program: Option<Started>,
}

/// Finds the first of the handoffs that can take it, and starts its program. Why there is none is
/// told.
pub(super) async fn find(task: &mut Task) -> Option<Found> {
    let mut reasons = Vec::new();
    let mut not_installed = true;
    for handoff in task.handoffs(AdapterKind::T120) {
        let port = handoff.ports.iter().next().unwrap_or(T120);
        if let Err(missing) = handoff.fits() {
            reasons.push(format!("{}: {missing}", handoff.name));
            continue;
        }
        if handoff.builtin {
            return Some(Found {
                taker: Taker::Folder(task.recordings.clone()),
                port,
                program: None,
            });
        }
        if let Some(to) = handoff.to {
            let at = SocketAddr::from((to, handoff.to_port.unwrap_or(T120)));
            if at == SocketAddr::from((task.own_ip(), port)) {
                reasons.push(format!(
                    "{}: {at} is where we listen ourselves",
                    handoff.name
                ));
                continue;
            }
            task.say(format!("what comes is given to {} at {at}", handoff.name));
            return Some(Found {
                taker: Taker::Program(at),
                port,
                program: None,
            });
        }
        not_installed = false;
        match started(task, &handoff).await {
            Ok((program, at)) => {
                return Some(Found {
                    taker: Taker::Program(at),
                    port,
                    program: Some(program),
                });
            }
            Err(NotStarted::Ended) => return None,
            Err(NotStarted::None { why, .. }) => reasons.push(why),
        }
    }
    if reasons.is_empty() {
        reasons.push("no program for it is named".to_owned());
    }
    if let (true, Some(install)) = (not_installed, &task.bridge.install) {
        reasons.push(format!("to install: {install}"));
    }
    let why = reasons.join("; ");
    task.report(Report::Failed { not_installed, why });
    None
}

async fn started(task: &mut Task, handoff: &Handoff) -> Result<(Started, SocketAddr), NotStarted> {
    let port = socket::free_port(Ipv4Addr::LOCALHOST).await;
    let port = port.map_err(|error| NotStarted::None {
        not_installed: false,
        why: format!("no port is free for {}: {error}", handoff.name),
    })?;
    let values = one_program::known(task).with("agent.port", Value::Port(port));
    let program = one_program::start(task, std::slice::from_ref(handoff), &values).await?;
    Ok((program, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

/// Unguessable bytes. Without randomness (which Linux does not withhold) it still works, only tags
/// could be guessed; the peer's address is checked all the same.
pub(super) fn seed() -> [u8; 24] {
    let mut bytes = [0; 24];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "no randomness");
    }
    bytes
}
