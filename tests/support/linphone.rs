//! linphonec as a peer or as a program that is already there, with files for its microphone and
//! its loudspeaker (TOOLS.md 4.2).

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    child::Child,
    ports,
    sound::{self, Heard},
    until,
};

/// A running linphonec that answers by itself, any URI.
pub(crate) struct Linphone {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Linphone {
    /// Starts one on a port of its own (UDP and TCP) that plays a tone.
    pub(crate) async fn start(dir: &Path, name: &str, tone: f64) -> Self {
        let dir = dir.join(format!("linphone-{name}"));
        // Without this folder it says nothing and opens no port.
        fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
        let port = ports().await;
        sound::write_tone(&dir.join("tone.wav"), tone, 60.0);
        // `bind_address` counts in [sip] and [rtp] only; without it the port is open to the
        // network, and the SDP names the address of the default route even to a caller on loopback.
        let rc = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port={port}\nsip_tls_port=0\nguess_hostname=0\n\
             contact=sip:{name}@127.0.0.1:{port}\nuse_ipv6=0\nipv6_migration_done=1\n\
             default_proxy=-1\nbind_address=127.0.0.1\n\
             [rtp]\naudio_rtp_port={rtp}\nbind_address=127.0.0.1\n\
             [sound]\nechocancellation=0\n[video]\nenabled=0\n",
            rtp = port + 2,
        );
        fs::write(dir.join("rc"), rc).unwrap();
        let mut child = Child::start("linphonec", ["-a", "-c", "rc"], &dir);
        for line in ["soundcard use files", "play tone.wav", "record heard.wav"] {
            child.say(line).await;
        }
        until("linphonec's SIP port", || {
            let table = fs::read_to_string("/proc/thread-self/net/udp").unwrap();
            table.contains(&format!(":{port:04X} ")).then_some(())
        })
        .await;
        Self { child, dir, port }
    }

    /// Where it takes calls.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Calls. It takes a URI without a user as it is.
    pub(crate) async fn call(&mut self, uri: &str) {
        self.child.say(&format!("call {uri}")).await;
    }

    /// Ends the call.
    pub(crate) async fn hang_up(&mut self) {
        self.child.say("terminate").await;
    }

    /// Waits until its media runs.
    pub(crate) async fn streams(&mut self) {
        self.child.printed("Media streams established").await;
    }

    /// Waits until its call is over.
    pub(crate) async fn call_ended(&mut self) {
        self.child.printed(" ended (").await;
    }

    /// Waits until it has heard that many seconds.
    pub(crate) async fn listens(&self, seconds: u64) {
        let path = self.dir.join("heard.wav");
        until("a recording of linphonec", || {
            let bytes = fs::metadata(&path).ok()?.len();
            (bytes > seconds * u64::from(sound::RATE) * 2).then_some(())
        })
        .await;
    }

    /// Everything it printed so far.
    pub(crate) fn output(&self) -> String {
        self.child.output()
    }

    /// Ends it, and says what it heard in its last call.
    pub(crate) async fn quit(mut self) -> Heard {
        self.child.say("quit").await;
        self.child.wait().await;
        Heard::read(&self.dir.join("heard.wav"))
    }
}
