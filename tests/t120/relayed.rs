//! T.120 that goes on to a program of the user's.

use std::net::Ipv4Addr;

use msn_handoff::{endpoint::socket, event::What};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    Invited, address, opening,
    support::{
        self,
        namespace::alone,
        rtc::{Rtc, Transport},
        within,
    },
};

fn in_a_machine(at: Ipv4Addr, port: u16) -> String {
    format!(
        r#"
[[handoff]]
name    = "NetMeeting in a virtual machine"
adapter = "t120"
role    = "invitee"
to      = "{at}:{port}"
"#
    )
}

/// What comes of it in the program: the opening and much more.
fn drawing() -> Vec<u8> {
    let more = (0..300_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    opening().into_iter().chain(more).collect()
}

#[test]
fn the_whole_flow_with_netmeeting_in_a_virtual_machine() {
    alone(async || {
        if !support::have(&["sipp"]) {
            return;
        }
        let machine = address();
        let netmeeting = socket::tcp_listen((machine, 1603).into()).await.unwrap();
        let mut invited = Invited::new(Some(&in_a_machine(machine, 1603)));
        let target = invited.listens().await;
        let mut rtc = Rtc::plays(invited.dir(), "t120_uac.xml", Transport::Tcp, target).await;
        rtc.logged("body ").await;

        let mut ann = invited.connect(1503).await;
        let sent = drawing();
        // The first bytes come one by one.
        for byte in &sent[..20] {
            ann.write_all(std::slice::from_ref(byte)).await.unwrap();
            ann.flush().await.unwrap();
        }
        let (mut taken, _) = within("the relay", netmeeting.accept()).await.unwrap();
        let (mut received, answer) = (vec![0; sent.len()], drawing());
        let (_, read) = tokio::join!(async { ann.write_all(&sent[20..]).await.unwrap() }, async {
            within("all of it", taken.read_exact(&mut received)).await
        });
        read.unwrap();
        assert!(received == sent);
        let mut back = vec![0; answer.len()];
        let (_, read) = tokio::join!(async { taken.write_all(&answer).await.unwrap() }, async {
            within("all of the answer", ann.read_exact(&mut back)).await
        });
        read.unwrap();
        assert!(back == answer);
        // MCS opens several connections for one domain.
        let mut second = invited.connect(1503).await;
        second.write_all(&opening()).await.unwrap();
        let (mut taken_too, _) = within("the second", netmeeting.accept()).await.unwrap();
        let mut received = vec![0; opening().len()];
        within("its opening", taken_too.read_exact(&mut received))
            .await
            .unwrap();
        assert!(received == opening());

        rtc.hangs_up().await;
        assert_eq!(invited.over().await, "the other side ended it");
        rtc.finish().await;
        let closed = within("its end", taken.read(&mut back)).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        assert!(socket::tcp_listen((invited.at, 1503).into()).await.is_ok());
        invited.end().await;
    });
}

/// `socat` takes the connection, writes down what comes and sends it back.
const SOCAT: &str = r#"
[[handoff]]
name    = "a T.120 program"
adapter = "t120"
role    = "invitee"
run     = ["socat", "-r", "{dir}/came", "TCP-LISTEN:{agent.port},bind=127.0.0.1", "PIPE"]
ready   = { tcp = "127.0.0.1:{agent.port}" }
"#;

#[test]
fn a_program_that_is_started_for_it_gets_every_byte() {
    alone(async || {
        if !support::have(&["socat"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let came = folder.path().join("came");
        let text = SOCAT.replace("{dir}/came", came.to_str().unwrap());
        let mut invited = Invited::new(Some(&text));
        invited.listens().await;
        let mut ann = invited.connect(1503).await;
        let mut back = vec![0; opening().len()];
        ann.write_all(&opening()).await.unwrap();
        within("the echo", ann.read_exact(&mut back)).await.unwrap();
        assert!(back == opening());
        assert!(std::fs::read(&came).unwrap() == opening());
        // The program ends with the connection, and with the program the session.
        drop(ann);
        let gone = |what: &What| matches!(what, What::ProgramEnded { .. });
        invited.bob.until("the end of socat", gone).await;
        let why = invited.over().await;
        assert!(why.contains("a T.120 program has ended"), "{why}");
        invited.end().await;
    });
}

#[test]
fn a_connection_that_is_closed_and_not_opened_again_ends_it() {
    alone(async || {
        let machine = address();
        let netmeeting = socket::tcp_listen((machine, 1503).into()).await.unwrap();
        let mut invited = Invited::new(Some(&in_a_machine(machine, 1503)));
        invited.listens().await;
        let mut ann = invited.connect(1503).await;
        ann.write_all(&opening()).await.unwrap();
        let (mut taken, _) = within("the relay", netmeeting.accept()).await.unwrap();
        ann.shutdown().await.unwrap();
        let mut all = Vec::new();
        within("all of it", taken.read_to_end(&mut all))
            .await
            .unwrap();
        assert!(all == opening());
        drop(taken);
        assert_eq!(invited.over().await, "the T.120 connection was closed");
        invited.end().await;
    });
}

#[test]
fn nothing_that_listens_there_is_told() {
    alone(async || {
        let machine = address();
        let mut invited = Invited::new(Some(&in_a_machine(machine, 1603)));
        invited.listens().await;
        let mut ann = invited.connect(1503).await;
        ann.write_all(&opening()).await.unwrap();
        invited
            .told(&format!("nothing takes it at {machine}:1603"))
            .await;
        invited.end().await;
    });
}
