//! A contact's NetMeeting: one call of H.323, of the library's own making, over real connections.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use msn_handoff::{
    adapter::h323::call::{Call, Codec, Input, Output, Settings},
    endpoint::socket,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};

use crate::{Chance, deeds::Deeds, hosts};

/// Where NetMeeting listens.
pub(crate) const PORT: u16 = 1720;

struct Terminal {
    at: Ipv4Addr,
    signal: TcpStream,
    control: Option<TcpStream>,
    listener: TcpListener,
    sound: UdpSocket,
    call: Call,
    deeds: Deeds,
}

/// One call over that connection, to `calls` or placed by whoever made it; then it hangs up, or is just
/// gone.
pub(crate) async fn talk(
    at: Ipv4Addr,
    signal: TcpStream,
    calls: Option<SocketAddrV4>,
    mut chance: Chance,
    deeds: Deeds,
) {
    let sound = socket::udp((at, 0).into()).await.unwrap();
    let listener = socket::tcp_listen((at, 0).into()).await.unwrap();
    let v4 = |at: std::io::Result<SocketAddr>| match at.unwrap() {
        SocketAddr::V4(at) => at,
        SocketAddr::V6(_) => unreachable!(),
    };
    let settings = Settings {
        name: "Bob".into(),
        codecs: vec![Codec::Ulaw, Codec::Alaw],
        audio: v4(sound.local_addr()),
        video: None,
        only_watches: false,
        control: Some(v4(listener.local_addr())),
        t120: None,
        fast_start: chance.one_in(4),
        tunnelling: chance.one_in(4),
        guid: [chance.next() as u8; 16],
        number: chance.next() as u32 & 0xff_ffff,
        reference: chance.next() as u16,
    };
    let mut terminal = Terminal {
        at,
        signal,
        control: None,
        listener,
        sound,
        call: Call::new(settings),
        deeds,
    };
    if let Some(to) = calls {
        terminal.happens(Input::Call(to)).await;
    }
    let until = Instant::now() + Duration::from_secs(2) + chance.millis(5_000);
    terminal.lives(until).await;
    if !chance.one_in(4) {
        terminal.happens(Input::HangUp).await;
    }
}

impl Terminal {
    async fn lives(&mut self, until: Instant) {
        let (mut signal, mut control) = ([0; 4096], [0; 4096]);
        while !self.call.over() {
            let input = tokio::select! {
                read = self.signal.read(&mut signal) => match signal.get(..read.unwrap_or(0)) {
                    Some([]) | None => Input::SignalClosed,
                    Some(bytes) => Input::Signal(bytes),
                },
                read = hosts::read(&mut self.control, &mut control) => match control.get(..read) {
                    Some([]) | None => {
                        self.control = None;
                        Input::ControlClosed
                    }
                    Some(bytes) => Input::Control(bytes),
                },
                Ok((stream, _)) = self.listener.accept(), if self.control.is_none() => {
                    self.control = Some(stream);
                    Input::ControlOpen
                }
                () = tokio::time::sleep_until(until) => return,
            };
            self.happens(input).await;
        }
    }

    async fn happens(&mut self, input: Input<'_>) {
        let mut waiting = VecDeque::from(self.call.handle(input));
        while let Some(output) = waiting.pop_front() {
            let next = match output {
                Output::Signal(bytes) => {
                    let _ = timeout(Duration::from_secs(1), self.signal.write_all(&bytes)).await;
                    None
                }
                Output::Control(bytes) => {
                    if let Some(control) = &mut self.control {
                        let _ = timeout(Duration::from_secs(1), control.write_all(&bytes)).await;
                    }
                    None
                }
                Output::Connect(to) => {
                    self.control = hosts::connect(self.at, to.into()).await;
                    self.control.is_some().then_some(Input::ControlOpen)
                }
                Output::Incoming(_) => Some(Input::Answer),
                Output::Connected => {
                    self.deeds.did("an H.323 call was answered");
                    None
                }
                Output::Send { to, .. } => {
                    self.deeds.did("an H.323 call had sound");
                    for number in 0..25_u8 {
                        let mut packet = [0x55; 172];
                        packet[..12]
                            .copy_from_slice(&[0x80, 0, 0, number, 0, 0, 0, number, 1, 2, 3, 4]);
                        let _ = self.sound.send_to(&packet, to).await;
                        sleep(Duration::from_millis(20)).await;
                    }
                    None
                }
                _ => None,
            };
            if let Some(next) = next {
                waiting.extend(self.call.handle(next));
            }
        }
    }
}
