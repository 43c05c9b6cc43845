//! The verbs and the events for everything outside this process: scripts, the command line, the
//! desktop. `protocol.rs` says them once; a door brings them. `docs/CONTROL.md` is for authors.

mod answer;
pub mod client;
pub mod protocol;
pub mod socket;

pub use answer::answer;
