//! PROTOCOL.md section 7, one test per row.

use std::sync::Arc;

use msn_handoff::{
    invitation::CancelCode,
    negotiation::{EndReason, FailureKind, Input, InvitationId, Role, Settings, State, Waiting},
};

use crate::bench::*;

const ID: InvitationId = InvitationId(1);

#[test]
fn an_invite_with_an_unknown_guid_is_passed_to_the_client_untouched() {
    let mut bench = Bench::new();
    let unknown = changed(
        "O1",
        "Application-GUID",
        "Application-GUID: {00000000-0000-0000-0000-000000000001}",
    );
    assert!(bench.receive(&unknown).is_passed_on());
    assert_eq!(bench.engine.sessions().count(), 0);
}

#[test]
fn an_invite_nothing_here_can_run_is_cancelled_as_not_installed() {
    let mut bench = Bench::new().without_programs();
    let outcome = bench.receive(&vector("O1"));
    assert!(outcome.is_taken());
    assert_eq!(outcome.lines(), ["CANCEL REJECT_NOT_INSTALLED"]);
    assert_eq!(outcome.sent(), vector("C4"));
    assert_eq!(bench.engine.sessions().count(), 0);
}

#[test]
fn an_invite_whose_session_protocol_is_not_sm1_is_cancelled_with_fail() {
    let mut bench = Bench::new();
    let outcome = bench.receive(&changed("O1", "Session-Protocol", "Session-Protocol: SM2"));
    assert_eq!(outcome.lines(), ["CANCEL FAIL"]);
    assert_eq!(outcome.sent(), vector("C7"));
}

#[test]
fn the_same_invite_again_is_ignored() {
    for state in [
        State::Offered,
        State::Preparing,
        State::Accepted,
        State::Connected,
    ] {
        let mut bench = Bench::invitee(&netmeeting(), state);
        assert!(
            bench
                .receive(&invite(&netmeeting(), "7"))
                .is_taken_silently()
        );
        assert_eq!(bench.state(1), Some(state));
    }
}

#[test]
fn another_invite_with_a_live_cookie_replaces_an_unanswered_one() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    let outcome = bench.receive(&invite(&voice(), "7"));
    assert_eq!(outcome.lines(), ["ended Replaced", "offered voice"]);
    assert_eq!(bench.state(1), None);
    assert_eq!(bench.state(2), Some(State::Offered));
}

#[test]
fn another_invite_with_a_live_cookie_is_ignored_once_the_first_is_accepted() {
    for state in [
        State::Preparing,
        State::Accepted,
        State::Connected,
        State::Running,
    ] {
        let mut bench = Bench::invitee(&netmeeting(), state);
        assert!(bench.receive(&invite(&voice(), "7")).is_taken_silently());
        assert_eq!(bench.state(1), Some(state));
    }
}

#[test]
fn a_yes_learns_our_address_and_then_sends_the_first_accept() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&vector("O1")).lines(), ["offered netmeeting"]);
    assert_eq!(bench.push(Input::Accept(ID)).lines(), ["prepare accept"]);
    assert_eq!(bench.ready(1, None).sent(), vector("C1"));
    assert_eq!(bench.state(1), Some(State::Accepted));
}

#[test]
fn a_no_sends_cancel_reject() {
    let mut bench = Bench::new();
    bench.receive(&vector("O1"));
    let outcome = bench.push(Input::Decline(ID, CancelCode::Reject));
    assert_eq!(outcome.lines(), ["CANCEL REJECT", "ended DeclinedHere"]);
    assert_eq!(outcome.sent(), vector("C3"));
}

#[test]
fn an_accept_prepares_our_side_and_sends_the_second_accept_once() {
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 25_402_056, SESSION);
    assert_eq!(bench.receive(&vector("C1")).lines(), ["prepare accept"]);
    assert!(bench.receive(&vector("C1")).is_taken_silently());
    let announced = msn_handoff::negotiation::Announced::new([198, 51, 100, 20].into(), None);
    let outcome = bench.push(Input::Ready(ID, announced));
    assert_eq!(outcome.lines(), ["ACCEPT", "connected 192.0.2.10"]);
    assert_eq!(outcome.sent(), vector("C2"));
    assert!(bench.push(Input::Ready(ID, announced)).is_taken_silently());
    assert!(bench.receive(&vector("C1")).is_taken_silently());
}

#[test]
fn an_unanswered_invite_is_cancelled_with_timeout() {
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 25_402_056, SESSION);
    assert_eq!(bench.pass(seconds(299)).lines(), [""; 0]);
    let outcome = bench.pass(seconds(1));
    assert_eq!(outcome.end(), Some(&EndReason::TimedOut(Waiting::Answer)));
    assert_eq!(outcome.sent(), vector("C5"));
    assert_eq!(bench.engine.next_timeout(), None);
}

#[test]
fn the_second_accept_connects_the_invitee() {
    let mut bench = Bench::invitee(&netmeeting(), State::Accepted);
    assert_eq!(
        bench.receive(&accept("7")).lines(),
        ["connected 198.51.100.20"]
    );
    assert_eq!(bench.state(1), Some(State::Connected));
}

#[test]
fn the_second_accept_of_a_whiteboard_is_followed_by_our_context() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&vector("W1")).lines(), ["offered whiteboard"]);
    bench.push(Input::Accept(ID));
    assert_eq!(bench.ready(1, None).sent(), vector("W2"));
    let connected = bench.receive(&vector("W3"));
    assert_eq!(
        connected.lines(),
        ["connected 198.51.100.20", "prepare context"]
    );
    assert_eq!(bench.ready(1, Some(10_869)).sent(), vector("W4"));
}

#[test]
fn a_missing_second_accept_is_cancelled_with_timeout() {
    let mut bench = Bench::invitee(&netmeeting(), State::Accepted);
    assert_eq!(bench.pass(seconds(59)).lines(), [""; 0]);
    let outcome = bench.pass(seconds(1));
    assert_eq!(
        outcome.lines(),
        ["CANCEL TIMEOUT", "ended TimedOut(SecondAccept)"]
    );
}

#[test]
fn context_is_delivered_and_more_than_five_are_taken() {
    for state in [State::Connected, State::Running] {
        let mut bench = Bench::invitee(&remote_assistance(), state);
        for number in 0..9 {
            let data = format!("part {number}");
            let outcome = bench.receive(&context("7", &data));
            assert_eq!(outcome.lines(), [format!("context {data}")]);
        }
    }
}

#[test]
fn a_cancel_before_running_ends_it_without_a_reply() {
    let codes = [
        "REJECT",
        "REJECT_NOT_INSTALLED",
        "TIMEOUT",
        "OUTBANDCANCEL",
        "FAIL",
        "FTTIMEOUT",
        "USER_CANCEL",
        "USER_CANCELED",
        "SOMETHING_ELSE",
    ];
    let states = [
        State::Offered,
        State::Preparing,
        State::Accepted,
        State::AwaitingContext,
        State::PreparingContext,
        State::Connected,
    ];
    for code in codes {
        for state in states {
            for role in [Role::Inviter, Role::Invitee] {
                let mut bench = match (role, state) {
                    (Role::Inviter, State::Accepted | State::PreparingContext) => continue,
                    (Role::Invitee, State::AwaitingContext) => continue,
                    (Role::Inviter, _) => Bench::inviter(&whiteboard(), state),
                    (Role::Invitee, _) => Bench::invitee(&whiteboard(), state),
                };
                let outcome = bench.receive(&cancel("7", code));
                assert_eq!(outcome.out.len(), 1, "{role:?} {state:?} {code}");
                let not_connected = !state.is_connected();
                let expected = match (code, role) {
                    ("REJECT", Role::Inviter) if not_connected => EndReason::DeclinedThere,
                    ("REJECT_NOT_INSTALLED", Role::Inviter) => EndReason::NotInstalledThere,
                    _ => EndReason::CancelledThere(Some(CancelCode::read(code.as_bytes()))),
                };
                assert_eq!(outcome.end(), Some(&expected), "{role:?} {state:?} {code}");
                assert_eq!(bench.engine.sessions().count(), 0);
            }
        }
    }
}

#[test]
fn a_cancel_without_code_ends_it_too() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    let bare = payload(&["Invitation-Command: CANCEL", "Invitation-Cookie: 7"]);
    assert_eq!(bench.receive(&bare).lines(), ["ended CancelledThere(None)"]);
}

#[test]
fn a_cancel_after_the_tickets_of_remote_assistance_is_its_normal_end() {
    for state in [State::Connected, State::Running] {
        let mut bench = Bench::invitee(&remote_assistance(), state);
        bench.receive(&context(
            "7",
            "65538,1,192.0.2.10:3389,*,QUJDRA==,*,*,RUZHSA==",
        ));
        let outcome = bench.receive(&cancel("7", "TIMEOUT"));
        assert_eq!(outcome.lines(), ["ended Completed"]);
        assert!(outcome.end().unwrap().leaves_program_running());
    }
}

#[test]
fn a_cancel_of_remote_assistance_before_any_ticket_is_a_cancel() {
    let mut bench = Bench::invitee(&remote_assistance(), State::Connected);
    let outcome = bench.receive(&cancel("7", "TIMEOUT"));
    assert_eq!(
        outcome.end(),
        Some(&EndReason::CancelledThere(Some(CancelCode::Timeout)))
    );
}

#[test]
fn a_cancel_timeout_does_not_kill_what_runs() {
    let mut bench = Bench::invitee(&netmeeting(), State::Running);
    assert_eq!(
        bench.receive(&cancel("7", "TIMEOUT")).lines(),
        ["peer left TIMEOUT"]
    );
    assert!(bench.receive(&cancel("7", "TIMEOUT")).is_taken_silently());
    assert_eq!(bench.state(1), Some(State::Running));
    // The peer thinks it is over, so its end is not told.
    assert_eq!(
        bench.push(Input::ProgramEnded(ID)).lines(),
        ["ended ProgramEnded"]
    );
}

#[test]
fn another_cancel_ends_what_runs() {
    let mut bench = Bench::invitee(&netmeeting(), State::Running);
    let outcome = bench.receive(&cancel("7", "OUTBANDCANCEL"));
    assert_eq!(
        outcome.lines(),
        ["ended CancelledThere(Some(OutbandCancel))"]
    );
}

#[test]
fn another_cancel_only_tells_what_runs_where_the_policy_says_so() {
    let settings = Settings {
        cancel_ends_running: false,
        ..Settings::default()
    };
    let mut bench = Bench::with(settings);
    bench.receive(&invite(&netmeeting(), "7"));
    bench.push(Input::Accept(ID));
    bench.ready(1, None);
    bench.receive(&accept("7"));
    bench.push(Input::Running(ID));
    let outcome = bench.receive(&cancel("7", "OUTBANDCANCEL"));
    assert_eq!(outcome.lines(), ["peer left OUTBANDCANCEL"]);
    assert_eq!(bench.state(1), Some(State::Running));
}

#[test]
fn a_lost_switchboard_ends_what_waits_for_the_peer_after_a_grace() {
    for mut bench in [
        Bench::inviter(&whiteboard(), State::AwaitingContext),
        Bench::invitee(&netmeeting(), State::Accepted),
    ] {
        // Shorter than any other timer of these states.
        bench.pass(seconds(10));
        assert!(bench.push(Input::CarrierLost { peer: PEER }).out.is_empty());
        bench.pass(seconds(30));
        // A second loss does not prolong it.
        bench.push(Input::CarrierLost { peer: PEER });
        let end = bench.pass(seconds(10));
        assert_eq!(end.lines(), ["CANCEL OUTBANDCANCEL", "ended CarrierLost"]);
    }
}

#[test]
fn a_lost_switchboard_does_not_stop_our_invitation_from_ringing() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.pass(seconds(60));
    assert!(bench.push(Input::CarrierLost { peer: PEER }).out.is_empty());
    assert!(bench.pass(seconds(239)).out.is_empty());
    assert_eq!(
        bench.pass(seconds(1)).lines(),
        ["CANCEL TIMEOUT", "ended TimedOut(Answer)"]
    );
}

#[test]
fn a_peer_that_comes_back_calls_the_grace_off() {
    for mut bench in [
        Bench::inviter(&whiteboard(), State::AwaitingContext),
        Bench::invitee(&netmeeting(), State::Accepted),
    ] {
        bench.pass(seconds(10));
        bench.push(Input::CarrierLost { peer: PEER });
        bench.pass(seconds(30));
        let back = bench.push(Input::CarrierBack { peer: PEER });
        assert!(back.is_taken_silently());
        assert_eq!(bench.pass(seconds(19)).lines(), [""; 0]);
        assert!(bench.state(1).is_some());
        // Its own deadline still holds.
        assert!(matches!(
            bench.pass(seconds(1)).end(),
            Some(EndReason::TimedOut(_))
        ));
    }
}

#[test]
fn a_lost_switchboard_does_not_end_what_waits_for_us() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    bench.pass(seconds(60));
    bench.push(Input::CarrierLost { peer: PEER });
    assert!(bench.pass(seconds(200)).out.is_empty());
    assert_eq!(bench.push(Input::Accept(ID)).lines(), ["prepare accept"]);
    bench.push(Input::CarrierLost { peer: PEER });
    bench.pass(seconds(9));
    // The answer goes through another switchboard, and gets its whole time.
    assert_eq!(bench.ready(1, None).lines(), ["ACCEPT"]);
    assert!(bench.pass(seconds(59)).out.is_empty());
    assert_eq!(
        bench.receive(&accept("7")).lines(),
        ["connected 198.51.100.20"]
    );
}

#[test]
fn a_lost_switchboard_is_forgiven_when_the_peer_is_heard_in_another() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.pass(seconds(10));
    bench.push(Input::CarrierLost { peer: PEER });
    bench.pass(seconds(39));
    assert_eq!(bench.receive(&accept("7")).lines(), ["prepare accept"]);
    assert_eq!(
        bench.ready(1, None).lines(),
        ["ACCEPT", "connected 198.51.100.20"]
    );
}

#[test]
fn a_lost_switchboard_ends_nothing_that_is_connected() {
    for state in [State::Connected, State::Running] {
        for mut bench in [
            Bench::invitee(&netmeeting(), state),
            Bench::inviter(&netmeeting(), state),
        ] {
            bench.pass(seconds(10));
            assert!(bench.push(Input::CarrierLost { peer: PEER }).out.is_empty());
            assert!(bench.pass(seconds(100)).out.is_empty());
            assert_eq!(bench.state(1), Some(state));
        }
    }
}

#[test]
fn a_message_that_may_have_gone_down_with_its_switchboard_is_sent_again() {
    let mut bench = Bench::invitee(&netmeeting(), State::Accepted);
    bench.pass(seconds(1));
    assert_eq!(
        bench.push(Input::CarrierLost { peer: PEER }).lines(),
        ["ACCEPT"]
    );
    let mut bench = Bench::invitee(&netmeeting(), State::Accepted);
    bench.pass(seconds(6));
    assert_eq!(
        bench.push(Input::CarrierLost { peer: PEER }).lines(),
        [""; 0]
    );
}

#[test]
fn a_message_that_waits_for_its_next_try_is_not_repeated_before_it() {
    let mut bench = Bench::invitee(&netmeeting(), State::Accepted);
    assert!(bench.push(Input::Undelivered(ID)).out.is_empty());
    assert!(bench.push(Input::CarrierLost { peer: PEER }).out.is_empty());
    assert_eq!(bench.pass(seconds(10)).lines(), ["ACCEPT"]);
}

#[test]
fn leaving_the_switchboard_cancels_what_is_not_connected_with_outbandcancel() {
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 25_402_056, SESSION);
    let outcome = bench.push(Input::Closing { peer: PEER });
    assert_eq!(
        outcome.lines(),
        ["CANCEL OUTBANDCANCEL", "ended CarrierLost"]
    );
    assert_eq!(outcome.sent(), vector("C6"));
    let mut bench = Bench::inviter(&netmeeting(), State::Running);
    assert!(
        bench
            .push(Input::Closing { peer: PEER })
            .is_taken_silently()
    );
}

#[test]
fn an_undelivered_message_is_sent_again_twice_and_then_it_ends() {
    let mut bench = Bench::new();
    let first = bench.invite(netmeeting(), 7, SESSION).sent().to_vec();
    for _ in 0..2 {
        assert!(bench.push(Input::Undelivered(ID)).out.is_empty());
        // The same loss, told twice, counts once.
        assert!(bench.push(Input::Undelivered(ID)).out.is_empty());
        assert_eq!(bench.pass(seconds(5)).sent(), first);
    }
    assert_eq!(
        bench.push(Input::Undelivered(ID)).lines(),
        ["ended CarrierLost"]
    );
}

#[test]
fn an_accept_that_may_have_arrived_at_an_earlier_try_ends_with_a_cancel() {
    for (mut bench, last) in [
        (Bench::invitee(&netmeeting(), State::Accepted), "ACCEPT"),
        (Bench::inviter(&netmeeting(), State::Connected), "ACCEPT"),
        (Bench::invitee(&whiteboard(), State::Connected), "CONTEXT"),
    ] {
        for _ in 0..2 {
            bench.push(Input::Undelivered(ID));
            assert_eq!(bench.pass(seconds(5)).lines(), [last]);
        }
        let end = bench.push(Input::Undelivered(ID));
        assert_eq!(end.lines(), ["CANCEL OUTBANDCANCEL", "ended CarrierLost"]);
    }
}

#[test]
fn an_undelivered_message_ends_nothing_that_runs() {
    let mut bench = Bench::inviter(&netmeeting(), State::Running);
    for _ in 0..5 {
        assert_eq!(bench.push(Input::Undelivered(ID)).end(), None);
        bench.pass(seconds(5));
    }
    assert_eq!(bench.state(1), Some(State::Running));
}

#[test]
fn a_program_that_exits_before_the_handshake_is_complete_cancels_with_fail() {
    for mut bench in [
        Bench::invitee(&netmeeting(), State::Preparing),
        Bench::invitee(&netmeeting(), State::Accepted),
        Bench::inviter(&netmeeting(), State::Preparing),
        Bench::inviter(&whiteboard(), State::AwaitingContext),
    ] {
        let outcome = bench.push(Input::ProgramEnded(ID));
        assert_eq!(outcome.lines(), ["CANCEL FAIL", "ended ProgramEnded"]);
    }
}

#[test]
fn a_program_that_exits_later_tells_the_peer_that_it_is_over() {
    for state in [State::Connected, State::Running] {
        let mut bench = Bench::invitee(&netmeeting(), state);
        let outcome = bench.push(Input::ProgramEnded(ID));
        assert_eq!(
            outcome.lines(),
            ["CANCEL OUTBANDCANCEL", "ended ProgramEnded"]
        );
    }
}

#[test]
fn a_program_that_is_missing_or_fails_is_told_with_the_right_code() {
    let missing = |bench: &mut Bench| bench.push(Input::Failed(ID, FailureKind::NotInstalled));
    let broken = |bench: &mut Bench| bench.push(Input::Failed(ID, FailureKind::Failed));
    let mut bench = Bench::invitee(&netmeeting(), State::Preparing);
    assert_eq!(
        missing(&mut bench).lines(),
        ["CANCEL REJECT_NOT_INSTALLED", "ended NotInstalledHere"]
    );
    let mut bench = Bench::invitee(&netmeeting(), State::Preparing);
    assert_eq!(
        broken(&mut bench).lines(),
        ["CANCEL FAIL", "ended ProgramFailed"]
    );
    // Whoever invited cannot say that it lacks the program.
    let mut bench = Bench::inviter(&netmeeting(), State::Preparing);
    assert_eq!(
        missing(&mut bench).lines(),
        ["CANCEL FAIL", "ended ProgramFailed"]
    );
}

#[test]
fn both_inviting_at_once_with_the_same_number_are_two_invitations() {
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 7, SESSION);
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "7")).lines(),
        ["offered netmeeting"]
    );
    bench.push(Input::Accept(InvitationId(2)));
    bench.ready(2, None);
    assert_eq!(bench.state(1), Some(State::Offered));
    assert_eq!(bench.state(2), Some(State::Accepted));

    // Both wait for an ACCEPT. The Session-ID says whose it is, whatever else stands in it.
    let first = format!("Session-ID: {SESSION}");
    let lines = [
        "Invitation-Command: ACCEPT",
        "Invitation-Cookie: 7",
        "IP-Address: 203.0.113.9",
    ];
    let to_ours = bench.receive(&payload(&[lines[0], lines[1], &first, lines[2]]));
    assert_eq!(to_ours.lines(), ["prepare accept"]);
    assert_eq!(bench.state(1), Some(State::Preparing));
    // Without it, the one that waits gets it.
    assert_eq!(
        bench.receive(&payload(&lines)).lines(),
        ["connected 203.0.113.9"]
    );
    assert_eq!(bench.state(2), Some(State::Connected));
}

#[test]
fn in_glare_a_decline_is_for_our_invitation_and_another_cancel_for_theirs() {
    for (code, ended, left) in [("REJECT", 1, 2), ("TIMEOUT", 2, 1)] {
        let mut bench = Bench::new();
        bench.invite(netmeeting(), 7, SESSION);
        bench.receive(&invite(&netmeeting(), "7"));
        bench.receive(&cancel("7", code));
        assert_eq!(bench.state(ended), None, "{code}");
        assert_eq!(bench.state(left), Some(State::Offered), "{code}");
    }
}

#[test]
fn an_offer_nobody_answers_ends_with_cancel_timeout() {
    let mut bench = Bench::invitee(&netmeeting(), State::Offered);
    let outcome = bench.pass(seconds(300));
    assert_eq!(outcome.lines(), ["CANCEL TIMEOUT", "ended TimedOut(User)"]);
}

#[test]
fn an_adapter_that_never_gets_ready_ends_it_with_cancel_fail() {
    for mut bench in [
        Bench::invitee(&netmeeting(), State::Preparing),
        Bench::inviter(&netmeeting(), State::Preparing),
        Bench::invitee(&whiteboard(), State::PreparingContext),
    ] {
        let outcome = bench.pass(seconds(10));
        assert_eq!(outcome.lines(), ["CANCEL FAIL", "ended TimedOut(Ready)"]);
        assert!(
            bench.ready(1, Some(1)).out.is_empty(),
            "too late for an address"
        );
    }
}

#[test]
fn an_application_may_take_longer_to_get_ready_and_never_shorter() {
    for (needs, gets) in [(30, 30), (3, 10)] {
        let mut application = (*whiteboard()).clone();
        application.prepare = Some(seconds(needs));
        let application = Arc::new(application);
        for mut bench in [
            Bench::invitee(&application, State::Preparing),
            Bench::inviter(&application, State::Preparing),
            Bench::invitee(&application, State::PreparingContext),
        ] {
            assert_eq!(bench.pass(seconds(gets - 1)).lines(), [""; 0], "{needs}");
            assert_eq!(
                bench.pass(seconds(1)).lines(),
                ["CANCEL FAIL", "ended TimedOut(Ready)"],
                "{needs}"
            );
        }
    }
}

#[test]
fn every_state_before_running_has_a_deadline_and_running_has_none() {
    use State::*;
    let invitee = [Offered, Preparing, Accepted, PreparingContext, Connected];
    let inviter = [Offered, Preparing, AwaitingContext, Connected];
    let benches = invitee
        .map(|state| Bench::invitee(&whiteboard(), state))
        .into_iter()
        .chain(inviter.map(|state| Bench::inviter(&whiteboard(), state)));
    for mut bench in benches {
        let outcome = bench.pass(seconds(1_000));
        let sent = outcome.lines();
        assert!(sent[0].starts_with("CANCEL"), "{sent:?}");
        assert!(
            matches!(outcome.end(), Some(EndReason::TimedOut(_))),
            "{sent:?}"
        );
    }
    for mut bench in [
        Bench::invitee(&whiteboard(), Running),
        Bench::inviter(&whiteboard(), Running),
    ] {
        assert_eq!(bench.engine.next_timeout(), None);
        assert!(bench.pass(seconds(100_000)).out.is_empty());
    }
}

#[test]
fn a_hang_up_sends_the_code_its_state_asks_for() {
    let voice = voice();
    for (mut bench, expected) in [
        (Bench::invitee(&voice, State::Offered), "CANCEL REJECT"),
        (Bench::invitee(&voice, State::Preparing), "CANCEL TIMEOUT"),
        (Bench::invitee(&voice, State::Accepted), "CANCEL TIMEOUT"),
        (
            Bench::invitee(&voice, State::Connected),
            "CANCEL OUTBANDCANCEL",
        ),
        (
            Bench::invitee(&voice, State::Running),
            "CANCEL OUTBANDCANCEL",
        ),
        (Bench::inviter(&voice, State::Offered), "CANCEL TIMEOUT"),
        (Bench::inviter(&voice, State::Preparing), "CANCEL TIMEOUT"),
        (
            Bench::inviter(&voice, State::Connected),
            "CANCEL OUTBANDCANCEL",
        ),
        (
            Bench::inviter(&voice, State::Running),
            "CANCEL OUTBANDCANCEL",
        ),
    ] {
        assert_eq!(bench.push(Input::HangUp(ID)).lines()[0], expected);
    }
}
