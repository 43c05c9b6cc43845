//! A voice invitation from the contact's client to the phone on this machine, and back: through a
//! real MSNP server and the real proxy, with phones nobody here wrote. The contact negotiates by
//! hand, as the genuine client would, and its media side is sipp with the genuine client's dialect
//! (APPLICATIONS.md 1.3), or a phone behind a dispatcher of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod stage;

use std::time::Duration;

use stage::{Agent, SAYS_HERE, SAYS_THERE, Stage};
use support::{
    have, ports,
    rtc::{Rtc, Transport},
};

/// How long the genuine client holds a call of its own.
const CALL: Duration = Duration::from_millis(3500);
/// The shortest recording of such a call that counts, in seconds.
const ENOUGH: f64 = 2.0;

/// The contact invites, the user types `/accept`, the contact calls; everybody hears the other.
async fn the_contact_invites_and_calls(agent: Agent, transport: Transport) {
    let mut stage = Stage::new(agent, 3.0).await;
    stage.contact_invites().await;
    stage.user_types("/accept").await;
    let front = stage.contact_gets_accept().await;
    let port = ports().await;
    stage.contact_accepts(port).await;
    stage.until_connected().await;
    let mut rtc = Rtc::calls(stage.folder(), transport, front, CALL).await;
    rtc.play(SAYS_THERE).await;
    rtc.finish().await;
    let heard_there = rtc.media.heard();
    heard_there.assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
    let heard_here = stage.end_and_hear().await;
    heard_here.assert_tone("the user", SAYS_THERE, SAYS_HERE, ENOUGH);
    stage.nobody_saw_what_is_not_theirs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_baresip_over_udp() {
    if have(&["sipp", "baresip"]) {
        the_contact_invites_and_calls(Agent::Baresip, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_baresip_over_tcp() {
    if have(&["sipp", "baresip"]) {
        the_contact_invites_and_calls(Agent::Baresip, Transport::Tcp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_linphone_over_udp() {
    if have(&["sipp", "linphonec"]) {
        the_contact_invites_and_calls(Agent::Linphone, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_linphone_over_tcp() {
    if have(&["sipp", "linphonec"]) {
        the_contact_invites_and_calls(Agent::Linphone, Transport::Tcp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_the_built_in_agent_over_udp() {
    if have(&["sipp"]) {
        the_contact_invites_and_calls(Agent::BuiltIn, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_contact_is_taken_by_the_built_in_agent_over_tcp() {
    if have(&["sipp"]) {
        the_contact_invites_and_calls(Agent::BuiltIn, Transport::Tcp).await;
    }
}

/// The contact invites and waits to be called; the user hangs up in the chat.
async fn the_contact_waits_to_be_called(agent: Agent, transport: Transport) {
    let mut stage = Stage::new(agent, 0.2).await;
    let mut rtc = Rtc::answers(stage.folder(), transport).await;
    stage.contact_invites().await;
    stage.user_types("/accept").await;
    stage.contact_gets_accept().await;
    stage.contact_accepts(rtc.address().port()).await;
    assert_eq!(rtc.called_by().await, format!("sip:{}", rtc.address()));
    rtc.play(SAYS_THERE).await;
    rtc.media.packets(150).await;
    stage.user_types("/hangup").await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
    let heard_here = stage.end_and_hear().await;
    heard_here.assert_tone("the user", SAYS_THERE, SAYS_HERE, ENOUGH);
    stage.nobody_saw_what_is_not_theirs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_waits_is_called_from_baresip_over_udp() {
    if have(&["sipp", "baresip"]) {
        the_contact_waits_to_be_called(Agent::Baresip, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_waits_is_called_from_linphone_over_udp() {
    if have(&["sipp", "linphonec"]) {
        the_contact_waits_to_be_called(Agent::Linphone, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_waits_is_called_by_the_built_in_agent_over_udp() {
    if have(&["sipp"]) {
        the_contact_waits_to_be_called(Agent::BuiltIn, Transport::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_takes_tcp_only_is_called_over_tcp() {
    if have(&["sipp", "baresip"]) {
        the_contact_waits_to_be_called(Agent::Baresip, Transport::Tcp).await;
    }
}

/// The user invites; the contact accepts and calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_the_user_invited_calls() {
    if !have(&["sipp", "baresip"]) {
        return;
    }
    let mut stage = Stage::new(Agent::Baresip, 3.0).await;
    stage.user_invites().await;
    let front = stage.contact_accepts_first(ports().await).await;
    let mut rtc = Rtc::calls(stage.folder(), Transport::Udp, front, CALL).await;
    rtc.play(SAYS_THERE).await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
    stage
        .end_and_hear()
        .await
        .assert_tone("the user", SAYS_THERE, SAYS_HERE, ENOUGH);
}

/// The user invites; the contact accepts and waits to be called.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_the_user_invited_is_called() {
    if !have(&["sipp", "baresip"]) {
        return;
    }
    let mut stage = Stage::new(Agent::Baresip, 0.2).await;
    let mut rtc = Rtc::answers(stage.folder(), Transport::Udp).await;
    stage.user_invites().await;
    stage.contact_accepts_first(rtc.address().port()).await;
    rtc.play(SAYS_THERE).await;
    rtc.media.packets(150).await;
    stage.user_types("/hangup").await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
    stage
        .end_and_hear()
        .await
        .assert_tone("the user", SAYS_THERE, SAYS_HERE, ENOUGH);
}

/// Phones that nobody here wrote on both ends, each behind a dispatcher: linphone there, baresip
/// here. Both sides may call, so this settles crossed calls too.
#[tokio::test(flavor = "multi_thread")]
async fn linphone_there_and_baresip_here_hear_each_other() {
    if !have(&["baresip", "linphonec"]) {
        return;
    }
    let mut stage = Stage::new(Agent::Baresip, 0.2).await;
    let mut there = stage.contact_with_linphone(0.2).await;
    stage.until_offered().await;
    stage.user_types("/accept").await;
    stage.until_up().await;
    there.phone.streams().await;
    there.phone.listens(3).await;
    stage.user_types("/hangup").await;
    let heard_here = stage.end_and_hear().await;
    heard_here.assert_tone("the user", SAYS_THERE, SAYS_HERE, ENOUGH);
    there
        .phone
        .quit()
        .await
        .assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
}

/// The contact's client is gone for good in the middle of the call, and its server too: the call
/// itself needs neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_outlives_the_switchboard() {
    if !have(&["sipp"]) {
        return;
    }
    let mut stage = Stage::new(Agent::BuiltIn, 3.0).await;
    stage.contact_invites().await;
    stage.user_types("/accept").await;
    let front = stage.contact_gets_accept().await;
    stage.contact_accepts(ports().await).await;
    stage.until_connected().await;
    let mut rtc = Rtc::calls(stage.folder(), Transport::Udp, front, CALL).await;
    rtc.play(SAYS_THERE).await;
    stage.until_up().await;
    stage.contact_leaves().await;
    rtc.finish().await;
    rtc.media
        .heard()
        .assert_tone("the contact", SAYS_HERE, SAYS_THERE, ENOUGH);
}

/// The user's client is killed in the middle of the call: the call ends, and the program with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_ends_the_call_and_the_program() {
    if !have(&["sipp", "baresip"]) {
        return;
    }
    let mut stage = Stage::new(Agent::Baresip, 3.0).await;
    stage.contact_invites().await;
    stage.user_types("/accept").await;
    let front = stage.contact_gets_accept().await;
    stage.contact_accepts(ports().await).await;
    stage.until_connected().await;
    let mut rtc = Rtc::calls(
        stage.folder(),
        Transport::Udp,
        front,
        Duration::from_secs(30),
    )
    .await;
    rtc.play(SAYS_THERE).await;
    let program = stage.until_started().await;
    stage.until_up().await;
    stage.kill_client();
    stage.until_ended().await;
    support::until("the end of baresip", || {
        stage::is_gone(program).then_some(())
    })
    .await;
    drop(rtc);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_declines_is_told_of() {
    let mut stage = Stage::new(Agent::BuiltIn, 3.0).await;
    stage.user_invites().await;
    stage
        .contact_sends("Invitation-Command: CANCEL\r\nCancel-Code: REJECT\r\n")
        .await;
    let why = stage.until_ended().await;
    assert_eq!(why, "the contact declined");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_cancels_while_it_rings_is_told_of() {
    let mut stage = Stage::new(Agent::BuiltIn, 3.0).await;
    stage.contact_invites().await;
    stage
        .contact_sends("Invitation-Command: CANCEL\r\nCancel-Code: TIMEOUT\r\n")
        .await;
    let why = stage.until_ended().await;
    assert_eq!(why, "the contact cancelled or stopped waiting");
    stage.user_types("/accept").await;
    stage.user_reads("nothing of that kind").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_declined_says_so_to_the_contact() {
    let mut stage = Stage::new(Agent::BuiltIn, 3.0).await;
    stage.contact_invites().await;
    stage.user_types("/decline").await;
    let cancel = stage.contact_gets("CANCEL").await;
    assert!(cancel.contains("Cancel-Code: REJECT\r\n"), "{cancel}");
    assert_eq!(stage.until_ended().await, "declined");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_contact_neither_calls_nor_answers_is_told_in_words() {
    let mut stage = Stage::new(Agent::BuiltIn, 0.0).await;
    stage.contact_invites().await;
    stage.user_types("/accept").await;
    stage.contact_gets_accept().await;
    // Nobody listens there, over UDP or TCP.
    stage.contact_accepts(ports().await).await;
    stage
        .user_reads("does not answer at any of its addresses")
        .await;
    stage.user_types("/hangup").await;
    assert_eq!(stage.until_ended().await, "ended here");
}
