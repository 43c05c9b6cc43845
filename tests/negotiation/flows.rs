//! Whole flows in exact bytes (PROTOCOL.md sections 5 and 13), both roles.

use msn_handoff::{
    invitation::{CancelCode, Capabilities, Medium},
    negotiation::{Announced, EndReason, Input, InvitationId, Output, Settings, State},
};

use crate::bench::*;

const ID: InvitationId = InvitationId(1);

fn at(ip: [u8; 4], port: Option<u16>) -> Announced {
    Announced::new(ip.into(), port)
}

#[test]
fn a_voice_call_we_are_invited_to() {
    let mut bench = Bench::new();
    let offered = bench.receive(&vector("V1"));
    assert_eq!(offered.lines(), ["offered voice"]);
    let Some(Output::Offered { offer, .. }) = offered.out.first() else {
        panic!()
    };
    assert_eq!(offer.media(), [Medium::Audio, Medium::Video]);
    assert_eq!(offer.name.as_deref(), Some("an audio conversation"));
    assert_eq!(offer.cookie, "374836");
    bench.push(Input::Accept(ID));
    let accept = bench.push(Input::Ready(ID, at([203, 0, 113, 7], Some(5060))));
    assert_eq!(accept.sent(), vector("V2"));
    assert_eq!(
        bench.receive(&vector("V3")).lines(),
        ["connected 203.0.113.7:5060"]
    );
    assert!(bench.push(Input::Running(ID)).is_taken_silently());
    assert_eq!(bench.state(1), Some(State::Running));
}

#[test]
fn a_voice_call_we_invite_to() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.invite(voice(), 374_836, WHITEBOARD_SESSION).sent(),
        vector("V1")
    );
    assert_eq!(bench.receive(&vector("V2")).lines(), ["prepare accept"]);
    let second = bench.push(Input::Ready(ID, at([203, 0, 113, 7], Some(5060))));
    assert_eq!(second.sent(), vector("V3"));
    let Some(Output::Connected { remote, .. }) = second.out.last() else {
        panic!()
    };
    assert_eq!(remote.media, [Medium::Audio, Medium::Video]);
}

#[test]
fn only_media_both_sides_named_are_agreed() {
    // A video-capable side invited to audio.
    let mut bench = Bench::new();
    bench.receive(&vector("O3"));
    bench.push(Input::Accept(ID));
    let sent = bench.ready(1, Some(5060)).sent_text();
    assert!(
        sent.contains("Context-Data: Requested:SIP_A,;\r\n"),
        "{sent}"
    );
    // We ask for both, the peer takes audio.
    let mut bench = Bench::new();
    bench.invite(voice(), 374_836, SESSION);
    bench.receive(&vector("O6"));
    let second = bench.ready(1, Some(5060));
    let Some(Output::Connected { remote, .. }) = second.out.last() else {
        panic!()
    };
    assert_eq!(remote.media, [Medium::Audio]);
}

#[test]
fn an_invitation_may_ask_for_less_than_we_can() {
    let mut bench = Bench::new();
    let both = vec![Medium::Audio, Medium::Video];
    let outcome = bench.push(Input::Invite {
        application: voice(),
        peer: PEER.to_owned(),
        cookie: 7,
        session_id: SESSION.to_owned(),
        capabilities: Some(Capabilities {
            requested: vec![Medium::Audio],
            supported: both,
        }),
        connection: None,
    });
    let sent = outcome.sent_text();
    let line = "Context-Data: Requested:SIP_A,;Capabilities:SIP_A,SIP_V,;\r\n";
    assert!(sent.contains(line), "{sent}");
}

#[test]
fn a_voice_cancel_repeats_the_connection_block() {
    let mut bench = Bench::new();
    bench.invite(voice(), 126_868_552, SESSION);
    let sent = bench.push(Input::HangUp(ID)).sent_text();
    assert!(
        sent.contains("Conn-Type: Direct-Connect\r\nSip-Capability: 1\r\n"),
        "{sent}"
    );
}

#[test]
fn a_whiteboard_we_invite_to_is_connected_by_the_context_message() {
    let mut bench = Bench::new();
    assert_eq!(
        bench
            .invite(whiteboard(), 1_234_567, WHITEBOARD_SESSION)
            .sent(),
        vector("W1")
    );
    assert_eq!(bench.receive(&vector("W2")).lines(), ["prepare accept"]);
    let second = bench.push(Input::Ready(ID, at([198, 51, 100, 20], None)));
    assert_eq!(second.lines(), ["ACCEPT"]);
    assert_eq!(second.sent(), vector("W3"));
    assert_eq!(bench.state(1), Some(State::AwaitingContext));
    assert_eq!(
        bench.receive(&vector("W4")).lines(),
        [
            "context 192.0.2.10:10869",
            "connected 192.0.2.10:10869 192.0.2.10"
        ]
    );
    // A copy of it is told, and connects nothing again.
    assert_eq!(
        bench.receive(&vector("W4")).lines(),
        ["context 192.0.2.10:10869"]
    );
}

#[test]
fn the_context_message_may_have_any_word_for_its_command() {
    for word in ["CONTEXT", "context", "Context", "DATA", "whatever"] {
        let mut bench = Bench::inviter(&whiteboard(), State::AwaitingContext);
        let command = format!("Invitation-Command: {word}");
        let outcome = bench.receive(&payload(&[
            &command,
            "Invitation-Cookie: 7",
            "Context-Data: 192.0.2.10:10869",
        ]));
        assert_eq!(outcome.lines()[0], "context 192.0.2.10:10869", "{word}");
        assert_eq!(bench.state(1), Some(State::Connected));
    }
}

#[test]
fn an_unknown_command_without_context_data_does_nothing() {
    let mut bench = Bench::inviter(&whiteboard(), State::AwaitingContext);
    let odd = payload(&["Invitation-Command: PONDER", "Invitation-Cookie: 7"]);
    assert!(bench.receive(&odd).is_taken_silently());
    let unknown = payload(&["Invitation-Command: PONDER", "Invitation-Cookie: 8"]);
    assert!(bench.receive(&unknown).is_passed_on());
}

#[test]
fn ayttms_reject_command_is_a_decline() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    let reject = payload(&["Invitation-Command: REJECT", "Invitation-Cookie: 7"]);
    assert_eq!(bench.receive(&reject).lines(), ["ended DeclinedThere"]);
}

#[test]
fn context_that_is_no_address_is_told_and_the_wait_goes_on() {
    let mut bench = Bench::inviter(&whiteboard(), State::AwaitingContext);
    assert_eq!(
        bench.receive(&context("7", "soon")).lines(),
        ["context soon"]
    );
    assert_eq!(bench.state(1), Some(State::AwaitingContext));
    let outcome = bench.pass(seconds(60));
    assert_eq!(
        outcome.lines(),
        ["CANCEL OUTBANDCANCEL", "ended TimedOut(Context)"]
    );
}

#[test]
fn context_that_overtakes_the_second_accept_is_told_after_it() {
    let mut bench = Bench::invitee(&remote_assistance(), State::Accepted);
    assert!(bench.receive(&context("7", "first")).is_taken_silently());
    assert!(bench.receive(&context("7", "second")).is_taken_silently());
    assert_eq!(
        bench.receive(&accept("7")).lines(),
        ["connected 198.51.100.20", "context first", "context second"]
    );
}

#[test]
fn remote_assistance_data_goes_both_ways_and_ends_with_a_cancel() {
    let ticket = "65538,1,192.0.2.10:3389;HOSTNAME:3389,*,QUJDRA==,*,*,RUZHSA==";
    let mut bench = Bench::new();
    assert_eq!(
        bench
            .invite(remote_assistance(), 1_234_567, WHITEBOARD_SESSION)
            .sent(),
        vector("R1")
    );
    bench.receive(&accept("1234567"));
    bench.ready(1, None);
    let told = bench.push(Input::SendContext(ID, ticket.as_bytes().to_vec()));
    assert_eq!(told.sent(), vector("R4"));
    assert_eq!(
        bench.receive(&context("1234567", "PASS=x")).lines(),
        ["context PASS=x"]
    );
    assert_eq!(
        bench.receive(&cancel("1234567", "TIMEOUT")).lines(),
        ["ended Completed"]
    );
}

#[test]
fn long_context_data_goes_out_in_pieces_and_what_never_fits_ends_it() {
    let mut bench = Bench::inviter(&remote_assistance(), State::Connected);
    let told = bench.push(Input::SendContext(ID, vec![b'x'; 700]));
    assert_eq!(told.lines(), ["CONTEXT", "CONTEXT", "CONTEXT"]);
    bench.push(Input::SendContext(ID, vec![b'x'; 600]));
    let outcome = bench.push(Input::SendContext(ID, b"one more".to_vec()));
    assert_eq!(outcome.lines()[0], "CANCEL FAIL");
    assert!(matches!(outcome.end(), Some(EndReason::Failed(_))));
}

#[test]
fn context_data_told_too_early_waits_for_the_handshake() {
    let mut bench = Bench::inviter(&remote_assistance(), State::Preparing);
    assert!(
        bench
            .push(Input::SendContext(ID, b"ticket".to_vec()))
            .is_taken_silently()
    );
    assert_eq!(
        bench.ready(1, None).lines(),
        ["ACCEPT", "connected 198.51.100.20", "CONTEXT"]
    );
}

#[test]
fn too_much_context_data_told_too_early_ends_it_when_its_turn_comes() {
    let mut bench = Bench::inviter(&remote_assistance(), State::Preparing);
    for _ in 0..20 {
        assert!(
            bench
                .push(Input::SendContext(ID, b"part".to_vec()))
                .is_taken_silently()
        );
    }
    let outcome = bench.ready(1, None);
    assert_eq!(outcome.all_sent().len(), 1 + 5 + 1);
    assert!(matches!(outcome.end(), Some(EndReason::Failed(_))));
}

#[test]
fn a_line_break_in_context_data_is_not_sent() {
    let mut bench = Bench::inviter(&remote_assistance(), State::Connected);
    let data = b"x\r\nIP-Address: 192.0.2.66".to_vec();
    let outcome = bench.push(Input::SendContext(ID, data));
    assert_eq!(outcome.lines()[0], "CANCEL FAIL");
    assert!(!outcome.sent_text().contains("192.0.2.66"));
}

#[test]
fn a_game_speaks_the_legacy_dialect_both_ways() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.invite(game(), 1_234_567, SESSION).sent(),
        vector("G1")
    );
    let mut bench = Bench::new();
    assert_eq!(
        bench.receive(&vector("G1")).lines(),
        ["offered baldurs-gate-2"]
    );
    bench.push(Input::Accept(ID));
    assert_eq!(bench.ready(1, None).sent(), vector("G2"));
}

#[test]
fn the_inviters_dialect_is_mirrored_field_by_field() {
    let has = |text: &str, name: &str| text.contains(&format!("\r\n{name}: "));
    for (removed, protocol, session) in [
        ("", true, true),
        ("Session-ID", true, false),
        ("Session-Protocol", false, true),
    ] {
        let invite = match removed {
            "" => vector("O1"),
            field => changed("O1", field, ""),
        };
        let mut bench = Bench::new();
        bench.receive(&invite);
        bench.push(Input::Accept(ID));
        let sent = bench.ready(1, None).sent_text();
        assert_eq!(
            has(&sent, "Session-Protocol"),
            protocol,
            "without {removed}"
        );
        assert_eq!(has(&sent, "Session-ID"), session, "without {removed}");
        // The CANCEL of it, too.
        let sent = bench.push(Input::HangUp(ID)).sent_text();
        assert_eq!(has(&sent, "Session-ID"), session, "without {removed}");
    }
}

#[test]
fn a_legacy_peer_that_wants_no_address_gets_no_second_accept() {
    let answer = payload(&[
        "Invitation-Command: ACCEPT",
        "Invitation-Cookie: 7",
        "Launch-Application: TRUE",
        "IP-Address: 198.51.100.20",
    ]);
    let mut bench = Bench::inviter(&game(), State::Offered);
    assert_eq!(bench.receive(&answer).lines(), ["prepare accept"]);
    assert_eq!(bench.ready(1, None).lines(), ["connected 198.51.100.20"]);
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.receive(&answer);
    assert_eq!(
        bench.ready(1, None).lines(),
        ["ACCEPT", "connected 198.51.100.20"]
    );
}

#[test]
fn an_address_form_with_port_is_not_announced_without_one() {
    for port in [None, Some(0)] {
        let mut bench = Bench::invitee(&voice(), State::Preparing);
        let outcome = bench.ready(1, port);
        assert_eq!(outcome.lines()[0], "CANCEL FAIL");
        assert!(matches!(outcome.end(), Some(EndReason::Failed(_))));
    }
}

#[test]
fn a_program_that_runs_before_the_handshake_is_complete_is_remembered() {
    let mut bench = Bench::inviter(&netmeeting(), State::Preparing);
    bench.push(Input::Running(ID));
    assert_eq!(bench.state(1), Some(State::Preparing));
    bench.ready(1, None);
    assert_eq!(bench.state(1), Some(State::Running));
    let mut bench = Bench::invitee(&whiteboard(), State::PreparingContext);
    bench.push(Input::Running(ID));
    assert_eq!(bench.ready(1, Some(10_869)).lines(), ["CONTEXT"]);
    assert_eq!(bench.state(1), Some(State::Running));
}

#[test]
fn a_late_accept_of_what_we_cancelled_is_told_so_once() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.push(Input::HangUp(ID));
    assert_eq!(bench.receive(&accept("7")).lines(), ["CANCEL TIMEOUT"]);
    assert!(bench.receive(&accept("7")).is_taken_silently());
    // What the peer cancelled itself is not cancelled again.
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.receive(&cancel("7", "REJECT"));
    assert!(bench.receive(&accept("7")).is_taken_silently());
}

#[test]
fn a_lost_cancel_is_sent_once_more() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.push(Input::HangUp(ID));
    assert_eq!(
        bench.push(Input::Undelivered(ID)).lines(),
        ["CANCEL TIMEOUT"]
    );
    assert!(bench.push(Input::Undelivered(ID)).is_taken_silently());
}

#[test]
fn an_ended_invitation_is_remembered_for_two_minutes() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    bench.push(Input::Decline(ID, CancelCode::Reject));
    bench.pass(seconds(119));
    let same = invite(&netmeeting(), "7");
    assert!(bench.receive(&same).is_taken_silently());
    assert!(bench.receive(&cancel("7", "TIMEOUT")).is_taken_silently());
    assert!(bench.receive(&context("7", "x")).is_taken_silently());
    bench.pass(seconds(1));
    assert!(bench.receive(&cancel("7", "TIMEOUT")).is_passed_on());
    assert_eq!(bench.receive(&same).lines(), ["offered netmeeting"]);
}

#[test]
fn another_invitation_with_an_old_cookie_is_a_new_one() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    bench.push(Input::Decline(ID, CancelCode::Reject));
    assert_eq!(
        bench.receive(&invite(&voice(), "7")).lines(),
        ["offered voice"]
    );
    assert_eq!(bench.state(2), Some(State::Offered));
}

#[test]
fn a_cookie_of_ours_is_not_used_twice() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    assert_eq!(
        bench.invite(voice(), 7, SESSION).lines(),
        ["ended CookieInUse"]
    );
    assert_eq!(bench.state(1), Some(State::Offered));
}

#[test]
fn ids_count_up_from_the_first_and_next_id_says_the_next() {
    let mut bench = Bench::new();
    assert_eq!(bench.engine.next_id(), ID);
    bench.invite(netmeeting(), 7, SESSION);
    assert_eq!(bench.engine.next_id(), InvitationId(2));
    bench.receive(&vector("O1"));
    assert_eq!(bench.engine.next_id(), InvitationId(3));
    let ids: Vec<u64> = bench.engine.sessions().map(|one| one.id.0).collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn the_switchboard_is_kept_open_until_connected() {
    let mut bench = Bench::with(Settings::default());
    bench.invite(netmeeting(), 7, SESSION);
    assert_eq!(
        bench.pass(seconds(100)).lines(),
        ["keep alive", "keep alive"]
    );
    bench.receive(&accept("7"));
    bench.ready(1, None);
    assert!(bench.pass(seconds(100)).out.is_empty());
    // None is left to keep open.
    let mut bench = Bench::with(Settings::default());
    bench.invite(netmeeting(), 7, SESSION);
    bench.push(Input::CarrierLost { peer: PEER });
    assert_eq!(bench.pass(seconds(59)).lines(), [""; 0]);
    // The peer comes into another.
    bench.push(Input::CarrierBack { peer: PEER });
    assert_eq!(bench.pass(seconds(45)).lines(), ["keep alive"]);
}

#[test]
fn orders_for_what_does_not_exist_are_not_ours() {
    let mut bench = Bench::new();
    for input in [
        Input::Accept(ID),
        Input::HangUp(ID),
        Input::Running(ID),
        Input::ProgramEnded(ID),
        Input::Undelivered(ID),
        Input::CarrierLost { peer: PEER },
        Input::CarrierBack { peer: PEER },
    ] {
        assert!(bench.push(input).is_passed_on());
    }
    assert_eq!(bench.engine.next_timeout(), None);
}
