//! Whoever goes, at whatever moment: the other side sees it as it would without a proxy, negotiations
//! end, and nothing is left running.

use msn_handoff::{
    dispatcher::{AccountId, Delivery},
    negotiation::InvitationId,
};
use tokio::io::AsyncWriteExt;

use crate::stage::{ANN, ME, Pair, Stage, Told, Wire, chat, invitation, message};

/// Up to where a negotiation has come when somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Connected,
    SignedIn,
    Called,
    Joined,
    InvitationHalf,
    Invited,
    AcceptedHalf,
    Accepted,
    Answered,
}

const STEPS: [Step; 9] = [
    Step::Connected,
    Step::SignedIn,
    Step::Called,
    Step::Joined,
    Step::InvitationHalf,
    Step::Invited,
    Step::AcceptedHalf,
    Step::Accepted,
    Step::Answered,
];

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Says that it is done, and leaves.
    Closes,
    /// Is killed, with things unread.
    Killed,
}

impl Way {
    fn leave(self, wire: Wire) {
        match self {
            Self::Closes => drop(wire),
            Self::Killed => wire.kill(),
        }
    }
}

/// Plays until `step`. Gives the notification connection and the switchboard, if there is one yet.
async fn play(stage: &mut Stage, step: Step) -> (Pair, Option<Pair>) {
    if step == Step::Connected {
        return (stage.connected(12).await, None);
    }
    let mut notification = stage.signed_in(12).await;
    if step == Step::SignedIn {
        return (notification, None);
    }
    if step == Step::Called {
        let board = stage.called(&mut notification).await;
        return (notification, Some(board));
    }
    let mut board = stage.talking(&mut notification, &[ANN]).await;
    let invitation = message(&format!("{ANN} Name"), &invitation("OURS"));
    if step == Step::InvitationHalf {
        board.server.says(&invitation[..invitation.len() - 2]).await;
    }
    if step >= Step::Invited {
        board.server.says(&invitation).await;
        assert!(matches!(stage.front.hears().await, Told::Received(..)));
    }
    let accept = message("5 A", &chat("/ours"));
    if step == Step::AcceptedHalf {
        board.client.says(&accept[..accept.len() - 2]).await;
    }
    if step >= Step::Accepted {
        board.client.says(&accept).await;
        board.client.hears("ACK 5\r\n").await;
        assert!(matches!(stage.front.hears().await, Told::Typed(..)));
    }
    if step >= Step::Answered {
        let carrier = stage.front.fake.carrier(ME);
        carrier.send(ANN, b"accept".to_vec(), Delivery(InvitationId(1)));
        board.server.hears("MSG 900000000 N 6\r\naccept").await;
    }
    (notification, Some(board))
}

/// What the dispatcher hears until `last`, which must come.
async fn told_until(stage: &mut Stage, last: &Told) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        told.push(stage.front.hears().await);
        if told.last() == Some(last) {
            return told;
        }
    }
}

#[tokio::test]
async fn the_client_or_the_server_leaves_the_switchboard_at_every_step() {
    for step in STEPS {
        for way in [Way::Closes, Way::Killed] {
            for client_leaves in [true, false] {
                let mut stage = Stage::new().await;
                let (mut notification, board) = play(&mut stage, step).await;
                let Some(Pair { client, server }) = board else {
                    continue;
                };
                let (leaving, mut staying) = if client_leaves {
                    (client, server)
                } else {
                    (server, client)
                };
                way.leave(leaving);
                if !client_leaves && step == Step::InvitationHalf {
                    // What was held back of a message that never ends still arrives.
                    if let Way::Closes = way {
                        staying.hears(format!("MSG {ANN} Name ")).await;
                    }
                    let mut rest = Vec::new();
                    let _ = tokio::io::AsyncReadExt::read_to_end(&mut staying.0, &mut rest).await;
                } else if client_leaves && step == Step::AcceptedHalf {
                    let mut rest = Vec::new();
                    let _ = tokio::io::AsyncReadExt::read_to_end(&mut staying.0, &mut rest).await;
                } else {
                    staying.ends().await;
                }
                drop(staying);
                if step >= Step::Joined {
                    let told = stage.front.hears().await;
                    assert_eq!(
                        told,
                        Told::Lost(ANN.into()),
                        "{step:?} {way:?} {client_leaves}"
                    );
                }
                // Only the conversation has ended.
                notification.client.says("PNG\r\n").await;
                notification.server.hears("PNG\r\n").await;
                stage.front.end().await;
            }
        }
    }
}

#[tokio::test]
async fn the_client_or_the_server_leaves_altogether_at_every_step() {
    for step in STEPS {
        for way in [Way::Closes, Way::Killed] {
            for client_leaves in [true, false] {
                let mut stage = Stage::new().await;
                let (notification, board) = play(&mut stage, step).await;
                let Pair { client, server } = notification;
                let (leaving, mut staying) = if client_leaves {
                    (client, server)
                } else {
                    (server, client)
                };
                way.leave(leaving);
                staying.ends().await;
                drop(staying);
                if step >= Step::SignedIn {
                    told_until(&mut stage, &Told::Detached(AccountId(1))).await;
                }
                if let Some(mut board) = board {
                    // A conversation goes on without the notification server, and nothing in it is ours.
                    let invitation = message(&format!("{ANN} Name"), &invitation("OURS"));
                    if step == Step::Joined {
                        board.server.says(&invitation).await;
                        board.client.hears(&invitation).await;
                    }
                }
                assert!(stage.front.told.try_recv().is_err());
                stage.front.end().await;
            }
        }
    }
}

#[tokio::test]
async fn a_half_open_connection_stays_half_open() {
    let mut stage = Stage::new().await;
    let mut pair = stage.signed_in(12).await;
    pair.client.says("OUT\r\nhalf a line").await;
    pair.client.0.shutdown().await.unwrap();
    pair.server.hears("OUT\r\nhalf a line").await;
    assert_eq!(stage.front.hears().await, Told::Detached(AccountId(1)));
    pair.server.says("OUT OTH\r\n").await;
    pair.client.hears("OUT OTH\r\n").await;
    pair.server.0.shutdown().await.unwrap();
    pair.client.ends().await;

    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    pair.server.0.shutdown().await.unwrap();
    assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
    pair.client.says("OUT\r\n").await;
    pair.server.hears("OUT\r\n").await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_closed_connection() {
    let stage = Stage::new().await;
    let Stage {
        front,
        notification,
        switchboard: _,
    } = stage;
    drop(notification);
    let mut client = Wire::to(front.addr).await;
    client.says("VER 1 MSNP8 CVR0\r\n").await;
    client.ends().await;
    front.end().await;
}

#[tokio::test]
async fn a_message_whose_switchboard_closes_under_it_goes_by_another() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut board = stage.talking(&mut notification, &[ANN]).await;
    // In the middle of a command of the client's nothing can be put in.
    board.client.says("MSG 5 N 6000\r\nhalf").await;
    board.server.hears("MSG 5 N 6000\r\nhalf").await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), Delivery(InvitationId(1)));
    drop(board);
    assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
    let asked = notification.server.line().await;
    assert!(asked.starts_with("XFR 9"), "{asked}");
    stage.front.end().await;
}

#[tokio::test]
async fn a_message_whose_switchboard_is_reset_under_it_goes_by_another() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut board = stage.talking(&mut notification, &[ANN]).await;
    board.client.says("MSG 5 N 6000\r\nhalf").await;
    board.server.hears("MSG 5 N 6000\r\nhalf").await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), Delivery(InvitationId(1)));
    board.server.kill();
    assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
    let asked = notification.server.line().await;
    assert!(asked.starts_with("XFR 9"), "{asked}");
    stage.front.end().await;
}

/// The dispatcher repeats what may have gone down with a switchboard, and so do we with what we
/// certainly have not written: the contact gets it once, and in order.
#[tokio::test]
async fn what_was_queued_when_the_server_closes_the_switchboard_arrives_exactly_once() {
    for client_leaves_first in [true, false] {
        let mut stage = Stage::new().await;
        let mut notification = stage.signed_in(12).await;
        let mut board = stage.talking(&mut notification, &[ANN]).await;
        board.client.says("MSG 5 N 6000\r\nhalf").await;
        board.server.hears("MSG 5 N 6000\r\nhalf").await;
        let carrier = stage.front.fake.carrier(ME);
        let delivery = Delivery(InvitationId(1));
        carrier.send(ANN, b"context".to_vec(), delivery);
        carrier.send(ANN, b"accept".to_vec(), delivery);
        *stage.front.fake.young.lock().unwrap() = Some((b"accept".to_vec(), delivery));
        board.server.0.shutdown().await.unwrap();
        assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
        let Pair { client, mut server } = board;
        let mut client = Some(client);
        if client_leaves_first {
            client.take();
            server.ends().await;
        }
        let mut new = crate::invitations::opened(&mut stage, &mut notification, "").await;
        new.says(format!("JOI {ANN} Ann\r\n")).await;
        new.hears("MSG 900000000 N 7\r\ncontext").await;
        new.hears("MSG 900000001 N 6\r\naccept").await;
        if client.take().is_some() {
            server.ends().await;
        }
        notification.client.says("PNG\r\n").await;
        notification.server.hears("PNG\r\n").await;
        carrier.send(ANN, b"last".to_vec(), delivery);
        new.hears("MSG 900000002 N 4\r\nlast").await;
        stage.front.end().await;
    }
}

#[tokio::test]
async fn the_proxy_ends_with_everything_open() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut board = stage.talking(&mut notification, &[ANN]).await;
    let mut silent = Wire::to(stage.front.addr).await;
    stage.front.end().await;
    for wire in [
        &mut silent,
        &mut notification.client,
        &mut notification.server,
        &mut board.client,
        &mut board.server,
    ] {
        wire.ends().await;
    }
}
