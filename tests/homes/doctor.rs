//! What `doctor --network` says of a home, with real routers and a real STUN server.

use crate::{
    lab::{self, Forwarding, Lab, Space},
    support::{child::Child, have, until},
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
    if !lab::can_build() || !have(&["miniupnpd"]) {
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
    if !lab::can_build() {
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
