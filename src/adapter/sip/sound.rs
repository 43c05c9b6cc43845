//! The media of one call: a relay between the peer and whoever takes the sound, another one for the
//! picture. The sockets are bound before anything is said of them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    endpoint::{place::Place as Bind, socket},
    media::{record::Dump, relay::Relay, statistics::Meter},
};

use super::{
    builtin::BuiltIn,
    front::{Media, Place},
};

/// Largest packet kept; RTC's are at most 1500 with headers (APPLICATIONS.md 1.4).
const MAX_PACKET: usize = 2048;

/// The media of one call.
pub(super) struct Sound {
    relay: Relay,
    picture: Option<Relay>,
    now: Option<Media>,
    built_in: BuiltIn,
    keeping: JoinSet<Option<PathBuf>>,
    stop: CancellationToken,
}

/// What is left of a call.
pub(super) struct Over {
    /// The recordings that were made.
    pub recordings: Vec<PathBuf>,
    /// How well the peer was heard, for people; nothing when no media flowed.
    pub quality: Option<String>,
}

impl Sound {
    /// Binds the peer's side at `own` and the agent's on loopback. Of sound and picture so many bits
    /// per second are carried at most.
    pub(super) async fn bind(
        own: &Bind,
        limit: u32,
        video: bool,
        built_in: BuiltIn,
    ) -> io::Result<Self> {
        let picture = if video {
            let picture = Relay::open(own.clone(), Ipv4Addr::LOCALHOST).await?;
            picture.limit(limit);
            Some(picture)
        } else {
            None
        };
        let relay = Relay::open(own.clone(), Ipv4Addr::LOCALHOST).await?;
        relay.limit(limit);
        Ok(Self {
            relay,
            picture,
            now: None,
            built_in,
            keeping: JoinSet::new(),
            stop: CancellationToken::new(),
        })
    }

    /// RTP port of the peer's side.
    pub(super) fn peer_port(&self) -> u16 {
        self.relay.peer_port()
    }

    /// RTP port of the agent's side.
    pub(super) fn agent_port(&self) -> u16 {
        self.relay.agent_port()
    }

    /// RTP port for the peer's picture.
    pub(super) fn video_port(&self) -> Option<u16> {
        self.picture.as_ref().map(Relay::peer_port)
    }

    /// Media flows so from now on; says whether none did before. An address that is said again
    /// stays locked as it is.
    pub(super) async fn flow(&mut self, media: Media) -> io::Result<bool> {
        self.relay.hold(media.held);
        let was = self.now.as_ref();
        if was.map(|was| was.peer) != Some(media.peer) {
            let (rtp, rtcp) = media.peer;
            self.relay.connect_peer(rtp.into(), Some(rtcp.into()))?;
        }
        match media.agent {
            Some(agent) if was.and_then(|was| was.agent) != Some(agent) => {
                self.relay
                    .connect_agent(agent.0.into(), Some(agent.1.into()))?;
            }
            Some(_) => {}
            None => self.built_in.talk(&self.relay, &media.audio).await?,
        }
        if let (Some(relay), Some(video)) = (&self.picture, &media.video)
            && was.and_then(|was| was.video.as_ref()).map(|was| was.at) != Some(video.at)
        {
            connect_picture(relay, video.at)?;
        }
        Ok(self.now.replace(media).is_none())
    }

    /// Whether media flows, and for how long nothing has come from the peer.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.now.as_ref().map(|_| self.relay.silence())
    }

    /// Whether the peer's sound comes from there.
    pub(super) fn comes_from(&self, ip: Ipv4Addr) -> bool {
        let there = self.relay.peer_there().filter(|_| self.now.is_some());
        there.is_some_and(|it| it.ip() == ip)
    }

    /// How the peer's sound arrives.
    pub(super) fn meter(&self) -> Meter {
        self.relay.meter()
    }

    /// Ends it.
    pub(super) async fn end(self) -> Over {
        let mut keeping = self.keeping;
        let mut recordings = self.built_in.end().await;
        let heard = self.relay.close().await.from_peer;
        if let Some(picture) = self.picture {
            picture.close().await;
        }
        self.stop.cancel();
        while let Some(kept) = keeping.join_next().await {
            recordings.extend(kept.ok().flatten());
        }
        Over {
            recordings,
            quality: self.now.map(|_| heard.stream.as_voice()),
        }
    }

    /// The peer's picture goes into a file.
    pub(super) async fn keep_picture(&mut self, path: &Path) -> io::Result<()> {
        let (Some(relay), Some(video)) = (
            &self.picture,
            self.now.as_ref().and_then(|now| now.video.as_ref()),
        ) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (peer, _) = video.at;
        let own = SocketAddrV4::new(relay.peer_ip(), relay.peer_port());
        // The reports are not kept, but their port must be nobody else's.
        let (rtp, rtcp) = socket::rtp_pair(Ipv4Addr::LOCALHOST).await?;
        let dump = Dump::create(path, peer, own)?;
        relay.connect_agent(rtp.local_addr()?, Some(rtcp.local_addr()?))?;
        self.keeping
            .spawn(keep([rtp, rtcp], dump, self.stop.clone()));
        Ok(())
    }

    /// The peer's picture goes to the player at `to`.
    pub(super) fn show(&self, to: SocketAddrV4) -> io::Result<()> {
        match &self.picture {
            Some(relay) => relay.connect_agent(to.into(), None),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn connect_picture(relay: &Relay, (rtp, rtcp): Place) -> io::Result<()> {
    relay.connect_peer(SocketAddr::from(rtp), Some(rtcp.into()))
}

/// A picture, into a file. Gives the file, unless nothing came.
async fn keep(
    [rtp, _rtcp]: [UdpSocket; 2],
    mut dump: Dump,
    stop: CancellationToken,
) -> Option<PathBuf> {
    let clock = Clock::start();
    let mut buffer = [0_u8; MAX_PACKET];
    let mut kept = Ok(());
    loop {
        let got = tokio::select! {
            got = rtp.recv_from(&mut buffer) => got,
            () = stop.cancelled() => break,
        };
        // What another program of this machine sends here is in the file as well, and nowhere else.
        if let (Ok((length, _)), Ok(())) = (got, &kept) {
            kept = dump.keep(buffer.get(..length).unwrap_or_default(), clock.now());
            if kept.is_err() {
                stop.cancelled().await;
            }
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    match kept.and_then(|()| dump.finish()) {
        Ok(path) => path,
        Err(error) => {
            tracing::warn!(%error, "the recording of the picture is incomplete");
            None
        }
    }
}
