//! Notification servers that a client was redirected to (`XFR NS`, PROTOCOL.md 12.1). Each has a
//! listening port of its own, so no guess is needed which server a client that comes back wants. The
//! port stays, for clients keep the address and use it again.

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{Shared, lock};
use crate::endpoint::socket;

/// Servers remembered; the longest known goes first. Connections it has remain.
const MAX_SERVERS: usize = 64;

/// One server and the port that stands for it.
struct Redirect {
    server: String,
    port: u16,
    stop: CancellationToken,
}

/// All of them, the latest last.
#[derive(Default)]
pub(super) struct Redirects(VecDeque<Redirect>);

impl Shared {
    /// The port where clients reach the notification server `server` through us.
    pub(super) async fn port_for(self: &Arc<Self>, server: &str) -> io::Result<u16> {
        if server == self.server {
            return Ok(self.listening.port());
        }
        if let Some(known) = self.known_port(server) {
            return Ok(known);
        }
        let free = SocketAddr::new(self.listening.ip(), 0);
        let listener = socket::tcp_listen(free).await?;
        let port = listener.local_addr()?.port();
        let stop = self.first.1.child_token();
        {
            let mut redirects = lock(&self.redirects);
            // Another client may have been redirected there meanwhile.
            if let Some(known) = redirects.0.iter().find(|known| known.server == server) {
                return Ok(known.port);
            }
            if redirects.0.len() >= MAX_SERVERS
                && let Some(oldest) = redirects.0.pop_front()
            {
                oldest.stop.cancel();
            }
            redirects.0.push_back(Redirect {
                server: server.to_owned(),
                port,
                stop: stop.clone(),
            });
        }
        tracing::debug!(server, port, "proxy: redirected to another server");
        self.listen_for(listener, server.to_owned(), stop);
        Ok(port)
    }

    fn known_port(&self, server: &str) -> Option<u16> {
        let redirects = lock(&self.redirects);
        let known = redirects.0.iter().find(|known| known.server == server)?;
        Some(known.port)
    }

    /// A function of its own because serving a client may lead here again, and the compiler cannot
    /// follow a future into itself.
    fn listen_for(
        self: &Arc<Self>,
        listener: tokio::net::TcpListener,
        server: String,
        stop: CancellationToken,
    ) {
        let serving: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(Arc::clone(self).accept(listener, server, stop));
        self.first.0.spawn(serving);
    }
}
