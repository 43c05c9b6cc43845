use super::*;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where the relay is: nobody else binds there, so what it leaves is free.
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// Another host, on the same machine.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LIMIT: Duration = Duration::from_secs(10);

/// Two ends and a relay between them.
struct Stage {
    relay: Relay,
    /// RTP and RTCP.
    peer: [UdpSocket; 2],
    agent: [UdpSocket; 2],
}

async fn pair(ip: Ipv4Addr) -> [UdpSocket; 2] {
    socket::rtp_pair(ip).await.unwrap().into()
}

fn place(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 0, 0, number, 0, 0, 0, number, 1, 2, 3, 4];
    bytes.extend(payload);
    bytes
}

/// A receiver report.
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

async fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let (length, _) = tokio::time::timeout(LIMIT, socket.recv_from(&mut buffer))
        .await
        .expect("a packet in time")
        .unwrap();
    buffer[..length].to_vec()
}

impl Stage {
    async fn new() -> Self {
        Self {
            relay: Relay::open(RELAY, RELAY).await.unwrap(),
            peer: pair(LOCAL).await,
            agent: pair(LOCAL).await,
        }
    }

    async fn connected() -> Self {
        let stage = Self::new().await;
        stage.connect();
        stage
    }

    fn connect(&self) {
        self.relay.connect_peer(place(&self.peer[0]), None).unwrap();
        self.relay
            .connect_agent(place(&self.agent[0]), None)
            .unwrap();
    }

    fn at_peer_side(&self) -> SocketAddr {
        (RELAY, self.relay.peer_port()).into()
    }

    fn at_agent_side(&self) -> SocketAddr {
        (RELAY, self.relay.agent_port()).into()
    }

    /// Until the relay has judged something.
    async fn until(&self, what: impl Fn(&RelayStatistics) -> bool) {
        let judged = async {
            while !what(&self.relay.statistics()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, judged)
            .await
            .unwrap_or_else(|_| panic!("{:?}", self.relay.statistics()));
    }
}

#[tokio::test]
async fn both_channels_go_both_ways_as_they_came() {
    let stage = Stage::connected().await;
    let at_peer = [
        stage.at_peer_side(),
        (RELAY, stage.relay.peer_port() + 1).into(),
    ];
    let at_agent = [
        stage.at_agent_side(),
        (RELAY, stage.relay.agent_port() + 1).into(),
    ];
    for (channel, bytes) in [packet(1, b"sound"), REPORT.to_vec()]
        .into_iter()
        .enumerate()
    {
        let (peer, agent) = (&stage.peer[channel], &stage.agent[channel]);
        peer.send_to(&bytes, at_peer[channel]).await.unwrap();
        assert_eq!(next(agent).await, bytes);
        agent.send_to(&bytes, at_agent[channel]).await.unwrap();
        assert_eq!(next(peer).await, bytes);
    }
    let bytes = packet(1, b"sound").len() + REPORT.len();
    let statistics = stage.relay.close().await;
    for side in [statistics.from_peer, statistics.from_agent] {
        assert_eq!((side.carried, side.bytes), (2, bytes as u64));
        assert_eq!(side.stream.received, 1);
        assert_eq!((side.foreign, side.early, side.unfit), (0, 0, 0));
    }
}

#[tokio::test]
async fn an_attacker_never_gets_through_before_during_or_after() {
    let stage = Stage::new().await;
    let attacker = socket::udp((FOREIGN, 0).into()).await.unwrap();
    let neighbour = socket::udp((LOCAL, 0).into()).await.unwrap();
    let bad = packet(66, b"attack");

    // Before: nobody gets through, not even the right one.
    for who in [&attacker, &stage.peer[0]] {
        who.send_to(&bad, stage.at_peer_side()).await.unwrap();
    }
    attacker.send_to(&bad, stage.at_agent_side()).await.unwrap();
    stage
        .until(|all| all.from_peer.early == 2 && all.from_agent.early == 1)
        .await;

    // Before the peer was heard, while its port may still be learned.
    stage.connect();
    attacker.send_to(&bad, stage.at_peer_side()).await.unwrap();
    attacker.send_to(&bad, stage.at_agent_side()).await.unwrap();
    stage
        .until(|all| all.from_peer.foreign == 1 && all.from_agent.foreign == 1)
        .await;

    // During: neither another host nor another port of the same one.
    let good = packet(1, b"sound");
    stage.peer[0]
        .send_to(&good, stage.at_peer_side())
        .await
        .unwrap();
    assert_eq!(next(&stage.agent[0]).await, good);
    for who in [&attacker, &neighbour] {
        who.send_to(&bad, stage.at_peer_side()).await.unwrap();
    }
    stage.until(|all| all.from_peer.foreign == 3).await;

    // All that the agent ever got came from the peer, and nothing was sent elsewhere.
    let last = packet(2, b"sound");
    stage.peer[0]
        .send_to(&last, stage.at_peer_side())
        .await
        .unwrap();
    assert_eq!(next(&stage.agent[0]).await, last);
    let answer = packet(3, b"answer");
    stage.agent[0]
        .send_to(&answer, stage.at_agent_side())
        .await
        .unwrap();
    assert_eq!(next(&stage.peer[0]).await, answer);

    // After: the sockets are gone.
    let gone = stage.at_peer_side();
    stage.relay.close().await;
    attacker.send_to(&bad, gone).await.unwrap();
    let free = socket::udp(gone).await.unwrap();
    drop(free);
    let mut rest = [0; 64];
    let [peer, _] = stage.peer;
    let [agent, _] = stage.agent;
    for socket in [peer, agent, attacker, neighbour] {
        // The system is asked: tokio may not have noticed yet.
        let got = socket.into_std().unwrap().recv(&mut rest);
        assert_eq!(
            got.map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock)
        );
    }
}

#[tokio::test]
async fn a_moved_port_is_learned_once_and_again_after_signalling() {
    let stage = Stage::connected().await;
    let moved = socket::udp((LOCAL, 0).into()).await.unwrap();
    let second = socket::udp((LOCAL, 0).into()).await.unwrap();
    let answer = packet(9, b"answer");

    moved
        .send_to(&packet(1, b""), stage.at_peer_side())
        .await
        .unwrap();
    next(&stage.agent[0]).await;
    stage.agent[0]
        .send_to(&answer, stage.at_agent_side())
        .await
        .unwrap();
    assert_eq!(next(&moved).await, answer);

    second
        .send_to(&packet(2, b""), stage.at_peer_side())
        .await
        .unwrap();
    stage.until(|all| all.from_peer.foreign == 1).await;

    stage
        .relay
        .connect_peer(place(&stage.peer[0]), None)
        .unwrap();
    second
        .send_to(&packet(3, b""), stage.at_peer_side())
        .await
        .unwrap();
    next(&stage.agent[0]).await;
    stage.agent[0]
        .send_to(&answer, stage.at_agent_side())
        .await
        .unwrap();
    assert_eq!(next(&second).await, answer);
}

#[tokio::test]
async fn what_is_no_media_or_too_long_stays_here_and_settles_nothing() {
    let stage = Stage::connected().await;
    let stray = socket::udp((LOCAL, 0).into()).await.unwrap();
    for bytes in [
        b"OPTIONS sip:x SIP/2.0\r\n".to_vec(),
        Vec::new(),
        packet(1, &[0; MAX_PACKET]),
    ] {
        stray.send_to(&bytes, stage.at_peer_side()).await.unwrap();
    }
    stage.until(|all| all.from_peer.unfit == 3).await;
    let good = packet(1, &[7; MAX_PACKET - 12]);
    stage.peer[0]
        .send_to(&good, stage.at_peer_side())
        .await
        .unwrap();
    assert_eq!(next(&stage.agent[0]).await, good);
}

#[tokio::test]
async fn an_address_that_would_answer_itself_or_is_nobody_is_refused() {
    let stage = Stage::new().await;
    let own: [SocketAddr; 3] = [
        stage.at_peer_side(),
        stage.at_agent_side(),
        (RELAY, stage.relay.agent_port() + 1).into(),
    ];
    for address in own.into_iter().chain([
        (LOCAL, 0).into(),
        (Ipv4Addr::UNSPECIFIED, 5004).into(),
        (Ipv4Addr::BROADCAST, 5004).into(),
        (Ipv4Addr::new(224, 0, 0, 1), 5004).into(),
    ]) {
        for refused in [
            stage.relay.connect_peer(address, None),
            stage.relay.connect_agent(address, None),
            stage
                .relay
                .connect_peer(place(&stage.peer[0]), Some(address)),
        ] {
            let kind = refused.map_err(|error| error.kind());
            assert_eq!(kind, Err(io::ErrorKind::InvalidInput), "{address}");
        }
    }
}

#[tokio::test]
async fn dropping_frees_the_ports() {
    let relay = Relay::open(RELAY, RELAY).await.unwrap();
    let at = SocketAddr::from((RELAY, relay.peer_port()));
    drop(relay);
    let freed = async {
        while socket::udp(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, freed).await.unwrap();
}

#[tokio::test]
async fn the_last_words_are_carried_before_the_sockets_close() {
    let stage = Stage::connected().await;
    // In the order of a single thread the relay has had no turn to carry them.
    let said = packet(1, b"the end");
    let at_relay = stage.at_agent_side();
    let reports = SocketAddr::new(at_relay.ip(), at_relay.port() + 1);
    stage.agent[0].send_to(&said, at_relay).await.unwrap();
    stage.agent[1].send_to(&REPORT, reports).await.unwrap();
    let statistics = stage.relay.close().await;
    assert_eq!(statistics.from_agent.carried, 2);
    assert_eq!(next(&stage.peer[0]).await, said);
    assert_eq!(next(&stage.peer[1]).await, REPORT);
}

#[tokio::test]
async fn a_flood_is_carried_at_the_limit_and_the_other_way_is_free() {
    const RATE: u32 = 80_000;
    const SIZE: usize = 1000;
    let stage = Stage::connected().await;
    stage.relay.limit(RATE);
    let clock = Clock::start();
    let flood = packet(1, &[0x55; SIZE - 12]);
    for sent in 1..=300_u64 {
        let to = stage.at_peer_side();
        stage.peer[0].send_to(&flood, to).await.unwrap();
        // So that no buffer of the system is what drops them.
        if sent.is_multiple_of(20) {
            stage
                .until(|all| all.from_peer.carried + all.from_peer.over == sent)
                .await;
        }
    }
    let back = packet(2, b"answer");
    let to = stage.at_agent_side();
    stage.agent[0].send_to(&back, to).await.unwrap();
    assert_eq!(next(&stage.peer[0]).await, back);

    let heard = stage.relay.statistics().from_peer;
    let most = f64::from(RATE) / 8.0 * (0.5 + clock.now().as_secs_f64());
    assert!(heard.bytes as f64 <= most, "{heard:?}, at most {most}");
    assert!(heard.carried >= 5 && heard.over > 0, "{heard:?}");
    for _ in 0..heard.carried {
        assert_eq!(next(&stage.agent[0]).await, flood);
    }
    let mut more = [0; 2048];
    let nothing = stage.agent[0].try_recv_from(&mut more);
    assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);

    // With time it goes on.
    let goes_on = async {
        while stage.relay.statistics().from_peer.carried == heard.carried {
            let to = stage.at_peer_side();
            stage.peer[0].send_to(&flood, to).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, goes_on).await.unwrap();
    assert_eq!(next(&stage.agent[0]).await, flood);
}
