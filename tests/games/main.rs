//! Games, with real programs where there are any (TOOLS.md 9).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod directplay;
mod forward;
mod negotiated;
mod programs;
mod quake3;
#[path = "../support/mod.rs"]
mod support;

use std::{net::Ipv4Addr, path::Path, sync::Arc};

use msn_handoff::{
    adapter::{self, Order, Report, Task},
    bridge::{Bridge, Reading, read_file},
    config::Call,
    endpoint::{place::Network, policy::Policy},
    invitation::{AddressSource, Candidate},
    negotiation::{Announcement, InvitationId, Remote, Role},
};
use support::sides::address;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

/// Reads a bridge as a user would write it.
fn bridge(dir: &Path, text: &str) -> Arc<Bridge> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join("game.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    match read_file(&file).unwrap() {
        Reading::Bridge(bridge) => Arc::new(*bridge),
        Reading::Hidden(_) => panic!("hidden"),
    }
}

/// An adapter at work.
struct Running {
    orders: UnboundedSender<Order>,
    reports: UnboundedReceiver<Report>,
    adapter: JoinHandle<()>,
    seen: Vec<String>,
}

impl Running {
    fn start(bridge: &Arc<Bridge>, role: Role, own_ip: Ipv4Addr) -> Self {
        let (orders, incoming) = mpsc::unbounded_channel();
        let (outgoing, reports) = mpsc::unbounded_channel();
        let task = Task {
            invitation: InvitationId(1),
            role,
            bridge: Arc::clone(bridge),
            peer: "bob@example.com".into(),
            media: Vec::new(),
            network: Network::plain(own_ip),
            policy: Policy::new(own_ip, Vec::new()),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            phones: None,
            recordings: "/nonexistent".into(),
            orders: incoming.into(),
            reports: outgoing,
        };
        let kind = bridge.adapter(role).expect("a program that can run here");
        Self {
            orders,
            reports,
            adapter: tokio::spawn(adapter::run(kind, task)),
            seen: Vec::new(),
        }
    }

    fn prepare(&self) {
        self.orders
            .send(Order::Prepare(Announcement::Accept))
            .unwrap();
    }

    fn connected(&self, peer: Ipv4Addr) {
        let candidate = Candidate {
            ip: peer,
            port: None,
            source: AddressSource::IpAddress,
        };
        let remote = Remote {
            candidates: vec![candidate],
            ..Remote::default()
        };
        self.orders.send(Order::Connected(remote)).unwrap();
    }

    /// Waits for a report.
    async fn reported<T>(&mut self, what: &str, wanted: impl Fn(&Report) -> Option<T>) -> T {
        support::within(what, async {
            loop {
                let Some(report) = self.reports.recv().await else {
                    panic!("{what}: the adapter returned after {:?}", self.seen);
                };
                self.seen.push(format!("{report:?}"));
                if let Some(found) = wanted(&report) {
                    return found;
                }
            }
        })
        .await
    }

    async fn is_ready(&mut self) {
        let ready = |report: &Report| matches!(report, Report::Ready(_)).then_some(());
        self.reported("Ready", ready).await;
    }

    async fn runs(&mut self) {
        let running = |report: &Report| match report {
            Report::Running => Some(()),
            Report::Failed { why, .. } => panic!("{why}"),
            _ => None,
        };
        self.reported("Running", running).await;
    }

    /// Orders the end and waits until the adapter has returned.
    async fn end(self) {
        self.orders.send(Order::End).unwrap();
        support::within("the adapter's end", self.adapter)
            .await
            .unwrap();
    }
}
