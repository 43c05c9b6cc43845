//! One session: the first packet, then a player or a recording, then the end in words.

use std::{net::SocketAddr, time::Duration};

use super::{
    backlog::Backlog,
    line::{Happening, Line},
    recording::{Made, Recording},
    showing::{Outcome, play, players},
    still,
};
use crate::{
    adapter::{Report, Task},
    bridge::AdapterKind,
    launch::Exit,
    media::picture::Coding,
    shown,
};

/// How a session ended.
pub(super) enum End {
    /// By order.
    Ordered,
    /// The sender left.
    Bye,
    /// Nothing came for so long.
    Silence(Duration),
    /// The player ended.
    Player(Exit),
    /// The recording could not be written.
    Disk(String),
}

impl End {
    pub(super) fn of(happening: &Happening, line: &Line) -> Option<Self> {
        match happening {
            Happening::Packets(_) => None,
            Happening::Bye => Some(Self::Bye),
            Happening::Silence => Some(Self::Silence(line.idle())),
        }
    }

    /// What the user reads; nothing where the user knows.
    fn words(&self) -> Option<String> {
        match self {
            Self::Ordered | Self::Player(_) => None,
            Self::Bye => Some("the other side has stopped its picture".to_owned()),
            Self::Silence(idle) => Some(format!("no picture came for {} s", idle.as_secs())),
            Self::Disk(why) => Some(format!("the recording ended: {why}")),
        }
    }
}

/// Serves the session from the handshake to its end.
pub(super) async fn serve(mut task: Task, mut line: Line) {
    task.say("waiting for the other side's picture");
    let packets = loop {
        let happening = tokio::select! {
            happening = line.next() => happening,
            () = task.end_ordered() => return,
        };
        match happening {
            Happening::Packets(packets) if line.reception().is_locked() => break packets,
            Happening::Silence => {
                let seconds = line.idle().as_secs();
                return task.fail(format!(
                    "no picture came within {seconds} s; a firewall or router in between, on either side, may keep it out"
                ));
            }
            _ => {}
        }
    };
    let (Some((payload_type, _)), Some(from)) =
        (line.reception().stream(), line.reception().there())
    else {
        return;
    };
    let coding = Coding::of(payload_type);
    let what = coding.map_or("a stream of a kind unknown here", Coding::name);
    task.say(format!(
        "{what} (payload type {payload_type}) arrives from {from}"
    ));
    let mut backlog = Backlog::new(coding);
    packets.into_iter().for_each(|packet| backlog.push(packet));

    let handoffs = task.handoffs(AdapterKind::Rtp);
    let players = players(&handoffs, payload_type);
    let (not_installed, why) = if let Some((_, format)) = players.first() {
        let format = format.clone();
        let players = players.into_iter().map(|(player, _)| player).collect();
        match play(&mut task, &mut line, &mut backlog, players, &format).await {
            Outcome::Over => return,
            Outcome::NotStarted { not_installed, why } => (not_installed, why),
        }
    } else {
        let why = format!("no player is named for payload type {payload_type}");
        (false, why)
    };
    let Some(recorder) = handoffs.iter().find(|handoff| handoff.builtin) else {
        return task.report(Report::Failed { not_installed, why });
    };
    line.set_idle(recorder.idle);
    if handoffs.first().is_some_and(|first| !first.builtin) {
        task.say(shown::line(&why, 600));
    }
    record(task, line, backlog, payload_type, from).await;
}

/// Records until the end.
async fn record(
    mut task: Task,
    mut line: Line,
    mut backlog: Backlog,
    payload_type: u8,
    from: SocketAddr,
) {
    let (SocketAddr::V4(from), Some(SocketAddr::V4(to))) = (from, line.own()) else {
        return task.fail("no address of this machine".to_owned());
    };
    let begun = Recording::begin(&task.recordings, payload_type, from, to);
    let mut recording = match begun {
        Ok(recording) => recording,
        Err(error) => return task.fail(format!("cannot record the picture: {error}")),
    };
    task.say(format!(
        "the picture is recorded in {}",
        recording.path().display()
    ));
    task.report(Report::Running);
    task.report(Report::Media(line.meter()));
    backlog.go_live();
    let began = line.now();
    let mut kept = Ok(());
    let end = loop {
        while let Some(packet) = backlog.pop().filter(|_| kept.is_ok()) {
            kept = recording.keep(&packet, line.now().saturating_sub(began));
        }
        if let Err(error) = &kept {
            break End::Disk(error.to_string());
        }
        let happening = tokio::select! {
            happening = line.next() => happening,
            () = task.end_ordered() => break End::Ordered,
        };
        let end = End::of(&happening, &line);
        if let Happening::Packets(packets) = happening {
            packets.into_iter().for_each(|packet| backlog.push(packet));
        }
        if let Some(end) = end {
            break end;
        }
    };
    for packet in line.close() {
        if kept.is_ok() {
            kept = recording.keep(&packet, line.now().saturating_sub(began));
        }
    }
    let words = match recording.finish() {
        Ok(made) => told(made).await,
        Err(error) => vec![format!("the recording is incomplete: {error}")],
    };
    finish(&task, &line, &end, words.into_iter());
}

/// What was made, in words. A still picture that is missing is made now.
async fn told(made: Made) -> Vec<String> {
    let mut words = Vec::new();
    match made.recording {
        None => words.push("nothing of it could be recorded".to_owned()),
        Some((path, coding)) => {
            words.push(format!("recorded in {}", path.display()));
            let still = match (made.still, coding) {
                (Some(still), _) => Some(Ok(still)),
                (None, Some(coding)) => Some(still::of(&path, coding).await),
                (None, None) => None,
            };
            match still {
                Some(Ok(still)) => words.push(format!("a still picture is {}", still.display())),
                Some(Err(why)) => words.push(why),
                None => {}
            }
        }
    }
    if made.full {
        words.push("the recording is not whole: a file holds 1 GiB".to_owned());
    }
    if made.malformed > 0 {
        words.push(format!("{} malformed packets left out", made.malformed));
    }
    words
}

/// Tells the end, how it came about, and what arrived.
pub(super) fn finish(task: &Task, line: &Line, end: &End, more: impl Iterator<Item = String>) {
    let words: Vec<String> = end
        .words()
        .into_iter()
        .chain(more)
        .chain([line.words()])
        .collect();
    let words = shown::line(&words.join("; "), 600);
    let (turned_away, over) = (line.reception().turned_away(), line.reception().over());
    tracing::info!(invitation = task.invitation.0, turned_away, over, words);
    match end {
        // Who ordered the end knows that it is one.
        End::Ordered => task.say(words),
        _ => task.report(Report::Finished(words)),
    }
}
