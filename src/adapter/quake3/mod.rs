//! Games of the Quake 3 family: Jedi Outcast, Jedi Academy (APPLICATIONS.md 6).
//!
//! The invitation does not tell which game it is for, nor at which port it is hosted. The one who
//! was invited asks at every port of the bridge until a game answers; its protocol number chooses
//! the program. The one who invites starts the game and hosts.

pub mod probe;
mod search;

use std::net::SocketAddrV4;

use super::{
    Report, Task,
    one_program::{self, Beginning},
};
use crate::{
    bridge::{AdapterKind, Handoff, Value, Values},
    negotiation::Remote,
    shown,
};
use probe::Info;

/// A game that answered.
#[derive(Debug)]
pub(super) struct Found {
    /// Where.
    pub(super) at: SocketAddrV4,
    /// What it said.
    pub(super) info: Info,
}

/// Serves one invitation to play.
pub async fn run(mut task: Task) {
    match one_program::beginning(&mut task).await {
        Beginning::Host => one_program::host(task, AdapterKind::Quake3).await,
        Beginning::Join(remote) => join(task, &remote).await,
        Beginning::Ended => {}
    }
}

/// The peer's game is the one to be joined.
async fn join(mut task: Task, remote: &Remote) {
    let handoffs = task.handoffs(AdapterKind::Quake3);
    let targets = match search::targets(&task.policy, remote, &handoffs) {
        Ok(targets) => targets,
        Err(why) => return task.fail(why),
    };
    task.say("waiting until the other side's game answers");
    let own = task.own_ip();
    let found = tokio::select! {
        found = search::search(own, &targets) => found,
        () = task.end_ordered() => return,
    };
    let found = match found {
        Ok(found) => found,
        Err(why) => return task.fail(why),
    };
    let Info {
        protocol,
        hostname,
        map,
        clients,
        max_clients,
        ..
    } = &found.info;
    task.say(format!(
        "found {} at {}: map {}, {clients} of {max_clients} players",
        shown::line(hostname, 40),
        found.at,
        shown::line(map, 40),
    ));
    if found.info.needs_password {
        task.say("that game asks for a password");
    }
    let able: Vec<Handoff> = handoffs
        .into_iter()
        .filter(|handoff| handoff.protocols.is_empty() || handoff.protocols.contains(protocol))
        .collect();
    if able.is_empty() {
        let why = format!("no program is named for a game with protocol {protocol}");
        return task.report(Report::Failed {
            not_installed: true,
            why,
        });
    }
    let values = values(&task, &found);
    match one_program::start(&mut task, &able, &values).await {
        Ok(started) => one_program::attend(task, started).await,
        Err(why) => one_program::give_up(&task, why),
    }
}

fn values(task: &Task, found: &Found) -> Values {
    let mut values = one_program::joining(task, found.at);
    // A folder name of the peer's choosing: plain, or not handed on at all.
    if let Some(game) = &found.info.game {
        match Value::plain_name("modification", game) {
            Ok(game) => values.set("game.mod", game),
            Err(error) => tracing::warn!(invitation = task.invitation.0, %error),
        }
    }
    values
}
