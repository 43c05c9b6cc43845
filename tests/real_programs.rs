//! What real SIP phones do with the genuine client's calls when nothing stands between them. These
//! tests say why the SIP front exists, and that the peers of the other tests are sound rulers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::Ipv4Addr;

use msn_handoff::{
    bridge::{Registry, Value, Values},
    launch::{self, PrivateDir, Ready},
};
use support::{
    baresip::Baresip,
    have,
    linphone::Linphone,
    ports,
    rtc::{Rtc, Transport},
    sockets, until,
};

/// So many packets make a call; they are three seconds.
const PACKETS: usize = 150;
/// The shortest recording of such a call that counts, in seconds.
const ENOUGH: f64 = 2.0;

#[tokio::test]
async fn baresip_never_answers_a_call_without_branch() {
    if !have(&["baresip", "sipp"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let baresip = Baresip::start(dir.path(), "bob", 880.0).await;
    let rtc = Rtc::calls(dir.path(), Transport::Udp, baresip.address()).await;
    // The call and its first repetition have arrived, and it could read neither.
    until("two messages that baresip cannot read", || {
        (baresip.output().matches("msg decode err").count() >= 2).then_some(())
    })
    .await;
    assert!(!rtc.is_answered());
    drop(rtc);
    assert!(baresip.quit().await.is_none(), "there was a call");
}

#[tokio::test]
async fn linphone_answers_the_genuine_client_over_udp_and_tcp() {
    if !have(&["linphonec", "sipp"]) {
        return;
    }
    let call = async |transport| {
        let dir = tempfile::tempdir().unwrap();
        let linphone = Linphone::start(dir.path(), "bob", 660.0).await;
        let mut rtc = Rtc::calls(dir.path(), transport, linphone.address()).await;
        rtc.play(440.0).await;
        rtc.media.packets(PACKETS).await;
        rtc.hangs_up().await;
        rtc.finish().await;
        rtc.media
            .heard()
            .assert_tone("the peer", 660.0, 440.0, ENOUGH);
        linphone
            .quit()
            .await
            .assert_tone("linphone", 440.0, 660.0, ENOUGH);
    };
    tokio::join!(call(Transport::Udp), call(Transport::Tcp));
}

#[tokio::test]
async fn linphone_calls_the_genuine_client_without_a_user() {
    if !have(&["linphonec", "sipp"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rtc = Rtc::answers(dir.path(), Transport::Udp).await;
    let mut linphone = Linphone::start(dir.path(), "bob", 660.0).await;
    let uri = format!("sip:{}", rtc.address());
    linphone.call(&uri).await;
    assert_eq!(rtc.called_by().await, uri);
    rtc.play(440.0).await;
    rtc.media.packets(PACKETS).await;
    linphone.hang_up().await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the peer", 660.0, 440.0, ENOUGH);
    linphone
        .quit()
        .await
        .assert_tone("linphone", 440.0, 660.0, ENOUGH);
}

#[tokio::test]
async fn baresip_calls_the_genuine_client_only_by_a_user() {
    if !have(&["baresip", "sipp"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rtc = Rtc::answers(dir.path(), Transport::Udp).await;
    let mut baresip = Baresip::start(dir.path(), "bob", 880.0).await;
    // A bare address becomes a user of its own domain, and it calls itself.
    baresip.dial(&format!("sip:{}", rtc.address())).await;
    let closed = baresip.event("CALL_CLOSED").await;
    assert_eq!(closed["param"], "404 Not Found");
    assert!(!rtc.is_answered());

    baresip.dial(&format!("sip:peer@{}", rtc.address())).await;
    baresip.event("CALL_ESTABLISHED").await;
    rtc.play(440.0).await;
    rtc.media.packets(PACKETS).await;
    baresip.hang_up().await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the peer", 880.0, 440.0, ENOUGH);
    let heard = baresip.quit().await.unwrap();
    heard.assert_tone("baresip", 440.0, 880.0, ENOUGH);
}

#[tokio::test]
async fn two_phones_hear_each_other() {
    if !have(&["baresip", "linphonec"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut baresip = Baresip::start(dir.path(), "bob", 880.0).await;
    let mut linphone = Linphone::start(dir.path(), "alice", 660.0).await;
    linphone.call(&baresip.uri()).await;
    baresip.event("CALL_ESTABLISHED").await;
    linphone.streams().await;
    tokio::join!(baresip.listens(3), linphone.listens(3));
    baresip.hang_up().await;
    linphone.call_ended().await;
    let heard = baresip.quit().await.unwrap();
    heard.assert_tone("baresip", 660.0, 880.0, ENOUGH);
    linphone
        .quit()
        .await
        .assert_tone("linphone", 880.0, 660.0, ENOUGH);
}

/// The built-in bridge for calls, taken at its word: nobody but this machine reaches the phone.
#[tokio::test]
async fn the_linphone_of_the_voice_bridge_opens_ports_on_loopback_only() {
    if !have(&["linphonec", "sipp"]) {
        return;
    }
    let registry = Registry::load(&[]).unwrap();
    let voice = registry.by_id("voice").unwrap();
    let handoff = voice
        .handoffs
        .iter()
        .find(|handoff| handoff.program() == Some("linphonec"))
        .unwrap();
    let port = ports().await;
    let values = Values::default()
        .with("agent.port", Value::Port(port))
        .with("agent.rtp", Value::Port(port + 2));
    let files = PrivateDir::new().unwrap();
    let mut plan = handoff.plan(&values, &files).unwrap().unwrap();
    let address = (Ipv4Addr::LOCALHOST, port).into();
    plan.ready = Ready::Udp(address);
    let mut program = launch::start(&plan).unwrap();
    program.ready().await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mut rtc = Rtc::calls(dir.path(), Transport::Udp, address).await;
    let media = rtc.media_address().await;
    let bound = sockets::bound(program.pid());
    // The call is up: SIP, RTP and RTCP.
    assert_eq!(
        bound.iter().map(|bound| bound.port).collect::<Vec<_>>(),
        [port, port + 2, port + 3],
        "{bound:?}"
    );
    assert!(
        bound.iter().all(|bound| bound.ip == Ipv4Addr::LOCALHOST),
        "{bound:?}"
    );
    assert_eq!(media, (Ipv4Addr::LOCALHOST, port + 2).into());
    rtc.hangs_up().await;
    rtc.finish().await;
    let exit = program.stop().await;
    assert_eq!(exit.code, Some(0), "its own way out is `quit`: {exit}");
}
