//! Ten thousand messages at once from one contact, INVITEs and others: what is kept of them is bounded,
//! the memory of the program stays what it was, and another contact's chat passes between them.

use std::{
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use msn_handoff::{
    dispatcher::{AccountId, Carrier, Delivery, Dispatcher, Invitations, Verdict},
    front::proxy::{Proxy, ProxySettings},
    negotiation::Limits,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    support::sides::{ANN, BOB, Side, address},
    wire::{Stage, Wire, listener, message, within},
};

const FLOOD: usize = 10_000;
/// The proxy reads 64 KiB at a time, some 160 invitations, and every connection has its turn after each
/// of them; so much may be between two chat messages even if it had its turn after each read only.
const BETWEEN: usize = 200;
/// By how much a chat message may be later, by the median, while another contact floods. One that waited
/// for the flood would be later by seconds; how late it really is is printed, for this machine may have
/// other tests to run at the same time.
const LATER: Duration = Duration::from_millis(100);
/// So many floods in which it was later may not be.
const LATE: usize = 3;
/// How much more memory the program may have held at any moment of the floods than before them, in KiB.
/// Each has four megabytes and more: what would be kept of one, or queued, is seen.
const MORE_MEMORY: usize = 3 * 1024;

/// What a contact floods with.
#[derive(Debug, Clone, Copy)]
enum Flood {
    /// Each with a cookie of its own.
    Invite,
    /// Of an invitation that is open, and of one that nobody knows, by turns.
    Context,
    Accept,
}

fn invitation(from: &str, command: &str, cookie: usize, more: &str) -> String {
    let body = format!(
        "{more}Invitation-Command: {command}\r\nInvitation-Cookie: {cookie}\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\r\n"
    );
    message(from, "text/x-msmsgsinvite", &body)
}

fn invite(from: &str, cookie: usize) -> String {
    let more = "Application-Name: a voice call\r\n\
                Application-GUID: {02D3C01F-BF30-4825-A83A-DE7AF41648AA}\r\n\
                Session-Protocol: SM1\r\n";
    invitation(from, "INVITE", cookie, more)
}

impl Flood {
    /// All of it, and a chat message at the end.
    fn of(self, from: &str) -> String {
        let (command, more) = match self {
            Self::Invite => {
                let all: String = (1..=FLOOD).map(|cookie| invite(from, cookie)).collect();
                return all + &message(from, "text/plain", LAST);
            }
            Self::Context => ("CONTEXT", format!("Context-Data: {}\r\n", "x".repeat(150))),
            Self::Accept => ("ACCEPT", "IP-Address: 192.0.2.9:5060\r\n".repeat(5)),
        };
        let one = |number| invitation(from, command, 1 + number % 2, &more);
        let all: String = (1..=FLOOD).map(one).collect();
        invite(from, 1) + &all + &message(from, "text/plain", LAST)
    }
}

/// What a flood ends with.
const LAST: &str = "that was all";

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

    let flooding = tokio::spawn(flooding(bobs_client, bobs_server, Flood::Invite.of(BOB)));
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

/// Says all of a flood, and is done when the client has heard what came after it.
async fn flooding(mut client: Wire, server: Wire, all: String) -> Duration {
    let (mut reads, mut writes) = server.0.into_split();
    let begun = Instant::now();
    let said = async { writes.write_all(all.as_bytes()).await.unwrap() };
    // The answers are taken, so that they stand in nobody's way.
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut reads, &mut tokio::io::sink()).await;
    });
    let heard = async {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(LAST) {
            // What passes is of no interest, but for its end, which may come in two pieces.
            let known = heard.len().saturating_sub(LAST.len());
            heard.drain(..known);
            let more = client.0.read_buf(&mut heard).await.unwrap();
            assert_ne!(more, 0, "the end of the connection");
        }
    };
    within("the end of the flood", async { tokio::join!(said, heard) }).await;
    answers.abort();
    begun.elapsed()
}

/// How long a chat message and the answer to it take together.
async fn round_trip((client, server): &mut (Wire, Wire)) -> Duration {
    let chat = message(ANN, "text/plain", "are you there?");
    let answer = "MSG 9 N 4\r\nhere";
    let begun = Instant::now();
    server.says(&chat).await;
    client.hears(&chat).await;
    client.says(answer).await;
    server.hears(answer).await;
    begun.elapsed()
}

/// The middle one and the longest.
fn middle(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort();
    (all[all.len() / 2], all[all.len() - 1])
}

/// What the system says of the memory of a process, in KiB.
fn memory(pid: u32, what: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let line = line.unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How much of the processors' time a process has had.
fn worked(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold blanks; user and system time are the 12th and 13th word behind it, in ticks, of
    // which Linux tells programs a hundred a second.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|word| word.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// `cargo test --release --test hostile the_program_is_flooded -- --nocapture` prints what it reached.
#[allow(clippy::print_stdout, reason = "for who measures")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_is_flooded_and_neither_grows_nor_delays_another_contacts_chat() {
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
    let pid = program.id().unwrap();
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
    let mut anns = stage.talking(ANN).await;
    let mut usual = Vec::new();
    for _ in 0..500 {
        usual.push(round_trip(&mut anns).await);
    }
    let (usual, _) = middle(usual);
    // The most that it ever held is counted from here.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    let before = memory(pid, "VmRSS:");
    let mut held = Vec::new();
    let mut floods = vec![Flood::Invite, Flood::Accept, Flood::Context, Flood::Invite];
    let mut late = 0;
    for number in 0.. {
        let Some(flood) = floods.pop() else { break };
        // Somebody new, of whom nothing is open yet. The length makes the cookie another one.
        let from = format!("flood{}@example.com", "x".repeat(number));
        let (client, server) = stage.talking(&from).await;
        let work = worked(pid);
        let flooding = tokio::spawn(flooding(client, server, flood.of(&from)));
        let mut during = Vec::new();
        while !flooding.is_finished() {
            during.push(round_trip(&mut anns).await);
            // Not another flood: this one is to be as fast as it can.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let lasted = flooding.await.unwrap();
        let work = worked(pid) - work;
        held.push(memory(pid, "VmRSS:"));
        let (times, (median, longest)) = (during.len(), middle(during));
        let rate = FLOOD as f64 / lasted.as_secs_f64();
        println!(
            "{flood:?}: {rate:.0} a second, {work:?} of a processor for all of them; a chat message \
             and its answer, {times} times: {median:?} (without a flood {usual:?}), the longest {longest:?}"
        );
        assert!(times >= 20, "only {times} messages during the flood");
        // A machine that is busy with other things is late by itself, but not again and again.
        if median > usual + LATER {
            late += 1;
            assert!(late < LATE, "{median:?}, without a flood {usual:?}");
            floods.push(flood);
        }
    }
    let most = memory(pid, "VmHWM:");
    println!("memory: {before} KiB before, {held:?} after each, {most} at most");
    assert!(
        most <= before + MORE_MEMORY,
        "{before} KiB before, {most} KiB"
    );
    // What is held after a flood of INVITEs is held once. A page here and there.
    let (first, last) = (held[0], held[held.len() - 1]);
    assert!(last <= first + 512, "{held:?} KiB");
    program.start_kill().unwrap();
    let log = within("the log", log).await.unwrap();
    assert!(
        log.lines().count() < 1_000,
        "{} lines of log",
        log.lines().count()
    );
}
