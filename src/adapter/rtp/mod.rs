//! A picture that the peer sends over RTP: the webcam of before MSN 6 (PROTOCOL.md 5.7;
//! APPLICATIONS.md 2).
//!
//! An even UDP port and its neighbour are announced. The first packet locks the sender and decides
//! the payload type; then a player is started, or the picture is recorded. What arrives is put in
//! order, counted and reported to the sender (RFC 3550).

mod doors;
mod line;
mod reception;

use super::{Order, Report, Task};
use crate::{bridge::AdapterKind, negotiation::Announced};
use doors::Doors;
use line::{Happening, Line};

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let mut doors = None;
    let remote = loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_)) => {
                if doors.is_none() {
                    doors = match Doors::bind(task.own_ip).await {
                        Ok(doors) => Some(doors),
                        Err(why) => return task.fail(why),
                    };
                }
                if let Some(doors) = &doors {
                    let announced = Announced::new(task.own_ip, Some(doors.port()));
                    task.report(Report::Ready(announced));
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
        None => match Doors::bind(task.own_ip).await {
            Ok(doors) => doors,
            Err(why) => return task.fail(why),
        },
    };
    let line = match Line::open(doors, &task.policy, &remote) {
        Ok(line) => line,
        Err(why) => return task.fail(why),
    };
    serve(task, line).await;
}

async fn serve(mut task: Task, mut line: Line) {
    let _handoffs = task.handoffs(AdapterKind::Rtp);
    loop {
        let happening = tokio::select! {
            happening = line.next() => happening,
            () = task.end_ordered() => return,
        };
        match happening {
            Happening::Packets(_) => task.report(Report::Running),
            Happening::Bye | Happening::Silence => {
                return task.report(Report::Finished(line.words()));
            }
        }
    }
}
