//! Messages that pycrate encoded from the ITU's own ASN.1 (messages.py says how).

use std::net::SocketAddrV4;

use msn_handoff::adapter::h323::{
    h225::{AliasAddress, Body, FacilityReason, ReleaseReason, UserInformation},
    h245::{
        AudioCapability, Capability, Command, DataApplication, DataProtocol, DataType, Decision,
        EndSession, ForwardMultiplexAck, Indication, Message, MultiplexCapability,
        MultiplexParameters, OpenLogicalChannel, RejectCause, Request, Response, VideoCapability,
    },
    per,
};

const GUID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let line = include_str!("messages.hex")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let digits = line.unwrap().as_bytes();
    let octet = |two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

fn signal(name: &str) -> UserInformation {
    UserInformation::read(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn control(name: &str) -> Message {
    Message::read(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn at(port: u16) -> Option<SocketAddrV4> {
    Some(SocketAddrV4::new([192, 0, 2, 7].into(), port))
}

#[test]
fn a_setup_says_who_calls_and_what_it_proposes() {
    let said = signal("setup");
    let Body::Setup(setup) = said.pdu.body else {
        panic!("{:?}", said.pdu.body);
    };
    assert_eq!(setup.protocol.to_vec(), [0, 0, 8, 2250, 0, 4]);
    assert_eq!(setup.h245_address.unwrap().ipv4(), at(1100));
    let aliases = setup.source_address.unwrap();
    assert_eq!(aliases[0], AliasAddress::name("Ann Ö").unwrap());
    assert!(
        matches!(&aliases[1], AliasAddress::DialledDigits(digits) if digits.to_string() == "42#")
    );
    let vendor = setup.source_info.vendor.unwrap();
    assert_eq!(vendor.vendor.manufacturer, 21_324);
    assert_eq!(&vendor.version.unwrap()[..], b"3.0\0");
    assert_eq!(setup.extra_references.unwrap(), [1, 65_535]);
    assert_eq!(*setup.conference_id, GUID);
    assert_eq!(setup.source_signal.unwrap().ipv4(), at(1055));
    assert_eq!(*setup.call.unwrap().guid, GUID);
    let proposed: OpenLogicalChannel =
        per::read(&setup.fast_start.unwrap()[0], "fastStart").unwrap();
    assert_eq!(
        proposed.forward.data,
        DataType::Audio(AudioCapability::G711Ulaw64k(20))
    );
    // After the additions of Setup, which are more than are known here.
    let ours = said.pdu.non_standard.unwrap();
    assert_eq!(ours.data.len(), 20);
    assert_eq!(said.pdu.h245_tunnelling, Some(true));
    let tunnelled = said.pdu.h245_control.unwrap();
    assert!(matches!(
        Message::read(&tunnelled[0]),
        Ok(Message::Request(Request::RoundTripDelay(delay))) if delay.number == 3
    ));
}

#[test]
fn answers_to_a_setup_are_read() {
    let said = signal("proceeding");
    let Body::CallProceeding(proceeding) = said.pdu.body else {
        panic!("{:?}", said.pdu.body);
    };
    let gateway = proceeding.destination_info.gateway.unwrap();
    assert_eq!(gateway.protocol.unwrap().len(), 2);
    assert_eq!(*proceeding.call.unwrap().guid, GUID);
    assert_eq!(said.pdu.h245_tunnelling, Some(false));

    let Body::Alerting(alerting) = signal("alerting").pdu.body else {
        panic!("no Alerting");
    };
    assert_eq!(alerting.fast_start.unwrap().len(), 2);

    let said = signal("connect");
    let Body::Connect(connect) = said.pdu.body else {
        panic!("{:?}", said.pdu.body);
    };
    assert_eq!(connect.h245_address.unwrap().ipv4(), at(40_000));
    assert_eq!(*connect.conference_id, GUID);
    assert_eq!(said.pdu.non_standard.unwrap().data[19], 19);

    let Body::ReleaseComplete(release) = signal("release").pdu.body else {
        panic!("no ReleaseComplete");
    };
    assert!(matches!(
        release.reason,
        Some(ReleaseReason::SecurityError(_))
    ));
    assert_eq!(*release.call.unwrap().guid, GUID);

    let Body::Facility(facility) = signal("facility").pdu.body else {
        panic!("no Facility");
    };
    assert_eq!(facility.reason, FacilityReason::StartH245(()));
    assert_eq!(facility.h245_address.unwrap().ipv4(), at(1));

    let said = signal("empty");
    assert_eq!(said.pdu.body, Body::Empty(()));
    assert_eq!(said.pdu.h245_control.unwrap().len(), 2);
    assert!(matches!(signal("progress").pdu.body, Body::Progress(_)));
}

#[test]
fn a_capability_set_is_read_past_what_is_not_known() {
    let Message::Request(Request::TerminalCapabilitySet(set)) = control("capabilities") else {
        panic!("no TerminalCapabilitySet");
    };
    assert_eq!(set.number, 255);
    let Some(MultiplexCapability::H2250(h2250)) = set.multiplex else {
        panic!("no H.225.0");
    };
    assert_eq!(h2250.jitter, 60);
    assert_eq!(
        h2250.both.distribution[0]
            .centralized_data
            .as_ref()
            .unwrap()
            .len(),
        1
    );
    let table = set.table.unwrap();
    assert_eq!(table.len(), 13);
    let of = |number: usize| table[number - 1].capability.as_ref().unwrap();
    let audio = |number| match of(number) {
        Capability::ReceiveAudio(audio) | Capability::TransmitAudio(audio) => audio,
        other => panic!("{other:?}"),
    };
    assert!(matches!(audio(1), AudioCapability::G7231(g7231) if g7231.frames == 8));
    assert_eq!(*audio(2), AudioCapability::G711Alaw64k(30));
    assert_eq!(*audio(3), AudioCapability::G711Ulaw64k(30));
    assert!(matches!(audio(4), AudioCapability::GsmFullRate(_)));
    assert!(matches!(audio(5), AudioCapability::NonStandard(dvi) if dvi.data.len() == 18));
    let Capability::ReceiveVideo(VideoCapability::H263(h263)) = of(6) else {
        panic!("{:?}", of(6));
    };
    assert_eq!(
        (h263.sqcif, h263.qcif, h263.cif, h263.cif4),
        (Some(1), Some(2), Some(3), None)
    );
    assert_eq!(h263.max_bit_rate, 3271);
    assert_eq!(h263.annexes.0, [false, true, false, false, true]);
    assert_eq!((h263.hrd_b, h263.bpp_max_kb), (Some(5000), Some(1000)));
    let Capability::BothVideo(VideoCapability::H261(h261)) = of(7) else {
        panic!("{:?}", of(7));
    };
    assert_eq!(
        (h261.qcif, h261.cif, h261.max_bit_rate),
        (Some(1), Some(4), 19_200)
    );
    let Capability::BothData(data) = of(8) else {
        panic!("{:?}", of(8));
    };
    assert_eq!(
        data.application,
        DataApplication::T120(DataProtocol::SeparateLanStack(()))
    );
    assert_eq!(data.max_bit_rate, 625);
    assert!(matches!(of(9), Capability::BothUserInput(_)));
    assert_eq!(*of(10), Capability::H233Transmit(true));
    assert!(matches!(audio(11), AudioCapability::Is11172(mpeg) if mpeg.bit_rate == 448));
    assert_eq!(*audio(12), AudioCapability::G729AnnexA(256));
    assert_eq!((table[12].number, &table[12].capability), (65_535, &None));
    let descriptor = &set.descriptors.unwrap()[0];
    let alternatives = descriptor.simultaneous.as_ref().unwrap();
    let numbers = |set: usize| alternatives[set].0.iter().map(|number| number.0);
    assert!(numbers(0).eq([1, 2, 3]) && numbers(1).eq([6, 7]));
}

#[test]
fn channels_and_their_answers_are_read() {
    let open = |name| match control(name) {
        Message::Request(Request::OpenLogicalChannel(open)) => open,
        other => panic!("{name}: {other:?}"),
    };
    let parameters = |open: &OpenLogicalChannel| match &open.forward.multiplex {
        MultiplexParameters::H2250(parameters) => parameters.clone(),
        other => panic!("{other:?}"),
    };
    let audio = open("open");
    assert_eq!(audio.channel, 257);
    assert_eq!(
        audio.forward.data,
        DataType::Audio(AudioCapability::G711Alaw64k(256))
    );
    let said = parameters(&audio);
    assert_eq!((said.session, said.silence_suppression), (1, Some(false)));
    assert_eq!(said.control.unwrap().ipv4(), at(5001));
    let said = parameters(&open("open-video"));
    assert_eq!((said.session, said.payload_type), (2, Some(96)));
    let data = open("open-data");
    assert!(data.reverse.is_some() && data.separate_stack.is_some());

    let Message::Response(Response::OpenLogicalChannelAck(opened)) = control("opened") else {
        panic!("no OpenLogicalChannelAck");
    };
    let Some(ForwardMultiplexAck::H2250(said)) = opened.forward else {
        panic!("no parameters");
    };
    assert_eq!((opened.channel, said.session), (257, Some(1)));
    assert_eq!(said.media.unwrap().ipv4(), at(49_608));
    assert_eq!(said.control.unwrap().ipv4(), at(49_609));
    assert!(matches!(
        control("not-opened"),
        Message::Response(Response::OpenLogicalChannelReject(no)) if no.cause == RejectCause::SecurityDenied(())
    ));
}

#[test]
fn the_rest_of_control_is_told_apart() {
    assert!(matches!(
        control("determination"),
        Message::Request(Request::MasterSlaveDetermination(said))
            if said.terminal_type == 50 && said.number == 0x00ab_cdef
    ));
    assert!(matches!(
        control("decision"),
        Message::Response(Response::MasterSlaveDeterminationAck(said)) if said.decision == Decision::Slave(())
    ));
    assert!(matches!(
        control("close"),
        Message::Request(Request::CloseLogicalChannel(close)) if close.channel == 1
    ));
    assert!(matches!(
        control("round-trip"),
        Message::Request(Request::RoundTripDelay(delay)) if delay.number == 9
    ));
    assert!(matches!(
        control("end"),
        Message::Command(Command::EndSession(EndSession::Disconnect(())))
    ));
    assert!(matches!(
        control("mode"),
        Message::Request(Request::RequestMode(_))
    ));
    assert!(matches!(
        control("digits"),
        Message::Indication(Indication::UserInput(_))
    ));
    assert!(matches!(
        control("vendor"),
        Message::Indication(Indication::VendorIdentification(_))
    ));
    assert!(matches!(
        control("conference"),
        Message::Request(Request::Conference(_))
    ));
}

#[test]
fn what_is_read_whole_is_written_in_the_same_bytes() {
    for name in ["determination", "decision", "open", "round-trip", "end"] {
        assert_eq!(control(name).write().unwrap(), bytes(name), "{name}");
    }
}
