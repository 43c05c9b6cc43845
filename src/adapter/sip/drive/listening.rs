//! The announced port, and what arrives there before the handshake is complete.

use super::*;

/// The sockets the peer is told of.
pub(super) struct Listening {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
    pub(super) at: SocketAddrV4,
    /// The same as the peer knows it.
    pub(super) told: Opened,
}

/// What came before the handshake was complete.
#[derive(Default)]
pub(super) struct Early {
    pub(super) datagrams: Vec<(Vec<u8>, SocketAddrV4)>,
    pub(super) streams: Vec<(TcpStream, SocketAddrV4)>,
}

pub(super) async fn prepare(
    listening: &mut Option<Listening>,
    network: &Network,
) -> std::io::Result<Announced> {
    if let Some(have) = listening {
        return Ok(have.told.announced);
    }
    let (udp, tcp) = socket::udp_tcp_pair(network.bind.clone()).await?;
    let at = SocketAddrV4::new(network.bind.ip, udp.local_addr()?.port());
    let told = network.open(&Door::both(at.port())).await;
    let announced = told.announced;
    *listening = Some(Listening { udp, tcp, at, told });
    Ok(announced)
}

impl Early {
    /// Keeps what arrives, within bounds; the rest is dropped. Nothing is answered: who may speak
    /// to us is known when the handshake is complete.
    pub(super) async fn gather(&mut self, listening: Option<&Listening>) {
        let Some(listening) = listening else {
            return std::future::pending().await;
        };
        let mut buffer = vec![0; MAX_MESSAGE + 1];
        tokio::select! {
            got = listening.udp.recv_from(&mut buffer) => match got {
                Ok((n, SocketAddr::V4(from))) if self.datagrams.len() < MAX_EARLY => {
                    buffer.truncate(n);
                    self.datagrams.push((buffer, from));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            got = listening.tcp.accept() => match got {
                Ok((stream, SocketAddr::V4(from))) if self.streams.len() < MAX_STREAMS => {
                    self.streams.push((stream, from));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}
