//! T.120 that nobody here can join: its opening is kept, and Wireshark says what it is.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    Invited, opening,
    support::{self, child::Child, namespace::alone, until, within},
};

/// What Wireshark says of a file, field by field.
async fn dissected(dir: &Path, file: &Path, fields: &[&str]) -> String {
    let mut arguments = vec!["-r", file.to_str().unwrap(), "-d", "tcp.port==1503,tpkt"];
    arguments.extend(["-T", "fields", "-E", "separator=|", "-Y", "cotp || t125"]);
    for field in fields {
        arguments.extend(["-e", field]);
    }
    let mut tshark = Child::start("tshark", arguments, dir);
    assert_eq!(tshark.wait().await, Some(0), "{}", tshark.output());
    let said = tshark.output();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains('|')).collect();
    lines.join("\n")
}

#[test]
fn how_netmeeting_opens_is_kept_and_told() {
    alone(async || {
        if !support::have(&["tshark"]) {
            return;
        }
        let mut invited = Invited::new(None);
        invited.listens().await;
        let mut ann = invited.connect(1503).await;
        let bytes = opening();
        let (request, initial) = bytes.split_at(11);
        ann.write_all(request).await.unwrap();
        // The transport is confirmed by the reference of the request.
        let mut confirm = [0; 11];
        within("the confirm", ann.read_exact(&mut confirm))
            .await
            .unwrap();
        assert_eq!(confirm[..8], [3, 0, 0, 11, 6, 0xd0, 0x01, 0x2c]);
        ann.write_all(initial).await.unwrap();
        drop(ann);
        let why = invited.over().await;
        let file = invited.recorded().unwrap();
        assert!(
            why.contains("asked for a conference") && why.contains("190 bytes"),
            "{why}"
        );
        assert!(
            why.contains("no Linux program") && why.contains(file.to_str().unwrap()),
            "{why}"
        );
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let fields = [
            "ip.src",
            "cotp.type",
            "t125.connect_initial_element",
            "t124.callerIdentifier",
            "_ws.malformed",
        ];
        let (ann, bob) = (crate::ANN_AT, invited.at);
        let said = dissected(invited.dir(), &file, &fields).await;
        let want = format!("{ann}|0x0e|||\n{bob}|0x0d|||\n{ann}|0x0f|1|alice|");
        assert_eq!(said, want);
        invited.end().await;
    });
}

#[test]
fn a_real_program_goes_on_when_its_request_is_confirmed() {
    alone(async || {
        if !support::have(&["tshark", "xfreerdp", "Xvfb"]) {
            return;
        }
        let mut invited = Invited::new(None);
        invited.listens().await;
        let (mut xvfb, display) = support::screen::start(invited.dir(), "320x240x24").await;
        // Without its own cookie and security xfreerdp opens with plain X.224 and MCS, as T.120 does.
        let to = format!("/v:{}:1503", invited.at);
        let arguments = [
            &to,
            "/sec:rdp",
            "/load-balance-info:x",
            "/cert:ignore",
            "/log-level:ERROR",
        ];
        let home = invited.dir().join("freerdp");
        std::fs::create_dir(&home).unwrap();
        let mut freerdp = Child::start_with("xfreerdp", arguments, &home, &[("DISPLAY", &display)]);
        let file = until("what xfreerdp sent", || {
            let file = invited.recorded()?;
            let bytes = std::fs::read(&file).ok()?;
            // Connect-Initial.
            bytes
                .windows(5)
                .any(|it| it == [2, 0xf0, 0x80, 0x7f, 0x65])
                .then_some(file)
        })
        .await;
        freerdp.terminate().await;
        let why = invited.over().await;
        assert!(why.contains("asked for a conference"), "{why}");
        let fields = [
            "cotp.type",
            "t125.connect_initial_element",
            "t124.conferenceCreateRequest_element",
        ];
        let said = dissected(invited.dir(), &file, &fields).await;
        assert_eq!(said, "0x0e||\n0x0d||\n0x0f|1|1");
        invited.end().await;
        xvfb.terminate().await;
    });
}

#[test]
fn a_remote_desktop_is_told_and_does_not_count() {
    alone(async || {
        let mut invited = Invited::new(None);
        invited.listens().await;
        let mut ann = invited.connect(1503).await;
        // As xfreerdp 2.11 sends it when it is not told otherwise.
        let request = b"\x03\x00\x00\x22\x1d\xe0\0\0\0\0\0Cookie: mstshash=root\r\n";
        ann.write_all(request).await.unwrap();
        invited.told("RDP, remote desktop").await;
        let closed = within("its end", ann.read(&mut [0; 9])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        assert_eq!(invited.recorded(), None);
        invited.end().await;
    });
}
