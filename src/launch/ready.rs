//! Observes that a program has opened a port: the port is in the kernel's table *and* the socket
//! belongs to a process of the program's group. A squatter on the port does not count.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::processes;

/// How often the tables are read. They are the observation; there is no event for it.
const INTERVAL: Duration = Duration::from_millis(10);

/// The state column of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Returns when a process of the program listens on that TCP address. The table is that of this
/// thread's network namespace, which `/proc/net` would not be.
pub(super) async fn tcp_listening(leader: i32, address: SocketAddr) {
    observe(
        leader,
        address,
        "/proc/thread-self/net/tcp",
        Some(LISTENING),
    )
    .await;
}

/// Returns when a process of the program has bound that UDP address.
pub(super) async fn udp_bound(leader: i32, address: SocketAddr) {
    observe(leader, address, "/proc/thread-self/net/udp", None).await;
}

async fn observe(leader: i32, address: SocketAddr, table: &str, state: Option<&str>) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        // A socket of IPv6 that is bound to all addresses takes IPv4 as well.
        let inodes: BTreeSet<String> = [table.to_owned(), format!("{table}6")]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| inodes(&table, address, state))
            .collect();
        if !inodes.is_empty() && holds_one(leader, &inodes) {
            return;
        }
    }
}

/// The inodes of the sockets bound to that address, or to its port on all addresses (proc(5)).
fn inodes(table: &str, address: SocketAddr, state: Option<&str>) -> BTreeSet<String> {
    let hex = |octets: &[u8]| -> String {
        // The kernel prints each 32-bit word in the byte order of the machine.
        octets
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
            .collect()
    };
    let mut ips = vec![hex(&[0; 4]), hex(&[0; 16])];
    match address.ip() {
        IpAddr::V4(ip) => {
            ips.push(hex(&ip.octets()));
            ips.push(hex(&ip.to_ipv6_mapped().octets()));
        }
        IpAddr::V6(ip) => ips.push(hex(&ip.octets())),
    }
    let port = format!("{:04X}", address.port());
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let (ip, local_port) = columns.next()?.split_once(':')?;
            let shown = columns.nth(1)?;
            let inode = columns.nth(5)?;
            (local_port == port
                && ips.iter().any(|own| own == ip)
                && state.is_none_or(|state| state == shown))
            .then(|| inode.to_owned())
        })
        .collect()
}

/// Whether a process of the program holds one of the sockets.
fn holds_one(leader: i32, inodes: &BTreeSet<String>) -> bool {
    processes::members(leader).any(|process| {
        fs::read_dir(format!("/proc/{}/fd", process.pid))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| {
                target
                    .to_str()
                    .and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'))
                    .is_some_and(|inode| inodes.contains(inode))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1111 1 0
   1: 00000000:13C5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2222 1 0
   2: 0100007F:13C4 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 3333 1 0
";

    #[test]
    fn the_listening_socket_of_the_address_is_found() {
        let find = |address: &str, state| {
            inodes(TABLE, address.parse().unwrap(), state)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(find("127.0.0.1:5060", Some(LISTENING)), ["1111"]);
        assert_eq!(find("127.0.0.1:5060", None), ["1111", "3333"]);
        assert_eq!(find("192.0.2.1:5061", Some(LISTENING)), ["2222"]);
        assert!(find("127.0.0.1:5062", None).is_empty());
    }

    #[test]
    fn a_socket_of_ipv6_counts_where_it_takes_the_address() {
        const TABLE6: &str = "head
   0: 00000000000000000000000000000000:13C4 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4444 1
   1: 0000000000000000FFFF00000100007F:13C5 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5555 1
   2: 00000000000000000000000001000000:13C6 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 6666 1
";
        for (address, inode) in [
            ("127.0.0.1:5060", Some("4444")),
            ("127.0.0.1:5061", Some("5555")),
            ("127.0.0.2:5061", None),
            ("127.0.0.1:5062", None),
            ("[::1]:5062", Some("6666")),
        ] {
            let found = inodes(TABLE6, address.parse().unwrap(), Some(LISTENING));
            assert_eq!(found.first().map(String::as_str), inode, "{address}");
        }
    }
}
