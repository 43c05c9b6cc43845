//! A player shows the picture: which one, from its start to the end of one of them.

use std::{pin::pin, time::Duration};

use super::{
    backlog::Backlog,
    line::{Happening, Line},
    player::{PAUSE, Stage},
    session::{End, finish},
};
use crate::{
    adapter::{
        Report, Task,
        one_program::{self, NotStarted, Started},
    },
    bridge::Handoff,
    media::{picture::Coding, sdp::Format},
};

/// How long a player may take to show the rest and end by itself when the sender has left.
const LAST_PICTURES: Duration = Duration::from_secs(3);

/// How long a player that lags behind has before it is told that the sender has left.
const BEFORE_FAREWELL: Duration = Duration::from_millis(750);

/// The players for that payload type, best first, and how it is described to them. What stands
/// behind the recording is not reached.
pub(super) fn players(handoffs: &[Handoff], payload_type: u8) -> Vec<(Handoff, Format)> {
    let described = |handoff: &Handoff| match Coding::of(payload_type) {
        Some(_) => Some(Format::fixed(payload_type)),
        None => {
            let mut formats = handoff.formats.iter();
            formats.find(|it| it.payload_type == payload_type).cloned()
        }
    };
    let mut players: Vec<(Handoff, Format)> = handoffs
        .iter()
        .take_while(|handoff| !handoff.builtin)
        .filter_map(|handoff| Some((handoff.clone(), described(handoff)?)))
        .collect();
    // One description is written, and it is the first one's.
    if let Some((_, first)) = players.first().cloned() {
        players.retain(|(_, format)| *format == first);
    }
    players
}

/// How showing it went.
pub(super) enum Outcome {
    /// The session is over.
    Over,
    /// No player runs.
    NotStarted { not_installed: bool, why: String },
}

/// Starts the first player that can run, and stays with it to its end.
pub(super) async fn play(
    task: &mut Task,
    line: &mut Line,
    backlog: &mut Backlog,
    players: Vec<Handoff>,
    format: &Format,
) -> Outcome {
    let stage = match Stage::set(format, task.own_ip()).await {
        Ok(stage) => stage,
        Err(why) => {
            return Outcome::NotStarted {
                not_installed: false,
                why,
            };
        }
    };
    let players: Vec<Handoff> = players.into_iter().map(|it| stage.awaited(it)).collect();
    let mut left = None;
    let started = {
        let mut starting = pin!(one_program::start(task, &players, &stage.values));
        loop {
            tokio::select! {
                result = &mut starting => break result,
                happening = line.next() => match happening {
                    Happening::Packets(packets) => {
                        packets.into_iter().for_each(|packet| backlog.push(packet));
                    }
                    // The player would have nothing to show. Its start is waited for, so that its
                    // end can be told as well.
                    happening => {
                        left = End::of(&happening, line);
                        if left.is_some() {
                            break starting.await;
                        }
                    }
                },
            }
        }
    };
    let started = match started {
        Ok(started) => started,
        Err(NotStarted::None { not_installed, why }) => {
            return Outcome::NotStarted { not_installed, why };
        }
        Err(NotStarted::Ended) => {
            line.close();
            let end = left.unwrap_or(End::Ordered);
            finish(
                task,
                line,
                &end,
                std::iter::once("no player ran yet".to_owned()),
            );
            return Outcome::Over;
        }
    };
    if let Some(end) = left {
        line.close();
        one_program::over(task, started, None).await;
        finish(task, line, &end, std::iter::empty());
        return Outcome::Over;
    }
    if let Some(handoff) = players.iter().find(|it| it.name == started.name()) {
        line.set_idle(handoff.idle);
    }
    task.say(format!("{} shows the picture", started.name()));
    task.report(Report::Running);
    task.report(Report::Media(line.meter()));
    attend(task, line, backlog, &stage, started).await;
    Outcome::Over
}

/// Carries the picture to the player until one of them ends.
async fn attend(
    task: &mut Task,
    line: &mut Line,
    backlog: &mut Backlog,
    stage: &Stage,
    mut started: Started,
) {
    backlog.go_live();
    let end = loop {
        stage.send(backlog);
        let happening = tokio::select! {
            happening = line.next() => happening,
            () = tokio::time::sleep(PAUSE), if !backlog.is_empty() => continue,
            exit = started.ended() => break End::Player(exit),
            () = task.end_ordered() => break End::Ordered,
        };
        let end = End::of(&happening, line);
        if let Happening::Packets(packets) = happening {
            packets.into_iter().for_each(|packet| backlog.push(packet));
        }
        if let Some(end) = end {
            break end;
        }
    };
    let left = line.close();
    let mut exit = None;
    match &end {
        End::Player(ended) => exit = Some(*ended),
        End::Bye | End::Silence(_) => {
            left.into_iter().for_each(|packet| backlog.push(packet));
            let last = async {
                while !backlog.is_empty() {
                    stage.send(backlog);
                    tokio::time::sleep(PAUSE).await;
                }
                // A farewell overtakes what the player has not read yet.
                tokio::time::sleep(BEFORE_FAREWELL).await;
                if let Some((_, source)) = line.reception().stream() {
                    stage.bye(source);
                }
                started.ended().await;
            };
            // Many players end at the last picture; the others are ended.
            let _ = tokio::time::timeout(LAST_PICTURES, last).await;
        }
        End::Ordered | End::Disk(_) => {}
    }
    let how = one_program::over(task, started, exit).await;
    finish(task, line, &end, how.into_iter());
}
