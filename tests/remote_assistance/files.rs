//! What the user gets when no program is started: the truth, and the file.

use std::os::unix::fs::PermissionsExt as _;

use msn_handoff::{
    adapter::remote_assistance::ticket::{Reading, Ticket, read},
    bridge::Registry,
    dispatcher::Verdict,
    endpoint::socket,
    event::What,
};

use crate::{
    novice::Table,
    support::{until, within},
    xp_ticket,
};

/// A program that anybody has stands for FreeRDP, so that these run without it.
const ANY_PROGRAM: &str = "[[handoff]]\nname = \"xfreerdp\"\nrun = [\"true\"]\nrequires = { any-env = [] }\n\
    [[handoff]]\nname = \"xfreerdp3\"\nenabled = false\n";

#[tokio::test]
async fn a_ticket_of_windows_xp_starts_nothing_and_the_truth_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::new(folder.path(), ANY_PROGRAM);
    let listener = socket::tcp_listen((table.ip, 0).into()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    table.asks_for_help().await;
    let ticket = xp_ticket(&format!("{}:{port};BOBS-PC:{port}", table.ip));
    table.sends_ticket(&ticket, 50);
    table
        .is_told("from Windows XP, with which FreeRDP cannot finish")
        .await;
    table
        .is_told("take the file to a Windows machine or guest")
        .await;
    table.is_told("what came is kept in").await;
    // The peer's client has done its part; nothing is left that would hold us up.
    table.cancels();
    table.completes().await;
    let gone = || (tasks.num_alive_tasks() <= before).then_some(());
    until("the end of the adapter", gone).await;

    let kept = table.kept();
    assert_eq!(kept.extension().unwrap(), "msrcIncident");
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let Reading::Ticket {
        ticket: Ticket::File(file),
        ..
    } = read(&std::fs::read(&kept).unwrap())
    else {
        panic!("not a file for Windows")
    };
    assert_eq!(file.ticket.unwrap().text, ticket);
    assert!(!table.started(), "{:?}", table.seen);
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, listener.accept());
    assert!(nobody.await.is_err(), "it was probed");
    table.end().await;
}

#[tokio::test]
async fn what_is_no_ticket_is_kept_and_told_by_its_look() {
    for (came, told) in [
        (
            "QUJDRA==",
            "no ticket that is known here: base64 of 4 bytes",
        ),
        (
            "65538,1,10.0.0.1:3389,*,\"x,*,*,QUI=",
            "looks like a ticket, but one of its fields is not base64",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::new(folder.path(), ANY_PROGRAM);
        table.asks_for_help().await;
        table.sends_ticket(came, 300);
        table.is_told(told).await;
        table.is_told("what came is kept in").await;
        assert_eq!(std::fs::read_to_string(table.kept()).unwrap(), came);
        assert!(!table.started(), "{:?}", table.seen);
        // Without a word from the peer the user ends it.
        table.hang_up();
        table.answered("CANCEL").await;
        table.end().await;
    }
}

#[tokio::test]
async fn whoever_offers_to_help_us_is_declined_and_we_are_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::new(folder.path(), ANY_PROGRAM);
    let ask = String::from_utf8_lossy(include_bytes!("../vectors/R1.msg")).into_owned();
    let offer = ask.replace(
        "{56b994a7-380f-410b-9985-c809d78c1bdc}",
        "{703EA1A8-D73E-43e3-852C-EE85B5D872C2}",
    );
    assert_ne!(ask, offer);
    assert_eq!(table.deliver(offer.as_bytes()), Verdict::Taken);
    let cancel = table.answered("CANCEL").await;
    let cancel = String::from_utf8_lossy(&cancel).into_owned();
    assert!(
        cancel.contains("Cancel-Code: REJECT_NOT_INSTALLED\r\n"),
        "{cancel}"
    );
    let shown = table.shown();
    assert!(shown.contains("told that nothing here takes it"), "{shown}");
    assert!(shown.contains("Nothing here shares this screen"), "{shown}");
    table.end().await;
}

#[tokio::test]
async fn an_address_that_is_not_allowed_or_does_not_answer_is_told_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::new(folder.path(), ANY_PROGRAM);
    // Bound and not listening: nobody else can answer there.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind((table.ip, 0).into()).unwrap();
    let port = taken.local_addr().unwrap().port();
    table.asks_for_help().await;
    let ticket = crate::vista_ticket(&[("224.0.0.1", port), ("BOBS-PC", port)]);
    table.sends_ticket(&ticket, 300);
    table.is_told("not tried: 224.0.0.1").await;
    table.is_told("not tried: BOBS-PC is a name").await;
    let refused = format!(
        "no address of the ticket answers: {}:{port} (connection refused)",
        table.ip
    );
    let ended =
        |what: &What| matches!(what, What::Ended { reason, .. } if reason.contains(&refused));
    within("the end", table.until(ended)).await;
    assert!(!table.started(), "{:?}", table.seen);
    table.answered("CANCEL").await;
    table.end().await;
}

#[test]
fn the_documented_change_switches_the_attempt_with_windows_xp_on() {
    let page = include_str!("../../docs/applications/remote-assistance.md");
    let change = page.split("```toml\n").nth(1).unwrap();
    let change = change.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("remote-assistance.d");
    std::fs::create_dir(&mine).unwrap();
    let protocols = || {
        let registry = Registry::load(&[folder.path().to_owned()]).unwrap();
        let bridge = registry.by_id("remote-assistance").unwrap();
        let all = bridge.handoffs.iter().map(|it| it.protocols.clone());
        all.collect::<Vec<_>>()
    };
    assert!(!protocols().contains(&vec![1]));
    std::fs::write(mine.join("mine.toml"), change).unwrap();
    assert!(protocols().contains(&vec![1]));
}
