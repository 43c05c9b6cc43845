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

/// The address that peers are told: the one that was set, else that of the way to `server`.
///
/// # Errors
/// When none was set and no route leads there.
pub async fn announced(set: Option<Ipv4Addr>, server: Ipv4Addr) -> io::Result<Ipv4Addr> {
    match set {
        Some(ip) => Ok(ip),
        None => address_towards(server).await,
    }
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

    #[tokio::test]
    async fn what_was_set_is_announced_whatever_the_way_is() {
        let set = Ipv4Addr::new(192, 0, 2, 17);
        for (configured, expected) in [(Some(set), set), (None, Ipv4Addr::LOCALHOST)] {
            let ip = announced(configured, Ipv4Addr::LOCALHOST).await.unwrap();
            assert_eq!(ip, expected);
        }
    }
}
