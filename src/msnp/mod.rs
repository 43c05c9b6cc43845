//! MSN Messenger's line protocol (MSNP2 to MSNP18), as much of it as a proxy must understand
//! (PROTOCOL.md section 12). Pure: bytes in, values out; the sockets are in `crate::front::proxy`.

pub mod frame;
pub mod profile;
pub mod rewrite;
pub mod roster;
pub mod text;
