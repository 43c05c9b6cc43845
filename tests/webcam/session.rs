//! An adapter at work.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use msn_handoff::{
    adapter::{self, Order, Report, Task},
    bridge::{Bridge, Reading, read_file},
    config::Call,
    endpoint::policy::Policy,
    invitation::{AddressSource, Candidate},
    negotiation::{Announcement, InvitationId, Remote, Role},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

use crate::support::within;

/// A bridge of the user's with these handoffs.
pub(crate) fn bridge(dir: &Path, handoffs: &str) -> Arc<Bridge> {
    let text = format!(
        r#"
id       = "camera"
name     = "webcam"
guids    = ["2A23868E-B45F-401d-B8B0-1E16B774A5B7"]
announce = "viewing webcam"
[negotiation]
address = "ip:port"
listens = "both"
{handoffs}
"#
    );
    let file = dir.join("camera.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    match read_file(&file).unwrap() {
        Reading::Bridge(bridge) => Arc::new(*bridge),
        Reading::Hidden(_) => panic!("hidden"),
    }
}

pub(crate) const RECORDING: &str = r#"
[[handoff]]
name    = "a recording of the picture"
adapter = "rtp"
builtin = true
idle    = 2
"#;

/// A program as a player: what it shows goes into a file.
pub(crate) type Player = fn(pixels: &str, to: &Path) -> String;

pub(crate) fn ffmpeg(pixels: &str, to: &Path) -> String {
    played_by("ffmpeg", pixels, to)
}

/// ffmpeg, or what ends up as it.
pub(crate) fn played_by(program: &str, pixels: &str, to: &Path) -> String {
    format!(
        r#"
[[handoff]]
name    = "the player"
adapter = "rtp"
run     = ["{program}", "-nostdin", "-y", "-loglevel", "warning", "-protocol_whitelist", "file,udp,rtp", "-i", "{{sdp}}",
           "-fps_mode", "passthrough", "-pix_fmt", "{pixels}", "-f", "rawvideo", "{to}"]
idle    = 2
"#,
        to = to.display()
    )
}

/// As the bridge that we ship does it, but for the last step.
pub(crate) fn gstreamer(_: &str, to: &Path) -> String {
    format!(
        r#"
[[handoff]]
name    = "the player"
adapter = "rtp"
run     = ["gst-launch-1.0", "-q", "filesrc", "location={{sdp}}", "!", "sdpdemux", "!", "decodebin", "!", "videoconvert", "!",
           "video/x-raw,format=I420", "!", "filesink", "location={to}", "buffer-mode=unbuffered"]
env     = {{ GST_REGISTRY = "{registry}" }}
idle    = 2
"#,
        to = to.display(),
        registry = REGISTRY,
    )
}

/// Where GStreamer keeps what it knows of its plugins. Without, it looks through all of them first.
pub(crate) const REGISTRY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/gstreamer-registry");

pub(crate) struct Session {
    pub(crate) at: SocketAddr,
    orders: UnboundedSender<Order>,
    reports: UnboundedReceiver<Report>,
    adapter: JoinHandle<()>,
    pub(crate) said: Vec<String>,
    pub(crate) recordings: PathBuf,
}

impl Session {
    /// An adapter that listens.
    pub(crate) async fn open(dir: &Path, handoffs: &str, own: Ipv4Addr) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let (orders, incoming) = mpsc::unbounded_channel();
        let (outgoing, reports) = mpsc::unbounded_channel();
        let bridge = bridge(dir, handoffs);
        let recordings = dir.join("recordings");
        let task = Task {
            invitation: InvitationId(1),
            role: Role::Invitee,
            bridge: Arc::clone(&bridge),
            peer: "bob@example.com".into(),
            media: Vec::new(),
            network: msn_handoff::endpoint::place::Network::plain(own),
            policy: Policy::new(own, Vec::new()),
            call: Call::default(),
            bandwidth: msn_handoff::media::limit::Bandwidth::default(),
            phones: None,
            recordings: recordings.clone(),
            orders: incoming.into(),
            reports: outgoing,
        };
        let kind = bridge.adapter(Role::Invitee).unwrap();
        let mut session = Self {
            at: (own, 0).into(),
            orders,
            reports,
            adapter: tokio::spawn(adapter::run(kind, task)),
            said: Vec::new(),
            recordings,
        };
        session.order(Order::Prepare(Announcement::Accept));
        let ready = |report: &Report| match report {
            Report::Ready(announced) => announced.port,
            _ => None,
        };
        let port = session.reported("Ready", ready).await;
        assert_eq!(port % 2, 0);
        session.at.set_port(port);
        session
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// The handshake is complete: the peer is there.
    pub(crate) fn connect(&self, peer: SocketAddr) {
        let SocketAddr::V4(peer) = peer else {
            panic!("{peer}")
        };
        let candidate = Candidate {
            ip: *peer.ip(),
            port: Some(peer.port()),
            source: AddressSource::IpAddress,
        };
        self.order(Order::Connected(Remote {
            candidates: vec![candidate],
            ..Remote::default()
        }));
    }

    /// Waits for a report.
    pub(crate) async fn reported<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Report) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                let Some(report) = self.reports.recv().await else {
                    panic!("{what}: the adapter returned after {:?}", self.said);
                };
                self.said.push(format!("{report:?}"));
                if let Some(found) = wanted(&report) {
                    return found;
                }
            }
        })
        .await
    }

    pub(crate) async fn runs(&mut self) {
        let running = |report: &Report| match report {
            Report::Running => Some(()),
            Report::Failed { why, .. } => panic!("{why}"),
            _ => None,
        };
        self.reported("Running", running).await;
    }

    /// Waits until it has ended by itself; its last words.
    pub(crate) async fn ended(mut self) -> String {
        let finished = |report: &Report| match report {
            Report::Finished(words) => Some(words.clone()),
            _ => None,
        };
        let words = self.reported("Finished", finished).await;
        within("the adapter's end", self.adapter).await.unwrap();
        words
    }
}

/// The one file with that ending.
pub(crate) fn made(folder: &Path, extension: &str) -> PathBuf {
    let all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    let [one] = all.as_slice() else {
        panic!("{extension}: {all:?}")
    };
    let mode = std::fs::metadata(one).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", one.display());
    one.clone()
}
