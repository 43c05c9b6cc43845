//! We are killed so that we can end nothing any more: the phone of the running call ends all the
//! same, at once and not only at our next start.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    support::{namespace::alone, sides::BOB},
    wire::{Stage, Wire, listener, message, within},
};

const NETMEETING: &str = r#"
id = "netmeeting"
name = "NetMeeting"
guids = ["{44BBA842-CC51-11CF-AAFA-00AA00B6015C}"]
announce = "NetMeeting"
[negotiation]
port = { fixed = 1720, transport = "tcp" }
[[handoff]]
name = "a phone"
adapter = "call"
role = "invitee"
wait = 0
run = ["PHONE", "{peer.ip}"]
"#;

/// Tells its number, and stays; deaf to everything that could be ignored.
const PHONE: &str = "#!/bin/sh\ntrap '' TERM HUP INT PIPE\necho \"$$ $1\" > PID.new\nmv PID.new PID\nwhile :; do sleep 1; done\n";

/// Ends it when the test fails.
struct Phone(u32);

impl Drop for Phone {
    fn drop(&mut self) {
        if alive(self.0) {
            #[allow(clippy::disallowed_methods, reason = "a test's own program")]
            let _ = std::process::Command::new("kill")
                .args(["-9", &self.0.to_string()])
                .status();
        }
    }
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Waits for a file that comes whole.
pub(crate) async fn file(path: &Path) -> String {
    within("the phone", async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) => return text,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

pub(crate) fn said(command: &str, more: &str) -> String {
    let body = format!(
        "Invitation-Command: {command}\r\nInvitation-Cookie: 7\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n{more}\r\n"
    );
    message(BOB, "text/x-msmsgsinvite", &body)
}

/// Everything the peer is told until a message with that in it.
pub(crate) async fn until(wire: &mut Wire, wanted: &str) {
    use tokio::io::AsyncReadExt as _;
    let mut heard = String::new();
    while !heard.contains(wanted) {
        let mut byte = [0];
        within(wanted, wire.0.read_exact(&mut byte)).await.unwrap();
        heard.push(char::from(byte[0]));
    }
}

#[test]
fn when_we_are_killed_in_a_call_the_phone_ends() {
    alone(async || {
        let home = tempfile::tempdir().unwrap();
        let (phone, pid) = (home.path().join("phone"), home.path().join("pid"));
        fs::write(&phone, PHONE.replace("PID", pid.to_str().unwrap())).unwrap();
        fs::set_permissions(&phone, fs::Permissions::from_mode(0o755)).unwrap();
        let folder = home.path().join("msn-handoff/bridges");
        fs::create_dir_all(&folder).unwrap();
        let bridge = NETMEETING.replace("PHONE", phone.to_str().unwrap());
        fs::write(folder.join("netmeeting.toml"), bridge).unwrap();
        let config = home.path().join("msn-handoff/config.toml");
        fs::write(config, "[consent]\ndefault = \"allow\"\n").unwrap();
        let server = listener().await;
        #[allow(clippy::disallowed_methods, reason = "a test's own program")]
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .args([
                "proxy",
                "--listen",
                "127.0.0.1:0",
                "--announce",
                "127.0.0.1",
                "--server",
            ])
            .arg(server.local_addr().unwrap().to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let line = within("where it listens", lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let mut stage = Stage::new(line.split(' ').nth(4).unwrap().parse().unwrap(), &server).await;
        let (_client, mut bob) = stage.talking(BOB).await;
        let guid = "Application-GUID: {44BBA842-CC51-11CF-AAFA-00AA00B6015C}\r\n";
        bob.says(&said("INVITE", &format!("{guid}Session-Protocol: SM1\r\n")))
            .await;
        until(&mut bob, "Invitation-Command: ACCEPT").await;
        let accept = "Launch-Application: TRUE\r\nIP-Address: 127.0.0.1\r\n";
        bob.says(&said("ACCEPT", accept)).await;

        let told = file(&pid).await;
        let (number, peer) = told.trim().split_once(' ').unwrap();
        assert_eq!(peer, "127.0.0.1");
        let number = number.parse().unwrap();
        let _phone = Phone(number);
        assert!(alive(number));
        program.start_kill().unwrap();
        within("our end", program.wait()).await.unwrap();
        within("the end of the phone", async {
            while alive(number) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    });
}
