//! A picture that the peer sends over RTP: the webcam of before MSN 6 (PROTOCOL.md 5.7;
//! APPLICATIONS.md 2).
//!
//! An even UDP port and its neighbour are announced. The first packet locks the sender and decides
//! the payload type; then a player is started, or the picture is recorded. What arrives is put in
//! order, counted and reported to the sender (RFC 3550).

mod backlog;
mod doors;
mod line;
mod player;
mod reception;
mod recording;
mod session;
mod showing;
mod still;

use super::{Order, Report, Task};
use crate::endpoint::mapping::Door;
use doors::Doors;
use line::Line;

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let mut doors = None;
    let remote = loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_)) => {
                if doors.is_none() {
                    doors = match Doors::bind(task.network.bind.clone()).await {
                        Ok(doors) => Some(doors),
                        Err(why) => return task.fail(why),
                    };
                }
                if let Some(doors) = &doors {
                    let opened = task.open(&Door::rtp(doors.port())).await;
                    task.report(Report::Ready(opened.announced));
                }
            }
            Some(Order::Connected(remote)) => break remote,
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    };
    // Who announces nothing has not been asked to prepare.
    let doors = match doors {
        Some(doors) => doors,
        None => match Doors::bind(task.network.bind.clone()).await {
            Ok(doors) => doors,
            Err(why) => return task.fail(why),
        },
    };
    let line = match Line::open(doors, &task.policy, &remote, task.bandwidth.media) {
        Ok(line) => line,
        Err(why) => return task.fail(why),
    };
    session::serve(task, line).await;
}
