//! The verbs and the events for everything outside this process: scripts, the command line, the
//! desktop. `protocol.rs` says them once; a door brings them. `docs/CONTROL.md` is for authors.

mod answer;
pub mod bus;
pub mod client;
mod doors;
pub mod hook;
pub mod notification;
pub mod protocol;
pub mod socket;

pub use answer::answer;
pub use doors::open;
