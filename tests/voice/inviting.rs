//! We invite: the genuine client accepts, and calls us or waits to be called.

use crate::{
    agent::Agent,
    invited::they_heard_each_other,
    stage::{PACKETS, PEER, Stage, THEIRS, hasty, patient},
    support::{
        have, ports,
        rtc::{Rtc, Transport},
    },
};

/// The genuine client calls the address of our second ACCEPT, talks and hangs up.
async fn the_peer_calls(agent: Agent, transport: Transport) {
    if !have(agent.programs()) || !have(&["sipp"]) {
        return;
    }
    let stage = Stage::new(agent, patient()).await;
    // In a window that is open; the other variant has none, and the proxy opens a conversation.
    stage.user.open(PEER).await.unwrap();
    let port = ports().await;
    let ours = stage.is_accepted(port).await;
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
    is_done(&stage, &rtc, pid, ours).await;
    stage.close().await;
}

/// We call the address of the genuine client's ACCEPT; the user hangs up.
async fn the_peer_is_called(agent: Agent, transport: Transport) {
    if !have(agent.programs()) || !have(&["sipp"]) {
        return;
    }
    let stage = Stage::new(agent, hasty()).await;
    let port = ports().await;
    let mut rtc = Rtc::answers_at(stage.dir.path(), transport, port).await;
    let ours = stage.is_accepted(port).await;
    assert_eq!(rtc.called_by().await, format!("sip:127.0.0.1:{port}"));
    rtc.play(THEIRS).await;
    let pid = stage.is_on().await;
    rtc.media.packets(PACKETS).await;
    stage.types("/hangup").await;
    rtc.finish().await;
    assert_eq!(stage.ends().await, "ended here");
    is_done(&stage, &rtc, pid, ours).await;
    stage.close().await;
}

async fn is_done(stage: &Stage, rtc: &Rtc, pid: Option<u32>, ours: std::net::SocketAddr) {
    for line in [
        "you invite this contact to voice call; waiting for an answer.",
        "voice call: the contact is at 127.0.0.1:",
        "voice call is over after 0:0",
    ] {
        stage.shown(line).await;
    }
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "OUTBANDCANCEL");
    stage.is_cleared(pid, ours).await;
    they_heard_each_other(stage, rtc);
    assert_eq!(stage.peer.got("INVITE").len(), 1);
    assert_eq!(stage.peer.got("ACCEPT").len(), 1);
    stage.is_private();
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
    a_peer_we_invited_calls_baresip_over_udp: the_peer_calls, Baresip, Udp;
    a_peer_we_invited_calls_linphone_over_tcp: the_peer_calls, Linphone, Tcp;
    a_peer_we_invited_calls_the_built_in_agent_over_udp: the_peer_calls, BuiltIn, Udp;
    a_peer_we_invited_is_called_for_baresip: the_peer_is_called, Baresip, Udp;
    a_peer_we_invited_is_called_for_linphone: the_peer_is_called, Linphone, Udp;
    a_peer_we_invited_at_tcp_only_is_called_there: the_peer_is_called, BuiltIn, Tcp;
}
