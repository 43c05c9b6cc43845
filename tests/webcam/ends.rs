//! How a session ends, and what becomes of a stream that no player takes.

use std::time::Duration;

use msn_handoff::{
    adapter::{Order, Report},
    endpoint::socket,
    media::rtp::{self, Packet},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{net::UdpSocket, task::JoinHandle};

use crate::{
    address,
    session::{RECORDING, Session, ffmpeg, made},
    support::{self, child::Child},
};

/// A peer that sends so many packets of no meaning, ten in a second or faster.
async fn peer(session: &Session, payload_type: u8, count: u16) -> JoinHandle<UdpSocket> {
    let from = socket::udp((address(), 0).into()).await.unwrap();
    session.connect(from.local_addr().unwrap());
    let to = session.at;
    tokio::spawn(async move {
        for sequence in 0..count {
            let packet = rtp::write(&Packet {
                payload_type,
                marker: true,
                sequence,
                timestamp: u32::from(sequence) * 3000,
                source: 77,
                payload: b"\0\0\0\0nothing that has a meaning",
            });
            from.send_to(&packet.unwrap(), to).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        from
    })
}

#[tokio::test]
async fn an_unknown_stream_is_kept_as_packets_and_silence_ends_it() {
    if !support::have(&["tshark"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let session = Session::open(dir.path(), RECORDING, address()).await;
    let recordings = session.recordings.clone();
    let _peer = peer(&session, 101, 5).await;
    let words = session.ended().await;
    assert!(
        words.starts_with("no picture came for 2 s; recorded in "),
        "{words}"
    );
    assert!(
        words.ends_with("; 5 packets in 0 s, 0 lost (0.0 %), jitter 0 ms")
            || words.contains("5 packets"),
        "{words}"
    );
    let pcap = made(&recordings, "pcap");
    let filter = [
        "-d",
        "udp.port==1-65535,rtp",
        "-T",
        "fields",
        "-e",
        "rtp.p_type",
        "-e",
        "rtp.ssrc",
    ];
    let args = [&["-r", pcap.to_str().unwrap()][..], &filter].concat();
    let mut tshark = Child::start("tshark", args, dir.path());
    assert_eq!(tshark.wait().await, Some(0));
    let output = tshark.output();
    let rows = output.lines().filter(|line| *line == "101\t0x0000004d");
    assert_eq!(rows.count(), 5, "{output}");
}

#[tokio::test]
async fn rubbish_is_left_out_counted_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::open(dir.path(), RECORDING, address()).await;
    let recordings = session.recordings.clone();
    let _peer = peer(&session, 26, 5).await;
    let words = session.ended().await;
    assert!(
        words.contains("nothing of it could be recorded; 5 malformed packets left out"),
        "{words}"
    );
    assert_eq!(std::fs::read_dir(recordings).unwrap().count(), 0);
}

#[tokio::test]
async fn a_player_that_is_closed_ends_it_in_words() {
    if !support::have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bridge = ffmpeg("yuv420p", &dir.path().join("shown"));
    let mut session = Session::open(dir.path(), &bridge, address()).await;
    let _peer = peer(&session, 34, 500).await;
    let started = |report: &Report| match report {
        Report::Started { pid, .. } => Some(*pid),
        _ => None,
    };
    let pid = session.reported("the player", started).await;
    session.runs().await;
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let words = session.ended().await;
    assert!(
        words.starts_with("the player has ended (ended by signal 9)"),
        "{words}"
    );
}

#[tokio::test]
async fn without_a_player_that_runs_it_is_recorded_and_the_reason_told() {
    let dir = tempfile::tempdir().unwrap();
    let broken = "[[handoff]]\nname = \"broken\"\nadapter = \"rtp\"\nrun = [\"false\"]\n";
    let absent = "[[handoff]]\nname = \"absent\"\nadapter = \"rtp\"\nrun = [\"no-such-player\"]\n";
    let bridge = [broken, absent, RECORDING].concat();
    let mut session = Session::open(dir.path(), &bridge, address()).await;
    let _peer = peer(&session, 34, 500).await;
    let why = |report: &Report| match report {
        Report::Say(line) if line.starts_with("broken: ") => Some(line.clone()),
        _ => None,
    };
    let why = session.reported("the reason", why).await;
    assert!(why.contains("broken ended before it was ready"), "{why}");
    assert!(
        why.contains("absent: no-such-player is not installed"),
        "{why}"
    );
    session.runs().await;
    session.order(Order::End);
    let last = |report: &Report| match report {
        Report::Say(line) if line.contains(" packets in ") => Some(line.clone()),
        _ => None,
    };
    session.reported("the last words", last).await;
}
