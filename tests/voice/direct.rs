//! A phone that owns the announced port: nothing of ours is between it and the contact's.

use crate::{
    agent::{self, Agent, OURS},
    stage::{ENOUGH, Stage, THEIRS, patient},
    support::{baresip::Baresip, have, ports},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_at_the_announced_port_is_called_without_us_in_between() {
    if !have(Agent::Direct.programs()) {
        return;
    }
    let stage = Stage::new(Agent::Direct, patient()).await;
    let ours = stage.is_invited(ports().await).await;
    let theirs = tempfile::tempdir().unwrap();
    let mut phone = Baresip::start(theirs.path(), "bob", THEIRS).await;
    phone.dial(&format!("sip:handoff@{ours}")).await;
    phone.event("CALL_ESTABLISHED").await;
    phone.listens(3).await;
    stage.types("/hangup").await;
    assert_eq!(stage.ends().await, "ended here");
    phone.event("CALL_CLOSED").await;
    let heard = phone.quit().await.unwrap();
    heard.assert_tone("the contact", OURS, THEIRS, ENOUGH);
    agent::heard_in(&stage.dir.path().join("heard")).assert_tone("ours", THEIRS, OURS, ENOUGH);
    stage.close().await;
}
