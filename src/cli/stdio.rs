//! `msn-handoff stdio`: serves the client that spawned us, until it closes its side.

use std::net::Ipv4Addr;

use super::{
    Failure,
    hub::{Hub, told_to_stop},
};
use crate::{config::Config, endpoint::own, front::stdio};

#[derive(Debug, clap::Args)]
#[command(after_help = "For authors of clients: docs/STDIO.md says what goes over the pipe.")]
pub(super) struct Arguments {
    /// The address your contacts are told [default: what the client says, else that of the interface
    /// which leads to the Internet]
    #[arg(long, value_name = "IP")]
    announce: Option<Ipv4Addr>,
}

/// On the Internet, but nobody's (RFC 5737): nothing is sent there.
const FAR_AWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

pub(super) fn run(arguments: &Arguments, mut config: Config) -> Result<(), Failure> {
    if let Some(announce) = arguments.announce {
        config.network.announce = Some(announce);
    }
    let runtime = super::runtime()?;
    let served = runtime.block_on(serve(&config));
    // Standard input is read by a thread that cannot be told to stop.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let announce = match config.network.announce {
        Some(ip) => ip,
        None => own::address_towards(FAR_AWAY)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "no address to tell contacts yet");
                Ipv4Addr::UNSPECIFIED
            }),
    };
    let hub = Hub::start(config, announce).await?;
    let stop = hub.stop.child_token();
    let serving = stdio::serve(
        tokio::io::stdin(),
        tokio::io::stdout(),
        hub.dispatcher.clone(),
        config.network.announce.is_none(),
        stop.clone(),
    );
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        result = told_to_stop() => {
            result?;
            stop.cancel();
            serving.await
        }
    };
    hub.close().await;
    served.map_err(|error| Failure::new(format!("the client is gone: {error}")))
}
