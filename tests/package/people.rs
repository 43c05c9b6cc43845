//! Ann's client, which finds the service at its usual port, and Bob, who calls her. Runs where the
//! service is: in `tests/package/session`, which starts this with its own home as `HOME`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use msn_handoff::demo::{
    client::{Client, ClientEvent, ClientSettings},
    server::{Server, ServerSettings},
};
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::support::{
    child::Child,
    sound::{Heard, write_tone},
    until, within,
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const ANNS: f64 = 440.0;
const BOBS: f64 = 880.0;

/// Writes what the user configures; where that person's calls are recorded.
fn configure(home: &Path, proxy: &str, server: SocketAddr, tone: f64) -> PathBuf {
    let folder = home.join(".config/msn-handoff");
    fs::create_dir_all(&folder).unwrap();
    let says = home.join("says.wav");
    write_tone(&says, tone, 20.0);
    let file = format!(
        "[proxy]\n{proxy}server = \"{server}\"\n[network]\nannounce = \"127.0.0.1\"\n\
         [call]\nplay = \"{}\"\n",
        says.display()
    );
    fs::write(folder.join("config.toml"), file).unwrap();
    home.join(".local/share/msn-handoff/recordings")
}

async fn reads(window: &mut mpsc::UnboundedReceiver<ClientEvent>, words: &str) {
    let line = async {
        while let Some(event) = window.recv().await {
            if event.text().is_some_and(|text| text.contains(words)) {
                return;
            }
        }
        panic!("signed out before {words:?}");
    };
    within(words, line).await;
}

/// The recording of what is heard in a call that lasts.
async fn records(folder: &Path) -> PathBuf {
    until("three seconds of recording", || {
        let files = fs::read_dir(folder).ok()?.flatten().map(|file| file.path());
        let sound = |file: &PathBuf| {
            file.extension().is_some_and(|it| it == "wav")
                && fs::metadata(file).is_ok_and(|it| it.len() > 3 * 8000 * 2)
        };
        files.into_iter().find(sound)
    })
    .await
}

#[tokio::test]
#[ignore = "tests/package/session runs it, beside the service"]
async fn bob_calls_ann_whose_client_uses_the_service() {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let binary = std::env::var("MSN_HANDOFF").unwrap();
    let settings = ServerSettings {
        strict: true,
        ..ServerSettings::default()
    };
    let server = Server::start(settings).await.unwrap();
    let at_anns = configure(&home, "", server.ns_addr(), ANNS);
    let there = tempfile::tempdir().unwrap();
    let listen = "listen = \"127.0.0.1:0\"\n";
    let at_bobs = configure(there.path(), listen, server.ns_addr(), BOBS);
    let mut proxy = Child::start(&binary, ["--log", "info", "proxy"], there.path());
    proxy.printed(" ready listen=").await;
    let listens = proxy.output();
    let (_, listens) = listens.split_once(" ready listen=").unwrap();
    let bobs = listens.split(' ').next().unwrap().parse().unwrap();

    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 1863));
    let (ann, mut anns) = Client::login(ClientSettings::new(usual, ANN))
        .await
        .unwrap();
    let (bob, mut bobs) = Client::login(ClientSettings::new(bobs, BOB)).await.unwrap();
    bob.send_text(ANN, "/invite voice").await.unwrap();
    reads(&mut anns, "Type /accept").await;
    ann.send_text(BOB, "/accept").await.unwrap();
    let (heard_by_ann, heard_by_bob) = (records(&at_anns).await, records(&at_bobs).await);
    ann.send_text(BOB, "/hangup").await.unwrap();
    reads(&mut anns, "is over").await;
    reads(&mut bobs, "is over").await;
    Heard::read(&heard_by_ann).assert_tone("Ann", BOBS, ANNS, 2.5);
    Heard::read(&heard_by_bob).assert_tone("Bob", ANNS, BOBS, 2.5);
    ann.sign_out().await;
    bob.sign_out().await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().await, Some(0), "{}", proxy.output());
    server.stop().await;
}
