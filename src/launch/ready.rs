//! Observes that a program has opened a port: the port is in the kernel's table *and* the socket
//! belongs to a process of the program's group. A squatter on the port does not count.

use std::{collections::BTreeSet, fs, net::SocketAddr, time::Duration};

/// How often the tables are read. They are the observation; there is no event for it.
const INTERVAL: Duration = Duration::from_millis(10);

/// The state column of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Returns when a process of the group listens on that TCP address.
pub(super) async fn tcp_listening(group: u32, address: SocketAddr) {
    observe(group, address, "/proc/net/tcp", Some(LISTENING)).await;
}

/// Returns when a process of the group has bound that UDP address.
pub(super) async fn udp_bound(group: u32, address: SocketAddr) {
    observe(group, address, "/proc/net/udp", None).await;
}

async fn observe(group: u32, address: SocketAddr, table: &str, state: Option<&str>) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        let inodes = inodes(
            &fs::read_to_string(table).unwrap_or_default(),
            address,
            state,
        );
        if !inodes.is_empty() && group_holds(group, &inodes) {
            return;
        }
    }
}

/// The inodes of the sockets bound to that address, or to its port on all addresses (proc(5)).
fn inodes(table: &str, address: SocketAddr, state: Option<&str>) -> BTreeSet<String> {
    let SocketAddr::V4(address) = address else {
        return BTreeSet::new();
    };
    let own = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    );
    let any = format!("00000000:{:04X}", address.port());
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let local = columns.get(1)?;
            let wanted = (*local == own || *local == any)
                && state.is_none_or(|state| columns.get(3) == Some(&state));
            wanted
                .then(|| columns.get(9).map(ToString::to_string))
                .flatten()
        })
        .collect()
}

/// Whether a process of the group holds one of the sockets.
fn group_holds(group: u32, inodes: &BTreeSet<String>) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let path = process.path();
        in_group(
            &fs::read_to_string(path.join("stat")).unwrap_or_default(),
            group,
        ) && fs::read_dir(path.join("fd")).is_ok_and(|mut descriptors| {
            descriptors.any(|descriptor| {
                descriptor
                    .ok()
                    .and_then(|descriptor| fs::read_link(descriptor.path()).ok())
                    .and_then(|target| {
                        let target = target.to_str()?;
                        let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
                        Some(inodes.contains(inode))
                    })
                    .unwrap_or(false)
            })
        })
    })
}

/// The process group is the third field behind the name, which may itself hold anything.
fn in_group(stat: &str, group: u32) -> bool {
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(2))
        .is_some_and(|field| field == group.to_string())
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
    fn a_process_name_with_blanks_and_brackets_does_not_confuse() {
        assert!(in_group("42 (a) b (c) S 1 77 77 0 -1", 77));
        assert!(!in_group("42 (x 77) S 1 42 42 0 -1", 77));
        assert!(!in_group("", 77));
    }
}
