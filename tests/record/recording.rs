//! Real programs send to the recorder; tshark reads what it kept.

use std::{net::SocketAddrV4, os::unix::fs::PermissionsExt as _, path::Path};

use msn_handoff::{bridge::Unclaimed, endpoint::socket};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::{
    stage::{Setup, Stage, address},
    support::{self, child::Child, within},
    tshark::{fields, hex, is_sound, stream, tshark},
};

/// Bytes that no program would take for anything else.
fn noise(length: u32) -> Vec<u8> {
    let mixed = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..length).map(mixed).collect()
}

async fn unknown() -> Stage {
    Stage::new(&Setup {
        unknown: Unclaimed::Record,
        ..Setup::default()
    })
    .await
}

async fn connect(from: std::net::Ipv4Addr, to: SocketAddrV4) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to.into()).await.unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rtp_http_and_sip_are_kept_and_named() {
    if !support::have(&["tshark", "ffmpeg", "curl", "sipp"]) {
        return;
    }
    let mut stage = unknown().await;
    let dir = tempfile::tempdir().unwrap();
    let (ann, at) = (stage.ann_ip, stage.at);
    let port = at.port();

    // Sound, and the same sound in a file.
    let source = format!(
        "rtp://{at}?rtcpport={port}&localaddr={ann}&localrtpport={}&pkt_size=172",
        support::ports().await
    );
    let arguments = [
        "-nostdin",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=1",
        "-c:a",
        "pcm_mulaw",
        "-ar",
        "8000",
        "-map",
        "0",
        "-f",
        "rtp",
        &source,
        "-c:a",
        "pcm_mulaw",
        "-ar",
        "8000",
        "-map",
        "0",
        "-f",
        "mulaw",
        "sound.ul",
    ];
    let mut ffmpeg = Child::start("ffmpeg", arguments, dir.path());
    stage.bob.says("looks like RTP, payload type 0").await;
    assert_eq!(ffmpeg.wait().await, Some(0));

    // A file of curl's. Nobody answers, so it waits.
    let body = [noise(100_000), vec![b'Z'; 64]].concat();
    std::fs::write(dir.path().join("body"), &body).unwrap();
    let from = ann.to_string();
    let url = format!("http://{at}/upload");
    let arguments = [
        "-s",
        "--noproxy",
        "*",
        "--interface",
        &from,
        "-H",
        "Expect:",
        "--data-binary",
        "@body",
        &url,
    ];
    let curl = Child::start("curl", arguments, dir.path());
    stage.bob.says("looks like HTTP").await;

    // A call of sipp's by UDP, one by TCP.
    let to = at.to_string();
    for transport in ["u1", "t1"] {
        let own = support::ports().await.to_string();
        let arguments = [
            "-sn", "uac", &to, "-i", &from, "-p", &own, "-t", transport, "-m", "1", "-nostdin",
        ];
        let sipp = Child::start("sipp", arguments, dir.path());
        if transport == "u1" {
            stage.bob.says("looks like SIP").await;
        }
        // The same protocol is told only once: the file is flushed each second.
        let (_, told) = stage.bob.files();
        let by = |line: &str| match transport {
            "u1" => line.contains("UDP") && line.ends_with("looks like SIP"),
            _ => line.contains("TCP") && line.ends_with("looks like SIP"),
        };
        support::until("the call in the text", || {
            text(&told).lines().any(by).then_some(())
        })
        .await;
        drop(sipp);
    }
    let (pcap, told) = stage.bob.files();
    support::until("the end of curl's body", || {
        let kept = std::fs::read(&pcap).unwrap();
        memchr::memmem::find(&kept, &[b'Z'; 32])
    })
    .await;
    drop(curl);

    let end = stage.hang_up().await;
    assert!(end.contains(&*pcap.to_string_lossy()), "{end}");
    assert!(end.contains(&*told.to_string_lossy()), "{end}");
    for file in [&pcap, &told] {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    is_sound(&pcap);

    let rtp = format!("udp.port=={port},rtp");
    let types = fields(&pcap, &rtp, "rtp.p_type==0", "rtp.p_type");
    assert!(types.len() >= 40, "{}", types.len());
    let sound = fields(&pcap, &rtp, "rtp.p_type==0", "rtp.payload").concat();
    let sent = std::fs::read(dir.path().join("sound.ul")).unwrap();
    assert!(sound.replace(':', "") == hex(&sent));
    let reports = fields(
        &pcap,
        &format!("udp.port=={port},rtcp"),
        "rtcp.pt==200",
        "rtcp.pt",
    );
    assert!(!reports.is_empty());

    let http = format!("tcp.port=={port},http");
    let methods = fields(&pcap, &http, "http.request", "http.request.method");
    assert_eq!(methods, ["POST"]);
    // Its connection is the first.
    let whole = stream(&pcap, 0);
    assert!(whole.starts_with(&hex(b"POST /upload HTTP/1.1\r\n")));
    assert!(whole.ends_with(&format!("{}{}", hex(b"\r\n\r\n"), hex(&body))));

    for transport in ["udp", "tcp"] {
        let sip = format!("{transport}.port=={port},sip");
        let filter = format!("{transport} && sip.Method==INVITE");
        let agents = fields(&pcap, &sip, &filter, "sip.r-uri");
        assert!(!agents.is_empty(), "{transport}");
        assert!(agents.iter().all(|uri| uri.contains(&to)), "{agents:?}");
    }

    let told = text(&told);
    for line in [
        "UDP from",
        "looks like RTP, payload type 0",
        "looks like RTCP, sender report",
        "looks like SIP",
        "TCP connection 1 looks like HTTP",
        "  POST /upload HTT",
        "  50 4f 53 54 20 2f",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    stage.bob.hub.shutdown().await;
    stage.ann.hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_what_was_sent_and_strangers_are_not_in_it() {
    if !support::have(&["tshark", "ncat"]) {
        return;
    }
    let mut stage = unknown().await;
    let dir = tempfile::tempdir().unwrap();
    let stranger = address();
    let stranger_by_udp = socket::udp((stranger, 0).into()).await.unwrap();
    stranger_by_udp
        .send_to(b"a stranger's datagram", stage.at)
        .await
        .unwrap();
    let mut stranger_by_tcp = connect(stranger, stage.at).await;
    let refused = within("the refusal", stranger_by_tcp.read(&mut [0; 9])).await;
    assert!(matches!(refused, Ok(0) | Err(_)), "{refused:?}");

    let sent = noise(300_000);
    std::fs::write(dir.path().join("sent"), &sent).unwrap();
    let (from, to) = (stage.ann_ip.to_string(), *stage.at.ip());
    let command = "exec ncat --send-only --source \"$1\" \"$2\" \"$3\" < sent";
    let (to, port) = (to.to_string(), stage.at.port().to_string());
    let mut ncat = Child::start("sh", ["-c", command, "sh", &from, &to, &port], dir.path());
    assert_eq!(ncat.wait().await, Some(0));

    // The end is kept too.
    let (pcap, told) = stage.bob.files();
    support::until("the end", || {
        text(&told)
            .contains("closed after 300000 bytes")
            .then_some(())
    })
    .await;
    let end = stage.hang_up().await;
    assert!(
        end.contains("300000 bytes (1 connections, 0 datagrams)"),
        "{end}"
    );

    is_sound(&pcap);
    assert!(stream(&pcap, 0) == hex(&sent));
    let strangers = format!("ip.addr=={stranger}");
    assert_eq!(tshark(&pcap, &["-Y", &strangers]), "");
    assert!(!text(&told).contains(&stranger.to_string()));
    let (first, last) = (
        fields(&pcap, "", "tcp", "tcp.flags.syn"),
        fields(&pcap, "", "tcp", "tcp.flags.fin"),
    );
    assert_eq!(
        first
            .iter()
            .filter(|is| is.as_str() != "0" && is.as_str() != "False")
            .count(),
        2
    );
    assert_eq!(
        last.iter()
            .filter(|is| is.as_str() != "0" && is.as_str() != "False")
            .count(),
        2
    );
    stage.bob.hub.shutdown().await;
    stage.ann.hub.shutdown().await;
}

#[tokio::test]
async fn when_nothing_comes_no_file_is_left() {
    // A consent rule speaks of all of them as "unknown".
    let setup = Setup {
        unknown: Unclaimed::Record,
        allow: true,
        ..Setup::default()
    };
    let mut stage = Stage::new(&setup).await;
    let end = stage.hang_up().await;
    assert!(end.contains("nothing was recorded"), "{end}");
    let folder = stage.bob.dir.path().join("recordings");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test]
async fn the_last_bytes_before_the_end_are_kept() {
    let mut stage = unknown().await;
    let mut stream = connect(stage.ann_ip, stage.at).await;
    stream.write_all(b"VER MSNFTP\r\n").await.unwrap();
    let end = stage.hang_up().await;
    assert!(end.contains("12 bytes (1 connections"), "{end}");
    let (_, told) = stage.bob.files();
    let told = text(&told);
    for line in [
        "looks like MSNFTP",
        "TCP connection 1 broken off after 12 bytes",
    ] {
        assert!(told.contains(line), "{told}");
    }
}
