//! The SIP front.

mod front;
pub use front::Caller;
