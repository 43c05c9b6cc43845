//! What `doctor --network` says of a home, with real routers and a real STUN server.

use crate::{
    lab::{Forwarding, Lab},
    support::{
        child::Child,
        have,
        namespace::{self, Space},
        until,
    },
};

/// What it says in that home, as JSON and as text.
async fn says(space: &Space, network: &str) -> (serde_json::Value, String) {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.toml");
    std::fs::write(&config, format!("[network]\n{network}")).unwrap();
    let mut said = Vec::new();
    for json in [&["--json"][..], &[]] {
        let [ip, words @ ..] = space.enter();
        let binary = env!("CARGO_BIN_EXE_msn-handoff");
        let doctor = [
            binary,
            "--config",
            config.to_str().unwrap(),
            "doctor",
            "--network",
        ];
        let mut doctor = Child::start(ip, [&words[..], &doctor, json].concat(), home.path());
        assert_eq!(doctor.wait().await, Some(0), "{}", doctor.output());
        said.push(doctor.output());
    }
    (serde_json::from_str(&said[0]).unwrap(), said.remove(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_forwards_is_found_in_any_language_and_gets_its_port_back() {
    if !namespace::can_make() || !have(&["miniupnpd"]) {
        return;
    }
    for (forwarding, language) in [
        (Forwarding::Upnp, "UPnP"),
        (Forwarding::Pcp, "PCP or NAT-PMP"),
    ] {
        let mut lab = Lab::new();
        let router = lab.router(10, 1);
        let dir = tempfile::tempdir().unwrap();
        let _forwarder = lab.forwards(&router, 10, 1, forwarding, dir.path()).await;
        let here = lab.behind(&router, 1, 2);
        let (json, text) = says(&here, "").await;
        assert_eq!(json["told"], "44.128.0.10", "{json}");
        assert_eq!(json["reachable"], true, "{json}");
        assert_eq!(json["router"]["address"], "44.128.0.10", "{json}");
        assert!(text.contains(&format!("by {language}")), "{text}");
        assert!(
            text.contains("a port was opened for a trial, and given back"),
            "{text}"
        );
        until("the end of the trial", || {
            router.forwarded().is_empty().then_some(())
        })
        .await;
        // As the user says, nobody is asked.
        let (json, _) = says(&here, "announce = \"44.128.0.77\"\n").await;
        assert_eq!(json["router"]["asked"], false, "{json}");
        assert_eq!(json["told"], "44.128.0.77", "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_forwards_nothing_is_told_with_what_would_help() {
    if !namespace::can_make() {
        return;
    }
    let mut lab = Lab::new();
    let router = lab.router(10, 1);
    let here = lab.behind(&router, 1, 2);
    let (json, text) = says(&here, "").await;
    assert_eq!(json["reachable"], false, "{json}");
    assert_eq!(json["router"]["asked"], true, "{json}");
    assert!(
        text.contains("no router answers by UPnP, PCP or NAT-PMP"),
        "{text}"
    );
    assert!(text.contains("turn on UPnP"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stun_server_tells_the_address_outside_and_its_silence_is_told() {
    if !namespace::can_make() || !have(&["turnserver"]) {
        return;
    }
    let mut lab = Lab::new();
    let router = lab.router(10, 1);
    let here = lab.behind(&router, 1, 2);
    let server = "mapping = \"off\"\nstun = \"44.128.0.1:3478\"\n";
    let (json, _) = says(&here, server).await;
    assert_eq!(json["stun"]["asked"], true, "{json}");
    assert_eq!(json["stun"]["words"], "no usable answer comes", "{json}");
    let dir = tempfile::tempdir().unwrap();
    let space = lab.server();
    let [ip, words @ ..] = space.enter();
    let pid = dir.path().join("pid");
    let database = dir.path().join("db");
    let own = [
        "turnserver",
        "-n",
        "-S",
        "-L",
        "44.128.0.1",
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        "-l",
        "stdout",
        "-b",
        database.to_str().unwrap(),
        "--pidfile",
        pid.to_str().unwrap(),
    ];
    let _server = Child::start(ip, [&words[..], &own].concat(), dir.path());
    // It listens before it says so, or never says it.
    until("the STUN server", || {
        let sockets = space.run(&["cat", "/proc/net/udp"]);
        // 44.128.0.1:3478
        sockets.contains("0100802C:0D96").then_some(())
    })
    .await;
    let (json, text) = says(&here, server).await;
    assert_eq!(json["stun"]["address"], "44.128.0.10", "{json}");
    assert!(text.contains("STUN: sees 44.128.0.10"), "{text}");
    // It is known then, and of no use: nothing is forwarded.
    assert_eq!(json["told"], "192.168.1.2", "{json}");
    assert_eq!(json["reachable"], false, "{json}");
}
