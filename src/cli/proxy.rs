//! `msn-handoff proxy`: stands between the client and its server until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    config::Config,
    control,
    dispatcher::{self, Dispatcher},
    endpoint::{
        activation::{self, Given},
        own,
    },
    front::proxy::{Proxy, ProxySettings},
    launch,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where your client connects [default: 127.0.0.1:1863]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// The MSN server your client would use, e.g. msnmsgr.example.net:1863
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,

    /// The address your contacts are told [default: that of the interface which leads to the server]
    #[arg(long, value_name = "IP")]
    announce: Option<Ipv4Addr>,
}

pub(super) fn run(arguments: Arguments, mut config: Config) -> Result<(), Failure> {
    if let Some(listen) = arguments.listen {
        config.proxy.listen = listen;
    }
    if let Some(server) = arguments.server {
        config.proxy.server = Some(server);
    }
    if let Some(announce) = arguments.announce {
        config.network.announce = Some(announce);
    }
    let given = Given::take();
    let runtime = super::runtime()?;
    runtime.block_on(serve(config, given))
}

async fn serve(config: Config, mut given: Given) -> Result<(), Failure> {
    let Some(server) = config.proxy.server.clone() else {
        return Err(Failure::usage(
            "which server? say --server HOST:PORT, or set `server` under [proxy] in the configuration",
        ));
    };
    let announce = match config.network.announce {
        Some(ip) => ip,
        // Perhaps there is no network yet: a client that signs in will have found a way.
        None => towards(&server).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "no address to tell contacts yet");
            Ipv4Addr::UNSPECIFIED
        }),
    };
    if config.unconfined {
        launch::confine_nothing();
    }
    match launch::reap_leftovers(&launch::programs_folder()) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "ended programs that an earlier run left behind"),
        Err(error) => tracing::warn!(%error, "cannot look for programs of an earlier run"),
    }
    let settings =
        dispatcher::Settings::from_config(&config, announce).map_err(Failure::configuration)?;
    for told in config.without_effect(&settings.registry) {
        tracing::warn!("configuration: without effect: {told}");
    }
    // Some handoffs ask programs for their options, which takes a moment the first time: not then,
    // when a contact invites.
    let registry = settings.registry.clone();
    tokio::task::spawn_blocking(move || {
        for handoff in registry.iter().flat_map(|bridge| &bridge.handoffs) {
            let _ = handoff.fits();
        }
    });
    let dispatcher = Dispatcher::start(settings);
    let stop = CancellationToken::new();
    let settings = ProxySettings {
        listen: config.proxy.listen,
        server: server.clone(),
        follow: config.network.announce.is_none(),
        correct_profile: config.proxy.correct_profile,
    };
    let invitations = Arc::new(dispatcher.clone());
    let proxy = match given.client().map_err(Failure::new)? {
        Some(listener) => Proxy::on(listener, settings, invitations),
        None => Proxy::bind(settings, invitations).await,
    };
    let proxy = proxy.map_err(|error| {
        Failure::new(format!("cannot listen on {}: {error}", config.proxy.listen))
    })?;
    let control = given.control().map_err(Failure::new)?;
    let doors = control::open(&config, control, &dispatcher, &stop).await;
    tracing::info!(listen = %proxy.local_addr(), server, %announce, "ready");
    let told = if announce.is_unspecified() {
        "the address that leads to it once there is a network".to_owned()
    } else {
        announce.to_string()
    };
    super::print(&format!(
        "point your client to {} instead of {server}; contacts are told {told}\n",
        proxy.local_addr()
    ));
    activation::ready();
    let serving = proxy.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        result = told_to_stop() => {
            result?;
            activation::stopping();
            // The peers are told first, while there is still a way to tell them.
            dispatcher.shutdown().await;
            stop.cancel();
            serving.await;
        }
    }
    stop.cancel();
    doors.join_all().await;
    Ok(())
}

/// The address of ours that leads to the server.
pub(super) async fn towards(server: &str) -> Result<Ipv4Addr, Failure> {
    let mut found = tokio::net::lookup_host(server)
        .await
        .map_err(|error| Failure::new(format!("cannot find the server {server}: {error}")))?;
    let ip = found
        .find_map(|address| match address.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .ok_or_else(|| Failure::new(format!("{server} has no IPv4 address, and MSN needs one")))?;
    own::address_towards(ip).await.map_err(|error| {
        Failure::new(format!(
            "no way leads to {server} ({error}); say --announce IP"
        ))
    })
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
