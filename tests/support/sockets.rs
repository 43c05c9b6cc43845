//! Which ports a program has open, as the kernel says (proc(5)).

use std::{collections::BTreeSet, fs, net::Ipv4Addr};

/// A socket that is bound: "udp" or "tcp" (listening), its address and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound {
    pub(crate) kind: &'static str,
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
}

/// The IPv4 sockets that a process, itself, has bound.
pub(crate) fn bound(pid: u32) -> Vec<Bound> {
    let inodes: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut bound = Vec::new();
    for (kind, state) in [("udp", "07"), ("tcp", "0A")] {
        let table = fs::read_to_string(format!("/proc/net/{kind}")).unwrap();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            if columns[3] == state && inodes.contains(columns[9]) {
                let (ip, port) = columns[1].split_once(':').unwrap();
                bound.push(Bound {
                    kind,
                    ip: u32::from_str_radix(ip, 16).unwrap().to_ne_bytes().into(),
                    port: u16::from_str_radix(port, 16).unwrap(),
                });
            }
        }
    }
    bound.sort();
    bound
}
