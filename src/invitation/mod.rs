//! The invitation message (`text/x-msmsgsinvite`): what stands in it, read leniently and written
//! exactly. Pure: no I/O, no clock, no randomness; reading borrows and does not allocate.
//!
//! Facts: PROTOCOL.md sections 1 to 4 and 10.1, and the vectors of section 13.
//!
//! * [`Message`] reads: the MIME header, then `Name: value` lines, then typed access to all of them.
//! * [`Invite`], [`Accept`], [`Context`] and [`Cancel`] write, in the official field order.

mod address;
mod cancel;
mod capability;
mod connection;
mod cookie;
mod fields;
mod guid;
mod inline;
mod message;
mod write;

pub use address::{AddressSource, Candidate, Candidates, PORT_MASK, read_address};
pub use cancel::CancelCode;
pub use capability::{Capabilities, Medium};
pub use connection::{ConnType, Connection};
pub use cookie::{Cookie, CookieError};
pub use fields::{Field, Fields, MAX_FIELDS, MAX_READ, ReadError, is_invitation};
pub use guid::{FILE_TRANSFER, Guid, GuidError};
pub use message::{Command, Connectivity, Dialect, Message};
pub use write::{Accept, AcceptedBy, Cancel, Context, Invite, WriteError};

/// The longest payload that may be sent, in bytes, MIME header included. A switchboard closes the
/// connection on a longer one (PROTOCOL.md 1.4).
pub const MAX_PAYLOAD: usize = 1664;

/// The longest context data that one context message should carry, in characters (PROTOCOL.md 1.4).
pub const MAX_CONTEXT_DATA: usize = 300;
