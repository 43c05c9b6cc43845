//! Stands between a client and its server and writes down what the client's sockets receive. It
//! follows the client: an address in `XFR` or `RNG` is replaced by one of its own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use msn_handoff::endpoint::socket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A relay for one client and all its connections.
pub(crate) struct Recorder {
    addr: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Starts a relay to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let received = Arc::default();
        let addr = listen(target, Arc::clone(&received)).await;
        Self { addr, received }
    }

    /// Where the client connects.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Everything any connection of the client received so far, with the addresses replaced.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

/// Opens a listener for `target`. Boxed because a relay opens further ones.
fn listen(
    target: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
) -> std::pin::Pin<Box<dyn Future<Output = SocketAddr> + Send>> {
    Box::pin(async move {
        let listener = socket::tcp_listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let received = Arc::clone(&received);
                tokio::spawn(async move {
                    // The end of either side ends the pair; nothing else is of interest.
                    let _ = relay(client, target, received).await;
                });
            }
        });
        addr
    })
}

async fn relay(
    client: TcpStream,
    target: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
) -> io::Result<()> {
    let server = socket::tcp_connect(target, Duration::from_secs(10)).await?;
    client.set_nodelay(true)?;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut server_reads, mut server_writes) = server.into_split();
    let up = async {
        tokio::io::copy(&mut client_reads, &mut server_writes).await?;
        server_writes.shutdown().await
    };
    let down = async {
        let mut held = Vec::new();
        loop {
            let ended = server_reads.read_buf(&mut held).await? == 0;
            let passed = redirect(&mut held, ended, &received).await;
            received.lock().unwrap().extend_from_slice(&passed);
            client_writes.write_all(&passed).await?;
            if ended {
                return client_writes.shutdown().await;
            }
        }
    };
    tokio::try_join!(up, down).map(drop)
}

/// Takes what can go on out of `held`, addresses replaced. An `XFR` or `RNG` that is not whole yet
/// stays; anything else goes at once, for a payload need not end in a line feed.
async fn redirect(held: &mut Vec<u8>, ended: bool, received: &Arc<Mutex<Vec<u8>>>) -> Vec<u8> {
    let mut passed = Vec::new();
    while !held.is_empty() {
        let end = held.iter().position(|byte| *byte == b'\n');
        let names_address = held.starts_with(b"XFR ") || held.starts_with(b"RNG ");
        let line: Vec<u8> = match end {
            Some(end) => held.drain(..=end).collect(),
            None if names_address && !ended => break,
            None => std::mem::take(held),
        };
        if !names_address {
            passed.extend_from_slice(&line);
            continue;
        }
        let line = String::from_utf8(line).unwrap();
        let place = if line.starts_with("XFR ") { 3 } else { 2 };
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let target = words[place].trim_end().parse().unwrap();
        let own = listen(target, Arc::clone(received)).await;
        words[place] = words[place].replace(&target.to_string(), &own.to_string());
        passed.extend_from_slice(words.join(" ").as_bytes());
    }
    passed
}
