//! Both sides call at once (APPLICATIONS.md 1.2): theirs is answered, ours taken back.

use crate::{
    agent::{Agent, OURS},
    stage::{ENOUGH, PACKETS, Stage, THEIRS, hasty},
    support::{handset::Handset, have},
};

/// The peer calls while ours waits there, after it has said `provisional` to ours.
async fn theirs_is_answered(invited: bool, provisional: &str) {
    if !have(Agent::Baresip.programs()) {
        return;
    }
    let stage = Stage::new(Agent::Baresip, hasty()).await;
    let mut phone = Handset::open().await;
    let ours = if invited {
        stage.is_invited(phone.port()).await
    } else {
        stage.is_accepted(phone.port()).await
    };
    let ringing = phone.gets("INVITE", "INVITE").await;
    phone.replies(&ringing, provisional, false).await;
    phone.calls(ours).await;
    let cancel = phone.gets("CANCEL", "CANCEL").await;
    assert_eq!(cancel.get("Call-ID"), ringing.get("Call-ID"));
    phone.replies(&cancel, "200 OK", false).await;
    phone
        .replies(&ringing, "487 Request Terminated", false)
        .await;
    let confirmed = phone.gets("ACK", "ACK").await;
    assert_eq!(confirmed.get("Call-ID"), ringing.get("Call-ID"));

    let answer = phone.gets("200", "INVITE").await;
    assert!(phone.is_of_its_call(&answer));
    phone.confirms(&answer).await;
    phone.media.play(THEIRS, answer.media());
    let pid = stage.is_on().await;
    phone.media.packets(PACKETS).await;
    stage.types("/hangup").await;
    let bye = phone.gets("BYE", "BYE").await;
    assert!(phone.is_of_its_call(&bye));
    phone.replies(&bye, "200 OK", false).await;
    assert_eq!(stage.ends().await, "ended here");
    stage.is_cleared(pid, ours).await;
    let heard = phone.media.heard();
    heard.assert_tone("the peer", OURS, THEIRS, ENOUGH);
    stage.heard().assert_tone("baresip", THEIRS, OURS, ENOUGH);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_calls_cross_an_invited_one_takes_its_own_back() {
    theirs_is_answered(true, "180 Ringing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_calls_cross_an_inviter_takes_its_own_back() {
    theirs_is_answered(false, "100 Trying").await;
}
