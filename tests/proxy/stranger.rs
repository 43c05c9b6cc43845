//! Another user of this machine.

use crate::{
    stage::Stage,
    support::{child::Child, have},
};

#[tokio::test]
async fn for_the_client_of_another_user_nothing_is_done_but_passing() {
    if !rustix::process::geteuid().is_root() || !have(&["socat", "setpriv"]) {
        return;
    }
    let mut stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let to = format!("TCP:{}", stage.front.addr);
    let words = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "socat",
        "-",
        &to,
    ];
    let mut stranger = Child::start("setpriv", words, dir.path());
    stranger.say("VER 1 MSNP12 CVR0\r").await;
    let mut server = Stage::accept(&stage.notification).await;
    server.hears("VER 1 MSNP12 CVR0\r\n").await;
    server.says("VER 1 MSNP12\r\n").await;
    server.says("USR 2 OK eve@example.com Eve 1 0\r\n").await;
    stranger.printed("USR 2 OK eve@example.com").await;
    // The first of whom the dispatcher hears is our own user.
    // (`signed_in` asserts that what it hears is this sign-in.)
    let _ours = stage.signed_in(12).await;
    drop(stranger);
    stage.front.end().await;
}
