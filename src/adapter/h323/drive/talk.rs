//! One call, from its first byte to its last: what the connections bring goes to the call, what the
//! call wants is done.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    arrival::Arrived,
    phone::{self, News, Phone},
};
use crate::{
    adapter::{
        Order, Orders, Report, Task,
        h323::call::{Call, Codec, Ended, Input, Medium, Output, Settings},
    },
    clock::Clock,
    endpoint::{callers::Callers, mapping::Door, policy::Policy, socket},
    media::{relay::Relay, sdp::Format, sip::Now},
    shown,
};

/// How long the peer may take to take what is sent to it, or a connection of ours.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a call may take from its connection until sound is agreed on: the other side may be asking
/// its user.
const AGREED_WITHIN: Duration = Duration::from_secs(90);
/// How long an accept that failed is left alone: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);
/// Stands for a port that is not known yet.
const ANY_PORT: u16 = 1024;
/// How much is read at a time, in bytes.
const CHUNK: usize = 4096;
/// How long the last words may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The longest name that is shown.
const SHOWN: usize = 40;

/// What a call needs of us, there before it begins.
pub(super) struct Ready {
    relay: Relay,
    picture: Option<Relay>,
    phone: Phone,
    /// For H.245.
    listener: TcpListener,
    /// What the peer is told of them.
    audio: SocketAddrV4,
    video: Option<SocketAddrV4>,
    control: SocketAddrV4,
}

impl Ready {
    /// Binds what will be told. The error is for people.
    pub(super) async fn open(task: &mut Task) -> Result<Self, String> {
        let place = task.network.bind.clone();
        let sockets = async {
            let relay = Relay::open(place.clone(), Ipv4Addr::LOCALHOST).await?;
            let picture = match phone::shows(task) {
                true => Some(Relay::open(place.clone(), Ipv4Addr::LOCALHOST).await?),
                false => None,
            };
            for relay in [Some(&relay), picture.as_ref()].into_iter().flatten() {
                relay.limit(task.bandwidth.media);
            }
            let (_, listener) = socket::udp_tcp_pair(place).await?;
            let control = listener.local_addr()?.port();
            Ok::<_, io::Error>((relay, picture, listener, control))
        };
        let sockets = sockets.await;
        let (relay, picture, listener, control) =
            sockets.map_err(|error| format!("no ports for the call: {error}"))?;
        let audio = task.open(&Door::rtp(relay.peer_port())).await.at;
        let video = match &picture {
            Some(relay) => Some(task.open(&Door::rtp(relay.peer_port())).await.at),
            None => None,
        };
        let control = task.open(&[Door::tcp(control)]).await.at;
        Ok(Self {
            relay,
            picture,
            phone: Phone::open(task).await?,
            listener,
            audio,
            video,
            control,
        })
    }
}

/// The call over that connection.
pub(super) async fn run(
    task: &Task,
    orders: &mut Orders,
    ready: Ready,
    arrived: Arrived,
    peers: &Callers,
    t120: Option<SocketAddrV4>,
) {
    let mut random = [0; 22];
    if let Err(error) = getrandom::fill(&mut random) {
        // Which Linux does not withhold; a call that can be guessed is still only the peer's.
        tracing::warn!(%error, "no randomness");
    }
    let [a, b, c, d, e, f, guid @ ..] = random;
    let call = Call::new(Settings {
        name: "msn-handoff".to_owned(),
        codecs: vec![Codec::Ulaw, Codec::Alaw, Codec::H263, Codec::H261],
        audio: ready.audio,
        video: ready.video,
        only_watches: true,
        control: Some(ready.control),
        t120,
        // A peer may propose either; NetMeeting does neither, and ours are as it expects them.
        fast_start: arrived.target.is_none(),
        tunnelling: arrived.target.is_none(),
        guid,
        number: u32::from_be_bytes([0, a, b, c]),
        reference: u16::from_be_bytes([d, e]) ^ u16::from(f),
    });
    let clock = Clock::start();
    let talk = Talk {
        policy: task.policy.clone(),
        peer: arrived.peer,
        peers,
        signal: arrived.stream,
        gone: false,
        listener: ready.listener,
        control: None,
        call,
        relay: ready.relay,
        picture: ready.picture,
        phone: ready.phone,
        sound_at: None,
        picture_at: None,
        agreed_until: Some(clock.now().saturating_add(AGREED_WITHIN)),
        clock,
        running: false,
        over: None,
        task,
        orders,
    };
    let target = arrived.target;
    talk.run(target.map(|at| SocketAddrV4::new(at.ip(), at.port())))
        .await;
}

/// Where RTP and, if it was said, RTCP is.
type Place = (SocketAddrV4, Option<SocketAddrV4>);

struct Talk<'a> {
    task: &'a Task,
    orders: &'a mut Orders,
    policy: Policy,
    /// Where the peer calls from, or was called.
    peer: Ipv4Addr,
    peers: &'a Callers,
    signal: TcpStream,
    /// It takes nothing any more.
    gone: bool,
    /// For H.245; until it is there.
    listener: TcpListener,
    control: Option<TcpStream>,
    call: Call,
    relay: Relay,
    /// For the peer's picture.
    picture: Option<Relay>,
    phone: Phone,
    /// Where the peer wants our sound, and where its picture comes from.
    sound_at: Option<Place>,
    picture_at: Option<Place>,
    clock: Clock,
    /// Until when sound must be agreed on, as long as it is not.
    agreed_until: Option<Now>,
    running: bool,
    /// Why it is over, for people, once it is.
    over: Option<String>,
}

impl Talk<'_> {
    async fn run(mut self, target: Option<SocketAddrV4>) {
        // A peer that is gone without a word is noticed.
        let _ = socket::keep_alive(&self.signal);
        let _ = self.signal.set_nodelay(true);
        if let Some(target) = target {
            self.happens(Input::Call(target)).await;
        }
        let (mut signal, mut control) = ([0; CHUNK], [0; CHUNK]);
        while !self.call.over() {
            let left = self
                .agreed_until
                .map(|at| at.saturating_sub(self.clock.now()));
            let input = tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::End) | None => Input::HangUp,
                    Some(_) => continue,
                },
                read = self.signal.read(&mut signal) => match signal.get(..read.unwrap_or(0)) {
                    Some([]) | None => Input::SignalClosed,
                    Some(bytes) => Input::Signal(bytes),
                },
                read = read(&mut self.control, &mut control) => match control.get(..read) {
                    Some([]) | None => {
                        self.control = None;
                        Input::ControlClosed
                    }
                    Some(bytes) => Input::Control(bytes),
                },
                got = self.listener.accept(), if self.control.is_none() => match got {
                    Ok((stream, from)) if from.ip() == IpAddr::V4(self.peer) => {
                        self.control = Some(stream);
                        Input::ControlOpen
                    }
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "not accepted");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
                news = self.phone.next() => match self.told(news) {
                    Some(input) => input,
                    None => continue,
                },
                () = pause(left) => {
                    self.ends("no sound was agreed on in time");
                    Input::HangUp
                }
            };
            self.happens(input).await;
        }
        self.leave().await;
    }

    /// What the phone's leg tells.
    fn told(&mut self, news: News) -> Option<Input<'static>> {
        match news {
            News::Answered((rtp, rtcp), picture) => {
                if let (Some(relay), Some((rtp, rtcp))) = (&self.picture, picture)
                    && let Err(error) = relay.connect_agent(rtp.into(), Some(rtcp.into()))
                {
                    self.say(format!("no picture: {error}"));
                }
                let connected = self.relay.connect_agent(rtp.into(), Some(rtcp.into()));
                // Only from now on is anything of the peer's heard, and its port learned.
                let joined = connected.and_then(|()| self.join());
                if let Err(error) = joined {
                    self.ends(&format!("no sound: {error}"));
                    return Some(Input::HangUp);
                }
                if !std::mem::replace(&mut self.running, true) {
                    self.task.report(Report::Running);
                    self.task.report(Report::Media(self.relay.meter()));
                }
                None
            }
            News::Over(why) => {
                self.ends(&why);
                Some(Input::HangUp)
            }
            News::Report(report) => {
                self.task.report(report);
                None
            }
        }
    }

    /// Keeps the first reason.
    fn ends(&mut self, why: &str) {
        self.over.get_or_insert_with(|| why.to_owned());
    }

    async fn happens(&mut self, input: Input<'_>) {
        let mut waiting = VecDeque::from(self.call.handle(input));
        while let Some(output) = waiting.pop_front() {
            if let Some(next) = self.obey(output).await {
                waiting.extend(self.call.handle(next));
            }
        }
    }

    /// Does what the call wants; what follows from it for the call.
    async fn obey(&mut self, output: Output) -> Option<Input<'static>> {
        match output {
            Output::Signal(bytes) => {
                if self.gone {
                    return None;
                }
                if let Err(error) = written(&mut self.signal, &bytes).await {
                    tracing::info!(%error, "call signalling");
                    self.gone = true;
                    return Some(Input::SignalClosed);
                }
            }
            Output::Control(bytes) => {
                if let Some(control) = &mut self.control
                    && let Err(error) = written(control, &bytes).await
                {
                    tracing::info!(%error, "H.245");
                    self.control = None;
                    return Some(Input::ControlClosed);
                }
            }
            Output::Connect(there) => return self.connect(there).await,
            Output::Incoming(name) => {
                let name = name.as_deref().unwrap_or("the other side");
                self.say(format!("{} calls", shown::line(name, SHOWN)));
                // Whoever accepted the invitation has taken the call.
                return Some(Input::Answer);
            }
            Output::Ringing => self.say("it rings there".to_owned()),
            Output::Connected => self.say("the other side has the call".to_owned()),
            Output::Send { codec, to, control } => {
                if let Err(why) = self.send(codec, to, control).await {
                    self.ends(&why);
                    return Some(Input::HangUp);
                }
            }
            Output::Ended(why) => {
                let why = if why == Ended::Here {
                    "ended here".to_owned()
                } else {
                    why.to_string()
                };
                self.ends(&why);
            }
            Output::Receive { codec, control } if codec.medium() == Medium::Video => {
                self.watch(control);
            }
            Output::Silence(Medium::Audio) => self.relay.hold(true),
            Output::Receive { .. } | Output::Stop(_) | Output::Silence(_) | Output::Data => {}
        }
        None
    }

    fn say(&self, line: String) {
        self.task.say(line);
    }

    /// Where the peer means by an address that it wrote: behind a router it writes one that leads
    /// nowhere, and a third machine is never meant.
    fn meant(&self, written: SocketAddrV4) -> SocketAddrV4 {
        let ip = match self.peers.knows(*written.ip()) {
            true => *written.ip(),
            false => self.peer,
        };
        SocketAddrV4::new(ip, written.port())
    }

    async fn connect(&mut self, there: SocketAddrV4) -> Option<Input<'static>> {
        let there = self.meant(there);
        let connected = match self.policy.check(*there.ip(), there.port()) {
            Ok(allowed) => socket::tcp_connect_peer_from(self.task.own_ip(), allowed, WITHIN).await,
            Err(refusal) => Err(io::Error::other(refusal.to_string())),
        };
        match connected {
            Ok(stream) => {
                self.control = Some(stream);
                Some(Input::ControlOpen)
            }
            Err(error) => {
                self.ends(&format!("no connection for H.245 to {there}: {error}"));
                Some(Input::HangUp)
            }
        }
    }

    /// The peer wants our sound so, there.
    async fn send(
        &mut self,
        codec: Codec,
        to: SocketAddrV4,
        control: Option<SocketAddrV4>,
    ) -> Result<(), String> {
        if codec.medium() != Medium::Audio {
            return Ok(());
        }
        let rtp = self.meant(to);
        let rtcp = control.map(|at| self.meant(at));
        for at in [Some(rtp), rtcp].into_iter().flatten() {
            let checked = self.policy.check(*at.ip(), at.port());
            checked.map_err(|refusal| format!("sound is not sent there: {refusal}"))?;
        }
        self.sound_at = Some((rtp, rtcp));
        self.relay.hold(false);
        self.join()
            .map_err(|error| format!("no sound to {rtp}: {error}"))?;
        self.agreed_until = None;
        // For what is over already no phone is started.
        if self.phone.is_called() || self.orders.is_over() {
            return Ok(());
        }
        // The one that the peer wants first: the phone sends the first. The other is what the peer may
        // send.
        let other = match codec {
            Codec::Alaw => Codec::Ulaw,
            _ => Codec::Alaw,
        };
        let formats = [codec, other].map(|codec| Format::fixed(codec.payload_type()));
        let picture = self.picture.as_ref().map(Relay::agent_port);
        self.phone
            .call(formats.into(), self.relay.agent_port(), picture)
    }

    /// The relays hear the peer where it is, as far as that is known.
    fn join(&self) -> io::Result<()> {
        let relays = [
            (Some(&self.relay), self.sound_at),
            (self.picture.as_ref(), self.picture_at),
        ];
        for (relay, at) in relays {
            if let (Some(relay), Some((rtp, rtcp))) = (relay, at) {
                relay.connect_peer(rtp.into(), rtcp.map(SocketAddr::V4))?;
            }
        }
        Ok(())
    }

    /// The peer's picture will come, RTCP from there. Where RTP comes from is said nowhere: beside
    /// RTCP, or from any port of that host.
    fn watch(&mut self, control: Option<SocketAddrV4>) {
        let allowed = |at: &SocketAddrV4| self.policy.check(*at.ip(), at.port()).is_ok();
        let rtcp = control.map(|at| self.meant(at)).filter(allowed);
        let beside = rtcp.map(|at| SocketAddrV4::new(*at.ip(), at.port().saturating_sub(1)));
        let any = SocketAddrV4::new(self.peer, ANY_PORT);
        self.picture_at = Some((beside.filter(allowed).unwrap_or(any), rtcp));
        if let Err(error) = self.join() {
            self.say(format!("no picture: {error}"));
        }
    }

    /// Closes what is open, ends what was started, and tells the end last.
    async fn leave(mut self) {
        let _ = self.signal.shutdown().await;
        let mut rest = [0; CHUNK];
        let heard_out = async { while let Ok(1..) = self.signal.read(&mut rest).await {} };
        let _ = timeout(LAST_WORDS, heard_out).await;
        let mut recorded = None;
        for report in self.phone.leave().await {
            match report {
                Report::Finished(why) => {
                    recorded = why
                        .split("; ")
                        .find(|it| it.starts_with("recorded in "))
                        .map(str::to_owned);
                }
                Report::ProgramEnded { .. } | Report::Started { .. } => self.task.report(report),
                _ => {}
            }
        }
        if let Some(picture) = self.picture {
            picture.close().await;
        }
        let heard = self.relay.close().await.from_peer.stream;
        let mut words = vec![self.over.unwrap_or_else(|| "the call is over".to_owned())];
        if self.running {
            words.push(heard.as_voice());
        }
        words.extend(recorded);
        self.task.report(Report::Finished(words.join("; ")));
    }
}

async fn written(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let written = timeout(WITHIN, stream.write_all(bytes)).await;
    written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// So much; nothing at its end.
async fn read(from: &mut Option<TcpStream>, into: &mut [u8]) -> usize {
    match from {
        Some(stream) => stream.read(into).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

async fn pause(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
