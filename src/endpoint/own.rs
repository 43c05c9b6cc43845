//! Which address of ours a peer is told.

use std::{io, net::Ipv4Addr};

use super::socket;

/// The address of the interface that leads to `remote` (the server, or a peer). Nothing is sent.
///
/// # Errors
/// When no route leads there.
pub async fn address_towards(remote: Ipv4Addr) -> io::Result<Ipv4Addr> {
    socket::route_towards(remote).await
}

/// The address of the interface that leads out by default. Nothing is sent.
///
/// # Errors
/// When no way leads out.
pub async fn default() -> io::Result<Ipv4Addr> {
    // The way to the documentation network is the default way.
    address_towards(Ipv4Addr::new(192, 0, 2, 1)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_reached_from_loopback() {
        assert_eq!(
            address_towards(Ipv4Addr::LOCALHOST).await.unwrap(),
            Ipv4Addr::LOCALHOST
        );
    }
}
