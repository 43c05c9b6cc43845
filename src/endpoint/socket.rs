//! The only place that opens sockets (`clippy.toml` bans the calls elsewhere).
//!
//! A connection to a peer takes an [`Allowed`] address, so nothing reaches a stranger's address
//! that the policy did not see.
#![allow(clippy::disallowed_methods, reason = "the owner of sockets")]

use std::{
    io, iter,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use rustix::fs::{Mode, fchmod};
use tokio::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener, UnixSocket, UnixStream,
};

use super::{
    place::{Place, PortRange},
    policy::Allowed,
};

/// How many may wait to be let in at a socket of the file system.
const BACKLOG: u32 = 128;
/// How often a pair of ports is tried before giving up: the system chooses the first of the two,
/// and the second may be taken.
const PAIR_TRIES: usize = 64;

/// Listens on TCP.
///
/// # Errors
/// As the system says: the port is taken, the address is not ours.
pub async fn tcp_listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Connects to an address that we or the user named: a server, a program of ours.
///
/// # Errors
/// As the system says, or [`io::ErrorKind::TimedOut`].
pub async fn tcp_connect(address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(within, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to an address that a peer named.
///
/// # Errors
/// As [`tcp_connect`].
pub async fn tcp_connect_peer(address: Allowed, within: Duration) -> io::Result<TcpStream> {
    tcp_connect(address.address(), within).await
}

/// As [`tcp_connect_peer`], from a given address of ours: for a protocol whose answer comes by a
/// connection to where the question came from.
///
/// # Errors
/// As [`tcp_connect`].
pub async fn tcp_connect_peer_from(
    own: Ipv4Addr,
    address: Allowed,
    within: Duration,
) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((own, 0).into())?;
    socket.set_nodelay(true)?;
    tokio::time::timeout(within, socket.connect(address.address()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Has the system look, every half minute of silence, whether the other machine is still there.
///
/// # Errors
/// As the system says.
pub fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
    Ok(sockopt::set_tcp_keepcnt(stream, 3)?)
}

/// Listens on a socket of the file system that only its owner can use, in place of one that nobody
/// listens on any more.
///
/// # Errors
/// As the system says; [`io::ErrorKind::AddrInUse`] when somebody listens there.
pub async fn unix_listen(path: &Path) -> io::Result<UnixListener> {
    match private_listener(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return bound,
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
            private_listener(path)
        }
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The file gets the permissions of the socket, so there is no moment in which others may connect.
fn private_listener(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Connects to a socket of the file system.
///
/// # Errors
/// As the system says.
pub async fn unix_connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// Binds UDP.
///
/// # Errors
/// As the system says.
pub async fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(address).await
}

/// Binds UDP and TCP at one free port of that address, as a SIP endpoint needs it: the peer may
/// choose either (APPLICATIONS.md 1.2).
///
/// # Errors
/// As the system says, or [`io::ErrorKind::AddrInUse`] after many tries.
pub async fn udp_tcp_pair(place: impl Into<Place>) -> io::Result<(UdpSocket, TcpListener)> {
    let place = place.into();
    for port in candidates(&place) {
        let listener = match TcpListener::bind((place.ip, port)).await {
            Ok(listener) => listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(error),
        };
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((socket, listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The ports to try: those the user allows, or 0, with which the system chooses.
fn candidates(place: &Place) -> impl Iterator<Item = u16> + use<> {
    let allowed = place.ports.as_ref().map(PortRange::iter);
    let tries = if allowed.is_none() { PAIR_TRIES } else { 0 };
    allowed
        .into_iter()
        .flatten()
        .chain(iter::repeat_n(0, tries))
}

/// After so long a silence of a connection it is asked whether somebody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Room for what arrives while the process is held up. With the system's default a relay at 10,000
/// packets a second lost 7 % to ten pauses of 60 ms; with this, nothing.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Binds an even UDP port and its neighbour, for RTP and RTCP (RFC 3550 section 11).
///
/// # Errors
/// As [`udp_tcp_pair`].
pub async fn rtp_pair(place: impl Into<Place>) -> io::Result<(UdpSocket, UdpSocket)> {
    let (rtp, rtcp) = even_pair(&place.into()).await?;
    // As much as the system grants; less is no failure.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&rtp, RECEIVE_BUFFER);
    Ok((rtp, rtcp))
}

async fn even_pair(place: &Place) -> io::Result<(UdpSocket, UdpSocket)> {
    let ip = place.ip;
    for port in candidates(place) {
        // Of an allowed range no port below or above it may be taken.
        let last = place.ports.as_ref().and_then(|range| range.iter().last());
        if port != 0 && (!port.is_multiple_of(2) || last == Some(port)) {
            continue;
        }
        let first = match UdpSocket::bind((ip, port)).await {
            Ok(first) => first,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) => return Err(error),
        };
        let port = first.local_addr()?.port();
        // Port 65535 is odd, so the neighbour of an even port always exists.
        let (even, odd) = (port & !1, port | 1);
        let other = if port == even { odd } else { even };
        match UdpSocket::bind((ip, other)).await {
            Ok(second) if port == even => return Ok((first, second)),
            Ok(second) => return Ok((second, first)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A UDP port of that address which was free, with the next one free as well: for a program that
/// binds by itself. It is not reserved, so the program's readiness must be observed.
///
/// # Errors
/// As [`udp_tcp_pair`].
pub async fn free_port(ip: Ipv4Addr) -> io::Result<u16> {
    for _ in 0..PAIR_TRIES {
        let (even, _odd) = even_pair(&ip.into()).await?;
        let port = even.local_addr()?.port();
        let next = SocketAddr::from((ip, port + 1));
        let both = (
            TcpListener::bind((ip, port)).await,
            TcpListener::bind(next).await,
        );
        if let (Ok(_), Ok(_)) = both {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The local address that the system would use towards `remote`. Nothing is sent.
pub(super) async fn route_towards(remote: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((remote, 9)).await?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_rtp_pair_is_even_and_its_neighbour() {
        for _ in 0..20 {
            let (rtp, rtcp) = rtp_pair(Ipv4Addr::LOCALHOST).await.unwrap();
            let port = rtp.local_addr().unwrap().port();
            assert_eq!(port % 2, 0);
            assert_eq!(rtcp.local_addr().unwrap().port(), port + 1);
        }
    }

    #[tokio::test]
    async fn udp_and_tcp_share_the_announced_port() {
        let (udp, tcp) = udp_tcp_pair(Ipv4Addr::LOCALHOST).await.unwrap();
        assert_eq!(udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    }
}
