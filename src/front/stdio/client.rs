//! The client as the dispatcher sees it.

use std::net::Ipv4Addr;

use super::{Outbox, protocol::Wanted, queue};
use crate::{
    control::protocol::Id,
    dispatcher::{AccountId, Carrier, Delivery},
};

/// A signed-in client.
pub(super) struct Client {
    pub(super) account: AccountId,
}

/// Where its lines go.
pub(super) struct Window {
    outbox: Outbox,
    own_ip: Option<Ipv4Addr>,
}

impl Window {
    pub(super) fn new(outbox: Outbox, own_ip: Option<Ipv4Addr>) -> Self {
        Self { outbox, own_ip }
    }

    fn want(&self, wanted: &Wanted<'_>) {
        // A client that does not read is told so where its lines are read.
        if let Err(error) = queue(&self.outbox, wanted) {
            tracing::warn!(%error, "the client could not be told");
        }
    }
}

impl Carrier for Window {
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery) {
        self.want(&Wanted::send(peer, payload, Id(delivery.0)));
    }

    fn own_ip(&self) -> Option<Ipv4Addr> {
        self.own_ip
    }

    fn show(&self, peer: &str, line: &str) {
        self.want(&Wanted::Show { peer, line });
    }
}
