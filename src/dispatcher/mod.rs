//! The hub: joins fronts, negotiation, consent and adapters.

mod carrier;

pub use carrier::{AccountId, Carrier, Delivery, Invitations, Verdict};
