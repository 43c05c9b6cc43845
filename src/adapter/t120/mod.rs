//! Whiteboard and application sharing, for the one who is invited (PROTOCOL.md 5.5,
//! APPLICATIONS.md 7).
//!
//! What stands between the invitation and the drawing is a SIP call to the address of our context
//! message, which settles nothing, and then T.120 to TCP 1503, which no Linux program speaks. Both
//! are taken here; the T.120 is handed to a program that the user names, or kept for study.
//!
//! * `call` is the SIP call, without socket or clock.
//! * `arrival` tells what a connection is, by its first bytes, and serves it.
//! * `opening` and `x224` are for T.120 that nobody takes.
//! * `taker` finds the program, `listening` the sockets, `drive` holds it all together.

mod arrival;
mod call;
mod drive;
mod listening;
mod opening;
mod taker;
pub mod x224;

use super::{Order, Report, Task, relay_tcp};
use crate::negotiation::Announcement;

/// Serves one invitation.
pub async fn run(mut task: Task) {
    let mut peers = None;
    loop {
        match task.orders.recv().await {
            // The address alone: the port comes with the context message.
            Some(Order::Prepare(Announcement::Accept)) => {
                task.report(Report::Ready(task.network.announced(None)));
            }
            Some(Order::Connected(remote)) => match relay_tcp::peers(&task, &remote) {
                Ok(allowed) => peers = Some(allowed),
                Err(why) => return task.fail(why),
            },
            Some(Order::Prepare(Announcement::Context)) => {
                // Who may speak to us is known by then; the handshake comes first.
                let Some(peers) = peers else {
                    return task.fail("the other side's address is not known yet".to_owned());
                };
                return drive::run(task, peers).await;
            }
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return,
        }
    }
}
