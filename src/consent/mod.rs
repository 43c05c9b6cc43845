//! Who may say yes, and every line a person reads in the chat window. No I/O.

pub mod chat;
mod rules;

pub use rules::{Decision, NotAPattern, Pattern, Rule, Rules};
