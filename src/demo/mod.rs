//! The embedded default: a whole invitation, from the first command to the sound, on one machine.

pub mod client;
pub mod ladder;
// `run` sets the stage with the proxy and the dispatcher; it joins the build with them, and the
// expectations below go then.
#[cfg_attr(not(test), expect(dead_code, reason = "run is not built yet"))]
mod play;
pub mod server;
mod story;
pub mod tone;
#[cfg_attr(not(test), expect(dead_code, reason = "run is not built yet"))]
pub mod voice;
mod wire;

pub use play::PlayError;
