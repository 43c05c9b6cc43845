//! The whole way but for MSNP: one dispatcher invites and hosts OpenArena, the other is invited,
//! finds the game and plays, until one of them hangs up.

use msn_handoff::{dispatcher::Invitations as _, event::What};

use crate::{
    address,
    quake3::{CLIENT, SERVER, Status, display, openarena, players},
    support::{
        self,
        namespace::alone,
        sides::{ANN, BOB, Side, deliver},
    },
};

#[test]
fn an_invitation_to_play_becomes_a_game_and_its_end_ends_both() {
    alone(async || {
        if !support::have(&[SERVER, CLIENT, "Xvfb"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (mut xvfb, display) = display(dir.path()).await;
        let text = openarena(&display).replacen("\"openarena\"", "\"jedi-knight\"", 1);
        let bridges = dir.path().join("bridges");
        std::fs::create_dir(&bridges).unwrap();
        std::fs::write(bridges.join("jedi-knight.toml"), text).unwrap();
        let host = address();
        let (mut ann, from_ann) = Side::new(ANN, host, &bridges);
        let (mut bob, from_bob) = Side::new(BOB, address(), &bridges);
        deliver(from_ann, ANN, &bob);
        deliver(from_bob, BOB, &ann);

        ann.hub.invite(None, BOB, "jedi-knight").unwrap();
        let playing =
            |status: &Status| matches!(status.players.as_slice(), [one] if one.ping < 999);
        players((host, 29071), playing).await;
        bob.hub.typed(bob.account, ANN, "/hangup");
        let gone = |program: &'static str| move |what: &What| matches!(what, What::ProgramEnded { program: it, .. } if it == program);
        bob.until("the end of the client", gone("openarena")).await;
        ann.until("the end of the server", gone("openarena-server"))
            .await;
        ann.hub.shutdown().await;
        bob.hub.shutdown().await;
        xvfb.terminate().await;
    });
}
