//! Starts the adapter of one invitation and brings its reports back to the account.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::sync::mpsc;

use super::{AccountId, Shared, VerbError};
use crate::{
    adapter::{self, Order, Task, remote_assistance::ticket::MAX_TICKET},
    bridge::Bridge,
    endpoint::{own, place::Network, whereabouts},
    invitation::Medium,
    negotiation::{InvitationId, Role},
};

/// Most context messages of the peer's that an adapter is given, and most bytes in them: twice the
/// longest ticket of Remote Assistance. An adapter may be busy, and they would wait without end.
const MAX_CONTEXTS: usize = 512;
const MAX_CONTEXT_BYTES: usize = 2 * MAX_TICKET;

/// A running adapter, as its account sees it.
pub(super) struct HandOver {
    orders: mpsc::UnboundedSender<Order>,
    /// Context messages that may still be given, and bytes.
    contexts: usize,
    context_bytes: usize,
    told: bool,
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
    fn new(orders: mpsc::UnboundedSender<Order>) -> Self {
        Self {
            orders,
            contexts: MAX_CONTEXTS,
            context_bytes: MAX_CONTEXT_BYTES,
            told: false,
        }
    }

    /// An adapter that has already returned wants no more orders.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// The peer sent context data. What is too much is dropped.
    pub(super) fn context(&mut self, id: InvitationId, data: Vec<u8>) {
        let left = (
            self.contexts.checked_sub(1),
            self.context_bytes.checked_sub(data.len()),
        );
        if let (Some(contexts), Some(bytes)) = left {
            (self.contexts, self.context_bytes) = (contexts, bytes);
            return self.order(Order::Context(data));
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                invitation = id.0,
                "more context data comes than any application sends; the rest is dropped"
            );
        }
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
    let bandwidth = shared.settings.bandwidth;
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
        bandwidth,
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
            let policy = policy.announcing(announce, whereabouts::neighbourhoods());
            adapter::run(kind, task(network, policy)).await;
            Network::closed(closing).await;
        },
        &shared.runtime,
    );
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
            let Some(shared) = hub.upgrade() else { return };
            let mut accounts = shared.lock();
            if let Some(account) = accounts.table.get_mut(&account) {
                account.adapter_gone(&shared, invitation);
            }
            accounts.forget_if_over(account);
        },
        &shared.runtime,
    );
    Ok(HandOver::new(orders))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_messages_without_end_do_not_pile_up_before_a_busy_adapter() {
        for (size, most) in [
            (1, MAX_CONTEXTS),
            (300, MAX_CONTEXT_BYTES / 300),
            (4096, MAX_CONTEXT_BYTES / 4096),
        ] {
            let (orders, mut waiting) = mpsc::unbounded_channel();
            let mut hand_over = HandOver::new(orders);
            for _ in 0..10_000 {
                hand_over.context(InvitationId(1), vec![b'x'; size]);
            }
            hand_over.order(Order::End);
            let mut given: Vec<Order> = std::iter::from_fn(|| waiting.try_recv().ok()).collect();
            assert!(matches!(given.pop(), Some(Order::End)), "{size}");
            assert_eq!(given.len(), most, "{size}");
        }
    }
}
