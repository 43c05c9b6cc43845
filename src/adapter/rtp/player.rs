//! A player of the bridge: what it is told of the picture, and how the picture gets there.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::net::UdpSocket;

use super::backlog::Backlog;
use crate::{
    bridge::{Handoff, ReadyRule, Template, Value, Values},
    endpoint::socket,
    launch::PrivateDir,
    media::{
        rtcp::{self, Own},
        sdp::{self, Format},
    },
};

/// How many packets go out at once. More at a time are lost in the player's socket when it has
/// just been started and all that waited is sent.
const BURST: usize = 16;
/// The pause after as many.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// A place at which a player will receive.
pub(super) struct Stage {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    at: SocketAddr,
    rtcp_at: SocketAddr,
    /// What the bridge's templates need.
    pub(super) values: Values,
    /// The description; it must be there as long as the player.
    _files: PrivateDir,
}

impl Stage {
    /// Writes the description of a picture for a player that is to come. The error is for people.
    pub(super) async fn set(format: &Format, own: Ipv4Addr) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("no port for a player: {error}");
        let here = Ipv4Addr::LOCALHOST;
        let (rtp, rtcp) = socket::rtp_pair(here).await.map_err(failed)?;
        // Until it was told so once, a socket is not taken for one that can send.
        rtp.writable().await.map_err(failed)?;
        rtcp.writable().await.map_err(failed)?;
        let port = socket::free_port(here).await.map_err(failed)?;
        let files = PrivateDir::new().map_err(failed)?;
        let description = sdp::for_player(port, std::slice::from_ref(format));
        let path = files
            .write(Path::new("picture.sdp"), &description)
            .map_err(failed)?;
        Ok(Self {
            rtp,
            rtcp,
            at: (here, port).into(),
            rtcp_at: (here, port.saturating_add(1)).into(),
            values: Values::default()
                .with("own.ip", Value::Ip(own))
                .with("sdp", Value::Path(path)),
            _files: files,
        })
    }

    /// The same handoff, ready when its program has bound the port: only then does it receive.
    pub(super) fn awaited(&self, mut handoff: Handoff) -> Handoff {
        if handoff.ready == ReadyRule::Started
            && let Ok(at) = Template::read(&self.at.to_string(), &[])
        {
            handoff.ready = ReadyRule::Udp(at);
        }
        handoff
    }

    /// Sends what waits, not all at once.
    pub(super) fn send(&self, backlog: &mut Backlog) {
        for _ in 0..BURST {
            let Some(packet) = backlog.first() else {
                return;
            };
            // A player that is gone is noticed by its end.
            let sent = self.rtp.try_send_to(packet, self.at);
            if sent.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
                return;
            }
            backlog.pop();
        }
    }

    /// Tells the player that the sender has left: many end by themselves then.
    pub(super) fn bye(&self, source: u32) {
        let bye = rtcp::write(&Own {
            source,
            name: "",
            sent: None,
            heard: None,
            echo: None,
            bye: true,
        });
        let _ = self.rtcp.try_send_to(&bye, self.rtcp_at);
    }
}
