//! A recording is bounded, whatever is sent.

use std::{net::Ipv4Addr, time::Duration};

use msn_handoff::endpoint::socket;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UdpSocket},
};

use crate::{
    stage::{Setup, Stage},
    support::within,
};

/// Bob knows it too, and records it within these bounds.
async fn bounded(more: &str) -> Stage {
    let file = format!("{}{more}\n", with_port(""));
    Stage::new(&Setup {
        files: &[("foo.toml", &file)],
        allow: true,
        ..Setup::default()
    })
    .await
}

fn with_port(port: &str) -> String {
    format!(
        r#"
id       = "foo"
name     = "Foo"
guids    = ["{{00000000-1111-2222-3333-444444444444}}"]
announce = "Foo"
[negotiation]
address = "ip:port"
listens = "both"
{port}
[[handoff]]
name    = "a recorder"
adapter = "record"
"#
    )
}

async fn connect(stage: &Stage) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((stage.ann_ip, 0).into()).unwrap();
    socket.connect(stage.at.into()).await.unwrap()
}

async fn udp(from: Ipv4Addr) -> UdpSocket {
    socket::udp((from, 0).into()).await.unwrap()
}

async fn is_closed(stream: &mut TcpStream) {
    let closed = within("the end", stream.read(&mut [0; 9])).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test]
async fn it_ends_when_it_has_its_megabytes() {
    let mut stage = bounded("keep = { megabytes = 1 }").await;
    let mut stream = connect(&stage).await;
    let flood = async {
        // The end of the recording breaks it off.
        while stream.write_all(&[b'x'; 10_000]).await.is_ok() {}
    };
    within("the end of the connection", flood).await;
    let end = stage.bob.says("has its 1 MB").await;
    assert!(end.contains("(1 connections, 0 datagrams)"), "{end}");
    let (pcap, text) = stage.bob.files();
    let length = std::fs::metadata(pcap).unwrap().len();
    assert!((900_000..=1 << 20).contains(&length), "{length}");
    assert!(std::fs::metadata(text).unwrap().len() < 10_000);
}

#[tokio::test]
async fn empty_datagrams_fill_it_as_well() {
    let mut stage = bounded("keep = { megabytes = 1 }").await;
    let socket = udp(stage.ann_ip).await;
    let at = stage.at;
    let flood = tokio::spawn(async move {
        loop {
            let _ = socket.send_to(&[], at).await;
            tokio::task::yield_now().await;
        }
    });
    stage.bob.says("has its 1 MB").await;
    flood.abort();
    let (pcap, _) = stage.bob.files();
    assert!(std::fs::metadata(pcap).unwrap().len() <= 1 << 20);
}

#[tokio::test]
async fn no_more_connections_are_taken_than_agreed() {
    let mut stage = bounded("keep = { connections = 2 }").await;
    let mut kept = Vec::new();
    for text in ["one", "two"] {
        let mut stream = connect(&stage).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        kept.push(stream);
    }
    let mut third = connect(&stage).await;
    is_closed(&mut third).await;
    let end = stage.hang_up().await;
    assert!(end.contains("6 bytes (2 connections"), "{end}");
    for mut stream in kept {
        is_closed(&mut stream).await;
    }
    let (_, text) = stage.bob.files();
    let text = std::fs::read_to_string(text).unwrap();
    assert!(
        text.contains("1 more connections were turned away"),
        "{text}"
    );
}

#[tokio::test]
async fn it_ends_when_it_has_its_time_and_when_nothing_comes() {
    for (bound, words) in [
        ("keep = { seconds = 1 }", "has its 1 s"),
        ("idle = 1", "for 1 s"),
    ] {
        let mut stage = bounded(bound).await;
        let (socket, at) = (udp(stage.ann_ip).await, stage.at);
        socket.send_to(b"once", at).await.unwrap();
        let goes_on = bound.starts_with("keep");
        let sender = tokio::spawn(async move {
            if !goes_on {
                return;
            }
            loop {
                let _ = socket.send_to(b"again", at).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let end = stage.bob.says(words).await;
        assert!(end.contains("recorded"), "{end}");
        sender.abort();
    }
}

#[tokio::test]
async fn the_port_that_an_application_fixes_is_the_one() {
    let text = with_port("port = { fixed = 4711, transport = \"udp\" }");
    let stage = Stage::new(&Setup {
        files: &[("foo.toml", &text)],
        allow: true,
        ..Setup::default()
    })
    .await;
    assert_eq!(stage.at.port(), 4711);
    connect(&stage).await;
    // Both are taken, and nobody else gets them.
    assert!(socket::udp(stage.at.into()).await.is_err());
}
