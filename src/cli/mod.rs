//! The command line, one file per verb. See `docs/ARCHITECTURE.md`.

pub mod decode;
