//! The sockets that the peer is told of.

use std::{io, net::SocketAddrV4};

use tokio::net::{TcpListener, UdpSocket};

use crate::endpoint::{place::Place, socket};

/// The sockets for the peer, all there before the address of the first is told.
pub(super) struct Listening {
    pub udp: UdpSocket,
    /// SIP's, and T.120's.
    pub tcp: [TcpListener; 2],
    /// Where SIP is listened for.
    pub sip: SocketAddrV4,
    /// Where T.120 is.
    pub t120: SocketAddrV4,
}

impl Listening {
    /// Binds them. The error is for people.
    pub(super) async fn bind(place: &Place, port: u16) -> Result<Self, String> {
        let own = place.ip;
        let t120 = SocketAddrV4::new(own, port);
        let listener = socket::tcp_listen(t120.into()).await;
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "TCP port {port} at {own} is taken by another program, or by another whiteboard or \
                 application sharing; the contact's client knows no other port: end that first"
            ),
            _ => format!("cannot listen at {t120}: {error}"),
        })?;
        let pair = async {
            let (udp, tcp) = socket::udp_tcp_pair(place.clone()).await?;
            let port = udp.local_addr()?.port();
            io::Result::Ok((udp, tcp, SocketAddrV4::new(own, port)))
        };
        let (udp, tcp, sip) = pair
            .await
            .map_err(|error| format!("no port to listen on at {own}: {error}"))?;
        Ok(Self {
            udp,
            tcp: [tcp, listener],
            sip,
            t120,
        })
    }
}
