//! The phone on this machine, or the built-in agent: our own SIP front on the loopback address, called
//! by us as a contact would call it. It finds the program, starts it and speaks its dialect.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    adapter::{Order, Report, Task, sip as front},
    bridge::{AdapterKind, Medium},
    clock::Clock,
    config::{self, Caller},
    endpoint::{place::Network, policy::Policy, socket},
    invitation::{AddressSource, Candidate},
    media::{
        sdp::{self, Format, Line, Ours},
        sip::{
            self, Token, Uri,
            call::{Call, Input, Local, Output, Transport},
            frame::MAX_MESSAGE,
        },
    },
    negotiation::{Announcement, Remote, Role},
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long the front may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// What the front says of us, which is not what the user would understand.
const OURS: &str = "the peer calls";

/// Where RTP and where RTCP is.
pub(super) type Place = (SocketAddrV4, SocketAddrV4);

/// The phone's leg of a call.
pub(super) struct Phone {
    front: JoinSet<()>,
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
    /// Where the front listens.
    there: SocketAddrV4,
    socket: UdpSocket,
    own: SocketAddrV4,
    clock: Clock,
    call: Option<Call>,
    datagram: Vec<u8>,
}

/// What happens on it.
pub(super) enum News {
    /// It was taken; the sound goes there, and the picture, if it is shown: RTP and RTCP.
    Answered(Place, Option<Place>),
    /// It is over, or there is nobody; why, for people.
    Over(String),
    /// For the dispatcher.
    Report(Report),
}

impl Phone {
    /// Has the front listen. The error is for people.
    pub(super) async fn open(task: &Task) -> Result<Self, String> {
        let bridge = task.phones.clone();
        let bridge =
            bridge.ok_or("there is no bridge with the id \"voice\", which names phones")?;
        let (orders, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut reports) = mpsc::unbounded_channel();
        let inner = Task {
            invitation: task.invitation,
            role: Role::Invitee,
            bridge,
            peer: task.peer.clone(),
            media: Vec::new(),
            network: Network::plain(HERE),
            policy: Policy::new(HERE, Vec::new()),
            call: config::Call {
                // We are the one who calls.
                caller: Caller::Inviter,
                ..task.call.clone()
            },
            phones: None,
            bandwidth: task.bandwidth,
            recordings: task.recordings.clone(),
            orders: incoming.into(),
            reports: outgoing,
        };
        let mut front = JoinSet::new();
        front.spawn(front::run(inner));
        let _ = orders.send(Order::Prepare(Announcement::Accept));
        let ready = async {
            loop {
                match reports.recv().await {
                    Some(Report::Ready(told)) => return told.port.ok_or("no port".to_owned()),
                    Some(Report::Failed { why, .. }) => return Err(why),
                    Some(_) => {}
                    None => return Err("the SIP front has ended".to_owned()),
                }
            }
        };
        let port = timeout(READY_WITHIN, ready).await;
        let port = port.unwrap_or_else(|_| Err("the SIP front is not ready".to_owned()))?;
        let bound = async {
            let socket = socket::udp((HERE, 0).into()).await?;
            let port = socket.local_addr()?.port();
            // Until it was told so once, a socket is not taken for one that can send.
            socket.writable().await?;
            Ok::<_, std::io::Error>((socket, port))
        };
        let (socket, own) = bound.await.map_err(|error| error.to_string())?;
        Ok(Self {
            front,
            orders,
            reports,
            there: SocketAddrV4::new(HERE, port),
            socket,
            own: SocketAddrV4::new(HERE, own),
            clock: Clock::start(),
            call: None,
            datagram: vec![0; MAX_MESSAGE + 1],
        })
    }

    /// Whether it was called.
    pub(super) fn is_called(&self) -> bool {
        self.call.is_some()
    }

    /// Has a phone found and started, and calls it; our sound comes from that port, and a
    /// picture from the other one.
    pub(super) fn call(
        &mut self,
        formats: Vec<Format>,
        port: u16,
        picture: Option<u16>,
    ) -> Result<(), String> {
        let candidate = Candidate {
            ip: HERE,
            port: Some(self.own.port()),
            source: AddressSource::IpAddress,
        };
        let _ = self.orders.send(Order::Connected(Remote {
            candidates: vec![candidate],
            ..Remote::default()
        }));
        let mut seed = [0; 24];
        getrandom::fill(&mut seed).map_err(|error| format!("no randomness: {error}"))?;
        let local = Local {
            ip: HERE,
            port: self.own.port(),
            transport: Transport::Udp,
            user: Token::new("netmeeting").map_err(|error| error.to_string())?,
            seed,
        };
        let offer = sdp::offer(&Ours {
            ip: HERE,
            id: 1,
            version: 1,
            audio: Some(Line { port, formats }),
            video: picture.map(|port| Line {
                port,
                formats: sdp::plain_video(),
            }),
        });
        let target = Uri::userless(*self.there.ip(), self.there.port());
        let mut out = Vec::new();
        self.call = Some(Call::outgoing(
            local,
            target,
            &offer,
            self.clock.now(),
            &mut out,
        ));
        self.obey(out);
        Ok(())
    }

    /// The next thing that happens. Nothing is lost when it is not waited for any longer.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let due = self.call.as_ref().and_then(Call::next_timeout);
            let due = due.map(|at| at.saturating_sub(self.clock.now()));
            let news = tokio::select! {
                report = self.reports.recv() => said(report),
                got = self.socket.recv_from(&mut self.datagram) => match got {
                    Ok((n, SocketAddr::V4(from))) if from == self.there => self.heard(n),
                    _ => None,
                },
                () = wait(due) => {
                    let mut out = Vec::new();
                    if let Some(call) = &mut self.call {
                        call.handle(Input::Timeout, self.clock.now(), &mut out);
                    }
                    self.obey(out)
                }
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    fn heard(&mut self, n: usize) -> Option<News> {
        let bytes = self.datagram.get(..n).unwrap_or_default();
        let message = sip::read(bytes).ok()?;
        let call = self.call.as_mut().filter(|call| call.owns(&message))?;
        let mut out = Vec::new();
        let input = Input::Message {
            message: &message,
            source: self.there,
        };
        call.handle(input, self.clock.now(), &mut out);
        self.obey(out)
    }

    fn obey(&self, out: Vec<Output>) -> Option<News> {
        let mut news = None;
        for output in out {
            match output {
                Output::Send { bytes, .. } => {
                    // What is lost is said again.
                    let _ = self.socket.try_send_to(&bytes, self.there.into());
                }
                Output::Answered { answer } => {
                    let session = sdp::read(&answer).ok();
                    let audio = session.as_ref().and_then(sdp::Session::audio);
                    news = Some(match audio {
                        Some(audio) => {
                            let picture = session.as_ref().and_then(sdp::Session::video);
                            let picture = picture.filter(|it| it.port != 0).map(place);
                            News::Answered(place(audio), picture)
                        }
                        None => News::Over("the phone has no sound".to_owned()),
                    });
                }
                // Why is told by the front.
                Output::Ended(_)
                | Output::Ringing
                | Output::Incoming { .. }
                | Output::Confirmed { .. }
                | Output::Reoffer { .. } => {}
            }
        }
        news
    }

    /// Ends it: what was started, and what is still to be told of that.
    pub(super) async fn leave(mut self) -> Vec<Report> {
        if let Some(call) = &mut self.call {
            let mut out = Vec::new();
            call.handle(Input::HangUp, self.clock.now(), &mut out);
            self.obey(out);
        }
        let _ = self.orders.send(Order::End);
        // It ends what it started, which may take as long as the bridge gives a program, and then itself.
        let mut rest = Vec::new();
        while let Some(report) = self.reports.recv().await {
            rest.push(report);
        }
        self.front.shutdown().await;
        rest
    }
}

/// It is on this machine, whatever it writes.
fn place(media: &sdp::Media) -> Place {
    (
        SocketAddrV4::new(HERE, media.port),
        SocketAddrV4::new(HERE, media.rtcp_port),
    )
}

/// Whether a picture would be shown or kept.
pub(super) fn shows(task: &Task) -> bool {
    let bridge = task.phones.as_ref();
    bridge.is_some_and(|bridge| {
        bridge.handoffs(Role::Invitee).any(|handoff| {
            handoff.adapter == AdapterKind::Sip
                && handoff.medium == Medium::Video
                && handoff.fits().is_ok()
        })
    })
}

/// What the front tells, as it concerns the other leg.
fn said(report: Option<Report>) -> Option<News> {
    let Some(report) = report else {
        return Some(News::Over("the SIP front has ended".to_owned()));
    };
    Some(match report {
        Report::Finished(why) | Report::Failed { why, .. } => News::Over(why),
        Report::Say(line) if line == OURS => return None,
        // How the sound of the contact arrives is measured where it does.
        Report::Ready(_) | Report::Running | Report::Media(_) | Report::Signal(_) => return None,
        report => News::Report(report),
    })
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
