//! The embedded default: a whole invitation, from the first command to the sound, on one machine.

pub mod server;
mod wire;
