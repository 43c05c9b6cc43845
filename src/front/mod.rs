//! What brings invitations to the dispatcher and takes its answers away. See `docs/ARCHITECTURE.md`.

pub mod proxy;
pub mod stdio;
