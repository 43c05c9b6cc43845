//! Starts the adapter of one invitation and brings its reports back to the account.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::sync::mpsc;

use super::{AccountId, Shared, VerbError};
use crate::{
    adapter::{self, Order, Task},
    bridge::Bridge,
    endpoint::{own, place::Network, whereabouts},
    invitation::Medium,
    negotiation::{InvitationId, Role},
};

/// A running adapter, as its account sees it.
pub(super) struct HandOver {
    orders: mpsc::UnboundedSender<Order>,
}

/// Whose adapter it is.
pub(super) struct Subject {
    pub(super) account: AccountId,
    pub(super) invitation: InvitationId,
    pub(super) role: Role,
    pub(super) bridge: Arc<Bridge>,
    pub(super) peer: String,
    pub(super) media: Vec<Medium>,
    /// Where the front reaches the server from.
    pub(super) own_ip: Option<Ipv4Addr>,
    /// Where the server sees that.
    pub(super) seen_ip: Option<Ipv4Addr>,
}

impl HandOver {
    /// An adapter that has already returned wants no more orders.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// Starts the adapter that the bridge names. The error is for people.
pub(super) fn start(shared: &Arc<Shared>, subject: Subject) -> Result<HandOver, String> {
    let kind = subject.bridge.adapter(subject.role).ok_or_else(|| {
        format!(
            "nothing installed takes {}",
            subject.bridge.application.name
        )
    })?;
    let (orders, incoming) = mpsc::unbounded_channel();
    let (outgoing, mut reports) = mpsc::unbounded_channel();
    let Subject {
        account,
        invitation,
        ..
    } = subject;
    let announce = subject.own_ip.unwrap_or(shared.settings.announce);
    let (ports, lookout) = (
        shared.settings.ports.clone(),
        shared.settings.lookout.clone(),
    );
    // Who says which address contacts are told means that one alone.
    let seen_ip = subject.seen_ip.filter(|_| subject.own_ip.is_some());
    let policy = shared.settings.policy.clone();
    let (call, recordings) = (
        shared.settings.call.clone(),
        shared.settings.recordings.clone(),
    );
    let phones = shared.settings.registry.by_id("voice").cloned();
    let task = move |network, policy| Task {
        invitation,
        role: subject.role,
        bridge: subject.bridge,
        peer: subject.peer,
        media: subject.media,
        network,
        policy,
        call,
        phones,
        recordings,
        orders: incoming.into(),
        reports: outgoing,
    };
    shared.tasks.spawn_on(
        async move {
            // There was no network yet when we began.
            let announce = match announce.is_unspecified() {
                true => own::default().await.unwrap_or(announce),
                false => announce,
            };
            let mut network = Network::announcing(announce, ports).await;
            if network.announce == network.bind.ip {
                network.outside = lookout.look(network.bind.ip).await;
                network.outside.profile = seen_ip;
            }
            let closing = network.outside.closing.clone();
            let here = whereabouts::neighbourhoods();
            let here = here.into_iter().map(|it| it.own).collect();
            let policy = policy.announcing(announce, here);
            adapter::run(kind, task(network, policy)).await;
            Network::closed(closing).await;
        },
        &shared.runtime,
    );
    let bandwidth = shared.settings.bandwidth;
    let hub = Arc::downgrade(shared);
    shared.tasks.spawn_on(
        async move {
            while let Some(report) = reports.recv().await {
                let Some(shared) = hub.upgrade() else { return };
                let mut accounts = shared.lock();
                if let Some(account) = accounts.table.get_mut(&account) {
                    account.report(&shared, invitation, report);
                }
            }
        bandwidth,
            let Some(shared) = hub.upgrade() else { return };
            let mut accounts = shared.lock();
            if let Some(account) = accounts.table.get_mut(&account) {
                account.adapter_gone(&shared, invitation);
            }
            accounts.forget_if_over(account);
        },
        &shared.runtime,
    );
    Ok(HandOver { orders })
}

/// The random parts of an INVITE of ours.
pub(super) struct Entropy {
    /// 1 to 999999, as PROTOCOL.md 1.4 advises.
    pub(super) cookie: u32,
    /// `{GUID}`, upper-case.
    pub(super) session_id: String,
}

/// Draws what an INVITE needs.
pub(super) fn entropy() -> Result<Entropy, VerbError> {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes).map_err(|_| VerbError::NoEntropy)?;
    let [a, b, c, d, id @ ..] = bytes;
    let cookie = u32::from_le_bytes([a, b, c, d]) % 999_999 + 1;
    let hex: String = id.iter().map(|byte| format!("{byte:02X}")).collect();
    let (first, rest) = hex.split_at(8);
    let (second, rest) = rest.split_at(4);
    let (third, rest) = rest.split_at(4);
    let (fourth, fifth) = rest.split_at(4);
    Ok(Entropy {
        cookie,
        session_id: format!("{{{first}-{second}-{third}-{fourth}-{fifth}}}"),
    })
}
