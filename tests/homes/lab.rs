//! A small internet of network namespaces.

use std::path::Path;

use crate::support::{child::Child, namespace::Space};

/// One internet: a wire on which every router and every public machine is.
pub(crate) struct Lab {
    /// Kept until the end of the test, whoever lets go of them.
    spaces: Vec<Space>,
    wire: Space,
    links: u32,
}

/// How a router can be asked to forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarding {
    Upnp,
    /// And NAT-PMP.
    Pcp,
}

fn yes(whether: bool) -> &'static str {
    if whether { "yes" } else { "no" }
}

impl Lab {
    /// With a machine at 44.128.0.1, where a server may be.
    pub(crate) fn new() -> Self {
        let wire = Space::new("wire");
        wire.ip("link add wire type bridge");
        wire.ip("addr add 44.128.0.1/24 dev wire");
        wire.ip("link set wire up");
        Self {
            spaces: Vec::new(),
            wire,
            links: 0,
        }
    }

    /// The machine at 44.128.0.1.
    pub(crate) fn server(&self) -> Space {
        self.wire.clone()
    }

    /// A machine that is connected to nothing yet.
    pub(crate) fn machine(&mut self, name: &str) -> Space {
        let space = Space::new(name);
        self.spaces.push(space.clone());
        space
    }

    /// Connects a machine to a bridge of another one, as `dev`, with that address.
    fn plug(&mut self, space: &Space, dev: &str, into: &Space, bridge: &str, address: &str) {
        self.links += 1;
        let other = format!("port{}", self.links);
        let to = into.name();
        let arguments = format!("link add {dev} type veth peer name {other} netns {to}");
        space.ip(&arguments);
        into.ip(&format!("link set {other} master {bridge} up"));
        space.ip(&format!("addr add {address} dev {dev}"));
        space.ip(&format!("link set {dev} up"));
    }

    /// Puts a machine onto the internet, at `44.128.0.{last}`.
    pub(crate) fn public(&mut self, space: &Space, last: u8) {
        let wire = self.wire.clone();
        self.plug(space, "wan", &wire, "wire", &format!("44.128.0.{last}/24"));
    }

    /// A router at `44.128.0.{last}` for the network `192.168.{home}.0/24`. It lets in only what
    /// answers what went out.
    pub(crate) fn router(&mut self, last: u8, home: u8) -> Space {
        let router = self.machine(&format!("router{home}"));
        self.public(&router, last);
        router.ip("link add lan type bridge");
        router.ip(&format!("addr add 192.168.{home}.1/24 dev lan"));
        router.ip("link set lan up");
        router.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        router.nft(
            "table ip nat {\n\
               chain post { type nat hook postrouting priority 100; oifname \"wan\" masquerade; }\n\
             }\n\
             table ip gate {\n\
               chain pass {\n\
                 type filter hook forward priority 0; policy drop;\n\
                 ct state established,related accept\n\
                 iifname \"lan\" accept\n\
                 ct status dnat accept\n\
               }\n\
             }\n",
        );
        router
    }

    /// Has a router give every conversation another port. Otherwise two calls that cross each other on the
    /// way open both routers for each other, now and then.
    pub(crate) fn scatters(router: &Space) {
        router.nft(
            "flush chain ip nat post\n\
             add rule ip nat post oifname \"wan\" masquerade fully-random\n",
        );
    }

    /// Has a router forward what the machines behind it ask for. Its state is kept in `dir`.
    pub(crate) async fn forwards(
        &self,
        router: &Space,
        last: u8,
        home: u8,
        forwarding: Forwarding,
        dir: &Path,
    ) -> Child {
        router.nft(
            "table inet filter {\n\
               chain forward { type filter hook forward priority 10; policy accept; jump miniupnpd; }\n\
               chain miniupnpd { }\n\
               chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }\n\
               chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }\n\
               chain prerouting_miniupnpd { }\n\
               chain postrouting_miniupnpd { }\n\
             }\n",
        );
        let file = dir.join("miniupnpd.conf");
        let text = format!(
            "ext_ifname=wan\next_ip=44.128.0.{last}\nlistening_ip=lan\nhttp_port=0\nenable_natpmp={1}\nenable_upnp={2}\n\
             secure_mode=yes\nupnp_table_name=filter\nupnp_nat_table_name=filter\n\
             upnp_forward_chain=miniupnpd\nupnp_nat_chain=prerouting_miniupnpd\n\
             upnp_nat_postrouting_chain=postrouting_miniupnpd\nlease_file={0}/leases\n\
             system_uptime=yes\nuuid=00000000-0000-0000-0000-00000000000{home}\n\
             allow 1024-65535 192.168.{home}.0/24 1024-65535\n\
             deny 0-65535 0.0.0.0/0 0-65535\n",
            dir.display(),
            yes(forwarding == Forwarding::Pcp),
            yes(forwarding == Forwarding::Upnp),
        );
        std::fs::write(&file, text).unwrap();
        let pid = dir.join("pid");
        let [ip, words @ ..] = router.enter();
        let own = [
            "miniupnpd",
            "-d",
            "-f",
            file.to_str().unwrap(),
            "-P",
            pid.to_str().unwrap(),
        ];
        let mut forwarder = Child::start(ip, [&words[..], &own].concat(), dir);
        forwarder
            .printed(match forwarding {
                Forwarding::Upnp => "HTTP listening on port",
                Forwarding::Pcp => "Listening for NAT-PMP",
            })
            .await;
        forwarder
    }

    /// A machine behind that router, at `192.168.{home}.{last}`.
    pub(crate) fn behind(&mut self, router: &Space, home: u8, last: u8) -> Space {
        let space = self.machine(&format!("home{home}-{last}"));
        let address = format!("192.168.{home}.{last}/24");
        self.plug(&space, "eth", router, "lan", &address);
        space.ip(&format!("route add default via 192.168.{home}.1"));
        space
    }
}

/// What a router does, and tells.
impl Space {
    /// From now on so many percent of the UDP datagrams that pass are thrown away, and counted.
    pub(crate) fn loses(&self, percent: u8) {
        let share = match percent {
            100 => String::new(),
            some => format!("numgen random mod 100 < {some}"),
        };
        self.nft(&format!(
            "table ip loss {{\n\
               counter lost {{}}\n\
               chain pass {{\n\
                 type filter hook forward priority -5;\n\
                 meta l4proto udp {share} counter name lost drop\n\
               }}\n\
             }}\n"
        ));
    }

    /// How many datagrams were thrown away.
    pub(crate) fn lost(&self) -> u64 {
        let told = self.run(&["nft", "-j", "list", "counter", "ip", "loss", "lost"]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let counters = told["nftables"].as_array().unwrap();
        let counter = counters.iter().find_map(|it| it.get("counter")).unwrap();
        counter["packets"].as_u64().unwrap()
    }

    /// What it forwards because somebody asked for it.
    pub(crate) fn forwarded(&self) -> Vec<String> {
        let rules = self.run(&[
            "nft",
            "list",
            "chain",
            "inet",
            "filter",
            "prerouting_miniupnpd",
        ]);
        let rules = rules.lines().filter(|line| line.contains("dnat"));
        rules.map(|line| line.trim().to_owned()).collect()
    }
}
