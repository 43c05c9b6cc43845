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
