//! What the sender is told, as tshark reads it.

use std::{net::SocketAddr, time::Duration};

use msn_handoff::media::record::Dump;

use crate::{
    address,
    picture::Film,
    sender::{self, MPV},
    session::{RECORDING, Session},
    support::{self, child::Child, until},
    wire::{Badness, Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn tshark_reads_the_reports_and_the_losses_in_them() {
    if !support::have(&["ffmpeg", "tshark"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, _) = Film::source(dir, 60).await;
    let session = Session::open(&dir.join("session"), RECORDING, address()).await;
    let badness = Badness {
        seed: 9,
        loss: 100,
        swap: 60,
    };
    let wire = Wire::lay(address(), &[session.at], badness).await;
    session.connect(wire.out);
    let mut program = sender::ffmpeg(&MPV, &path, wire.port, dir);
    let (SocketAddr::V4(own), SocketAddr::V4(peer)) = (session.at, wire.out) else {
        panic!("IPv4");
    };
    session.ended().await;
    assert_eq!(program.wait().await, Some(0), "{}", program.output());
    // The last one is under way when the session has ended.
    let log = until("the last report", || {
        let log = wire.log();
        log.last_report(own.into())?.bye.then_some(log)
    })
    .await;
    let pcap = dir.join("reports.pcap");
    let mut dump = Dump::create(&pcap, own, peer).unwrap();
    for (_, bytes) in &log.reports {
        dump.keep(bytes, Duration::ZERO).unwrap();
    }
    dump.finish().unwrap();
    let decode = format!("udp.port=={},rtcp", peer.port());
    let mut args = vec!["-r", pcap.to_str().unwrap(), "-d", &decode, "-T", "fields"];
    for field in [
        "rtcp.pt",
        "rtcp.ssrc.identifier",
        "rtcp.ssrc.cum_nr",
        "rtcp.sdes.text",
        "_ws.malformed",
    ] {
        args.extend(["-e", field]);
    }
    let mut tshark = Child::start("tshark", args, dir);
    assert_eq!(tshark.wait().await, Some(0), "{}", tshark.output());
    let output = tshark.output();
    let rows: Vec<Vec<&str>> = output
        .lines()
        .filter(|line| line.contains('\t'))
        .map(|line| line.split('\t').collect())
        .collect();
    // Greetings first, then a report while it lasts, and one that leaves.
    let first = rows.first().unwrap();
    assert_eq!((first[0], first[2]), ("201,202", ""), "{output}");
    assert!(rows.len() >= 3, "{output}");
    assert!(rows.iter().all(|row| row[3] == "msn-handoff"), "{output}");
    assert!(rows.iter().all(|row| row[4].is_empty()), "{output}");
    let last = rows.last().unwrap();
    assert_eq!(last[0], "201,202,203", "{output}");
    // Whom it is about, and then ourselves.
    let source = format!("0x{:08x},", log.source.unwrap());
    assert!(last[1].starts_with(&source), "{output}");
    let lost = log.lost_for_sure();
    assert!(lost > 10, "{log:?}");
    assert_eq!(last[2], lost.to_string(), "{output}");
}
