//! The embedded default: a whole invitation, from the first command to the sound, on one machine.

pub mod client;
pub mod ladder;
mod play;
mod run;
pub mod server;
mod story;
pub mod voice;
mod wire;

pub use play::PlayError;
pub use run::{DemoError, DemoSettings, Outcome, run};
