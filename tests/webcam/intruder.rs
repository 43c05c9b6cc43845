//! What others send while a picture is shown does not get in, and cannot end it.

use std::{net::SocketAddr, time::Duration};

use msn_handoff::{
    endpoint::socket,
    media::rtp::{self, Packet},
};
use tokio::net::UdpSocket;

use crate::{
    address,
    picture::{Film, check_whole},
    sender::{self, JPEG},
    session::{RECORDING, Session, made},
    support,
    wire::{Badness, Wire},
};

/// A whole grey picture in one packet, as JPEG with the standard tables.
fn grey(source: u32, sequence: u16) -> Vec<u8> {
    let payload = [&[0, 0, 0, 0, 1, 50, 22, 18][..], &[0x28, 0xa0, 0x0a]].concat();
    rtp::write(&Packet {
        payload_type: 26,
        marker: true,
        sequence,
        timestamp: u32::from(sequence) * 3600,
        source,
        payload: &payload,
    })
    .unwrap()
}

fn bye(source: u32) -> Vec<u8> {
    [&[0x81, 203, 0, 1][..], &source.to_be_bytes()].concat()
}

/// Sends both kinds of unwanted packets, every now and then.
async fn intrude(from: UdpSocket, to: SocketAddr, source: u32, farewell: u32) {
    let beside = SocketAddr::new(to.ip(), to.port() + 1);
    for sequence in 0.. {
        let _ = from.send_to(&grey(source, sequence), to).await;
        let _ = from.send_to(&bye(farewell), beside).await;
        let _ = from.send_to(b"neither", to).await;
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_second_sources_are_turned_away() {
    if !support::have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 50).await;
    let mut session = Session::open(&dir.join("session"), RECORDING, address()).await;
    let line = Badness {
        seed: 0,
        loss: 0,
        swap: 0,
    };
    let wire = Wire::lay(address(), &[session.at], line).await;
    // A stranger is there before the peer is.
    let stranger = socket::udp((address(), 0).into()).await.unwrap();
    let from_stranger = tokio::spawn(intrude(stranger, session.at, 1, 1));
    session.connect(wire.out);
    let mut program = sender::ffmpeg(&JPEG, &path, wire.port, dir);
    session.runs().await;
    // The peer's host: another source, the same source by another port, and a BYE of another.
    let source = wire.log().source.unwrap();
    let mut others = vec![from_stranger];
    for (claimed, farewell) in [(2, 2), (source, 3)] {
        let socket = socket::udp((wire.out.ip(), 0).into()).await.unwrap();
        others.push(tokio::spawn(intrude(socket, session.at, claimed, farewell)));
    }
    // Another source by the very port of the sender.
    for sequence in 0..40 {
        wire.forge(grey(4, sequence));
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let recordings = session.recordings.clone();
    let words = session.ended().await;
    assert_eq!(program.wait().await, Some(0), "{}", program.output());
    others.iter().for_each(tokio::task::JoinHandle::abort);
    let counts = format!("; {} packets in", wire.log().passed.len());
    assert!(
        words.contains(&counts) && words.contains(" 0 lost"),
        "{words}"
    );
    let film = Film::decode(&made(&recordings, "mjpeg"), JPEG.format, JPEG.pixels).await;
    assert_eq!(film.len(), 50);
    check_whole("recorded", &film.compared_to(&sent), &[true; 50]);
}
