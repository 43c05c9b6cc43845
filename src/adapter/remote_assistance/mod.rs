//! Remote Assistance (APPLICATIONS.md 4): the one who wants help sends a ticket as context data, and
//! the one who helps connects to the address in it by RDP.

pub mod incident;
pub mod string_one;
pub mod string_two;
pub mod ticket;
pub mod upload;

#[cfg(test)]
mod ticket_tests;
