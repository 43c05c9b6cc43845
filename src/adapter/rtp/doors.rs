//! The two sockets of a session, RTP and RTCP, and where they may send.

use std::net::SocketAddr;

use tokio::net::UdpSocket;

use crate::endpoint::{place::Place, policy::Allowed, socket};

/// An even port and its neighbour.
#[derive(Debug)]
pub(super) struct Doors {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
}

/// What came in, and by which door.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Whether it came to the RTP port.
    pub(super) at_rtp: bool,
    /// How many bytes of the buffer it is.
    pub(super) length: usize,
    /// Who sent it.
    pub(super) from: SocketAddr,
}

impl Doors {
    /// Opens them. The error is for people.
    pub(super) async fn bind(own: Place) -> Result<Self, String> {
        let ip = own.ip;
        let failed = |error| format!("no ports for a picture at {ip}: {error}");
        let (rtp, rtcp) = socket::rtp_pair(own).await.map_err(failed)?;
        let port = rtp.local_addr().map_err(failed)?.port();
        // Until it was told so once, a socket is not taken for one that can send.
        rtp.writable().await.map_err(failed)?;
        rtcp.writable().await.map_err(failed)?;
        Ok(Self { rtp, rtcp, port })
    }

    /// The RTP port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The RTP port with its address.
    pub(super) fn own(&self) -> Option<SocketAddr> {
        self.rtp.local_addr().ok()
    }

    /// The next datagram; `None` for what the system says of an earlier one of ours. May be dropped
    /// and called again.
    pub(super) async fn next(&self, rtp: &mut [u8], rtcp: &mut [u8]) -> Option<Arrival> {
        let (at_rtp, got) = tokio::select! {
            got = self.rtp.recv_from(rtp) => (true, got),
            got = self.rtcp.recv_from(rtcp) => (false, got),
        };
        let (length, from) = got.ok()?;
        Some(Arrival {
            at_rtp,
            length,
            from,
        })
    }

    /// Sends from the RTP port. A router that is to let the picture in must have seen this.
    pub(super) fn send_rtp(&self, bytes: &[u8], to: Allowed) {
        // What is not sent now is sent with the next report.
        let _ = self.rtp.try_send_to(bytes, to.address());
    }

    /// Sends from the RTCP port.
    pub(super) fn send_rtcp(&self, bytes: &[u8], to: Allowed) {
        let _ = self.rtcp.try_send_to(bytes, to.address());
    }
}
