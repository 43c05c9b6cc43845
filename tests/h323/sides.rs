//! Two of our calls with each other, in every way a call can be set up, and what Wireshark and pycrate
//! say of all that they said.

use std::net::SocketAddrV4;

use msn_handoff::adapter::h323::{
    call::{Codec, Ended, Input, Medium, Output, Settings},
    h245::{Message, NetworkAccess, RejectCause, Request, Response},
    tpkt,
};
use tempfile::TempDir;

use crate::{
    encoded::bytes,
    support::{self, child::Child, pycrate::pycrate, wireshark::dissected},
    two::{Two, called, caller},
};

/// What a side heard of media.
fn media(out: &[Output]) -> Vec<Output> {
    let of_media = |one: &&Output| matches!(one, Output::Send { .. } | Output::Receive { .. });
    out.iter().filter(of_media).cloned().collect()
}

/// Both send and receive that codec, to where the other wanted it.
fn assert_audio(two: &Two, codec: Codec) {
    for (out, there) in [
        (&two.of_caller, [192, 0, 2, 2]),
        (&two.of_called, [192, 0, 2, 1]),
    ] {
        let media = media(out);
        let send = Output::Send {
            codec,
            to: SocketAddrV4::new(there.into(), 5000),
            control: Some(SocketAddrV4::new(there.into(), 5001)),
        };
        assert!(media.contains(&send), "{media:?}");
        let receives =
            |one: &Output| matches!(one, Output::Receive { codec: it, .. } if *it == codec);
        assert!(media.iter().any(receives), "{media:?}");
        assert_eq!(media.len(), 2, "{media:?}");
        assert!(out.contains(&Output::Connected));
    }
    assert!(two.of_caller.contains(&Output::Ringing));
}

fn with(settings: Settings, fast_start: bool, tunnelling: bool) -> Settings {
    Settings {
        fast_start,
        tunnelling,
        ..settings
    }
}

/// pycrate reads every message of them, and what is within.
async fn decodes(two: &Two, dir: &TempDir) {
    let Some(pycrate) = pycrate() else { return };
    let hex: String = two
        .all()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/h323/decoded.py");
    let codecs = [("PYTHONPATH", pycrate.to_str().unwrap())];
    let mut decoder = Child::start_with("python3", [script, &hex], dir.path(), &codecs);
    assert_eq!(decoder.wait().await, Some(0), "{}", decoder.output());
    let names = decoder.output();
    let named = |name: &str| names.lines().filter(|it| *it == name).count();
    assert_eq!(named("setup"), 1, "{names}");
    let tunnelled = names.matches("tunnelled ").count();
    assert!(tunnelled >= two.control.len(), "{names}");
}

/// Wireshark's names of every message of them, and that it complains of none.
async fn names(two: &Two) -> Option<(String, String)> {
    if !support::have(&["tshark", "text2pcap"]) {
        return None;
    }
    let dir = TempDir::new().unwrap();
    decodes(two, &dir).await;
    let fields = [
        "h225.h323_message_body",
        "h245.request",
        "h245.response",
        "h245.command",
        "_ws.malformed",
        "_ws.expert.message",
    ];
    let said = dissected(dir.path(), 1720, &two.all(), &fields).await;
    let columns: Vec<_> = said.split('|').collect();
    let complaints = columns[4..].concat();
    assert!(
        !complaints.contains("ncoding") && !complaints.contains("alformed"),
        "{said}"
    );
    assert_eq!(columns[4], "", "{said}");
    Some((columns[0].to_owned(), columns[1..4].join(" ")))
}

#[tokio::test]
async fn slow_start_as_netmeeting_does_it() {
    let mut two = Two::new(caller(), called());
    two.talk();
    assert_audio(&two, Codec::Ulaw);
    assert!(
        two.of_caller
            .iter()
            .any(|one| matches!(one, Output::Connect(_)))
    );
    two.hang_up(true);
    assert_eq!(two.of_caller.last(), Some(&Output::Ended(Ended::Here)));
    assert!(
        two.of_called
            .iter()
            .any(|one| matches!(one, Output::Ended(Ended::There(_))))
    );
    assert!(two.caller.over() && two.called.over());
    let Some((signal, control)) = names(&two).await else {
        return;
    };
    assert!(signal.starts_with("0,1,3,2,"), "{signal}");
    // Both ways: capabilities (2), determination (1), a channel (3); their answers; the end.
    for (what, times) in [("2", 2), ("1", 2), ("3", 2)] {
        let requests = control.split(' ').next().unwrap().split(',');
        assert_eq!(
            requests.filter(|one| *one == what).count(),
            times,
            "{control}"
        );
    }
    assert!(control.contains('5'), "{control}");
}

#[tokio::test]
async fn tunnelled() {
    let mut two = Two::new(with(caller(), false, true), with(called(), false, true));
    two.talk();
    assert_audio(&two, Codec::Ulaw);
    assert!(two.control.is_empty());
    two.hang_up(false);
    assert!(two.caller.over() && two.called.over());
    names(&two).await;
}

#[tokio::test]
async fn fast_start() {
    for tunnelling in [false, true] {
        let mut two = Two::new(
            with(caller(), true, tunnelling),
            with(called(), true, tunnelling),
        );
        two.talk();
        assert_audio(&two, Codec::Ulaw);
        two.hang_up(true);
        assert!(two.caller.over() && two.called.over());
        names(&two).await;
    }
}

#[test]
fn who_does_less_is_met_there() {
    for (of_caller, of_called) in [
        ((true, true), (false, false)),
        ((false, false), (true, true)),
        ((true, true), (false, true)),
    ] {
        let mut two = Two::new(
            with(caller(), of_caller.0, of_caller.1),
            with(called(), of_called.0, of_called.1),
        );
        two.talk();
        assert_audio(&two, Codec::Ulaw);
    }
}

#[tokio::test]
async fn the_codec_is_one_that_both_have() {
    let mut only_alaw = called();
    only_alaw.codecs = vec![Codec::Alaw];
    let mut two = Two::new(caller(), only_alaw.clone());
    two.talk();
    let sent = |out: &[Output]| {
        out.iter().any(|one| {
            matches!(
                one,
                Output::Send {
                    codec: Codec::Alaw,
                    ..
                }
            )
        })
    };
    assert!(sent(&two.of_caller) && sent(&two.of_called));
    let mut only_ulaw = caller();
    only_ulaw.codecs = vec![Codec::Ulaw];
    let mut two = Two::new(only_ulaw, only_alaw);
    two.talk();
    assert!(
        two.of_caller
            .iter()
            .chain(&two.of_called)
            .any(|one| *one == Output::Ended(Ended::NoCodec))
    );
}

#[tokio::test]
async fn pictures_go_where_both_have_them() {
    let with_video = |mut settings: Settings, codecs: &[Codec]| {
        settings.codecs.extend(codecs);
        settings.video = Some(SocketAddrV4::new(*settings.audio.ip(), 5002));
        settings
    };
    let both = [Codec::H263, Codec::H261];
    let mut two = Two::new(
        with_video(caller(), &both),
        with_video(called(), &[Codec::H261]),
    );
    two.talk();
    for out in [&two.of_caller, &two.of_called] {
        let codecs: Vec<_> = media(out)
            .into_iter()
            .map(|one| match one {
                Output::Send { codec, .. } | Output::Receive { codec, .. } => codec,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codecs.len(), 4, "{codecs:?}");
        assert!(codecs.contains(&Codec::H261) && !codecs.contains(&Codec::H263));
    }
    names(&two).await;
    let mut two = Two::new(with_video(caller(), &both), called());
    two.talk();
    assert_audio(&two, Codec::Ulaw);
}

/// A side that was called by us, and hears what pycrate says a T.120 channel is.
fn offered_data(t120: Option<SocketAddrV4>) -> (Vec<Output>, Two) {
    let mut two = Two::new(caller(), Settings { t120, ..called() });
    two.talk();
    let open = tpkt::framed(&bytes("open-data")).unwrap();
    let out = two.called.handle(Input::Control(&open));
    two.control.extend(out.iter().filter_map(|one| match one {
        Output::Control(bytes) => Some(bytes.clone()),
        _ => None,
    }));
    (out, two)
}

#[tokio::test]
async fn a_channel_of_t120_is_refused_or_told_where_it_goes() {
    let (out, two) = offered_data(None);
    let [Output::Control(said)] = &out[..] else {
        panic!("{out:?}");
    };
    assert!(matches!(
        Message::read(&said[tpkt::HEADER..]),
        Ok(Message::Response(Response::OpenLogicalChannelReject(no)))
            if no.channel == 3 && no.cause == RejectCause::DataTypeNotSupported(())
    ));
    assert!(!two.called.over());

    let at = SocketAddrV4::new([192, 0, 2, 2].into(), 1503);
    let (out, two) = offered_data(Some(at));
    assert!(out.contains(&Output::Data), "{out:?}");
    let Some(Output::Control(said)) = out.last() else {
        panic!("{out:?}");
    };
    let Ok(Message::Response(Response::OpenLogicalChannelAck(ack))) =
        Message::read(&said[tpkt::HEADER..])
    else {
        panic!("no OpenLogicalChannelAck");
    };
    assert_eq!(ack.separate_stack, Some(NetworkAccess::at(at)));
    names(&two).await;
}

#[test]
fn a_round_trip_is_answered_and_a_closed_channel_is_let_go() {
    let mut two = Two::new(caller(), called());
    two.talk();
    let mut says = |name| {
        let said = tpkt::framed(&bytes(name)).unwrap();
        two.called.handle(Input::Control(&said))
    };
    let out = says("round-trip");
    let [Output::Control(answer)] = &out[..] else {
        panic!("{out:?}");
    };
    assert!(matches!(
        Message::read(&answer[tpkt::HEADER..]),
        Ok(Message::Response(Response::RoundTripDelay(delay))) if delay.number == 9
    ));
    // Of a channel that is not there nothing is let go.
    assert!(!says("close").contains(&Output::Stop(Medium::Audio)));
    // The same of channel 101, which is written less one.
    let mut close = bytes("close");
    close[3] = 100;
    assert!(matches!(
        Message::read(&close),
        Ok(Message::Request(Request::CloseLogicalChannel(close))) if close.channel == 101
    ));
    let close = tpkt::framed(&close).unwrap();
    assert!(
        two.called
            .handle(Input::Control(&close))
            .contains(&Output::Stop(Medium::Audio))
    );
}
