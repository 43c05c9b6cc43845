//! What else stands at a contact's address: hosts of games, a NetMeeting, a screen to be helped; and the
//! machine that ports are forwarded to.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use msn_handoff::endpoint::socket;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Chance, deeds::Deeds, phone::Phone, terminal};

/// The machine of ours that the bridge in [`crate::product`] forwards to, and the port.
pub(crate) const MACHINE: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 5), 4000);
/// Where somebody lets others see the screen.
pub(crate) const SCREEN: u16 = 3389;
/// How long somebody is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A contact's address, and all that is there.
pub(crate) struct Home {
    pub(crate) at: Ipv4Addr,
    pub(crate) phone: Phone,
    pub(crate) deeds: Deeds,
    _living: JoinSet<()>,
}

impl Home {
    pub(crate) async fn open(at: Ipv4Addr, mut chance: Chance, deeds: &Deeds) -> Self {
        let mut living = JoinSet::new();
        let phone = Phone::open(at, Chance(chance.next()), deeds, &mut living).await;
        let udp = socket::udp((at, 29_070).into()).await.unwrap();
        living.spawn(arena(udp, Chance(chance.next()), deeds.clone()));
        let listener = async |port| socket::tcp_listen((at, port).into()).await.unwrap();

        let mut moods = Chance(chance.next());
        let noting = deeds.clone();
        serve(&mut living, listener(47_624).await, move |stream| {
            tells_of_a_session(at, stream, Chance(moods.next()), noting.clone())
        });
        let mut moods = Chance(chance.next());
        let noting = deeds.clone();
        serve(&mut living, listener(terminal::PORT).await, move |stream| {
            let chance = Chance(moods.next());
            terminal::talk(at, stream, None, chance, noting.clone())
        });
        let noting = deeds.clone();
        serve(&mut living, listener(SCREEN).await, move |stream| {
            noting.did("a screen was found");
            async move {
                sleep(Duration::from_millis(200)).await;
                drop(stream);
            }
        });
        Self {
            at,
            phone,
            deeds: deeds.clone(),
            _living: living,
        }
    }
}

/// Whoever connects there hears what it said.
pub(crate) async fn machine(deeds: &Deeds, living: &mut JoinSet<()>) {
    let listener = socket::tcp_listen(MACHINE.into()).await.unwrap();
    let deeds = deeds.clone();
    serve(living, listener, move |mut stream| {
        deeds.did("a connection was forwarded");
        async move {
            let (mut from, mut to) = stream.split();
            let _ = timeout(PATIENCE * 3, tokio::io::copy(&mut from, &mut to)).await;
        }
    });
}

/// Serves whoever connects there.
pub(crate) fn serve<Served>(
    living: &mut JoinSet<()>,
    listener: TcpListener,
    mut serve: impl FnMut(TcpStream) -> Served + Send + 'static,
) where
    Served: Future<Output = ()> + Send + 'static,
{
    living.spawn(async move {
        let mut serving = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(serving.spawn(serve(stream))),
                    Err(_) => sleep(Duration::from_millis(20)).await,
                },
                Some(_) = serving.join_next() => {}
            }
        }
    });
}

/// A game of the Quake 3 family, which answers most who ask.
async fn arena(socket: UdpSocket, mut chance: Chance, deeds: Deeds) {
    let mut buffer = [0; 2048];
    loop {
        let Ok((n, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(challenge) = buffer[..n].strip_prefix(b"\xff\xff\xff\xffgetinfo ") else {
            continue;
        };
        if chance.one_in(3) {
            continue;
        }
        // One in ten plays what nobody here has.
        let protocol = if chance.one_in(10) { "68" } else { "26" };
        let mut answer =
            b"\xff\xff\xff\xffinfoResponse\n\\hostname\\Bob\\mapname\\mp/ffa3".to_vec();
        answer.extend_from_slice(format!("\\protocol\\{protocol}\\challenge\\").as_bytes());
        answer.extend_from_slice(challenge);
        let _ = socket.send_to(&answer, from).await;
        deeds.did("a Quake 3 host answered");
    }
}

/// A game that speaks DirectPlay, asked for its sessions: it connects to who asks (APPLICATIONS.md 5.2).
async fn tells_of_a_session(at: Ipv4Addr, mut stream: TcpStream, mut chance: Chance, deeds: Deeds) {
    let mut question = [0; 52];
    let (Ok(from), Ok(Ok(_))) = (
        stream.peer_addr(),
        timeout(PATIENCE, stream.read_exact(&mut question)).await,
    ) else {
        return;
    };
    if chance.one_in(3) {
        return;
    }
    let port = u16::from_be_bytes([question[6], question[7]]);
    let mut answer = vec![0; 112];
    answer[4..8].copy_from_slice(&[2, 0, 0x08, 0xfc]);
    answer[20..28].copy_from_slice(b"play\x01\0\x0e\0");
    answer[28] = 0x50;
    answer[36..52].copy_from_slice(&[7; 16]);
    answer[52..68].copy_from_slice(&question[28..44]);
    (answer[68], answer[72], answer[108]) = (6, 2, 0x5c);
    answer.extend("Bob".encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    let size = 0xfab0_0000 | u32::try_from(answer.len()).unwrap();
    answer[..4].copy_from_slice(&size.to_le_bytes());
    if let Some(mut back) = connect(at, (from.ip(), port).into()).await {
        let _ = timeout(PATIENCE, back.write_all(&answer)).await;
        deeds.did("a DirectPlay host answered");
    }
}

/// Connects from that address.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).ok()?;
    timeout(PATIENCE, socket.connect(to)).await.ok()?.ok()
}

/// Reads some, or waits for ever where there is nothing to read from; 0 is its end.
pub(crate) async fn read(stream: &mut Option<TcpStream>, into: &mut [u8]) -> usize {
    match stream {
        Some(stream) => stream.read(into).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
