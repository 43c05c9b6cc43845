//! One session: the first packet, then a player or a recording, then the end in words.

use std::{net::SocketAddr, pin::pin, time::Duration};

use super::{
    backlog::Backlog,
    line::{Happening, Line},
    player::{PAUSE, Stage},
    recording::{Made, Recording},
    still,
};
use crate::{
    adapter::{
        Report, Task,
        one_program::{self, NotStarted, Started},
    },
    bridge::{AdapterKind, Handoff},
    launch::Exit,
    media::{picture::Coding, sdp::Format},
    shown,
};

/// How long a player may take to show the rest and end by itself when the sender has left.
const LAST_PICTURES: Duration = Duration::from_secs(3);

/// How long a player that lags behind has before it is told that the sender has left.
const BEFORE_FAREWELL: Duration = Duration::from_millis(750);

/// How a session ended.
enum End {
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
    fn of(happening: &Happening, line: &Line) -> Option<Self> {
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
    let format = Format::fixed(payload_type);
    let why = if coding.is_some() {
        match play(&mut task, &mut line, &mut backlog, &handoffs, &format).await {
            Outcome::Over => return,
            Outcome::NotStarted { not_installed, why } => (not_installed, why),
        }
    } else {
        let why = format!("no player is asked for payload type {payload_type}");
        (false, why)
    };
    let (not_installed, why) = why;
    let Some(recorder) = handoffs.iter().find(|handoff| handoff.builtin) else {
        return task.report(Report::Failed { not_installed, why });
    };
    line.set_idle(recorder.idle);
    if handoffs.first().is_some_and(|first| !first.builtin) {
        task.say(shown::line(&why, 600));
    }
    record(task, line, backlog, payload_type, from).await;
}

enum Outcome {
    Over,
    NotStarted { not_installed: bool, why: String },
}

/// Starts the first player that can run, and stays with it to its end.
async fn play(
    task: &mut Task,
    line: &mut Line,
    backlog: &mut Backlog,
    handoffs: &[Handoff],
    format: &Format,
) -> Outcome {
    // What stands behind the recording is not reached.
    let players = handoffs.iter().take_while(|handoff| !handoff.builtin);
    let stage = match Stage::set(format, task.own_ip).await {
        Ok(stage) => stage,
        Err(why) => {
            return Outcome::NotStarted {
                not_installed: false,
                why,
            };
        }
    };
    let players: Vec<Handoff> = players.cloned().map(|it| stage.awaited(it)).collect();
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
                    // The player would have nothing to show. What is being started ends here.
                    happening => {
                        left = End::of(&happening, line);
                        break Err(NotStarted::Ended);
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
    if let Some(handoff) = players.iter().find(|it| it.name == started.name()) {
        line.set_idle(handoff.idle);
    }
    task.say(format!("{} shows the picture", started.name()));
    task.report(Report::Running);
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
    if made.malformed > 0 {
        words.push(format!("{} malformed packets left out", made.malformed));
    }
    words
}

/// Tells the end, how it came about, and what arrived.
fn finish(task: &Task, line: &Line, end: &End, more: impl Iterator<Item = String>) {
    let words: Vec<String> = end
        .words()
        .into_iter()
        .chain(more)
        .chain([line.words()])
        .collect();
    let words = shown::line(&words.join("; "), 600);
    let turned_away = line.reception().turned_away();
    tracing::info!(invitation = task.invitation.0, turned_away, words);
    match end {
        // Who ordered the end knows that it is one.
        End::Ordered => task.say(words),
        _ => task.report(Report::Finished(words)),
    }
}
