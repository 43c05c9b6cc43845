//! Our own H.323, where no program is installed: Asterisk at the other side, and a real phone behind
//! us.

use std::{fs, path::Path};

use msn_handoff::{bridge::Registry, dispatcher::Invitations as _, event::What, negotiation::Role};

use crate::{
    ASTERISK, Pair,
    agent::{self, Agent},
    chroot, said,
    support::{
        self,
        namespace::alone,
        sides::ANN,
        sound::{self, Heard},
        until,
    },
};

/// What the phone plays, in Hz, and what Asterisk does.
const OURS: f64 = 660.0;
const THEIRS: f64 = 880.0;

/// Asterisk for one of the two sides, with its tone; `does` is for its script.
fn asterisk(chroot: &Path, dir: &Path, name: &str, role: &str, does: &str) -> String {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    sound::write_tone(&folder.join("tone.wav"), THEIRS, 20.0);
    let adapter = if does.starts_with("\"call") {
        "call"
    } else {
        "listen"
    };
    format!(
        "[[handoff]]\nname = \"{name}\"\nadapter = \"{adapter}\"\nrole = \"{role}\"\n\
         run = [\"{ASTERISK}\", \"{}\", \"{}\", {does}]\n",
        chroot.display(),
        folder.display(),
    )
}

/// Somebody has a phone: a baresip that answers.
fn phone(dir: &Path) {
    let bridges = dir.join("bridges");
    Agent::Baresip.write_bridge(&bridges, &dir.join("says.wav"), OURS, &dir.join("phone"));
}

fn heard(at: &Path) -> u64 {
    fs::metadata(at).map_or(0, |file| file.len())
}

#[test]
fn we_call_and_the_phone_here_has_the_sound() {
    alone(async || {
        let (Some(chroot), true) = (chroot(), support::have(&["baresip"])) else {
            return;
        };
        let mut pair = Pair::new(|dir, invitee| {
            phone(dir);
            let does = format!("\"listen\", \"{{own.ip}}\", \"{{own.port}}\", \"{invitee}\"");
            asterisk(&chroot, dir, "asterisk", "inviter", &does)
        });
        let phone = |what: &What| matches!(what, What::ProgramStarted { program, .. } if program == "baresip");
        pair.bob.until("the phone", phone).await;
        let far = pair.dir.path().join("asterisk/heard.wav");
        until("three seconds there", || {
            (heard(&far) > 48_000).then_some(())
        })
        .await;
        pair.bob.hub.typed(pair.bob.account, ANN, "/hangup");
        let ended = |what: &What| matches!(what, What::Ended { .. });
        pair.bob.until("the end", ended).await;
        pair.ann.until("the end", ended).await;
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
        Heard::read(&far).assert_tone("Asterisk", OURS, THEIRS, 2.0);
        let near = agent::heard_in(&pair.dir.path().join("phone"));
        near.assert_tone("the phone", THEIRS, OURS, 2.0);
    });
}

#[test]
fn we_are_called_and_the_phone_here_has_the_sound() {
    alone(async || {
        let (Some(chroot), true) = (chroot(), support::have(&["baresip"])) else {
            return;
        };
        let mut pair = Pair::new(|dir, _| {
            phone(dir);
            let does = "\"call\", \"{own.ip}\", \"{peer.ip}\", \"{peer.port}\"";
            asterisk(&chroot, dir, "asterisk", "invitee", does)
        });
        pair.ann.until("the call", said("Ann calls")).await;
        let near = pair.dir.path().join("phone");
        let ended = |what: &What| matches!(what, What::Ended { .. });
        // Asterisk hangs up when it has said everything.
        pair.ann.until("the end", ended).await;
        pair.bob.until("the end", ended).await;
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
        agent::heard_in(&near).assert_tone("the phone", THEIRS, OURS, 2.0);
        let far = pair.dir.path().join("asterisk/heard.wav");
        Heard::read(&far).assert_tone("Asterisk", OURS, THEIRS, 2.0);
    });
}

#[test]
fn a_program_that_is_installed_comes_first() {
    let registry = Registry::load(&[]).unwrap();
    let bridge = registry.by_id("netmeeting").unwrap();
    for role in [Role::Inviter, Role::Invitee] {
        let last = bridge.handoffs(role).last().unwrap();
        assert_eq!(last.name, "msn-handoff, with your phone");
        assert!(bridge.handoffs(role).count() > 3);
    }
}
