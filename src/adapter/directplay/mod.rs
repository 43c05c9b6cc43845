//! Games of the DirectPlay 4 generation in Wine: Baldur's Gate II, MechWarrior 4 Mercenaries, and
//! any other that is registered in a prefix (APPLICATIONS.md 5).
//!
//! The one who was invited asks the host for its sessions until there is one, and then starts the
//! game: by `dprun`, which joins that session, or plainly, and then the person joins in the game's
//! own menu. The one who invites starts the game and hosts.

pub mod enumerate;
mod search;

use std::net::SocketAddrV4;

use super::{
    Task,
    one_program::{self, Beginning},
};
use crate::{
    bridge::{AdapterKind, Handoff, Value},
    negotiation::Remote,
    shown,
    wine::Wanted,
};
use search::Outcome;

/// Where a host is asked for its sessions.
const PORT: u16 = 47_624;

/// Serves one invitation to play.
pub async fn run(mut task: Task) {
    match one_program::beginning(&mut task).await {
        Beginning::Host => {
            task.say(
                "in the game, create a TCP/IP session; TCP 47624 and TCP and UDP 2300 to 2400 \
                 must be reachable for the other side",
            );
            one_program::host(task, AdapterKind::DirectPlay).await;
        }
        Beginning::Join(remote) => join(task, &remote).await,
        Beginning::Ended => {}
    }
}

async fn join(mut task: Task, remote: &Remote) {
    let handoffs = task.handoffs(AdapterKind::DirectPlay);
    let Some(application) = application(&task, &handoffs) else {
        return task.fail("the game's GUID is not of the usual shape".to_owned());
    };
    let port = task
        .bridge
        .application
        .port
        .map_or(PORT, |port| port.number);
    let targets = match search::targets(&task.policy, remote, port) {
        Ok(targets) => targets,
        Err(why) => return task.fail(why),
    };
    task.say("waiting until the other side hosts the game");
    let own = task.own_ip();
    let outcome = tokio::select! {
        outcome = search::search(own, &targets, application) => outcome,
        () = task.end_ordered() => return,
    };
    // The search has given its ports back: the game wants the same.
    let (target, session) = match outcome {
        Ok(Outcome::Session(target, session)) => (target, Some(session)),
        Ok(Outcome::Silent(target)) => (target, None),
        Err(why) => return task.fail(why),
    };
    let mut values = one_program::joining(&task, SocketAddrV4::new(target.ip(), target.port()));
    match &session {
        Some(session) => {
            values.set("session.guid", Value::Guid(session.instance));
            let most = match session.max_players {
                0 => String::new(),
                most => format!(" of {most}"),
            };
            task.say(format!(
                "the other side hosts {:?}, {}{most} players",
                shown::line(&session.name, 40),
                session.players,
            ));
        }
        None => task.say(
            "the other side runs DirectPlay but tells of no session: either it does not host yet, \
             or its answer does not reach us (TCP 2300 to 2400)",
        ),
    }
    task.say(format!(
        "if the game asks how to join: TCP/IP, address {}",
        target.ip()
    ));
    match one_program::start(&mut task, &handoffs, &values).await {
        Ok(started) => one_program::attend(task, started).await,
        Err(why) => one_program::give_up(&task, why),
    }
}

/// What the game registered itself by, or what the invitation called it.
fn application(task: &Task, handoffs: &[Handoff]) -> Option<[u8; 16]> {
    let mut wanted = handoffs.iter().filter_map(|handoff| handoff.wine.as_ref());
    let registered = wanted
        .find_map(Wanted::find)
        .and_then(|game| game.guid)
        .and_then(|guid| guid.bytes());
    let named = || {
        let guids = &task.bridge.application.guids;
        guids.iter().find_map(crate::invitation::Guid::bytes)
    };
    registered.or_else(named)
}
