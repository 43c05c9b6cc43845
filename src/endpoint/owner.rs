//! Whose process is at the other end of a connection on this machine (proc(5), `/proc/net/tcp`).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The user whose socket is at `there`, connected to ours at `here`. Nothing when the system does not
/// tell, as for other machines.
#[must_use]
pub fn of(there: SocketAddr, here: SocketAddr) -> Option<u32> {
    ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| read(&table, there, here))
}

/// Whether it is ours, or not known to be another user's. Root may do anything to us in any case.
#[must_use]
pub fn is_ours(there: SocketAddr, here: SocketAddr) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    !there.ip().is_loopback() || of(there, here).is_none_or(|uid| uid == 0 || uid == ours)
}

fn read(table: &str, there: SocketAddr, here: SocketAddr) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = address(fields.nth(1)?)?;
        let remote = address(fields.next()?)?;
        let uid = fields.nth(4)?.parse().ok()?;
        ((local, remote) == (plain(there), plain(here))).then_some(uid)
    })
}

/// An IPv4 address that is written as an IPv6 one is the same.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The kernel prints each 32 bits as this machine keeps them in memory.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes
                    .get_mut(at * 4..at * 4 + 4)?
                    .copy_from_slice(&word(at)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::socket;

    #[tokio::test]
    async fn our_own_connection_is_ours() {
        let listener = socket::tcp_listen((Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap();
        let here = listener.local_addr().unwrap();
        let client = socket::tcp_connect(here, std::time::Duration::from_secs(5))
            .await
            .unwrap();
        let (_server, there) = listener.accept().await.unwrap();
        assert_eq!(client.local_addr().unwrap(), there);
        let ours = rustix::process::geteuid().as_raw();
        assert_eq!(of(there, here), Some(ours));
        assert!(is_ours(there, here));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
            1: 0100007F:C350 0100007F:0747 01 00000000:00000000 00:00000000 00000000  1001        0 2 1\n\
            2: 0000000000000000FFFF00000100007F:C351 0000000000000000FFFF00000100007F:0747 01 0:0 0:0 0  1002 0 3 1\n\
            3: nonsense\n";
        let here: SocketAddr = "127.0.0.1:1863".parse().unwrap();
        for (there, uid) in [
            ("127.0.0.1:50000", Some(1001)),
            ("127.0.0.1:50001", Some(1002)),
            ("[::ffff:127.0.0.1]:50001", Some(1002)),
            ("127.0.0.1:50002", None),
        ] {
            assert_eq!(read(table, there.parse().unwrap(), here), uid, "{there}");
        }
    }
}
