//! How much one account and one peer may ask of us (threats 8 and 10 of the design).

use msn_handoff::negotiation::{Input, InvitationId, Limits, Settings, State};

use crate::bench::*;

fn with(limits: Limits) -> Bench {
    let mut settings = Settings {
        limits,
        ..Settings::default()
    };
    settings.timers.keep_alive = None;
    Bench::with(settings)
}

fn offered(bench: &Bench) -> usize {
    bench
        .engine
        .sessions()
        .filter(|one| one.state == State::Offered)
        .count()
}

#[test]
fn a_ninth_question_of_one_peer_is_rejected_without_asking() {
    let mut bench = with(Limits {
        pending_per_application: 9,
        ..Limits::default()
    });
    for cookie in 1..=8 {
        bench.receive(&invite(&netmeeting(), &cookie.to_string()));
    }
    let ninth = invite(&netmeeting(), "9");
    assert_eq!(bench.receive(&ninth).lines(), ["CANCEL REJECT"]);
    assert!(
        bench.receive(&ninth).is_taken_silently(),
        "its copy is not answered again"
    );
    assert_eq!(offered(&bench), 8);
    // Another peer is still heard, and an answer makes room.
    let other = bench.receive_from("carol@example.com", &invite(&netmeeting(), "1"));
    assert_eq!(other.lines(), ["offered netmeeting"]);
    bench.push(Input::Accept(InvitationId(1)));
    let tenth = bench.receive(&invite(&netmeeting(), "10"));
    assert_eq!(tenth.lines(), ["offered netmeeting"]);
}

#[test]
fn a_second_question_about_the_same_takes_the_place_of_the_first() {
    let mut bench = Bench::new();
    bench.receive(&invite(&netmeeting(), "1"));
    bench.receive(&invite(&voice(), "2"));
    bench.receive_from("carol@example.com", &invite(&netmeeting(), "1"));
    // The CANCEL of the first may have been lost with its switchboard: nobody is told anything.
    bench.push(Input::CarrierLost { peer: PEER });
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "3")).lines(),
        ["ended Replaced", "offered netmeeting"]
    );
    assert_eq!(bench.state(1), None);
    assert_eq!(offered(&bench), 3);
    // What still comes about the first is ours, and is for nobody.
    assert!(bench.receive(&cancel("1", "TIMEOUT")).is_taken_silently());
    assert!(
        bench
            .receive(&invite(&netmeeting(), "1"))
            .is_taken_silently()
    );
    assert_eq!(
        bench.push(Input::Accept(InvitationId(4))).lines(),
        ["prepare accept"]
    );
    // One that was answered has its place no more, and keeps what it has.
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "5")).lines(),
        ["offered netmeeting"]
    );
    assert_eq!(bench.state(4), Some(State::Preparing));
}

#[test]
fn of_several_questions_about_the_same_the_oldest_makes_room() {
    let mut bench = with(Limits {
        pending_per_application: 2,
        pending_per_peer: 2,
        ..Limits::default()
    });
    for cookie in ["1", "2"] {
        bench.receive(&invite(&netmeeting(), cookie));
    }
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "3")).lines(),
        ["ended Replaced", "offered netmeeting"]
    );
    assert_eq!(bench.state(1), None);
    assert_eq!(bench.state(2), Some(State::Offered));
}

/// Whoever asks too fast, or about too much else, does not get rid of what was asked before.
#[test]
fn a_question_that_is_too_much_for_another_reason_replaces_nothing() {
    let mut bench = with(Limits {
        offers_per_minute: 1,
        ..Limits::default()
    });
    bench.receive(&invite(&netmeeting(), "1"));
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "2")).lines(),
        ["CANCEL REJECT"]
    );
    assert_eq!(bench.state(1), Some(State::Offered));

    let mut bench = with(Limits {
        pending_per_application: 0,
        ..Limits::default()
    });
    assert_eq!(
        bench.receive(&invite(&netmeeting(), "1")).lines(),
        ["CANCEL REJECT"]
    );
}

#[test]
fn at_most_so_many_questions_are_open_at_once() {
    let mut bench = Bench::new();
    for peer in 0..64 {
        let outcome = bench.receive_from(&format!("{peer}@example.com"), &vector("O1"));
        assert_eq!(outcome.lines(), ["offered netmeeting"]);
    }
    assert_eq!(bench.receive(&vector("O1")).lines(), ["CANCEL REJECT"]);
}

#[test]
fn at_most_so_many_invitations_are_held() {
    let mut bench = with(Limits {
        sessions: 3,
        ..Limits::default()
    });
    for cookie in 1..=3 {
        bench.invite(netmeeting(), cookie, SESSION);
    }
    assert_eq!(
        bench.invite(netmeeting(), 4, SESSION).lines(),
        ["ended TooMany"]
    );
    assert_eq!(bench.receive(&vector("O1")).lines(), ["CANCEL REJECT"]);
    assert_eq!(bench.engine.sessions().count(), 3);
}

#[test]
fn one_peer_may_not_ask_faster_than_so_many_a_minute() {
    let mut bench = with(Limits {
        offers_per_minute: 3,
        ..Limits::default()
    });
    let mut asked = Vec::new();
    for cookie in 1..=6 {
        let outcome = bench.receive(&invite(&netmeeting(), &cookie.to_string()));
        asked.push(outcome.lines()[0].starts_with("offered"));
        bench.receive(&cancel(&cookie.to_string(), "TIMEOUT"));
    }
    assert_eq!(asked, [true, true, true, false, false, false]);
    bench.pass(seconds(20));
    let outcome = bench.receive(&invite(&netmeeting(), "7"));
    assert_eq!(outcome.lines(), ["offered netmeeting"]);
}

#[test]
fn what_is_remembered_of_a_flood_is_bounded() {
    let mut bench = with(Limits {
        remembered: 10,
        declines_per_minute: 1_000,
        ..Limits::default()
    })
    .without_programs();
    for cookie in 1..=1_000 {
        let outcome = bench.receive(&invite(&netmeeting(), &cookie.to_string()));
        assert_eq!(outcome.lines(), ["CANCEL REJECT_NOT_INSTALLED"]);
    }
    // Only the last ten are known.
    assert!(bench.receive(&cancel("990", "TIMEOUT")).is_passed_on());
    assert!(bench.receive(&cancel("991", "TIMEOUT")).is_taken_silently());
}

/// Ten thousand at once get no ten thousand answers, and push nothing out of our memory.
#[test]
fn a_flood_is_answered_so_often_and_then_dropped() {
    let mut bench = Bench::new().without_programs();
    bench.receive_from("carol@example.com", &invite(&netmeeting(), "1"));
    let mut answered = 0;
    for cookie in 1..=10_000 {
        let outcome = bench.receive(&invite(&netmeeting(), &cookie.to_string()));
        assert!(outcome.is_taken());
        answered += outcome.out.len();
    }
    assert_eq!(answered, 60);
    // Another contact is answered as before, and what she says of her first one is still known.
    let carols = cancel("1", "TIMEOUT");
    assert!(
        bench
            .receive_from("carol@example.com", &carols)
            .is_taken_silently()
    );
    let again = bench.receive_from("carol@example.com", &invite(&netmeeting(), "2"));
    assert_eq!(again.lines(), ["CANCEL REJECT_NOT_INSTALLED"]);
    // A second later so is the first one.
    bench.pass(seconds(1));
    let later = bench.receive(&invite(&netmeeting(), "20000"));
    assert_eq!(later.lines(), ["CANCEL REJECT_NOT_INSTALLED"]);
}
