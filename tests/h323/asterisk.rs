//! Asterisk's own H.323 (chan_ooh323 of Debian 11) calls, and is called, with sockets as simple as a
//! test can have them around our call. Both hear the other's tone.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use msn_handoff::adapter::h323::call::{Call, Codec, Ended, Input, Output, Settings};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
};

use crate::{
    support::{
        self,
        child::Child,
        namespace::alone,
        sides::address,
        sound::{self, Heard},
        within,
    },
    two,
};

const ASTERISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netmeeting/asterisk");
/// What is heard before we hang up: 2.5 s.
const ENOUGH: usize = 20_000;

/// The folder with Asterisk that `tests/install` made.
fn chroot() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = cache
        .or_else(home)?
        .join("msn-handoff-tests/h323-bullseye-1");
    let asterisk = folder.join("usr/sbin/asterisk");
    support::have(&[asterisk.to_str()?]).then_some(folder)
}

/// Our side of a call: its sockets, and what it heard.
struct Side {
    call: Call,
    signal: TcpStream,
    listener: TcpListener,
    control: Option<TcpStream>,
    media: UdpSocket,
    out: Vec<Output>,
    to: Option<SocketAddrV4>,
    heard: Vec<i16>,
}

impl Side {
    async fn new(settings: Settings, signal: TcpStream) -> Self {
        Self {
            signal,
            listener: TcpListener::bind(settings.control.unwrap()).await.unwrap(),
            media: UdpSocket::bind(settings.audio).await.unwrap(),
            call: Call::new(settings),
            control: None,
            out: Vec::new(),
            to: None,
            heard: Vec::new(),
        }
    }

    async fn take(&mut self, out: Vec<Output>) {
        for one in out {
            match &one {
                // The other side may have closed either after its last words.
                Output::Signal(bytes) => {
                    let _ = self.signal.write_all(bytes).await;
                }
                Output::Control(bytes) => {
                    let _ = self.control.as_mut().unwrap().write_all(bytes).await;
                }
                Output::Connect(there) => {
                    self.control = Some(TcpStream::connect(*there).await.unwrap());
                    let more = self.call.handle(Input::ControlOpen);
                    Box::pin(self.take(more)).await;
                }
                Output::Incoming(_) => {
                    for input in [Input::Ringing, Input::Answer] {
                        let more = self.call.handle(input);
                        Box::pin(self.take(more)).await;
                    }
                }
                Output::Send { to, .. } => self.to = Some(*to),
                _ => {}
            }
            self.out.push(one);
        }
    }

    /// Until the call is over; it is ended here once enough was heard.
    async fn run(&mut self) {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        let tone = sound::tone(440.0, 1.0);
        let mut tone = tone.iter().copied().cycle();
        let (mut signal, mut control, mut media) = ([0; 2000], [0; 2000], [0; 2000]);
        let mut number = 0u16;
        while !self.call.over() {
            let input = tokio::select! {
                count = self.signal.read(&mut signal) => match count.unwrap_or(0) {
                    0 => Input::SignalClosed,
                    count => Input::Signal(&signal[..count]),
                },
                accepted = self.listener.accept(), if self.control.is_none() => {
                    self.control = Some(accepted.unwrap().0);
                    Input::ControlOpen
                }
                count = read(&mut self.control, &mut control) => match count {
                    0 => {
                        self.control = None;
                        Input::ControlClosed
                    }
                    count => Input::Control(&control[..count]),
                },
                count = self.media.recv(&mut media) => {
                    let samples = media[12..count.unwrap()].iter().map(|octet| decode_ulaw(*octet));
                    self.heard.extend(samples);
                    if self.heard.len() < ENOUGH {
                        continue;
                    }
                    Input::HangUp
                }
                _ = every.tick() => {
                    if let Some(to) = self.to {
                        number += 1;
                        let [high, low] = number.to_be_bytes();
                        let time = (u32::from(number) * 160).to_be_bytes();
                        let mut packet = vec![0x80, 0, high, low];
                        packet.extend(time);
                        packet.extend([1, 2, 3, 4]);
                        packet.extend(tone.by_ref().take(160).map(encode_ulaw));
                        self.media.send_to(&packet, to).await.unwrap();
                    }
                    continue;
                }
            };
            let out = self.call.handle(input);
            self.take(out).await;
        }
    }

    /// What was to be: a call with a tone of 880 Hz.
    fn assert_good(&self, dir: &TempDir, quick: bool) {
        // With fast start and a tunnel H.245 has no connection; else it has.
        let separate = |one: &Output| matches!(one, Output::Control(_));
        assert_ne!(self.out.iter().any(separate), quick, "{:?}", self.out);
        // Fast start: where to send to is known before a word of H.245 went through the tunnel.
        let before = |one: &&Output| !matches!(one, Output::Send { .. });
        let before = self.out.iter().take_while(before);
        let said = before
            .filter(|one| matches!(one, Output::Signal(_)))
            .count();
        assert!(!quick || said <= 3, "{:?}", self.out);
        let receives = |one: &Output| {
            matches!(
                one,
                Output::Receive {
                    codec: Codec::Ulaw,
                    ..
                }
            )
        };
        assert!(
            self.out.iter().any(receives) && self.to.is_some(),
            "{:?}",
            self.out
        );
        assert!(self.out.contains(&Output::Connected));
        let path = dir.path().join("ours.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in &self.heard {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        Heard::read(&path).assert_tone("our side", 880.0, 440.0, 2.0);
    }
}

async fn read(from: &mut Option<TcpStream>, into: &mut [u8]) -> usize {
    match from {
        Some(stream) => stream.read(into).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

fn settings(own: Ipv4Addr, quick: bool) -> Settings {
    let settings = two::settings(own, 77);
    Settings {
        audio: SocketAddrV4::new(own, 5000),
        fast_start: quick,
        tunnelling: quick,
        ..settings
    }
}

/// Asterisk for that, which says what way it sets up a call.
fn asterisk(dir: &TempDir, chroot: &std::path::Path, does: &[&str], quick: bool) -> Child {
    let folder = dir.path().join("asterisk");
    fs::create_dir(&folder).unwrap();
    sound::write_tone(&folder.join("tone.wav"), 880.0, 4.0);
    let quick = if quick { "QUICK=yes" } else { "QUICK=no" };
    let places = [ASTERISK, chroot.to_str().unwrap(), folder.to_str().unwrap()];
    let arguments = [&[quick], &places[..], does].concat();
    Child::start("env", arguments, dir.path())
}

async fn we_call(quick: bool) {
    let Some(chroot) = chroot() else { return };
    let dir = TempDir::new().unwrap();
    let (ours, theirs) = (address(), address());
    let (own, peer) = (ours.to_string(), theirs.to_string());
    let mut asterisk = asterisk(&dir, &chroot, &["listen", &peer, "1720", &own], quick);
    let there = SocketAddrV4::new(theirs, 1720);
    // It listens before it has read who may call, and refuses until it has.
    let side = within("the call", async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((ours, 0).into()).unwrap();
            let Ok(signal) = socket.connect(there.into()).await else {
                continue;
            };
            let mut side = Side::new(settings(ours, quick), signal).await;
            let out = side.call.handle(Input::Call(there));
            side.take(out).await;
            side.run().await;
            if side.out.contains(&Output::Connected) {
                return side;
            }
        }
    })
    .await;
    side.assert_good(&dir, quick);
    assert_eq!(side.out.last(), Some(&Output::Ended(Ended::Here)));
    let heard = dir.path().join("asterisk/heard.wav");
    within("what it heard", async {
        while !fs::metadata(&heard).is_ok_and(|file| file.len() > 32_000) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    asterisk.terminate().await;
    Heard::read(&heard).assert_tone("Asterisk", 440.0, 880.0, 1.5);
}

async fn it_calls(quick: bool) {
    let Some(chroot) = chroot() else { return };
    let dir = TempDir::new().unwrap();
    let (ours, theirs) = (address(), address());
    let (own, peer) = (ours.to_string(), theirs.to_string());
    let listener = TcpListener::bind((ours, 1720)).await.unwrap();
    let mut asterisk = asterisk(&dir, &chroot, &["call", &peer, &own, "1720"], quick);
    let (signal, _) = within("its call", listener.accept()).await.unwrap();
    let mut side = Side::new(settings(ours, quick), signal).await;
    within("the call", side.run()).await;
    side.assert_good(&dir, quick);
    within("its end", asterisk.wait()).await;
    let heard = dir.path().join("asterisk/heard.wav");
    Heard::read(&heard).assert_tone("Asterisk", 440.0, 880.0, 1.5);
}

#[test]
fn it_is_called_as_netmeeting_calls() {
    alone(async || {
        we_call(false).await;
    });
}

#[test]
fn it_is_called_with_fast_start_and_a_tunnel() {
    alone(async || {
        we_call(true).await;
    });
}

#[test]
fn it_calls_as_netmeeting_does() {
    alone(async || {
        it_calls(false).await;
    });
}

#[test]
fn it_calls_with_fast_start_and_a_tunnel() {
    alone(async || {
        it_calls(true).await;
    });
}
