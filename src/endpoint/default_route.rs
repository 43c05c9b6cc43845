//! The router this machine sends by default to, from the kernel's routing table (proc(5),
//! `/proc/net/route`).

use std::net::Ipv4Addr;

/// A route is used (`RTF_UP` of `linux/route.h`).
const UP: u32 = 0x1;
/// A route leads to a gateway (`RTF_GATEWAY`).
const GATEWAY: u32 = 0x2;

/// The default gateway; none when the machine has no way out, or the system does not tell.
#[must_use]
pub fn gateway() -> Option<Ipv4Addr> {
    read(&std::fs::read_to_string("/proc/thread-self/net/route").ok()?)
}

/// Of all default routes the one with the lowest metric.
fn read(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, to, gateway, flags, _, _, metric, mask, ..] = fields.as_slice() else {
            return None;
        };
        let hex = |text: &str| u32::from_str_radix(text, 16).ok();
        let usable = hex(flags)? & (UP | GATEWAY) == UP | GATEWAY;
        let default = hex(to)? == 0 && hex(mask)? == 0;
        // The kernel prints the number as this machine keeps an address in memory.
        let gateway = Ipv4Addr::from(hex(gateway)?.to_ne_bytes());
        (usable && default).then_some((metric.parse::<u32>().ok()?, gateway))
    });
    routes.min().map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_default_route_of_the_lowest_metric_counts() {
        for (routes, want) in [
            ("", None),
            ("eth0 0000A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0", None),
            (
                "eth0 00000000 0100A8C0 0003 0 0 0 00000000 0 0 0",
                Some("192.168.0.1"),
            ),
            (
                "wlan0 00000000 0100A8C0 0003 0 0 600 00000000 0 0 0\n\
                 eth0 00000000 FE01000A 0003 0 0 100 00000000 0 0 0",
                Some("10.0.1.254"),
            ),
            // A route that is down, one without a gateway, one that is cut off, one of nonsense.
            ("eth0 00000000 0100A8C0 0002 0 0 0 00000000 0 0 0", None),
            ("eth0 00000000 00000000 0001 0 0 0 00000000 0 0 0", None),
            ("eth0 00000000 0100A8C0 0003", None),
            ("eth0 00000000 zz 0003 0 0 0 00000000 0 0 0", None),
        ] {
            let want = want.map(|ip: &str| ip.parse().unwrap());
            assert_eq!(read(&format!("{HEADER}\n{routes}")), want, "{routes}");
        }
    }
}
