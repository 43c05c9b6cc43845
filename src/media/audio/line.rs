//! One end of a call over RTP: plays a source, records what it hears, and tells how it went.
//!
//! Reports begin at once and come every five seconds, because RTC hangs up under silence; a BYE is
//! the last (APPLICATIONS.md 1.4 and 1.6). What comes is locked to one remote host and port
//! ([`crate::media::lock`]) and to one voice at a time.

mod hearing;
mod speaking;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{hearing::Hearing, speaking::Speaking};
use super::{codec::G711, recorder::Recorder, source::Source};
use crate::{
    clock::Clock,
    endpoint::socket,
    media::lock::{Lock, is_one_place, rtcp_beside},
};

/// How long a packet lasts.
const PACKET: Duration = Duration::from_millis(20);
/// How often a report is sent.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How far sending may be behind and still catch up; more is left out, as after a suspension.
const MAX_BEHIND: Duration = Duration::from_millis(200);
/// Largest packet that is heard.
const MAX_PACKET: usize = 2048;

/// What a line is told when the call stands.
#[derive(Debug, Clone)]
pub struct LineSettings {
    /// Where the other side's sound is, at a host that policy has allowed.
    pub remote_rtp: SocketAddr,
    /// Where its reports are, if not at the next port.
    pub remote_rtcp: Option<SocketAddr>,
    /// What is sent. Both laws are heard.
    pub payload: G711,
    /// What is played.
    pub source: Source,
    /// Where to record, in a new file.
    pub record: Option<PathBuf>,
    /// Our source; unguessable (RFC 3550 section 5.1). RTC takes no 0, so 0 becomes 1.
    pub ssrc: u32,
    /// Our first number; unguessable.
    pub first_sequence: u16,
    /// Our first timestamp; unguessable.
    pub first_timestamp: u32,
    /// Our name in reports.
    pub cname: String,
}

/// How the call goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Packets sent.
    pub sent: u64,
    /// Packets of the voice heard.
    pub received: u64,
    /// Datagrams of others, or of a second voice.
    pub foreign: u64,
    /// Reports of the other side.
    pub reports: u64,
    /// Whether the voice said BYE.
    pub remote_left: bool,
}

/// How the call was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineReport {
    /// Packets sent.
    pub sent: u64,
    /// Packets heard, without repetitions.
    pub received: u64,
    /// Packets that should have come and did not.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Datagrams of others, or of a second voice.
    pub foreign: u64,
    /// Variation of the time between packets.
    pub jitter: Duration,
    /// The recording, if anything was heard.
    pub recorded: Option<PathBuf>,
    /// From start to stop.
    pub duration: Duration,
}

/// A line; it ends when it is dropped, then without a BYE.
#[derive(Debug)]
pub struct Line {
    sockets: Option<[UdpSocket; 2]>,
    port: u16,
    stop: CancellationToken,
    progress: watch::Receiver<Progress>,
    /// Ends the task when it is dropped.
    task: JoinSet<LineReport>,
}

impl Line {
    /// Opens an even port that the system chooses, and the next one for reports.
    ///
    /// # Errors
    /// As [`socket::rtp_pair`].
    pub async fn open(ip: Ipv4Addr) -> io::Result<Self> {
        let (rtp, rtcp) = socket::rtp_pair(ip).await?;
        let port = rtp.local_addr()?.port();
        Ok(Self {
            sockets: Some([rtp, rtcp]),
            port,
            stop: CancellationToken::new(),
            progress: watch::Sender::default().subscribe(),
            task: JoinSet::new(),
        })
    }

    /// Its RTP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The call stands: sound flows from now on.
    ///
    /// # Errors
    /// When the recording cannot be made, the address is not one host and port
    /// ([`io::ErrorKind::InvalidInput`]), or it has been started already
    /// ([`io::ErrorKind::AlreadyExists`]).
    pub fn start(&mut self, settings: LineSettings) -> io::Result<()> {
        let rtcp = settings
            .remote_rtcp
            .or_else(|| rtcp_beside(settings.remote_rtp));
        let Some(rtcp) = rtcp.filter(|rtcp| is_one_place(*rtcp)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if !is_one_place(settings.remote_rtp) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.sockets.is_none() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let recorder = match &settings.record {
            Some(path) => Some(Recorder::create(path)?),
            None => None,
        };
        let Some([rtp, reports]) = self.sockets.take() else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let (progress, seen) = watch::channel(Progress::default());
        self.progress = seen;
        let clock = Clock::start();
        let now = clock.now();
        let ends = Ends {
            rtp,
            rtcp: reports,
            sound: Lock::new(settings.remote_rtp, now),
            reports: Lock::new(rtcp, now),
            clock,
            progress,
        };
        let hearing = Hearing::new(settings.ssrc.max(1), recorder);
        let speaking = Speaking::new(settings);
        self.task
            .spawn(ends.serve(speaking, hearing, self.stop.clone()));
        Ok(())
    }

    /// How it goes, as it goes.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Says BYE, completes the recording, and tells how it was.
    pub async fn stop(mut self) -> LineReport {
        self.stop.cancel();
        match self.task.join_next().await {
            Some(Ok(report)) => report,
            _ => LineReport::default(),
        }
    }
}

/// Which of the two sockets has something.
enum Came {
    Sound(io::Result<(usize, SocketAddr)>),
    Report(io::Result<(usize, SocketAddr)>),
}

/// The two sockets and their other ends.
struct Ends {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    sound: Lock,
    reports: Lock,
    clock: Clock,
    progress: watch::Sender<Progress>,
}

impl Ends {
    async fn serve(
        mut self,
        mut speaking: Speaking,
        mut hearing: Hearing,
        stop: CancellationToken,
    ) -> LineReport {
        let mut packet_due = Instant::now();
        let mut report_due = packet_due;
        let mut sound = [0_u8; MAX_PACKET];
        let mut report = [0_u8; MAX_PACKET];
        loop {
            tokio::select! {
                // In order: the first report goes before the first packet, and a flood does not
                // keep us from speaking or from stopping.
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(report_due) => {
                    report_due += REPORT_EVERY;
                    self.report(&speaking, &mut hearing, false).await;
                }
                () = sleep_until(packet_due) => {
                    // From the time it was due, not from now: no drift.
                    packet_due += PACKET;
                    let behind = packet_due.elapsed();
                    if behind > MAX_BEHIND {
                        packet_due += speaking.leave_out(behind);
                    }
                    if let Some(packet) = speaking.packet() {
                        // One that is not sent is as good as lost on its way.
                        let _ = self.rtp.send_to(&packet, self.sound.there()).await;
                    }
                }
                // These two by chance: a flood of one does not drown the other.
                came = async {
                    tokio::select! {
                        got = self.rtp.recv_from(&mut sound) => Came::Sound(got),
                        got = self.rtcp.recv_from(&mut report) => Came::Report(got),
                    }
                } => match came {
                    Came::Sound(got) => self.heard(got, &sound, &mut hearing),
                    Came::Report(got) => self.told(got, &report, &mut hearing),
                },
            }
            self.tell(&speaking, &hearing);
        }
        self.report(&speaking, &mut hearing, true).await;
        let summary = hearing.summary();
        LineReport {
            sent: speaking.packets(),
            received: summary.received,
            lost: summary.lost,
            duplicates: summary.duplicates,
            reordered: summary.reordered,
            foreign: hearing.foreign,
            jitter: summary.jitter,
            recorded: hearing.finish(self.clock.now()),
            duration: self.clock.now(),
        }
    }

    async fn report(&self, speaking: &Speaking, hearing: &mut Hearing, bye: bool) {
        let now = self.clock.now();
        let bytes = speaking.report(hearing.report(), hearing.echo(now), now, bye);
        let _ = self.rtcp.send_to(&bytes, self.reports.there()).await;
    }

    fn heard(&mut self, got: io::Result<(usize, SocketAddr)>, bytes: &[u8], hearing: &mut Hearing) {
        let Ok((length, from)) = got else { return };
        let datagram = bytes.get(..length).unwrap_or_default();
        let now = self.clock.now();
        hearing.sound(datagram, now, || self.sound.admits(from, now));
    }

    fn told(&mut self, got: io::Result<(usize, SocketAddr)>, bytes: &[u8], hearing: &mut Hearing) {
        let Ok((length, from)) = got else { return };
        let datagram = bytes.get(..length).unwrap_or_default();
        let now = self.clock.now();
        hearing.report_came(datagram, now, || self.reports.admits(from, now));
    }

    fn tell(&self, speaking: &Speaking, hearing: &Hearing) {
        let summary = hearing.summary();
        self.progress.send_replace(Progress {
            sent: speaking.packets(),
            received: summary.received,
            foreign: hearing.foreign,
            reports: hearing.reports,
            remote_left: hearing.left,
        });
    }
}

#[cfg(test)]
mod tests;
