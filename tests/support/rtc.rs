//! The genuine client's SIP, spoken by sipp: a caller and a callee as APPLICATIONS.md 1.3 has
//! them, with media at [`Media`].

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use msn_handoff::endpoint::socket;
use tokio::io::AsyncWriteExt as _;

use super::{LIMIT, child::Child, media::Media, ports, until};

/// How SIP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// One call of the genuine client.
pub(crate) struct Rtc {
    child: Child,
    log: PathBuf,
    errors: PathBuf,
    port: u16,
    transport: Transport,
    pub(crate) media: Media,
}

impl Rtc {
    /// Calls `target`, from a port of its own.
    pub(crate) async fn calls(dir: &Path, transport: Transport, target: SocketAddr) -> Self {
        let port = ports().await;
        Self::calls_from(dir, transport, port, target).await
    }

    /// Calls `target` from that port.
    pub(crate) async fn calls_from(
        dir: &Path,
        transport: Transport,
        port: u16,
        target: SocketAddr,
    ) -> Self {
        let more = [target.to_string()];
        Self::start(dir, "rtc_uac.xml", transport, port, &more).await
    }

    /// Calls `target` as that scenario has it, from a port of its own.
    pub(crate) async fn plays(
        dir: &Path,
        scenario: &str,
        transport: Transport,
        target: SocketAddr,
    ) -> Self {
        let port = ports().await;
        Self::start(dir, scenario, transport, port, &[target.to_string()]).await
    }

    /// Takes one call, on a port of its own.
    pub(crate) async fn answers(dir: &Path, transport: Transport) -> Self {
        let port = ports().await;
        Self::answers_at(dir, transport, port).await
    }

    /// Takes one call, on that port.
    pub(crate) async fn answers_at(dir: &Path, transport: Transport, port: u16) -> Self {
        let rtc = Self::start(dir, "rtc_uas.xml", transport, port, &[]).await;
        let table = match transport {
            Transport::Udp => "/proc/thread-self/net/udp",
            Transport::Tcp => "/proc/thread-self/net/tcp",
        };
        until("sipp's port", || {
            let table = fs::read_to_string(table).unwrap();
            table.contains(&format!(":{port:04X} ")).then_some(())
        })
        .await;
        rtc
    }

    async fn start(
        dir: &Path,
        scenario: &str,
        transport: Transport,
        port: u16,
        more: &[String],
    ) -> Self {
        let dir = dir.join(format!("rtc-{port}"));
        fs::create_dir(&dir).unwrap();
        let media = Media::open(Ipv4Addr::LOCALHOST).await;
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/support/sipp")
            .join(scenario);
        let (log, errors) = (dir.join("log"), dir.join("errors"));
        let mut args: Vec<String> = [
            "-sf",
            scenario.to_str().unwrap(),
            "-i",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-m",
            "1",
            "-t",
            match transport {
                Transport::Udp => "u1",
                Transport::Tcp => "t1",
            },
            "-key",
            "rtp_port",
            &media.port().to_string(),
            // A GUID before the host, as the genuine client's; sipp counts in its last part.
            "-cid_str",
            "e1c5d0a2-7d5b-4f7e-9c8e-%u%p@%s",
            "-timeout",
            &format!("{}s", LIMIT.as_secs()),
            "-timeout_error",
            "-nostdin",
            "-trace_logs",
            "-log_file",
            log.to_str().unwrap(),
            "-trace_err",
            "-error_file",
            errors.to_str().unwrap(),
        ]
        .map(str::to_owned)
        .into();
        args.extend_from_slice(more);
        Self {
            child: Child::start("sipp", args, &dir),
            log,
            errors,
            port,
            transport,
            media,
        }
    }

    /// Where it takes calls.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where the other side wants its media, once it has said so.
    pub(crate) async fn media_address(&self) -> SocketAddr {
        self.logged("media ").await.parse().unwrap()
    }

    /// The URI it was called by, once it was.
    pub(crate) async fn called_by(&self) -> String {
        self.logged("called ").await
    }

    /// Plays a tone to where the other side wants it.
    pub(crate) async fn play(&mut self, hz: f64) {
        let to = self.media_address().await;
        self.media.play(hz, to);
    }

    /// Whether it has been answered, or has answered.
    pub(crate) fn is_answered(&self) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| log.contains("media "))
    }

    /// Ends a call that it placed: sipp is told to, by a message of ours to its port.
    pub(crate) async fn hangs_up(&self) {
        let call = self.logged("call ").await;
        let transport = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        };
        let told = format!(
            "NOTIFY sip:{at} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bKtest\r\n\
             From: <sip:test@127.0.0.1>;tag=test\r\nTo: <sip:{at}>\r\nCall-ID: {call}\r\n\
             CSeq: 1 NOTIFY\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            at = self.address()
        );
        match self.transport {
            Transport::Udp => {
                let socket = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
                let sent = socket.send_to(told.as_bytes(), self.address()).await;
                sent.unwrap();
            }
            Transport::Tcp => {
                let mut stream = socket::tcp_connect(self.address(), LIMIT).await.unwrap();
                stream.write_all(told.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    }

    /// Waits until the call has gone as the genuine client expects, from its first message to the
    /// answer to BYE, and is over.
    pub(crate) async fn finish(&mut self) {
        let code = self.child.wait().await;
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        assert_eq!(code, Some(0), "sipp: {errors}");
    }

    /// What the scenario has logged after `key`, once it has.
    pub(crate) async fn logged(&self, key: &str) -> String {
        until(&format!("{key:?} in sipp's log"), || {
            let log = fs::read_to_string(&self.log).ok()?;
            // Only whole lines: it may be writing.
            let (lines, _) = log.rsplit_once('\n')?;
            lines
                .lines()
                .find_map(|line| line.strip_prefix(key).map(str::to_owned))
        })
        .await
    }
}
