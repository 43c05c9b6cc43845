//! A payload type that has no coding of its own, shown by a player that the bridge names for it.

use msn_handoff::bridge::Registry;

use crate::{
    address,
    picture::{Film, check},
    sender,
    session::{RECORDING, Session, ffmpeg},
    support::{self, within},
    wire::{Badness, Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_type_that_the_bridge_explains_is_shown() {
    if !support::have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 50).await;
    let shown = dir.join("shown.yuv");
    // The first one is not asked: it does not know what 97 is.
    let ignorant = "[[handoff]]\nname = \"ignorant\"\nadapter = \"rtp\"\nrun = [\"ffplay\"]\n";
    let knowing = ffmpeg("yuv420p", &shown) + "formats = [\"97 H263-1998/90000\"]\n";
    let bridge = [ignorant, &knowing, RECORDING].concat();
    let session = Session::open(&dir.join("session"), &bridge, address()).await;
    let line = Badness {
        seed: 2,
        loss: 0,
        swap: 60,
    };
    let wire = Wire::lay(address(), &[session.at], line).await;
    session.connect(wire.out);
    let mut program = sender::ffmpeg(&sender::H263_1998, &path, wire.port, dir);
    let words = session.ended().await;
    within("the end of the sender", program.wait()).await;
    assert!(words.contains(" 0 lost"), "{words}");
    check("shown", &Film::read(&shown).compared_to(&sent), 40);
}

/// The page for users shows how.
#[test]
fn the_documented_example_amends_the_bridge() {
    let page = include_str!("../../docs/applications/webcam.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("webcam.d");
    std::fs::create_dir(&folder).unwrap();
    let example = example.split("```").next().unwrap();
    std::fs::write(folder.join("mine.toml"), example).unwrap();
    let registry = Registry::load(&[dir.path().to_owned()]).unwrap();
    let handoffs = &registry.by_id("webcam").unwrap().handoffs;
    let ffplay = handoffs.iter().find(|it| it.name == "ffplay").unwrap();
    assert_eq!(ffplay.formats[0].name, "H264");
    assert_eq!(ffplay.program(), Some("ffplay"));
}
