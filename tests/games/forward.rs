//! Forwarded ports: who is let through, what arrives, and when it is over.

use std::net::Ipv4Addr;

use msn_handoff::{adapter::Report, endpoint::socket, negotiation::Role};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::{
    Running, address, bridge,
    support::{namespace::alone, within},
};

fn forward(to: Ipv4Addr, idle: u16) -> String {
    format!(
        r#"
id       = "forward"
name     = "a program in a virtual machine"
guids    = ["{{00000000-1111-2222-3333-444444444444}}"]
announce = "a program"
[negotiation]
dialect = "legacy"
address = "ip:port"
[[handoff]]
name    = "the virtual machine"
adapter = "forward-tcp"
ports   = "1503, 1720-1721"
to      = "{to}"
idle    = {idle}
"#
    )
}

async fn connect(from: Ipv4Addr, to: (Ipv4Addr, u16)) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to.into()).await.unwrap()
}

#[test]
fn what_the_peer_sends_goes_on_to_the_other_machine_and_back() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let (own, peer, machine) = (address(), address(), address());
        let bridge = bridge(dir.path(), &forward(machine, 300));
        let inside = socket::tcp_listen((machine, 1720).into()).await.unwrap();
        let mut forwards = Running::start(&bridge, Role::Inviter, own);
        forwards.prepare();
        let port = |report: &Report| match report {
            Report::Ready(announced) => Some((announced.ip, announced.port)),
            _ => None,
        };
        let announced = forwards.reported("Ready", port).await;
        assert_eq!(announced, (own, Some(1503)));
        forwards.connected(peer);

        // A stranger's connection is closed without a word.
        let mut stranger = connect(address(), (own, 1720)).await;
        let turned_away = within("the refusal", stranger.read(&mut [0; 9])).await;
        assert!(matches!(turned_away, Ok(0) | Err(_)), "{turned_away:?}");

        let mut outside = connect(peer, (own, 1720)).await;
        let (mut taken, _) = within("the relay", inside.accept()).await.unwrap();
        forwards.runs().await;
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (_, received) = tokio::join!(
            async {
                outside.write_all(&bytes).await.unwrap();
                outside.shutdown().await.unwrap();
            },
            async {
                let mut all = Vec::new();
                within("all of it", taken.read_to_end(&mut all))
                    .await
                    .unwrap();
                all
            }
        );
        assert!(received == bytes);
        // One way is closed, the other is not.
        taken.write_all(b"thanks").await.unwrap();
        drop(taken);
        let mut back = Vec::new();
        within("the answer", outside.read_to_end(&mut back))
            .await
            .unwrap();
        assert_eq!(back, b"thanks");

        // A port at which nothing listens there.
        let mut nowhere = connect(peer, (own, 1721)).await;
        let said = |report: &Report| {
            matches!(report, Report::Say(line) if line.contains(":1721 takes no connection"))
                .then_some(())
        };
        forwards.reported("that nothing listens", said).await;
        let closed = within("its end", nowhere.read(&mut [0; 9])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");

        let mut open = connect(peer, (own, 1720)).await;
        let (_taken, _) = within("another", inside.accept()).await.unwrap();
        forwards.end().await;
        let closed = within("its end", open.read(&mut [0; 9])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        assert!(socket::tcp_listen((own, 1503).into()).await.is_ok());
    });
}

#[test]
fn the_documented_example_is_a_bridge() {
    let page = include_str!("../../docs/applications/forwarding.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path(), example.split("```").next().unwrap());
    assert!(bridge.can_be_taken(Role::Inviter) && bridge.can_be_taken(Role::Invitee));
}

#[test]
fn silence_ends_it() {
    alone(async || {
        let dir = tempfile::tempdir().unwrap();
        let (own, peer, machine) = (address(), address(), address());
        let bridge = bridge(dir.path(), &forward(machine, 1));
        let inside = socket::tcp_listen((machine, 1503).into()).await.unwrap();
        let mut forwards = Running::start(&bridge, Role::Inviter, own);
        forwards.connected(peer);
        let _outside = loop {
            // Without being asked to prepare it listens when the handshake is complete.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((peer, 0).into()).unwrap();
            match socket.connect((own, 1503).into()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let _taken = within("the relay", inside.accept()).await.unwrap();
        forwards.runs().await;
        let finished = |report: &Report| match report {
            Report::Finished(why) => Some(why.clone()),
            _ => None,
        };
        let why = forwards.reported("the end", finished).await;
        assert_eq!(why, "nothing was sent for 1 s");
    });
}
