//! PROTOCOL.md section 10, one test per trap, numbered as there.
//!
//! Four traps lie outside of the negotiation and are tested where they lie: the acknowledgement
//! letter (12) and switchboards with a third user (16) in the front, argument vectors (18) in
//! `launch`, and consent before a program is started or a URL shown (17) in the dispatcher. What the
//! negotiation has to do with the last two stands here.

use msn_handoff::{
    invitation::Message,
    negotiation::{AddressForm, EndReason, Input, InvitationId, Output, State},
};

use crate::bench::*;

const ID: InvitationId = InvitationId(1);

#[test]
fn trap_01_the_second_accept_has_neither_session_protocol_nor_request_data() {
    for application in every_application() {
        let port = (application.address == AddressForm::IpPort).then_some(5060);
        let mut bench = Bench::inviter(&application, State::Preparing);
        let sent = bench.ready(1, port).sent_text();
        assert!(sent.contains("Invitation-Command: ACCEPT"), "{sent}");
        assert!(!sent.contains("Session-Protocol"), "{sent}");
        assert!(!sent.contains("Request-Data"), "{sent}");
    }
}

#[test]
fn trap_02_an_accept_is_answered_once_however_often_it_comes() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.receive(&accept("7"));
    for _ in 0..20 {
        assert!(bench.receive(&accept("7")).is_taken_silently());
    }
    bench.ready(1, None);
    for _ in 0..20 {
        assert!(bench.receive(&accept("7")).is_taken_silently());
    }
    // A copy that comes seconds later asks for one that was lost, and gets it once.
    bench.pass(seconds(5));
    let mut again = 0;
    for _ in 0..20 {
        again += bench.receive(&accept("7")).all_sent().len();
        bench.pass(seconds(5));
    }
    assert_eq!(again, 1);
    bench.push(Input::Running(ID));
    assert!(bench.receive(&accept("7")).is_taken_silently());
}

#[test]
fn trap_02_a_doubled_second_accept_is_ignored() {
    let mut bench = Bench::invitee(&netmeeting(), State::Connected);
    for _ in 0..20 {
        assert!(bench.receive(&accept("7")).is_taken_silently());
    }
}

#[test]
fn trap_03_kopetes_late_timeout_does_not_end_a_running_call() {
    // Kopete invited us.
    let mut bench = Bench::new();
    bench.receive(&vector("K1"));
    bench.push(Input::Accept(ID));
    bench.ready(1, None);
    assert_eq!(
        bench.receive(&vector("K2")).lines(),
        ["connected 192.0.2.10"]
    );
    bench.push(Input::Running(ID));
    bench.pass(seconds(600));
    assert_eq!(
        bench.receive(&cancel("123456", "TIMEOUT")).lines(),
        ["peer left TIMEOUT"]
    );
    assert_eq!(bench.state(1), Some(State::Running));
    // We invited Kopete.
    let mut bench = Bench::inviter(&netmeeting(), State::Running);
    bench.pass(seconds(600));
    assert_eq!(
        bench.receive(&cancel("7", "TIMEOUT")).lines(),
        ["peer left TIMEOUT"]
    );
    assert_eq!(bench.state(1), Some(State::Running));
}

#[test]
fn trap_03_a_timeout_soon_after_our_second_accept_means_that_it_was_lost() {
    let mut bench = Bench::inviter(&netmeeting(), State::Running);
    bench.pass(seconds(70));
    let outcome = bench.receive(&cancel("7", "TIMEOUT"));
    assert_eq!(outcome.lines(), ["ended CancelledThere(Some(Timeout))"]);
    let mut bench = Bench::inviter(&netmeeting(), State::Running);
    bench.pass(seconds(71));
    assert_eq!(
        bench.receive(&cancel("7", "TIMEOUT")).lines(),
        ["peer left TIMEOUT"]
    );
}

#[test]
fn trap_04_amsns_echo_of_our_cancel_does_nothing() {
    let mut bench = Bench::new();
    bench.receive(&vector("Z1"));
    let ended = bench.push(Input::HangUp(ID));
    assert_eq!(ended.lines(), ["CANCEL REJECT", "ended DeclinedHere"]);
    for _ in 0..5 {
        assert!(bench.receive(&vector("Z2")).is_taken_silently());
    }
}

#[test]
fn trap_04_no_cancel_is_ever_answered() {
    use State::*;
    for state in [Offered, Preparing, Accepted, Connected, Running] {
        for code in ["REJECT", "TIMEOUT", "OUTBANDCANCEL", "USER_CANCEL"] {
            let mut bench = Bench::invitee(&voice(), state);
            for _ in 0..3 {
                assert!(bench.receive(&cancel("7", code)).all_sent().is_empty());
            }
        }
    }
}

#[test]
fn trap_05_guids_are_known_in_any_case_and_with_or_without_braces() {
    for written in [
        "{44bba842-cc51-11cf-aafa-00aa00b6015c}",
        "44BBA842-CC51-11CF-AAFA-00AA00B6015C",
    ] {
        let mut bench = Bench::new();
        let line = format!("Application-GUID: {written}");
        let invite = changed("O1", "Application-GUID", &line);
        assert_eq!(bench.receive(&invite).lines(), ["offered netmeeting"]);
    }
}

#[test]
fn trap_06_a_localised_name_changes_nothing_and_ours_is_netmeeting() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&vector("O2")).lines(), ["offered voice"]);
    let sent = bench.invite(netmeeting(), 25_402_056, SESSION);
    assert_eq!(sent.sent(), vector("O1"));
}

#[test]
fn trap_07_a_netmeeting_invite_has_no_context_data() {
    let mut bench = Bench::new();
    let sent = bench.invite(netmeeting(), 7, SESSION).sent_text();
    assert!(!sent.contains("Context-Data"));
    bench.receive(&invite(&netmeeting(), "8"));
    bench.push(Input::Accept(InvitationId(2)));
    assert!(!bench.ready(2, None).sent_text().contains("Context-Data"));
}

#[test]
fn trap_08_request_data_has_no_trailing_space() {
    let mut bench = Bench::invitee(&netmeeting(), State::Preparing);
    assert!(
        bench
            .ready(1, None)
            .sent_text()
            .contains("Request-Data: IP-Address:\r\n")
    );
}

#[test]
fn trap_09_session_ids_that_differ_are_normal() {
    // Miranda answers with its own.
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 25_402_056, SESSION);
    assert_eq!(bench.receive(&vector("M1")).lines(), ["prepare accept"]);
    // And as inviter it sends another than ayttm would echo.
    let mut bench = Bench::new();
    bench.receive(&vector("O1"));
    bench.push(Input::Accept(ID));
    bench.ready(1, None);
    assert_eq!(
        bench.receive(&vector("M2")).lines(),
        ["connected 198.51.100.20"]
    );
    // Kopete's refusal has a constant one.
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    let refusal = changed("K3", "Invitation-Cookie", "Invitation-Cookie: 7");
    assert_eq!(bench.receive(&refusal).lines(), ["ended NotInstalledThere"]);
}

#[test]
fn trap_10_a_private_address_comes_with_the_public_one_as_another_candidate() {
    let mut bench = Bench::new();
    bench.invite(voice(), 374_836, SESSION);
    bench.receive(&vector("O6"));
    let outcome = bench.ready(1, Some(5060));
    let Some(Output::Connected { remote, .. }) = outcome.out.last() else {
        panic!("{:?}", outcome.lines())
    };
    let has = |ip: [u8; 4]| remote.candidates.iter().any(|one| one.ip.octets() == ip);
    assert_eq!(remote.candidates[0].ip.octets(), [10, 27, 95, 174]);
    assert_eq!(remote.candidates[0].port, Some(8348));
    assert!(has([65, 210, 205, 254]), "{:?}", remote.candidates);
}

#[test]
fn trap_11_which_accept_it_is_says_our_role_and_never_its_fields() {
    // Kopete's ACCEPT with everything in it, as #1 and as #2.
    let mut bench = Bench::new();
    bench.invite(netmeeting(), 123_456, SESSION);
    assert_eq!(bench.receive(&vector("K2")).lines(), ["prepare accept"]);
    let mut bench = Bench::new();
    bench.receive(&vector("K1"));
    bench.push(Input::Accept(ID));
    bench.ready(1, None);
    assert_eq!(
        bench.receive(&vector("K2")).lines(),
        ["connected 192.0.2.10"]
    );
}

#[test]
fn trap_11_an_accept_nobody_waits_for_starts_nothing() {
    for state in [State::Offered, State::Preparing] {
        let mut bench = Bench::invitee(&netmeeting(), state);
        assert!(bench.receive(&accept("7")).is_taken_silently());
        assert_eq!(bench.state(1), Some(state));
    }
    let mut bench = Bench::new();
    assert!(bench.receive(&accept("7")).is_passed_on());
    assert!(bench.receive(&context("7", "192.0.2.1:1")).is_passed_on());
}

#[test]
fn trap_13_a_message_over_the_limit_is_not_sent_and_the_invitation_ends() {
    let mut long = (*netmeeting()).clone();
    long.announce = "x".repeat(1_600);
    let mut bench = Bench::new();
    let outcome = bench.invite(long.into(), 7, SESSION);
    assert!(outcome.all_sent().is_empty());
    assert!(
        matches!(outcome.end(), Some(EndReason::Failed(_))),
        "{:?}",
        outcome.lines()
    );
    assert_eq!(bench.engine.sessions().count(), 0);
    // A Session-ID of the peer's that would make ours too long is not echoed.
    let mut bench = Bench::new();
    let session = format!("Session-ID: {{{}}}", "A".repeat(1_380));
    bench.receive(&changed("O1", "Session-ID", &session));
    bench.push(Input::Accept(ID));
    let outcome = bench.ready(1, None);
    assert_eq!(outcome.lines(), ["ACCEPT"]);
    assert!(!outcome.sent_text().contains("Session-ID"));
}

#[test]
fn trap_14_the_limit_counts_bytes_and_not_characters() {
    let named = |letters: usize| {
        let mut application = (*netmeeting()).clone();
        application.announce = "é".repeat(letters);
        Bench::new().invite(application.into(), 7, SESSION)
    };
    let room = 1_664 - (named(1).sent().len() - 2);
    assert!(named(room / 2).sent().len() <= 1_664);
    assert!(named(room / 2 + 1).all_sent().is_empty());
}

#[test]
fn trap_15_cookies_are_echoed_verbatim_and_compared_as_numbers() {
    for (written, other) in [
        ("-123", "-123"),
        ("4294967295", "4294967295"),
        ("00012", "12"),
        ("0", "000"),
    ] {
        let mut bench = Bench::new();
        assert_eq!(
            bench.receive(&invite(&netmeeting(), written)).lines(),
            ["offered netmeeting"]
        );
        bench.push(Input::Accept(ID));
        let line = format!("Invitation-Cookie: {written}\r\n");
        assert!(
            bench.ready(1, None).sent_text().contains(&line),
            "{written}"
        );
        assert_eq!(
            bench.receive(&accept(other)).lines(),
            ["connected 198.51.100.20"]
        );
    }
}

#[test]
fn trap_17_nothing_is_prepared_before_somebody_said_yes() {
    let mut bench = Bench::new();
    let url = format!("Application-URL: {}", "http://example.com/evil");
    let outcome = bench.receive(&changed("W1", "Application-URL", &url));
    assert_eq!(outcome.lines(), ["offered whiteboard"]);
    bench.receive(&accept("1234567"));
    bench.receive(&context("1234567", "192.0.2.1:80"));
    assert!(bench.pass(seconds(200)).out.is_empty());
    assert!(
        bench.ready(1, Some(1)).out.is_empty(),
        "no address without consent"
    );
    assert_eq!(bench.state(1), Some(State::Offered));
}

#[test]
fn trap_18_context_data_is_delivered_byte_for_byte() {
    let hostile = "$(reboot); `id` | -x \"'\\ %n {peer.ip}";
    let mut bench = Bench::invitee(&remote_assistance(), State::Running);
    let outcome = bench.receive(&context("7", hostile));
    assert_eq!(outcome.lines(), [format!("context {hostile}")]);
}

#[test]
fn trap_19_file_transfer_is_left_to_the_client_with_whatever_name_it_has() {
    let mut bench = Bench::new();
    assert!(bench.receive(&vector("F1")).is_passed_on());
    let evil = changed("F1", "Application-File:", "Application-File: ../../.bashrc");
    assert!(bench.receive(&evil).is_passed_on());
    for later in ["F2", "F3", "F4", "O7"] {
        assert!(bench.receive(&vector(later)).is_passed_on(), "{later}");
    }
}

#[test]
fn trap_20_a_reply_may_come_in_another_switchboard_and_from_another_place_of_the_peer() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    bench.pass(seconds(30));
    bench.push(Input::CarrierLost { peer: PEER });
    let place = "Bob@Example.com;{f26d1f07-95e2-403c-bc18-d4bfed493428}";
    assert_eq!(
        bench.receive_from(place, &accept("7")).lines(),
        ["prepare accept"]
    );
    let outcome = bench.ready(1, None);
    let Some(Output::Send { peer, .. }) = outcome.out.first() else {
        panic!()
    };
    assert_eq!(peer, PEER);
}

#[test]
fn trap_20_another_peer_with_the_same_cookie_reaches_nothing() {
    let mut bench = Bench::inviter(&netmeeting(), State::Offered);
    assert!(
        bench
            .receive_from("mallory@example.com", &accept("7"))
            .is_passed_on()
    );
    assert!(
        bench
            .receive_from("mallory@example.com", &cancel("7", "REJECT"))
            .is_passed_on()
    );
    assert_eq!(bench.state(1), Some(State::Offered));
}

#[test]
fn a_message_of_ours_is_always_readable() {
    for application in every_application() {
        let mut bench = Bench::new();
        let sent = bench.invite(application, 7, SESSION).sent().to_vec();
        assert!(Message::read(&sent).is_ok());
    }
}
