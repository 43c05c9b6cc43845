//! `msn-handoff proxy`: stands between the client and its server until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    Failure,
    hub::{Hub, told_to_stop},
};
use crate::{
    config::Config,
    endpoint::own,
    front::proxy::{Proxy, ProxySettings},
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
    let runtime = super::runtime()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
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
    let hub = Hub::start(&config, announce).await?;
    let settings = ProxySettings {
        listen: config.proxy.listen,
        server: server.clone(),
        follow: config.network.announce.is_none(),
    };
    let proxy = Proxy::bind(settings, Arc::new(hub.dispatcher.clone()))
        .await
        .map_err(|error| {
            Failure::new(format!("cannot listen on {}: {error}", config.proxy.listen))
        })?;
    tracing::info!(listen = %proxy.local_addr(), server, %announce, "ready");
    let serving = proxy.run(hub.stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        result = told_to_stop() => {
            result?;
            // The peers are told first, while there is still a way to tell them.
            hub.dispatcher.shutdown().await;
            hub.stop.cancel();
            serving.await;
        }
    }
    hub.close().await;
    Ok(())
}

/// The address of ours that leads to the server.
async fn towards(server: &str) -> Result<Ipv4Addr, Failure> {
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
