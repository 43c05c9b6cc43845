//! The SIP front: voice and video (APPLICATIONS.md 1).
//!
//! The peer's program is an RFC 2543 agent that few softphones understand, and the softphone is
//! somebody's program that should not be given to the network. So neither meets the other: the
//! front takes the peer's call on the announced address, the agent lives on loopback, and calls,
//! descriptions and media are handed across.
//!
//! * `front` is all of the signalling, without socket or clock.
//! * `drive` gives it sockets, time and programs.
//! * `agents` finds who takes the call here; `sound` carries the media, `builtin` is the
//!   agent of last resort.

mod agents;
mod builtin;
mod drive;
mod front;
mod sound;

pub use drive::run;
