//! What we send is byte-equal to the C, W, P, V, R, N and G vectors given the same values; the
//! official O1 to O6 come out too, so the demo's peer can speak as the genuine client does.

use std::net::Ipv4Addr;

use msn_handoff::invitation::{
    Accept, AcceptedBy, Cancel, CancelCode, Capabilities, ConnType, Connection, Context, Cookie,
    Invite, Medium, WriteError,
};

use crate::vector;

const OURS: &str = "{11112222-3333-4444-5555-666677778888}";
const O1_SESSION: &str = "{C4E9035F-CCEB-40F0-8F17-135FB734073B}";
const VOICE: &str = "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}";
const MICROSOFT: Option<&str> = Some("http://www.microsoft.com");
const INVITEE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const INVITER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);

fn cookie(value: u32) -> Cookie {
    Cookie::new(value)
}

fn invite(name: &'static str, guid: &str) -> Invite<'static> {
    Invite {
        name,
        guid: guid.parse().unwrap(),
        url: None,
        sm1: true,
        context_data: None,
        avm: None,
        cookie: cookie(1_234_567),
        session_id: Some(OURS),
        connection: None,
    }
}

fn accept(by: AcceptedBy, number: u32, session_id: Option<&'static str>) -> Accept<'static> {
    Accept {
        by,
        context_data: None,
        cookie: cookie(number),
        session_id,
        connection: None,
        using_rendezvous: None,
        address: None,
        enc64: false,
    }
}

fn natted(conn_type: ConnType, public: [u8; 4], private: [u8; 4], upnp: bool) -> Connection {
    Connection {
        conn_type,
        sip_capability: Some(1),
        public_ip: Some(public.into()),
        private_ip: Some(private.into()),
        upnp: Some(upnp),
    }
}

#[track_caller]
fn equal(name: &str, written: Result<Vec<u8>, WriteError>) {
    let written = String::from_utf8(written.unwrap()).unwrap();
    assert_eq!(written, String::from_utf8(vector(name)).unwrap(), "{name}");
}

#[test]
fn invites_without_voice() {
    let netmeeting = Invite {
        cookie: cookie(25_402_056),
        session_id: Some(O1_SESSION),
        ..invite("NetMeeting", "{44BBA842-CC51-11CF-AAFA-00AA00B6015C}")
    };
    equal("O1", netmeeting.to_payload());
    for (vector, name, guid) in [
        ("W1", "Whiteboard", "{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}"),
        (
            "P1",
            "Application Sharing",
            "{F1B1920C-6A3C-4ce7-B18C-AFAB305FD03D}",
        ),
        (
            "R1",
            "Remote Assistance",
            "{56b994a7-380f-410b-9985-c809d78c1bdc}",
        ),
    ] {
        let message = Invite {
            url: MICROSOFT,
            ..invite(name, guid)
        };
        equal(vector, message.to_payload());
    }
    let webcam = invite("viewing webcam", "2A23868E-B45F-401d-B8B0-1E16B774A5B7");
    equal("N1", webcam.to_payload());
    let game = Invite {
        sm1: false,
        session_id: None,
        ..invite("Baulder's Gate2", "{8DAE4336-2B71-11D4-9A6C-006067325E47}")
    };
    equal("G1", game.to_payload());
}

#[test]
fn invites_of_voice_and_video() {
    let both = Capabilities::offering(&[Medium::Audio, Medium::Video]).to_string();
    let ours = Invite {
        context_data: Some(both.as_bytes()),
        cookie: cookie(374_836),
        connection: Some(Connection::direct()),
        ..invite("an audio conversation", VOICE)
    };
    equal("V1", ours.to_payload());

    let audio = Capabilities::offering(&[Medium::Audio]).to_string();
    let official = Invite {
        context_data: Some(audio.as_bytes()),
        avm: Some((7, 2)),
        cookie: cookie(24_443_504),
        session_id: Some("{EE086C37-D672-44C2-9AA9-57151CEB0BEF}"),
        connection: Some(natted(
            ConnType::IpRestrictNat,
            [129, 21, 160, 34],
            [192, 168, 1, 102],
            false,
        )),
        ..invite("an audio conversation", VOICE)
    };
    equal("O3", official.to_payload());
    let chinese = Invite {
        name: "音频对话",
        cookie: cookie(26_216_456),
        session_id: Some("{2175E8D4-7CAA-49DD-A520-C2786E891F6F}"),
        connection: Some(natted(
            ConnType::IpRestrictNat,
            [61, 237, 235, 88],
            [192, 168, 0, 12],
            true,
        )),
        ..official
    };
    equal("O2", chinese.to_payload());
}

#[test]
fn first_accepts() {
    let by = AcceptedBy::Invitee { sm1: true };
    for (vector, number, session) in [("C1", 25_402_056, O1_SESSION), ("W2", 1_234_567, OURS)] {
        let message = Accept {
            address: Some((INVITEE, None)),
            ..accept(by, number, Some(session))
        };
        equal(vector, message.to_payload());
    }
    let game = Accept {
        address: Some((INVITEE, None)),
        ..accept(AcceptedBy::Invitee { sm1: false }, 1_234_567, None)
    };
    equal("G2", game.to_payload());

    let both = Capabilities::requesting(&[Medium::Audio, Medium::Video]).to_string();
    let voice = Accept {
        context_data: Some(both.as_bytes()),
        connection: Some(Connection::direct()),
        address: Some((Ipv4Addr::new(203, 0, 113, 7), Some(5060))),
        enc64: true,
        ..accept(by, 374_836, Some(OURS))
    };
    equal("V2", voice.to_payload());

    let audio = Capabilities::offering(&[Medium::Audio]).to_string();
    let official = Accept {
        context_data: Some(audio.as_bytes()),
        connection: Some(natted(
            ConnType::SymmetricNat,
            [65, 210, 205, 254],
            [10, 27, 95, 174],
            false,
        )),
        using_rendezvous: Some(false),
        address: Some((Ipv4Addr::new(10, 27, 95, 174), Some(8348))),
        enc64: true,
        ..accept(by, 374_836, Some("{A4EE9D51-A7CA-4CD4-90EC-B234285B6D2F}"))
    };
    equal("O6", official.to_payload());
}

#[test]
fn second_accepts() {
    let by = AcceptedBy::Inviter;
    for (vector, number, session) in [("C2", 25_402_056, O1_SESSION), ("W3", 1_234_567, OURS)] {
        let message = Accept {
            address: Some((INVITER, None)),
            ..accept(by, number, Some(session))
        };
        equal(vector, message.to_payload());
    }
    let voice = Accept {
        connection: Some(Connection::direct()),
        address: Some((Ipv4Addr::new(203, 0, 113, 7), Some(5060))),
        enc64: true,
        ..accept(by, 374_836, Some(OURS))
    };
    equal("V3", voice.to_payload());
}

#[test]
fn contexts() {
    for (vector, data) in [
        ("W4", "192.0.2.10:10869"),
        ("P4", "192.0.2.10:10337"),
        (
            "R4",
            "65538,1,192.0.2.10:3389;HOSTNAME:3389,*,QUJDRA==,*,*,RUZHSA==",
        ),
    ] {
        let message = Context {
            cookie: cookie(1_234_567),
            session_id: Some(OURS),
            data: data.as_bytes(),
        };
        equal(vector, message.to_payload());
    }
}

#[test]
fn cancels() {
    for (vector, code) in [
        ("C3", CancelCode::Reject),
        ("C4", CancelCode::RejectNotInstalled),
        ("C5", CancelCode::Timeout),
        ("C6", CancelCode::OutbandCancel),
        ("C7", CancelCode::Fail),
    ] {
        let message = Cancel {
            code,
            cookie: cookie(25_402_056),
            session_id: Some(O1_SESSION),
            connection: None,
        };
        equal(vector, message.to_payload());
    }
    let natted = Cancel {
        code: CancelCode::Timeout,
        cookie: cookie(24_443_504),
        session_id: Some("{EE086C37-D672-44C2-9AA9-57151CEB0BEF}"),
        connection: Some(natted(
            ConnType::IpRestrictNat,
            [129, 21, 160, 34],
            [192, 168, 1, 102],
            false,
        )),
    };
    equal("O4", natted.to_payload());
    let firewalled = Cancel {
        code: CancelCode::Timeout,
        cookie: cookie(126_868_552),
        session_id: Some("{CE64F989-2AAD-44C4-A780-2C55A812B0B6}"),
        connection: Some(Connection {
            conn_type: ConnType::Firewall,
            ..Connection::direct()
        }),
    };
    equal("O5", firewalled.to_payload());
}
