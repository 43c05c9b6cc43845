//! SIP: the gate over rsip, a writer that cannot be made to inject, and a call without sockets.
//!
//! * [`read`] turns bytes into a [`Message`] of our own; [`frame::Stream`] cuts a TCP stream.
//! * [`call::Call`] is one dialog, either side, pushed with messages and the time.
//!
//! The peer is an RFC 2543 agent (APPLICATIONS.md 1.1, 1.3), the agent on the other side of us a
//! softphone of today.

pub mod call;
pub mod frame;
mod gate;
mod message;
mod text;
mod transaction;
mod write;

pub use gate::{Error, MAX_HEAD, MAX_HEADERS, MAX_VIAS, Refusal, read};
pub use message::{CSeq, Fields, Message, Method, Party, Request, Response, Via};
pub use text::{BadWord, Host, MAX_TOKEN, MAX_VALUE, Text, Token, Uri};
pub use transaction::{GIVE_UP, Now, T1, T2, T4};
pub use write::{AGENT, ALLOW, Draft, reason};
