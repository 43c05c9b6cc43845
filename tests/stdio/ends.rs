//! How it ends: told to, by a signal, or because the client is gone or does not read.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::{pipe::Pipe, support::within};

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

/// Asks for so much that the answers fill the pipe, and reads none of them. The questions are more than
/// the other pipe holds, so most are answered when this returns.
async fn stuff(pipe: &mut Pipe, times: usize) {
    let id = "x".repeat(200);
    let lines = format!("{{\"id\":\"{id}\",\"verb\":\"list\"}}\n").repeat(times);
    let input = pipe.input.as_mut().unwrap();
    // The program may have gone before it was told everything.
    let _ = input.write_all(lines.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_cannot_keep_it() {
    let mut pipe = Pipe::signed_in().await;
    stuff(&mut pipe, 2000).await;
    let pid = Pid::from_raw(pipe.child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = within("its end", pipe.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_given_up() {
    let mut pipe = Pipe::signed_in().await;
    stuff(&mut pipe, 10_000).await;
    let status = within("its end", pipe.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
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
