//! Calls between homes: machines in network namespaces that each test makes and removes, behind
//! routers that translate addresses (nftables), with our binary and a real baresip in each.
//!
//! Addresses of the internet are from 44.128.0.0/16, which amateur radio keeps for tests: real routers
//! treat it as public. Nothing leaves the namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../voice/agent.rs"]
#[allow(dead_code, reason = "shared with the tests of voice")]
mod agent;
mod calls;
mod doctor;
mod lab;
mod person;
mod slow;
#[path = "../support/mod.rs"]
mod support;
