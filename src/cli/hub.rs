//! The hub with its doors, as every verb that serves a client starts and ends it.

use std::net::Ipv4Addr;

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    config::Config,
    control,
    dispatcher::{self, Dispatcher},
    launch,
};

/// A dispatcher and what is open beside the front.
pub(super) struct Hub {
    pub(super) dispatcher: Dispatcher,
    /// Closes the doors, and the front.
    pub(super) stop: CancellationToken,
    doors: JoinSet<()>,
}

impl Hub {
    pub(super) async fn start(config: &Config, announce: Ipv4Addr) -> Result<Self, Failure> {
        match launch::reap_leftovers(&launch::programs_folder()) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "ended programs that an earlier run left behind"),
            Err(error) => tracing::warn!(%error, "cannot look for programs of an earlier run"),
        }
        let settings =
            dispatcher::Settings::from_config(config, announce).map_err(Failure::configuration)?;
        for told in config.without_effect(&settings.registry) {
            tracing::warn!("configuration: without effect: {told}");
        }
        // Some handoffs ask programs for their options, which takes a moment the first time: not
        // then, when a contact invites.
        let registry = settings.registry.clone();
        tokio::task::spawn_blocking(move || {
            for handoff in registry.iter().flat_map(|bridge| &bridge.handoffs) {
                let _ = handoff.fits();
            }
        });
        let dispatcher = Dispatcher::start(settings);
        let stop = CancellationToken::new();
        let doors = control::open(config, &dispatcher, &stop).await;
        Ok(Self {
            dispatcher,
            stop,
            doors,
        })
    }

    pub(super) async fn close(self) {
        self.stop.cancel();
        self.doors.join_all().await;
    }
}

pub(super) async fn told_to_stop() -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
