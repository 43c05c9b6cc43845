//! The ways a call ends, or never begins.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use msn_handoff::{config::Call, endpoint::socket, event::What};

use crate::{
    agent::{Agent, OURS},
    stage::{ENOUGH, PACKETS, Stage, THEIRS, USER, hasty, patient},
    support::{
        baresip::Baresip,
        handset::{Handset, Sip},
        have, ports, until,
    },
};

/// A little more than everything we try takes, and the time in which the peer may still call.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// A call that stands: the peer's phone has called, and both sides play.
struct Standing {
    stage: Stage,
    phone: Handset,
    ours: SocketAddr,
    pid: Option<u32>,
}

impl Standing {
    async fn new(agent: Agent) -> Self {
        let stage = Stage::new(agent, patient()).await;
        let mut phone = Handset::open().await;
        let ours = stage.is_invited(phone.port()).await;
        phone.calls(ours).await;
        let answer = phone.gets("200", "INVITE").await;
        phone.confirms(&answer).await;
        phone.media.play(THEIRS, answer.media());
        let pid = stage.is_on().await;
        phone.media.packets(PACKETS / 3).await;
        Self {
            stage,
            phone,
            ours,
            pid,
        }
    }

    /// The peer's phone is told that the call is over, and nothing is left of it here.
    async fn is_over(&self) {
        let bye = self.phone.gets("BYE", "BYE").await;
        assert!(self.phone.is_of_its_call(&bye));
        self.phone.replies(&bye, "200 OK", false).await;
        self.stage.is_cleared(self.pid, self.ours).await;
    }

    /// The user ends it without the chat window; the BYE needs no server.
    async fn hung_up_elsewhere(&self) {
        let [open] = &self.stage.hub.open()[..] else {
            panic!("{:?}", self.stage.hub.open());
        };
        self.stage.hub.hang_up(open.invitation).unwrap();
        self.is_over().await;
        assert_eq!(self.stage.ends().await, "ended here");
    }

    /// The call goes on: as many packets again.
    async fn goes_on(&self) {
        let so_far = self.phone.media.packet_count();
        self.phone.media.packets(so_far + PACKETS).await;
    }
}

/// A baresip of the user's that is there already and rings.
async fn ringing(call: Call) -> (Stage, Baresip, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let baresip = Baresip::rings(dir.path(), "ann", OURS).await;
    let stage = Stage::new(Agent::Phone(baresip.uri()), call).await;
    (stage, baresip, dir)
}

fn is_final(message: &Sip) -> bool {
    matches!(message.kind().parse(), Ok(300..=699_u16))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_neither_calls_nor_answers_is_given_up_in_words() {
    // One is silent on both ports, the other has none.
    let silent = async {
        let (udp, tcp) = socket::udp_tcp_pair(Ipv4Addr::LOCALHOST).await.unwrap();
        given_up(udp.local_addr().unwrap().port()).await;
        drop(tcp);
    };
    let closed = async { given_up(ports().await).await };
    tokio::join!(silent, closed);
}

async fn given_up(port: u16) {
    let stage = Stage::new(Agent::BuiltIn, hasty()).await;
    let ours = stage.is_invited(port).await;
    let silent = format!(
        "no answer from 127.0.0.1:{port} (on this machine) and no call to 127.0.0.1: a router may \
         keep calls out, see `msn-handoff doctor --network`; still trying."
    );
    stage.shown(&silent).await;
    let reason = stage.ends_within(GIVEN_UP).await;
    assert_eq!(reason, "the peer cannot be reached and did not call");
    stage
        .shown("voice call is over: the peer cannot be reached and did not call.")
        .await;
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "OUTBANDCANCEL");
    stage.is_cleared(None, ours).await;
    stage.is_private();
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_taken_back_while_the_phone_rings_stops_the_ringing() {
    if !have(&["baresip"]) {
        return;
    }
    let (stage, mut baresip, _dir) = ringing(patient()).await;
    let mut phone = Handset::open().await;
    let ours = stage.is_invited(phone.port()).await;
    phone.calls(ours).await;
    phone.gets("180", "INVITE").await;
    baresip.event("CALL_INCOMING").await;
    phone.cancels().await;
    phone.gets("200", "CANCEL").await;
    let end = phone.gets("487", "INVITE").await;
    phone.confirms(&end).await;
    baresip.event("CALL_CLOSED").await;
    assert_eq!(stage.ends().await, "the peer took its call back");
    stage.shown("is over: the peer took its call back.").await;
    stage.is_cleared(None, ours).await;
    assert!(baresip.quit().await.is_none(), "there was a call");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_taken_back_while_the_phone_rings_stops_the_ringing() {
    if !have(&["baresip"]) {
        return;
    }
    let (stage, mut baresip, _dir) = ringing(patient()).await;
    let mut phone = Handset::open().await;
    let ours = stage.is_invited(phone.port()).await;
    phone.calls(ours).await;
    baresip.event("CALL_INCOMING").await;
    stage.peer.takes_it_back().await;
    baresip.event("CALL_CLOSED").await;
    let reason = stage.ends().await;
    assert_eq!(reason, "the contact cancelled or stopped waiting");
    let end = until("the end of the call", || {
        phone.heard().into_iter().find(is_final)
    })
    .await;
    assert!(phone.is_of_its_call(&end));
    phone.confirms(&end).await;
    stage.is_cleared(None, ours).await;
    // A CANCEL is never answered with one (PROTOCOL.md 2.5).
    assert!(stage.peer.got("CANCEL").is_empty());
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_taken_back_before_its_answer_cannot_be_accepted() {
    let stage = Stage::new(Agent::BuiltIn, patient()).await;
    stage.peer.invites().await;
    stage.shown("Type /accept").await;
    stage.peer.takes_it_back().await;
    let reason = stage.ends().await;
    assert_eq!(reason, "the contact cancelled or stopped waiting");
    stage.types("/accept").await;
    stage.shown("there is nothing of that kind open").await;
    assert!(stage.peer.got("ACCEPT").is_empty());
    assert!(stage.peer.got("CANCEL").is_empty());
    stage.is_private();
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decline_reaches_the_peer() {
    let stage = Stage::new(Agent::BuiltIn, patient()).await;
    stage.peer.invites().await;
    stage.shown("Type /accept").await;
    stage.types("/decline").await;
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "REJECT");
    assert_eq!(cancel.get("Invitation-Cookie"), "24443504");
    assert_eq!(stage.ends().await, "declined");
    stage.is_private();
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_declines_is_told_of_in_words() {
    for (code, reason) in [
        ("REJECT", "the contact declined"),
        ("REJECT_NOT_INSTALLED", "the contact has no program for it"),
    ] {
        let stage = Stage::new(Agent::BuiltIn, patient()).await;
        stage.invite();
        let invitation = stage.peer.gets("INVITE").await;
        stage.peer.cancels(&invitation, code).await;
        assert_eq!(stage.ends().await, reason);
        stage.shown(&format!("voice call is over: {reason}.")).await;
        assert!(stage.peer.got("CANCEL").is_empty());
        stage.close().await;
    }
}

/// The conversation that carried our invitation was opened for it, and the client does not know of
/// it; what comes there next is for the client's user all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_declines_and_invites_itself_is_heard() {
    let stage = Stage::new(Agent::BuiltIn, patient()).await;
    stage.invite();
    let invitation = stage.peer.gets("INVITE").await;
    stage.peer.cancels(&invitation, "REJECT").await;
    stage.ends().await;
    stage.peer.invites().await;
    stage.shown("Type /accept").await;
    stage.types("/decline").await;
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Invitation-Cookie"), "24443504");
    stage.is_private();
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_phone_refuses_our_call_is_told_of_in_words() {
    let stage = Stage::new(Agent::BuiltIn, hasty()).await;
    let phone = Handset::open().await;
    let ours = stage.is_accepted(phone.port()).await;
    let call = phone.gets("INVITE", "INVITE").await;
    phone.replies(&call, "486 Busy Here", false).await;
    phone.gets("ACK", "ACK").await;
    let reason = stage.ends().await;
    assert_eq!(reason, "the peer's side refused the call: 486 Busy Here");
    stage.shown("refused the call: 486 Busy Here.").await;
    let cancel = stage.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "OUTBANDCANCEL");
    stage.is_cleared(None, ours).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_the_users_phone_refuses_is_refused_to_the_peer() {
    if !have(&["baresip"]) {
        return;
    }
    let (stage, mut baresip, _dir) = ringing(patient()).await;
    let mut phone = Handset::open().await;
    let ours = stage.is_invited(phone.port()).await;
    phone.calls(ours).await;
    baresip.event("CALL_INCOMING").await;
    baresip.hang_up().await;
    let end = until("the end of the call", || {
        phone.heard().into_iter().find(is_final)
    })
    .await;
    phone.confirms(&end).await;
    let reason = stage.ends().await;
    assert!(reason.starts_with("nobody here takes the call"), "{reason}");
    stage.shown("my phone did not take the call: 4").await;
    stage.peer.gets("CANCEL").await;
    stage.is_cleared(None, ours).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_without_the_client_and_is_ended_by_another_door() {
    if !have(&["baresip"]) {
        return;
    }
    let standing = Standing::new(Agent::Baresip).await;
    standing.stage.user.cut();
    standing.goes_on().await;
    standing.hung_up_elsewhere().await;
    standing.stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_without_the_server_and_is_ended_by_another_door() {
    if !have(&["baresip"]) {
        return;
    }
    let mut standing = Standing::new(Agent::Baresip).await;
    standing.stage.kill_server().await;
    standing.goes_on().await;
    standing.hung_up_elsewhere().await;
    standing.stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_without_its_conversation_and_can_be_ended_in_another() {
    let standing = Standing::new(Agent::BuiltIn).await;
    let stage = &standing.stage;
    let sessions = stage.server().sessions();
    assert!(!sessions.is_empty());
    for (session, _) in sessions {
        assert!(stage.server().drop_switchboard(session));
    }
    until("the end of the conversation", || {
        stage.server().sessions().is_empty().then_some(())
    })
    .await;
    standing.goes_on().await;
    stage.types("/hangup").await;
    standing.is_over().await;
    assert_eq!(stage.ends().await, "ended here");
    stage.peer.gets("CANCEL").await;
    let heard = standing.phone.media.heard();
    heard.assert_tone("the peer", OURS, THEIRS, ENOUGH);
    stage.heard().assert_tone("our side", THEIRS, OURS, ENOUGH);
    stage.is_private();
    standing.stage.close().await;
}

/// Kopete takes an invitation back ten minutes into the call (PROTOCOL.md section 10, trap 3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_when_the_peer_lets_go_of_the_invitation() {
    let standing = Standing::new(Agent::BuiltIn).await;
    let stage = &standing.stage;
    stage.peer.takes_it_back().await;
    stage
        .shown("the contact's client let go of the invitation (TIMEOUT); the call goes on.")
        .await;
    standing.goes_on().await;
    stage.types("/hangup").await;
    standing.is_over().await;
    assert_eq!(stage.ends().await, "ended here");
    assert!(stage.peer.got("CANCEL").is_empty());
    standing.stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_killed_in_a_call_ends_it_in_words() {
    if !have(&["baresip"]) {
        return;
    }
    let standing = Standing::new(Agent::Baresip).await;
    let stage = &standing.stage;
    let pid = i32::try_from(standing.pid.unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    standing.is_over().await;
    let reason = stage.ends().await;
    assert!(reason.starts_with("the program ended"), "{reason}");
    stage.shown("baresip is gone (").await;
    stage.peer.gets("CANCEL").await;
    standing.stage.close().await;
}

/// The genuine client's RTCP is not always compound (APPLICATIONS.md 1.4), and others send worse.
async fn odd_reports_disturb_nobody(agent: Agent) {
    if !have(agent.programs()) {
        return;
    }
    let standing = Standing::new(agent).await;
    let (stage, phone) = (&standing.stage, &standing.phone);
    let to = phone.gets("200", "INVITE").await.media();
    let ssrc = [0x4d, 0x53, 0x4e, 0x01];
    let with = |head: &[u8], tail: &[u8]| [head, &ssrc, tail].concat();
    for packet in [
        // A receiver report, a source description and an application's packet, each alone.
        with(&[0x80, 201, 0, 1], &[]),
        with(&[0x81, 202, 0, 3], b"\x01\x02a\0\0\0\0\0"),
        with(&[0x80, 204, 0, 2], b"RTC1"),
        // A sender report that promises more than there is, half a header, nothing, and noise.
        with(&[0x9f, 200, 0xff, 0xff], &[0; 20]),
        vec![0x80, 200],
        Vec::new(),
        vec![0xff; 64],
    ] {
        phone.media.reports_raw(&packet, to).await;
    }
    standing.goes_on().await;
    // A call without reports is ended by the genuine client.
    until("a report of ours", || {
        let ours = phone.media.reports();
        ours.iter()
            .any(|kind| matches!(kind, 200 | 201))
            .then_some(())
    })
    .await;
    stage.types("/hangup").await;
    standing.is_over().await;
    assert_eq!(stage.ends().await, "ended here");
    let heard = phone.media.heard();
    heard.assert_tone("the peer", OURS, THEIRS, ENOUGH);
    stage.heard().assert_tone("our side", THEIRS, OURS, ENOUGH);
    standing.stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_reports_do_not_disturb_baresip() {
    odd_reports_disturb_nobody(Agent::Baresip).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_reports_do_not_disturb_linphone() {
    odd_reports_disturb_nobody(Agent::Linphone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_reports_do_not_disturb_the_built_in_agent() {
    odd_reports_disturb_nobody(Agent::BuiltIn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_signs_out_in_a_call_is_still_heard() {
    let standing = Standing::new(Agent::BuiltIn).await;
    let stage = &standing.stage;
    stage.peer.client.cut();
    until("the peer signed out", || {
        (stage.server().online() == [USER]).then_some(())
    })
    .await;
    standing.goes_on().await;
    let ended = |what: &What| matches!(what, What::Ended { .. });
    assert!(!stage.told().iter().any(ended), "{:?}", stage.told());
    standing.hung_up_elsewhere().await;
    standing.stage.close().await;
}
