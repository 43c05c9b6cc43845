//! Games of the Quake 3 family: Jedi Outcast, Jedi Academy (APPLICATIONS.md 6).

pub mod probe;
