//! How it ends: told to, by a signal, or because the client is gone or does not read.

use std::net::Ipv4Addr;

use msn_handoff::front::stdio;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    pipe::Pipe,
    stage::USER,
    support::{sides::Side, within},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_ends_what_is_open_and_the_contact_is_told() {
    let mut pipe = Pipe::signed_in().await;
    pipe.accepted().await;
    drop(pipe.input.take());
    let (rest, code) = pipe.end().await;
    let position = |wanted: &dyn Fn(&Value) -> bool| rest.iter().position(wanted);
    let told = position(&|line| {
        line["send"]["payload"]
            .as_str()
            .is_some_and(|payload| payload.contains("Invitation-Command: CANCEL"))
    });
    let ended = position(&|line| line["event"]["kind"] == "ended");
    assert!(told.is_some() && told < ended, "{rest:?}");
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_does_the_same_though_the_input_is_open() {
    let mut pipe = Pipe::signed_in().await;
    pipe.accepted().await;
    let pid = Pid::from_raw(pipe.child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    pipe.until_sends("CANCEL").await;
    pipe.until_event("ended").await;
    let (_, code) = pipe.end().await;
    assert_eq!(code, Some(0));
}

/// On a clock of its own: nobody waits half a minute.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (side, _letters) = Side::asking(USER, Ipv4Addr::LOCALHOST, dir.path());
    let (mut client, ours) = tokio::io::duplex(4096);
    let (input, output) = tokio::io::split(ours);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(stdio::serve(input, output, side.hub, false, stop));
    let asking = tokio::spawn(async move {
        // Nobody takes so many answers: at some time no more questions are taken.
        while client.write_all(b"{\"verb\":\"list\"}\n").await.is_ok() {}
    });
    let error = within("its end", serving).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    asking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_no_longer_reads_is_noticed() {
    let mut pipe = Pipe::signed_in().await;
    pipe.accepted().await;
    drop(pipe.lines.take());
    pipe.says(b"{\"verb\":\"list\"}").await;
    let (_, code) = pipe.end().await;
    assert_eq!(code, Some(1));
}
