//! The real xfreerdp against a plain listener: that it takes the file we wrote and comes to the
//! address that was checked, whenever the peer's client ends the invitation.

use std::net::Ipv4Addr;

use msn_handoff::{endpoint::socket, event::What};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    novice::Table,
    screen::Screen,
    support::{self, within},
    vista_ticket,
};

const PROGRAMS: [&str; 2] = ["Xvfb", "xfreerdp"];

/// The handoff we ship, on that screen.
fn change(display: &str) -> String {
    format!(
        "[[handoff]]\nname = \"xfreerdp3\"\nenabled = false\n[[handoff]]\nname = \"xfreerdp\"\n\
         env = {{ DISPLAY = \"{display}\", HOME = \"{{dir}}\" }}\nrequires = {{ any-env = [] }}\n"
    )
}

/// The first connection that says something: what, and the connection.
async fn visitor(listener: &TcpListener) -> (String, TcpStream) {
    within("xfreerdp", async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 512];
            // The probe says nothing.
            match stream.read(&mut said).await {
                Ok(0) | Err(_) => {}
                Ok(n) => return (String::from_utf8_lossy(&said[..n]).into_owned(), stream),
            }
        }
    })
    .await
}

fn is_freerdp(said: &str) {
    // X.224 in TPKT, with the name of the file and not that of the user (MS-RDPBCGR 2.2.1.1).
    assert!(said.starts_with("\u{3}\0\0"), "{said:?}");
    assert!(said.contains("Cookie: mstshash=Expert\r\n"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cancels_at_once_is_helped_all_the_same_until_we_leave() {
    if !support::have(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::new(folder.path(), "ours").await;
    let mut table = Table::new(folder.path(), &change(&screen.name));
    let listener = socket::tcp_listen((table.ip, 0).into()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    table.asks_for_help().await;
    // The address that works is the peer's own; those of the ticket are names and a closed port.
    let closed = Ipv4Addr::new(127, 255, 255, 253).to_string();
    let ticket = vista_ticket(&[("BOBS-PC", port), (&closed, port), ("fe80::1%6", port)]);
    table.sends_ticket(&ticket, 37);
    table.cancels();
    let (said, connection) = visitor(&listener).await;
    is_freerdp(&said);
    table.completes().await;
    // Its start is told although the invitation was over by then.
    table
        .until(|what| matches!(what, What::ProgramStarted { program, .. } if program == "xfreerdp"))
        .await;
    let shown = std::sync::Arc::clone(&table.shown);
    table.end().await;
    let shown = shown.lock().unwrap().join("\n");
    assert!(shown.contains("xfreerdp is gone"), "{shown}");
    drop(connection);
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_our_offer_to_help_sends_the_ticket() {
    if !support::have(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::new(folder.path(), "ours").await;
    let mut table = Table::new(folder.path(), &change(&screen.name));
    let listener = socket::tcp_listen((table.ip, 0).into()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    table.is_offered_help().await;
    table.sends_ticket(&vista_ticket(&[(&table.ip.to_string(), port)]), 300);
    let (said, connection) = visitor(&listener).await;
    is_freerdp(&said);
    // The other side is gone: its end is the end of the session.
    drop((connection, listener));
    table
        .until(|what| matches!(what, What::ProgramEnded { program, .. } if program == "xfreerdp"))
        .await;
    table.answered("CANCEL").await;
    table.end().await;
    screen.close().await;
}
