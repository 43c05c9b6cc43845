//! Ten thousand INVITEs at once from one contact: what is kept of them is bounded, the memory of the
//! program stays what it was, and another contact's chat passes between them.

use std::{
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use msn_handoff::{
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations, Verdict},
    front::proxy::{Proxy, ProxySettings},
    negotiation::Limits,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::{
    support::sides::{ANN, BOB, Side, address},
    wire::{Stage, Wire, listener, message, within},
};

const FLOOD: usize = 10_000;
/// The proxy reads 16 KiB at a time; every connection has its turn between two such reads.
const BETWEEN: usize = 200;

fn invite(cookie: usize) -> String {
    let body = format!(
        "Application-Name: a voice call\r\n\
         Application-GUID: {{02D3C01F-BF30-4825-A83A-DE7AF41648AA}}\r\n\
         Session-Protocol: SM1\r\nInvitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\r\n"
    );
    message(BOB, "text/x-msmsgsinvite", &body)
}

fn flood() -> String {
    (1..=FLOOD).map(invite).collect()
}

/// A dispatcher, and how many invitations it was asked about.
struct Counted(Dispatcher, AtomicUsize);

impl Invitations for Counted {
    fn attach(&self, account: &str, carrier: Arc<dyn Carrier>) -> AccountId {
        self.0.attach(account, carrier)
    }
    fn detach(&self, account: AccountId) {
        self.0.detach(account);
    }
    fn received(&self, account: AccountId, peer: &str, payload: &[u8]) -> Verdict {
        let verdict = self.0.received(account, peer, payload);
        self.1.fetch_add(1, Ordering::Relaxed);
        assert!(self.0.open().len() <= Limits::default().pending_per_peer);
        verdict
    }
    fn typed(&self, account: AccountId, peer: &str, text: &str) -> Verdict {
        self.0.typed(account, peer, text)
    }
    fn typed_elsewhere(&self, account: AccountId, text: &str) -> Option<String> {
        self.0.typed_elsewhere(account, text)
    }
    fn carrier_lost(&self, account: AccountId, peer: &str) {
        self.0.carrier_lost(account, peer);
    }
    fn carrier_back(&self, account: AccountId, peer: &str) {
        self.0.carrier_back(account, peer);
    }
    fn undelivered(&self, account: AccountId, delivery: Delivery) {
        self.0.undelivered(account, delivery);
    }
}

#[tokio::test]
async fn another_contacts_chat_passes_between_the_invitations_of_a_flood() {
    let folder = tempfile::tempdir().unwrap();
    let (side, _letters) = Side::asking("nobody@example.com", address(), folder.path());
    let counted = Arc::new(Counted(side.hub.clone(), AtomicUsize::new(0)));
    let server = listener().await;
    let settings = ProxySettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        server: server.local_addr().unwrap().to_string(),
        follow: false,
        correct_profile: false,
    };
    let proxy = Proxy::bind(settings, Arc::clone(&counted) as Arc<dyn Invitations>);
    let proxy = proxy.await.unwrap();
    let (addr, stop) = (proxy.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(proxy.run(stop.clone()));
    let mut stage = Stage::new(addr, &server).await;
    let (bobs_client, bobs_server) = stage.talking(BOB).await;
    let (mut client, mut server) = stage.talking(ANN).await;

    let flooding = tokio::spawn(flooding(bobs_client, bobs_server));
    let seen = || counted.1.load(Ordering::Relaxed);
    let mut during = 0;
    loop {
        let chat = message(ANN, "text/plain", "are you there?");
        let before = seen();
        server.says(&chat).await;
        client.hears(&chat).await;
        let between = seen() - before;
        assert!(
            between <= BETWEEN,
            "{between} invitations were served before a chat message"
        );
        during += usize::from(before > 0 && seen() < FLOOD);
        if seen() == FLOOD {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(
        during >= FLOOD / BETWEEN / 2,
        "only {during} messages were sent during the flood"
    );
    flooding.await.unwrap();
    stop.cancel();
    within("the proxy's end", serving).await.unwrap();
    side.hub.shutdown().await;
}

/// Says all INVITEs, and is done when the client has heard what came after them.
async fn flooding(mut client: Wire, server: Wire) {
    const LAST: &str = "that was all";
    let (mut reads, mut writes) = server.0.into_split();
    let all = flood() + &message(BOB, "text/plain", LAST);
    let said = async { writes.write_all(all.as_bytes()).await.unwrap() };
    // The answers are taken, so that they stand in nobody's way.
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut reads, &mut tokio::io::sink()).await;
    });
    let heard = async {
        let mut heard = Vec::new();
        while !heard.ends_with(LAST.as_bytes()) {
            heard.push(client.0.read_u8().await.unwrap());
        }
    };
    within("the end of the flood", async { tokio::join!(said, heard) }).await;
    answers.abort();
}

/// Pages of memory that a process holds, in KiB.
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn the_program_needs_no_more_memory_after_three_floods_than_after_one() {
    let home = tempfile::tempdir().unwrap();
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
            "192.0.2.1",
            "--server",
        ])
        .arg(server.local_addr().unwrap().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = within("where it listens", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    let addr = line.split(' ').nth(4).unwrap().parse().unwrap();
    let mut log = program.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut text = String::new();
        log.read_to_string(&mut text).await.unwrap();
        text
    });
    let mut stage = Stage::new(addr, &server).await;
    let (mut client, mut server) = stage.talking(ANN).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (bobs_client, bobs_server) = stage.talking(BOB).await;
        flooding(bobs_client, bobs_server).await;
        let chat = message(ANN, "text/plain", "are you there?");
        server.says(&chat).await;
        client.hears(&chat).await;
        held.push(memory(program.id().unwrap()));
    }
    // A page here and there; ten thousand invitations are four megabytes.
    let grown = held[2].saturating_sub(held[0]);
    assert!(grown < 512, "{held:?} KiB");
    program.start_kill().unwrap();
    let log = within("the log", log).await.unwrap();
    assert!(
        log.lines().count() < 1_000,
        "{} lines of log",
        log.lines().count()
    );
}
