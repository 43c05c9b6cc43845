//! `msn-handoff stdio`: for a client that starts us itself.

use std::net::Ipv4Addr;

use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    config::Config,
    control,
    dispatcher::{self, Dispatcher},
    endpoint::own,
    front::stdio,
    launch,
};

/// `msn-handoff stdio`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address your contacts are told [default: what the client says, or that of the interface
    /// which leads to the Internet]
    #[arg(long, value_name = "IP")]
    announce: Option<Ipv4Addr>,
}

pub(super) fn run(arguments: &Arguments, mut config: Config) -> Result<(), Failure> {
    if arguments.announce.is_some() {
        config.network.announce = arguments.announce;
    }
    let runtime = super::runtime()?;
    let served = runtime.block_on(serve(&config));
    // A client that does not read may keep a thread of it writing.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let announce = match config.network.announce {
        Some(ip) => ip,
        None => own::default().await.unwrap_or(Ipv4Addr::UNSPECIFIED),
    };
    if config.unconfined {
        launch::confine_nothing();
    }
    if let Err(error) = launch::reap_leftovers(&launch::programs_folder()) {
        tracing::warn!(%error, "cannot look for programs of an earlier run");
    }
    let settings =
        dispatcher::Settings::from_config(config, announce).map_err(Failure::configuration)?;
    let dispatcher = Dispatcher::start(settings);
    let stop = CancellationToken::new();
    let doors = control::open(config, None, &dispatcher, &stop).await;
    let told = async {
        if let Err(error) = super::proxy::told_to_stop().await {
            tracing::warn!(%error, "signals are not heard");
            std::future::pending::<()>().await;
        }
    };
    let output = output().map_err(Failure::new)?;
    let follow = config.network.announce.is_none();
    let served = stdio::serve(&dispatcher, follow, std::io::stdin(), output, told).await;
    stop.cancel();
    doors.join_all().await;
    served.map_err(Failure::new)
}

/// Standard output without a buffer of the standard library's.
fn output() -> std::io::Result<tokio::fs::File> {
    use std::os::fd::AsFd;

    let copy = std::io::stdout().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(copy.into()))
}
