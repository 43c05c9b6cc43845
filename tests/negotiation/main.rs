//! The handshake, seen from outside: the state machine of PROTOCOL.md section 7 row by row, the
//! traps of section 10 one by one, whole flows in exact bytes, and two engines on a bad line.

#![allow(clippy::unwrap_used, clippy::panic)]

mod any_order;
mod bench;
mod flows;
mod limits;
mod pair;
mod table_section_7;
mod traps_section_10;
