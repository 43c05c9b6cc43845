//! `docs/BRIDGES.md` walks a user through adding an application: its example is checked, negotiated,
//! and its programs carry a file.

use std::{fs, path::Path};

use assert_cmd::Command;
use msn_handoff::event::What;

use crate::{
    stage::address,
    support::{
        self,
        sides::{ANN, BOB, Side, deliver},
        until,
    },
};

const PAGE: &str = include_str!("../../docs/BRIDGES.md");

/// The block of that kind in the walk through, without the indentation of its list.
fn block(kind: &str) -> String {
    let walk = PAGE.split("## Adding an application").nth(1).unwrap();
    let block = walk.split(&format!("```{kind}\n")).nth(1).unwrap();
    let lines = block.lines().take_while(|line| !line.contains("```"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix("   ").unwrap_or(line))
        .collect();
    lines.join("\n") + "\n"
}

/// What `bridges check` says of a file.
fn check(home: &Path, text: &str) -> (bool, String) {
    let file = home.join("drop-box.toml");
    fs::write(&file, text).unwrap();
    let mut command = Command::cargo_bin("msn-handoff").unwrap();
    command
        .args(["bridges", "check", "drop-box.toml"])
        .current_dir(home)
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_CONFIG_DIRS");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_example_is_correct_and_its_slip_is_explained_as_the_page_says() {
    let home = tempfile::tempdir().unwrap();
    let example = block("toml");
    let (correct, said) = check(home.path(), &example);
    assert!(correct, "{said}");
    assert!(said.contains("correct: \"drop-box\", 2 ways"), "{said}");

    let slip = example.replacen("adapter =", "adaptor =", 1);
    let (correct, said) = check(home.path(), &slip);
    assert!(!correct);
    assert!(said.contains(block("text").trim()), "{said}");

    let taken = "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}";
    let slip = example.replacen("{6F1D7A52-93B4-4E0C-8B57-2C6A1F0E9D31}", taken, 1);
    let (correct, said) = check(home.path(), &slip);
    assert!(!correct);
    let told = format!("drop-box.toml: {taken} already belongs to \"voice\" (built in)");
    assert!(said.contains(&told), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_carries_a_file() {
    if !support::have(&["socat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Each has a home.
    let mut sides = Vec::new();
    for (name, handle) in [("ann", ANN), ("bob", BOB)] {
        let home = dir.path().join(name);
        let bridges = home.join("bridges");
        fs::create_dir_all(&bridges).unwrap();
        fs::create_dir(home.join("Downloads")).unwrap();
        let text = block("toml").replace("\"~", &format!("\"{}", home.display()));
        fs::write(bridges.join("drop-box.toml"), text).unwrap();
        sides.push(Side::new(handle, address(), &bridges));
    }
    let file: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    fs::write(dir.path().join("ann/outbox"), &file).unwrap();
    let (mut bob, from_bob) = sides.pop().unwrap();
    let (mut ann, from_ann) = sides.pop().unwrap();
    deliver(from_ann, ANN, &bob);
    deliver(from_bob, BOB, &ann);

    ann.hub.invite(None, BOB, "drop-box").unwrap();
    let ended = |program: &'static str| move |what: &What| matches!(what, What::ProgramEnded { program: it, .. } if it == program);
    ann.until("the end of the postman", ended("the postman"))
        .await;
    bob.until("the end of the letter box", ended("the letter box"))
        .await;
    let dropped = dir.path().join("bob/Downloads/dropped");
    until("the file", || {
        (fs::read(&dropped).ok()? == file).then_some(())
    })
    .await;
    assert!(!dir.path().join("ann/Downloads/dropped").exists());
    ann.hub.shutdown().await;
    bob.hub.shutdown().await;
}

#[test]
fn the_example_of_a_recorder_is_correct() {
    let home = tempfile::tempdir().unwrap();
    let page = include_str!("../../docs/applications/unknown.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let (correct, said) = check(home.path(), example.split("```").next().unwrap());
    assert!(correct, "{said}");
}
