//! The whole way with the real programs: freerdp-shadow-cli shares a screen at the ticket's address,
//! and what it shows is seen on ours.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use msn_handoff::event::What;

use crate::{
    novice::Table,
    screen::{SIZE, Screen, Shot},
    support::{self, child::Child, namespace::alone},
    vista_ticket, xp_ticket,
};

const PROGRAMS: [&str; 5] = [
    "Xvfb",
    "xfreerdp",
    "freerdp-shadow-cli",
    "display",
    "import",
];

/// The handoffs we ship, on that screen, and as freerdp-shadow-cli needs it: without TLS its picture
/// comes.
fn change(display: &str) -> String {
    let (width, height) = SIZE;
    let more = format!(
        "\"/cert:ignore\", \"/sec:rdp\", \"/size:{width}x{height}\", \"-grab-keyboard\"]\n\
         env = {{ DISPLAY = \"{display}\", HOME = \"{{dir}}\" }}\nrequires = {{ any-env = [] }}\n"
    );
    format!(
        "[[handoff]]\nname = \"xfreerdp3\"\nenabled = false\n\
         [[handoff]]\nname = \"xfreerdp\"\nrun = [\"xfreerdp\", \"{{ticket}}\", \"/assistance:x\", {more}\
         [[handoff]]\nname = \"xfreerdp, for Windows XP too\"\nenabled = true\n\
         run = [\"xfreerdp\", \"{{ticket}}\", \"/assistance:x\", \"/v:{{peer.ip}}:{{peer.port}}\", {more}"
    )
}

/// Waits until our screen shows what theirs does: many colours, the mean of each within 5 %.
async fn same_picture(theirs: &mut Screen, ours: &mut Screen) {
    let alike = |there: &Shot, here: &Shot| {
        there.colours > 100
            && here.colours > 100
            && there
                .mean
                .iter()
                .zip(here.mean)
                .all(|(there, here)| (there - here).abs() <= there * 0.05)
    };
    let mut last = String::new();
    let limit = tokio::time::timeout(support::LIMIT, async {
        loop {
            let (there, here) = (theirs.shot().await, ours.shot().await);
            if alike(&there, &here) {
                return;
            }
            last = format!("there {there:?}, here {here:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(limit.await.is_ok(), "never the same picture: {last}");
}

/// Shares a screen at that address.
async fn share(screen: &Screen, ip: Ipv4Addr, port: u16, security: &str) -> Child {
    let [a, b, c, d] = ip.octets();
    let listening = format!("{d:02X}{c:02X}{b:02X}{a:02X}:{port:04X} 00000000:0000 0A");
    let arguments = [
        format!("/port:{port}"),
        format!("/bind-address:{ip}"),
        "-auth".into(),
        security.into(),
    ];
    let arguments = arguments.each_ref().map(String::as_str);
    let mut said = String::new();
    // When several start at once, some cannot open their display, and on a busy machine one may fail
    // many times in a row.
    for _ in 0..100 {
        let mut shadow = screen.program("freerdp-shadow-cli", &arguments);
        let listens = support::until("freerdp-shadow-cli", || {
            let bound = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
            if bound.contains(&listening) {
                return Some(true);
            }
            (!shadow.runs()).then_some(false)
        });
        if listens.await {
            return shadow;
        }
        said = shadow.output();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("freerdp-shadow-cli does not start: {said}");
}

/// Where a Windows machine has Remote Desktop.
const PORT: u16 = 3389;

async fn is_seen(folder: &Path, ticket: impl Fn(Ipv4Addr) -> String, told: &str) {
    let mut theirs = Screen::new(folder, "theirs").await;
    let mut ours = Screen::new(folder, "ours").await;
    let mut table = Table::new(folder, &change(&ours.name));
    let mut shadow = share(&theirs, table.ip, PORT, "/sec:rdp").await;

    table.asks_for_help().await;
    table.sends_ticket(&ticket(table.ip), 60);
    table.is_told(told).await;
    assert!(!table.started(), "the truth comes first");
    table.until(|what| matches!(what, What::ProgramStarted { program, .. } if program.starts_with("xfreerdp"))).await;
    let mut first = theirs.draw([10, 120, 60]);
    same_picture(&mut theirs, &mut ours).await;

    // The peer's client ends the invitation, and the screen is seen on.
    table.cancels();
    table.completes().await;
    let _second = theirs.draw([170, 20, 90]);
    first.terminate().await;
    same_picture(&mut theirs, &mut ours).await;

    // The other side ends it, which is told though the invitation is long over.
    shadow.terminate().await;
    let gone =
        |what: &What| matches!(what, What::ProgramEnded { how, .. } if how == "exit code 131");
    table.until(gone).await;
    table.end().await;
    theirs.close().await;
    ours.close().await;
}

/// Who never used FreeRDP has no folder for the certificates that it meets, and it refuses to connect
/// with TLS without one. Confined, it could not make it.
#[test]
fn freerdp_connects_with_tls_from_a_home_where_it_never_was() {
    alone(async || {
        if !support::have(&PROGRAMS) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let theirs = Screen::new(folder.path(), "theirs").await;
        let ours = Screen::new(folder.path(), "ours").await;
        // The handoff we ship, but for the screen and the home.
        let shown = home.display();
        let change = format!(
            "[[handoff]]\nname = \"xfreerdp3\"\nenabled = false\n[[handoff]]\nname = \"xfreerdp\"\n\
             reach = [\"{shown}/.config/freerdp\"]\n\
             env = {{ DISPLAY = \"{}\", HOME = \"{shown}\", XDG_CONFIG_HOME = \"{shown}/.config\" }}\n\
             requires = {{ any-env = [] }}\n",
            ours.name
        );
        let mut table = Table::new(folder.path(), &change);
        let mut shadow = share(&theirs, table.ip, PORT, "/sec:tls").await;
        table.asks_for_help().await;
        table.sends_ticket(&vista_ticket(&[(&table.ip.to_string(), PORT)]), 60);
        table
            .until(|what| matches!(what, What::ProgramStarted { program, .. } if program == "xfreerdp"))
            .await;
        // What the other side says of a session that stands.
        support::until("a session with TLS", || {
            let said = shadow.output();
            said.contains("x11_shadow_input_synchronize_event")
                .then_some(())
        })
        .await;
        assert!(home.join(".config/freerdp/certs").is_dir());
        shadow.terminate().await;
        table.end().await;
        theirs.close().await;
        ours.close().await;
    });
}

#[test]
fn the_screen_at_the_address_of_a_vista_ticket_is_seen() {
    alone(async || {
        if !support::have(&PROGRAMS) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let ticket = |ip: Ipv4Addr| vista_ticket(&[("BOBS-PC", PORT), (&ip.to_string(), PORT)]);
        is_seen(folder.path(), ticket, "from Windows Vista").await;
    });
}

#[test]
fn so_is_that_of_an_xp_ticket_for_a_user_who_wants_it_after_being_told_the_truth() {
    alone(async || {
        if !support::have(&PROGRAMS) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let ticket = |ip| xp_ticket(&format!("{ip}:{PORT};BOBS-PC:{PORT}"));
        is_seen(folder.path(), ticket, "FreeRDP cannot finish").await;
    });
}
