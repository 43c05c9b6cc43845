//! The only place that opens sockets.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

/// Listens on `addr`.
///
/// # Errors
/// What the system says.
#[allow(clippy::disallowed_methods, reason = "the owner of sockets")]
pub async fn tcp_listen(addr: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// Connects to `addr`.
///
/// # Errors
/// What the system says.
#[allow(clippy::disallowed_methods, reason = "the owner of sockets")]
pub async fn tcp_connect(addr: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(addr).await
}
