//! baresip as a peer or as a program that is already there, controlled over its TCP socket: the
//! events tell what happened, its exit code does not (TOOLS.md 4.1).

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use msn_handoff::endpoint::socket;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    LIMIT,
    child::Child,
    ports,
    sound::{self, Heard},
    until, within,
};

/// Where Debian and others put its modules.
const MODULES: &[&str] = &[
    "/usr/lib/baresip/modules",
    "/usr/lib/x86_64-linux-gnu/baresip/modules",
    "/usr/lib/aarch64-linux-gnu/baresip/modules",
    "/usr/lib64/baresip/modules",
    "/usr/local/lib/baresip/modules",
];

/// A running baresip that answers by itself.
pub(crate) struct Baresip {
    child: Child,
    control: TcpStream,
    unread: Vec<u8>,
    dir: PathBuf,
    user: String,
    port: u16,
}

impl Baresip {
    /// Starts one that is `user` on a port of its own and plays a tone.
    pub(crate) async fn start(dir: &Path, user: &str, tone: f64) -> Self {
        Self::start_with(dir, user, tone, "", "").await
    }

    /// The same, with lines for its configuration and parameters for its account.
    pub(crate) async fn start_with(
        dir: &Path,
        user: &str,
        tone: f64,
        lines: &str,
        account: &str,
    ) -> Self {
        let dir = dir.join(format!("baresip-{user}"));
        fs::create_dir(&dir).unwrap();
        // SIP takes two ports, TLS the one above; media the rest.
        let port = ports().await;
        let control = SocketAddr::from((Ipv4Addr::LOCALHOST, port + 2));
        let source = dir.join("tone.wav");
        sound::write_tone(&source, tone, 60.0);
        let modules = MODULES
            .iter()
            .find(|path| Path::new(path).is_dir())
            .expect("baresip's modules");
        let mut config = String::new();
        write!(
            config,
            "poll_method epoll\n\
             sip_listen 127.0.0.1:{port}\n\
             net_interface 127.0.0.1\n\
             call_max_calls 1\n\
             audio_source aufile,{source}\n\
             audio_player aubridge,sink\n\
             audio_alert aubridge,alert\n\
             rtp_ports {first}-{last}\n\
             module_path {modules}\n\
             module g711.so\n\
             module aufile.so\n\
             module aubridge.so\n\
             module sndfile.so\n\
             module ctrl_tcp.so\n\
             module_app account.so\n\
             module_app menu.so\n\
             ctrl_tcp_listen {control}\n\
             snd_path {dir}\n\
             {lines}\n",
            source = source.display(),
            first = port + 4,
            last = port + 14,
            dir = dir.display(),
        )
        .unwrap();
        fs::write(dir.join("config"), config).unwrap();
        let answers = if account.contains(";answermode=") {
            ""
        } else {
            ";answermode=auto"
        };
        let account = format!(
            "<sip:{user}@127.0.0.1:{port}>;regint=0{answers};\
             audio_codecs=PCMU/8000/1,PCMA/8000/1{account}\n"
        );
        fs::write(dir.join("accounts"), account).unwrap();
        fs::write(dir.join("contacts"), "").unwrap();
        let mut child = Child::start("baresip", ["-4", "-f", dir.to_str().unwrap()], &dir);
        child.printed("baresip is ready.").await;
        let control = socket::tcp_connect(control, LIMIT).await.unwrap();
        Self {
            child,
            control,
            unread: Vec::new(),
            dir,
            user: user.into(),
            port,
        }
    }

    /// Starts one that rings until it is told what to do.
    pub(crate) async fn rings(dir: &Path, user: &str, tone: f64) -> Self {
        Self::start_with(dir, user, tone, "", ";answermode=manual").await
    }

    /// Where it takes calls.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URI it answers to; it refuses any other.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.user, self.port)
    }

    /// Calls. The URI needs a user part.
    pub(crate) async fn dial(&mut self, uri: &str) {
        self.command("dial", uri).await;
    }

    /// Ends the call.
    pub(crate) async fn hang_up(&mut self) {
        self.command("hangup", "").await;
    }

    /// Any command of its menu.
    pub(crate) async fn command(&mut self, command: &str, params: &str) {
        let json = serde_json::json!({"command": command, "params": params, "token": "1"});
        let json = json.to_string();
        let netstring = format!("{}:{json},", json.len());
        self.control.write_all(netstring.as_bytes()).await.unwrap();
    }

    /// Waits for the event of that type; others before it are passed over.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        within(&format!("event {kind} of baresip"), async {
            loop {
                let message = self.message().await;
                if message["type"] == kind {
                    return message;
                }
            }
        })
        .await
    }

    async fn message(&mut self) -> Value {
        loop {
            if let Some(colon) = self.unread.iter().position(|byte| *byte == b':') {
                let length: usize = std::str::from_utf8(&self.unread[..colon])
                    .unwrap()
                    .parse()
                    .unwrap();
                let end = colon + 1 + length;
                if self.unread.len() > end {
                    let message = serde_json::from_slice(&self.unread[colon + 1..end]).unwrap();
                    self.unread.drain(..=end);
                    return message;
                }
            }
            let count = self.control.read_buf(&mut self.unread).await.unwrap();
            assert_ne!(count, 0, "baresip closed its control socket");
        }
    }

    /// Waits until it has heard that many seconds.
    pub(crate) async fn listens(&self, seconds: u64) {
        until("a recording of baresip", || {
            let bytes = fs::metadata(self.recording()?).ok()?.len();
            (bytes > seconds * u64::from(sound::RATE) * 2).then_some(())
        })
        .await;
    }

    /// The file of what it hears in its last call ("dec"), if there was one.
    fn recording(&self) -> Option<PathBuf> {
        fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .max()
    }

    /// Everything it printed so far.
    pub(crate) fn output(&self) -> String {
        self.child.output()
    }

    /// Ends it, and says what it heard in its last call, if it had one.
    pub(crate) async fn quit(mut self) -> Option<Heard> {
        self.command("quit", "").await;
        let ended = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
        if ended.is_err() {
            self.child.terminate().await;
        }
        self.recording().map(|path| Heard::read(&path))
    }
}
