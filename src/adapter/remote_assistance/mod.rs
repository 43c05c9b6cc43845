//! Remote Assistance (APPLICATIONS.md 4): the one who wants help sends a ticket as context data, and
//! the one who helps, which is us, connects to the address in it by RDP. Asked or offered, the
//! ticket comes from the one who wants help (PROTOCOL.md 5.6).
//!
//! The ticket is kept as a file of the user's in any case. FreeRDP gets a file of its own, with the
//! one address that the policy allowed and that answered. When the ticket is on its way the peer's
//! client ends the invitation by CANCEL, which is success: the program lives on.

pub mod encrypted;
pub mod incident;
mod keep;
mod reach;
pub mod string_one;
pub mod string_two;
mod text;
pub mod ticket;
pub mod upload;

#[cfg(test)]
mod ticket_tests;

use std::{
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Order, Report, Task,
    one_program::{self, Beginning},
};
use crate::{
    bridge::{AdapterKind, Handoff, Value},
    launch::PrivateDir,
    negotiation::Remote,
};
use ticket::{Generation, Messages, Reading, Ticket};

/// So long nothing at all may come: as long as an invitation waits for its start.
const FIRST_WITHIN: Duration = Duration::from_secs(180);
/// So long nothing may come after what can be used as it is, before it is.
const QUIET: Duration = Duration::from_secs(2);
/// The same after what is only the beginning of a ticket.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the invitation stays open when the file is all there is: the one who wants help ends it,
/// and a CANCEL of ours might end more than the invitation.
const LINGER: Duration = Duration::from_secs(600);

/// Serves one invitation.
pub async fn run(mut task: Task) {
    match one_program::beginning(&mut task).await {
        Beginning::Join(remote) => help(task, &remote).await,
        Beginning::Host => task.report(Report::Failed {
            not_installed: true,
            why: "nothing here shares this screen with Remote Assistance".to_owned(),
        }),
        Beginning::Ended => {}
    }
}

async fn help(mut task: Task, remote: &Remote) {
    task.say("waiting for the other side's ticket");
    let Some((messages, reading)) = receive(&mut task).await else {
        return;
    };
    let kept = match keep::keep(&task.recordings, &messages, &reading) {
        Ok(path) => path,
        Err(error) => {
            let folder = task.recordings.display();
            return task.fail(format!("the ticket cannot be kept in {folder}: {error}"));
        }
    };
    let ticket = match reading {
        Reading::Ticket { ticket, .. } => ticket,
        other => {
            task.say(describe(&other));
            return leave_file(task, &kept).await;
        }
    };
    let (programs, missing) = programs(&task, &ticket);
    for line in truths(&ticket, programs.is_empty()) {
        task.say(line);
    }
    if programs.is_empty() {
        for why in missing {
            task.say(format!("to see the screen here: {why}"));
        }
        return leave_file(task, &kept).await;
    }
    task.say(format!("the ticket is kept in {}", kept.display()));
    let targets = reach::targets(&task.policy, ticket.addresses(), remote);
    for why in &targets.left_out {
        task.say(format!("not tried: {why}"));
    }
    let found = tokio::select! {
        found = reach::probe(&targets.allowed) => found,
        () = task.end_ordered() => return,
    };
    match found {
        Ok(at) => start(task, &ticket, at, &programs).await,
        Err(tried) if tried.is_empty() => {
            task.fail("the ticket names no address that may be tried".to_owned());
        }
        Err(tried) => task.fail(format!("no address of the ticket answers: {tried}")),
    }
}

/// Collects context messages until they are a ticket, or no more come.
async fn receive(task: &mut Task) -> Option<(Messages, Reading)> {
    let mut messages = Messages::default();
    loop {
        let reading = messages.read();
        let wait = match &reading {
            Reading::Ticket { whole: true, .. } => return Some((messages, reading)),
            Reading::Unfinished if messages.bytes().is_empty() => FIRST_WITHIN,
            Reading::Unfinished => PATIENCE,
            _ => QUIET,
        };
        let Ok(order) = timeout(wait, task.orders.recv()).await else {
            return Some((messages, reading));
        };
        match order {
            Some(Order::Context(data)) => messages.push(&data),
            Some(Order::Prepare(_) | Order::Connected(_)) => {}
            Some(Order::End) | None => return None,
        }
    }
}

/// What came instead of a ticket.
fn describe(reading: &Reading) -> String {
    match reading {
        Reading::Unfinished => "only the beginning of a ticket came".to_owned(),
        Reading::Malformed(fault) => format!("what came looks like a ticket, but {fault}"),
        Reading::Opaque(look) => format!("what came is no ticket that is known here: {look}"),
        Reading::Ticket { .. } => "a ticket came".to_owned(),
    }
}

/// What the user must know of a ticket before anything is started.
fn truths(ticket: &Ticket, starts_nothing: bool) -> Vec<String> {
    let mut lines = Vec::new();
    match ticket.generation() {
        Generation::Xp => {
            lines.push(
                "this ticket is from Windows XP, with which FreeRDP cannot finish Remote Assistance"
                    .to_owned(),
            );
            lines.push(if starts_nothing {
                "so nothing is started; take the file to a Windows machine or guest and open it there".to_owned()
            } else {
                "it is started all the same, because a bridge file of yours says so".to_owned()
            });
        }
        Generation::Vista => lines.push("this ticket is from Windows Vista or later".to_owned()),
    }
    if let Ticket::File(upload) = ticket
        && upload.asks_for_password
    {
        lines.push(
            "it asks for a password, which only you two know: open the file yourself".to_owned(),
        );
    }
    lines
}

/// Those that take such a ticket and can run here, and why others cannot. A file with a password is
/// for nobody but the user.
fn programs(task: &Task, ticket: &Ticket) -> (Vec<Handoff>, Vec<String>) {
    let (mut able, mut missing) = (Vec::new(), Vec::new());
    if matches!(ticket, Ticket::File(_)) {
        return (able, missing);
    }
    for handoff in task.handoffs(AdapterKind::RemoteAssistance) {
        if handoff.builtin || !takes(&handoff, ticket.generation()) {
            continue;
        }
        match handoff.fits() {
            Ok(()) => able.push(handoff),
            Err(why) => missing.push(format!("{}: {why}", handoff.name)),
        }
    }
    if let (false, Some(install)) = (missing.is_empty(), &task.bridge.install) {
        missing.push(format!("to install: {install}"));
    }
    (able, missing)
}

/// Tickets of Windows XP are for those that name their protocol only.
fn takes(handoff: &Handoff, generation: Generation) -> bool {
    match handoff.protocols.as_slice() {
        [] => generation == Generation::Vista,
        named => named.contains(&generation.protocol()),
    }
}

/// The file is what there is: the user goes on with it.
async fn leave_file(mut task: Task, kept: &Path) {
    let kept = kept.display();
    task.say(format!("what came is kept in {kept}"));
    task.report(Report::Running);
    if timeout(LINGER, task.end_ordered()).await.is_err() {
        task.report(Report::Finished(format!("the rest is yours: {kept}")));
    }
}

async fn start(mut task: Task, ticket: &Ticket, at: SocketAddrV4, programs: &[Handoff]) {
    // Gone when this returns, after the program.
    let written = PrivateDir::new().and_then(|dir| Ok((write(&dir, ticket, at)?, dir)));
    let (path, _dir) = match written {
        Ok((Some(path), dir)) => (path, dir),
        Ok((None, _)) => return task.fail("there is no program for such a ticket".to_owned()),
        Err(error) => return task.fail(format!("the file for FreeRDP: {error}")),
    };
    let values = one_program::joining(&task, at).with("ticket", Value::Path(path));
    match one_program::start(&mut task, programs, &values).await {
        Ok(started) => one_program::attend(task, started).await,
        Err(why) => one_program::give_up(&task, why),
    }
}

/// FreeRDP knows such a file by the end of its name.
fn write(dir: &PrivateDir, ticket: &Ticket, at: SocketAddrV4) -> std::io::Result<Option<PathBuf>> {
    let text = match ticket {
        Ticket::One(one) => incident::one_for_freerdp(one, at),
        Ticket::Two(two) => incident::two_for_freerdp(two, at),
        Ticket::File(_) => return Ok(None),
    };
    let name = Path::new("ticket.msrcIncident");
    dir.write(name, text.as_bytes()).map(Some)
}
