//! `msn-handoff` completes MSN Messenger invitations beside any client and hands the negotiated
//! endpoint to a program that speaks the real protocol.
//!
//! The map, from the wire to the program (each layer talks to its neighbour only):
//!
//! * [`front`] brings invitations to us and takes ours away: the MSNP proxy.
//! * [`msnp`] (pure) frames the protocol the proxy stands in.
//! * [`invitation`] (pure) reads and writes the `text/x-msmsgsinvite` message.
//! * [`negotiation`] (pure) is the handshake, both roles.
//! * [`dispatcher`] joins the two halves: it asks [`consent`], consults [`bridge`], and drives
//! * [`adapter`], which uses [`endpoint`], [`media`] and [`launch`] to give the call away.
//! * [`control`] is the door for scripts and the command line.
//! * [`setup`] knows the settings files of clients.
//! * [`wine`] finds Windows games in Wine's prefixes.
//!
//! `docs/ARCHITECTURE.md` tells the same with pictures.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod adapter;
pub mod bridge;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consent;
pub mod control;
pub mod demo;
pub mod dispatcher;
pub mod endpoint;
pub mod event;
pub mod front;
pub mod invitation;
pub mod launch;
pub mod media;
pub mod msnp;
pub mod negotiation;
mod private;
pub mod runtime_folder;
pub mod setup;
pub mod shown;
pub mod wine;
