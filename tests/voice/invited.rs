//! We are invited: the user says yes in the chat, and the genuine client calls us or waits to be
//! called.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    agent::{Agent, OURS},
    stage::{ENOUGH, PACKETS, Stage, THEIRS, hasty, patient},
    support::{
        have, ports,
        rtc::{Rtc, Transport},
    },
};

/// The genuine client calls, talks and hangs up.
async fn the_peer_calls(agent: Agent, transport: Transport) {
    if !have(agent.programs()) || !have(&["sipp"]) {
        return;
    }
    let stage = Stage::new(agent.clone(), patient()).await;
    let port = ports().await;
    let ours = stage.is_invited(port).await;
    let mut rtc = Rtc::calls_from(stage.dir.path(), transport, port, ours).await;
    rtc.play(THEIRS).await;
    let pid = stage.is_on().await;
    rtc.media.packets(PACKETS).await;
    rtc.hangs_up().await;
    rtc.finish().await;
    let reason = stage.ends().await;
    assert!(
        reason.starts_with("the peer hung up; the contact's sound: "),
        "{reason}"
    );
    stage.is_cleared(pid, ours).await;
    the_peer_is_told(&stage).await;
    the_window_tells(&stage, &agent, &["the peer calls.", "is over after 0:0"]).await;
    they_heard_each_other(&stage, &rtc);
    stage.is_private();
    stage.close().await;
}

/// The genuine client waits to be called; the user hangs up.
async fn the_peer_is_called(agent: Agent, transport: Transport) {
    if !have(agent.programs()) || !have(&["sipp"]) {
        return;
    }
    let stage = Stage::new(agent.clone(), hasty()).await;
    let port = ports().await;
    let mut rtc = Rtc::answers_at(stage.dir.path(), transport, port).await;
    let ours = stage.is_invited(port).await;
    // Without a user, as APPLICATIONS.md 1.3 has it.
    assert_eq!(rtc.called_by().await, format!("sip:127.0.0.1:{port}"));
    rtc.play(THEIRS).await;
    let pid = stage.is_on().await;
    rtc.media.packets(PACKETS).await;
    stage.types("/hangup").await;
    rtc.finish().await;
    assert_eq!(stage.ends().await, "ended here");
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let calling = format!("calling {at}.");
    the_window_tells(
        &stage,
        &agent,
        &[&calling, "the peer answered.", "is over after 0:0"],
    )
    .await;
    stage.is_cleared(pid, ours).await;
    the_peer_is_told(&stage).await;
    they_heard_each_other(&stage, &rtc);
    stage.is_private();
    stage.close().await;
}

/// A rule says yes: nobody is asked, and nothing needs typing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_accepts_without_a_question() {
    if !have(&["sipp"]) {
        return;
    }
    let stage = Stage::with_consent(Agent::BuiltIn, patient()).await;
    let port = ports().await;
    stage.peer.invites().await;
    let ours = stage.peer.gets("ACCEPT").await.address();
    stage.peer.completes(port).await;
    let mut rtc = Rtc::calls_from(stage.dir.path(), Transport::Udp, port, ours).await;
    rtc.play(THEIRS).await;
    stage.is_on().await;
    rtc.media.packets(PACKETS).await;
    rtc.hangs_up().await;
    rtc.finish().await;
    stage.shown("is over after 0:0").await;
    stage.is_cleared(None, ours).await;
    let lines = stage.lines();
    assert!(
        !lines.iter().any(|line| line.contains("/accept")),
        "{lines:?}"
    );
    they_heard_each_other(&stage, &rtc);
    stage.is_private();
    stage.close().await;
}

/// One CANCEL ends the invitation; it was answered by one ACCEPT.
async fn the_peer_is_told(stage: &Stage) {
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "OUTBANDCANCEL");
    assert_eq!(stage.peer.got("ACCEPT").len(), 1);
    assert_eq!(stage.peer.got("CANCEL").len(), 1);
}

/// The user reads who invites to what, how far it is, who has it, and how it ended.
pub(crate) async fn the_window_tells(stage: &Stage, agent: &Agent, more: &[&str]) {
    let name = agent.name();
    let mut wanted = vec![
        "msn-handoff: bob@example.com invites you to a voice call".to_owned(),
        "voice call: accepted.".to_owned(),
        "voice call: the contact is at 127.0.0.1:".to_owned(),
        format!("the call is on: {name} has it."),
    ];
    if agent.is_started() {
        wanted.push(format!("voice call: {name} was started."));
        wanted.push(format!("voice call: {name} is gone ("));
    }
    wanted.extend(more.iter().map(|line| (*line).to_owned()));
    for line in wanted {
        stage.shown(&line).await;
    }
}

/// Both tones arrived, each at the other side only, for long enough.
pub(crate) fn they_heard_each_other(stage: &Stage, rtc: &Rtc) {
    rtc.media
        .heard()
        .assert_tone("the peer", OURS, THEIRS, ENOUGH);
    stage.heard().assert_tone("our side", THEIRS, OURS, ENOUGH);
}

macro_rules! calls {
    ($($name:ident: $run:ident, $agent:ident, $transport:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run(Agent::$agent, Transport::$transport).await;
        }
    )*};
}

calls! {
    baresip_takes_the_call_of_the_peer_over_udp: the_peer_calls, Baresip, Udp;
    baresip_takes_the_call_of_the_peer_over_tcp: the_peer_calls, Baresip, Tcp;
    linphone_takes_the_call_of_the_peer_over_udp: the_peer_calls, Linphone, Udp;
    linphone_takes_the_call_of_the_peer_over_tcp: the_peer_calls, Linphone, Tcp;
    the_built_in_agent_takes_the_call_of_the_peer_over_udp: the_peer_calls, BuiltIn, Udp;
    the_built_in_agent_takes_the_call_of_the_peer_over_tcp: the_peer_calls, BuiltIn, Tcp;
    a_peer_that_waits_is_called_for_baresip: the_peer_is_called, Baresip, Udp;
    a_peer_that_waits_is_called_for_linphone: the_peer_is_called, Linphone, Udp;
    a_peer_that_waits_is_called_for_the_built_in_agent: the_peer_is_called, BuiltIn, Udp;
    a_peer_that_waits_at_tcp_only_is_called_there: the_peer_is_called, Baresip, Tcp;
}
