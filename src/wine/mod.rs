//! Wine's prefixes: where they are, which games are in them, and which file a Windows path means
//! (APPLICATIONS.md 5.3). Nothing here starts anything or writes.

mod prefix;
pub mod registry_file;

pub use prefix::{Game, Pattern, Prefix, Wanted, prefixes};
