//! The SIP call that announces T.120, and what else may come to our ports.

use std::net::SocketAddr;

use msn_handoff::endpoint::socket;
use tokio::io::AsyncReadExt as _;

use crate::{
    Invited, address, connect,
    support::{
        self,
        child::Child,
        namespace::alone,
        rtc::{Rtc, Transport},
        within,
    },
};

async fn a_call_is_answered(transport: Transport) {
    if !support::have(&["sipp"]) {
        return;
    }
    let mut invited = Invited::new(None);
    let target = invited.listens().await;
    let scenario = "t120_uac.xml";
    let mut rtc = Rtc::plays(invited.dir(), scenario, transport, target).await;
    let body = rtc.logged("body ").await;
    assert_eq!(body, "m=application 1503 tcp msdata");
    // What the inviter sends we receive.
    assert_eq!(rtc.logged("attributes ").await, "a=recvonly");
    invited.told("Messenger has called").await;
    rtc.hangs_up().await;
    assert_eq!(invited.over().await, "the other side ended it");
    rtc.finish().await;
    invited.end().await;
}

#[test]
fn the_genuine_clients_call_is_answered_over_udp() {
    alone(async || {
        a_call_is_answered(Transport::Udp).await;
    });
}

#[test]
fn the_genuine_clients_call_is_answered_over_tcp() {
    alone(async || {
        a_call_is_answered(Transport::Tcp).await;
    });
}

#[test]
fn encryption_that_is_demanded_is_refused_with_a_reason() {
    alone(async || {
        if !support::have(&["sipp"]) {
            return;
        }
        let mut invited = Invited::new(None);
        let target = invited.listens().await;
        let scenario = "t120_encrypted.xml";
        let mut rtc = Rtc::plays(invited.dir(), scenario, Transport::Udp, target).await;
        rtc.finish().await;
        invited.told("it demands encryption").await;
        // The call may come again without it.
        let mut rtc = Rtc::plays(invited.dir(), "t120_uac.xml", Transport::Udp, target).await;
        rtc.logged("body ").await;
        rtc.hangs_up().await;
        rtc.finish().await;
        assert_eq!(invited.over().await, "the other side ended it");
        invited.end().await;
    });
}

#[test]
fn nobody_but_the_contact_is_answered() {
    alone(async || {
        let mut invited = Invited::new(None);
        let target = invited.listens().await;
        let stranger = socket::udp((address(), 0).into()).await.unwrap();
        let ann = socket::udp((crate::ANN_AT, 0).into()).await.unwrap();
        for socket in [&stranger, &ann] {
            let at: SocketAddr = socket.local_addr().unwrap();
            let options = format!(
                "OPTIONS sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {at}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@{at}>;tag=1\r\nTo: <sip:{target}>\r\nCall-ID: 1@{at}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
            );
            socket.send_to(options.as_bytes(), target).await.unwrap();
        }
        let mut buffer = [0; 2000];
        let n = within("the answer", ann.recv(&mut buffer)).await.unwrap();
        assert!(buffer[..n].starts_with(b"SIP/2.0 200 OK\r\n"));
        // It was asked first, and would have been answered first.
        assert!(stranger.try_recv(&mut buffer).is_err());
        for port in [1503, target.port()] {
            let mut stream = connect(address(), (invited.at, port).into()).await;
            let closed = within("the refusal", stream.read(&mut buffer)).await;
            assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        }
        invited.end().await;
    });
}

#[test]
fn http_is_answered_404_and_told() {
    alone(async || {
        if !support::have(&["curl"]) {
            return;
        }
        let mut invited = Invited::new(None);
        let sip = invited.listens().await.port();
        for (port, method) in [(1503, "POST"), (sip, "GET")] {
            let url = format!("http://{}:{port}/upnp/control/{method}", invited.at);
            let status = "%{http_code}";
            let arguments = [
                "--silent",
                "-X",
                method,
                "-w",
                status,
                "--max-time",
                "20",
                &url,
            ];
            let mut curl = Child::start("curl", arguments, invited.dir());
            assert_eq!(curl.wait().await, Some(0));
            assert_eq!(curl.output(), "404");
            let words = format!("(\"{method} /upnp/control");
            invited.told(&words).await;
        }
        invited.end().await;
    });
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_announced() {
    alone(async || {
        let mut invited = Invited::new(None);
        let _taken = socket::tcp_listen((invited.at, 1503).into()).await.unwrap();
        invited.negotiate().await;
        let why = invited.over().await;
        assert!(
            why.contains("TCP port 1503") && why.contains("is taken"),
            "{why}"
        );
        let cancel = invited.hears("CANCEL").await;
        assert!(cancel.contains("Cancel-Code: FAIL"), "{cancel}");
        invited.end().await;
    });
}
