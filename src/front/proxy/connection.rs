//! One connection of a client: its first command tells what it is for.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, lookup_host},
    sync::mpsc,
    time::timeout,
};

use super::{
    CONNECT_WITHIN, Hub,
    notification::Notification,
    pipe::{self, Link, Out},
    referrals::Lead,
    switchboard::{self, Switchboard},
};
use crate::{endpoint::socket, msnp::word};

/// How long a client may take to say what it wants. Servers of the revived network close at 60 s.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// A longer first command is none.
const MAX_FIRST: usize = 8 * 1024;

/// Connects to a server, `host:port`.
pub(super) async fn connect(address: &str, within: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    for address in lookup_host(address).await? {
        match socket::tcp_connect(address, within).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Serves a client's connection to its end.
pub(super) async fn serve(hub: Arc<Hub>, mut client: TcpStream, from: SocketAddr) {
    let Ok(own) = client.local_addr() else { return };
    let first = tokio::select! {
        first = timeout(FIRST_WITHIN, first(&mut client)) => first,
        () = hub.stop.cancelled() => return,
    };
    let Ok(Ok(begun)) = first else { return };
    let line = begun
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let lead = match word(line, 0) {
        Some("USR" | "ANS") => {
            let now = hub.clock.now();
            word(line, 3).and_then(|cookie| hub.referrals().switchboard(now, cookie))
        }
        _ => None,
    };
    let handle = word(line, 2).unwrap_or_default().to_owned();
    match lead {
        Some(Lead::Server(server)) => switchboard(&hub, client, &server, &handle, &begun).await,
        Some(Lead::Ours(number)) => answer(&hub, client, number, &handle, line, &begun),
        None => notification(&hub, client, own, from, &begun).await,
    }
}

/// Reads until the first command is complete.
async fn first(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut begun = Vec::new();
    let mut chunk = [0; 2048];
    while !begun.contains(&b'\n') && begun.len() < MAX_FIRST {
        let count = client.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        begun.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    Ok(begun)
}

async fn notification(
    hub: &Arc<Hub>,
    client: TcpStream,
    own: SocketAddr,
    from: SocketAddr,
    begun: &[u8],
) {
    let now = hub.clock.now();
    let server = hub
        .referrals()
        .take_notification(now, from.ip())
        .unwrap_or_else(|| hub.server.clone());
    let Some(upstream) = upstream(hub, &server).await else {
        return;
    };
    let (requests, mut asked) = mpsc::unbounded_channel();
    let mut link = Notification::new(Arc::clone(hub), own, from.ip(), requests);
    let mut out = Out::default();
    link.client_sent(begun, &mut out);
    pipe::pump(
        Some(client),
        upstream,
        &mut link,
        &mut asked,
        out,
        &hub.stop,
    )
    .await;
    link.close();
}

async fn switchboard(hub: &Arc<Hub>, client: TcpStream, server: &str, handle: &str, begun: &[u8]) {
    let Some(upstream) = upstream(hub, server).await else {
        return;
    };
    let (requests, mut asked) = mpsc::unbounded_channel();
    let mut link = Switchboard::of_client(handle, hub.account(handle), requests);
    let mut out = Out::default();
    link.client_sent(begun, &mut out);
    pipe::pump(
        Some(client),
        upstream,
        &mut link,
        &mut asked,
        out,
        &hub.stop,
    )
    .await;
    link.close();
}

/// The client answers a ring of ours: it joins the switchboard that we opened.
fn answer(hub: &Hub, stream: TcpStream, number: u64, handle: &str, line: &[u8], begun: &[u8]) {
    let Some(account) = hub.account(handle) else {
        return;
    };
    let transaction = word(line, 1).unwrap_or("1").to_owned();
    let rest = begun
        .iter()
        .position(|byte| *byte == b'\n')
        .and_then(|end| begun.get(end + 1..))
        .unwrap_or_default()
        .to_vec();
    let request = switchboard::Request::Client {
        stream,
        transaction,
        rest,
    };
    if account.hand_client_to(number, request).is_err() {
        tracing::info!(account = account.handle, "the conversation is gone already");
    }
}

async fn upstream(hub: &Hub, server: &str) -> Option<TcpStream> {
    let connecting = tokio::select! {
        connecting = connect(server, CONNECT_WITHIN) => connecting,
        () = hub.stop.cancelled() => return None,
    };
    connecting
        .inspect_err(|error| tracing::warn!(server, %error, "cannot reach the server"))
        .ok()
}
