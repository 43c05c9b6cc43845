//! A slow piece of the way: datagrams to it go on to another machine, and back, each a while later.
//! The kernels here have no netem (TOOLS.md).

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};

use msn_handoff::endpoint::socket;
use tokio::net::UdpSocket;

/// Forwards these ports of `own` to those of `machine` until the runtime ends. Each datagram takes
/// `delay`, and up to `jitter` more.
pub(crate) async fn forward(
    own: Ipv4Addr,
    machine: Ipv4Addr,
    ports: RangeInclusive<u16>,
    delay: Duration,
    jitter: Duration,
) {
    for port in ports {
        let socket = socket::udp((own, port).into()).await.unwrap();
        let to = SocketAddr::from((machine, port));
        tokio::spawn(carry(Arc::new(socket), to, delay, jitter));
    }
}

async fn carry(socket: Arc<UdpSocket>, machine: SocketAddr, delay: Duration, jitter: Duration) {
    let outside: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let mut number: u32 = 1;
    let mut buffer = vec![0; 2048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let to = if from.ip() == machine.ip() {
            *outside.lock().unwrap()
        } else {
            *outside.lock().unwrap() = Some(from);
            Some(machine)
        };
        // Any numbers that scatter do.
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let more = jitter * (number >> 16) / 0x1_0000;
        let (socket, bytes) = (Arc::clone(&socket), buffer[..length].to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(delay + more).await;
            if let Some(to) = to {
                let _ = socket.send_to(&bytes, to).await;
            }
        });
    }
}
