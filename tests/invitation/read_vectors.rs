//! Every vector is read, and what its text says comes out typed. The table here is written from
//! PROTOCOL.md section 13, not from the reader.

use std::net::Ipv4Addr;

use msn_handoff::invitation::{
    AddressSource, CancelCode, Capabilities, Command, ConnType, Connection, Dialect, MAX_PAYLOAD,
    Medium, Message, is_invitation,
};

use crate::vector;

/// Name, bytes, command, cookie, session id, fields.
type Row = (
    &'static str,
    usize,
    Command<'static>,
    &'static str,
    Option<&'static str>,
    usize,
);

const NET: Option<&str> = Some("{C4E9035F-CCEB-40F0-8F17-135FB734073B}");
const OURS: Option<&str> = Some("{11112222-3333-4444-5555-666677778888}");
const O3: Option<&str> = Some("{EE086C37-D672-44C2-9AA9-57151CEB0BEF}");
const KOPETE: Option<&str> = Some("{6672F94C-45BF-11D7-B4AE-00010A1008DF}");

use Command::{Accept, Cancel, Context, Invite};

#[rustfmt::skip]
const ROWS: [Row; 41] = [
    ("O1", 293, Invite, "25402056", NET, 6),
    ("O2", 491, Invite, "26216456", Some("{2175E8D4-7CAA-49DD-A520-C2786E891F6F}"), 14),
    ("O3", 502, Invite, "24443504", O3, 14),
    ("O4", 317, Cancel, "24443504", O3, 9),
    ("O5", 245, Cancel, "126868552", Some("{CE64F989-2AAD-44C4-A780-2C55A812B0B6}"), 6),
    ("O6", 519, Accept, "374836", Some("{A4EE9D51-A7CA-4CD4-90EC-B234285B6D2F}"), 15),
    ("O7", 308, Accept, "25", None, 10),
    ("F1", 277, Invite, "33267", None, 6),
    ("F2", 179, Accept, "33267", None, 4),
    ("F3", 146, Cancel, "33267", None, 3),
    ("F4", 238, Accept, "33267", None, 7),
    ("C1", 282, Accept, "25402056", NET, 7),
    ("C2", 235, Accept, "25402056", NET, 5),
    ("C3", 203, Cancel, "25402056", NET, 4),
    ("C4", 217, Cancel, "25402056", NET, 4),
    ("C5", 204, Cancel, "25402056", NET, 4),
    ("C6", 210, Cancel, "25402056", NET, 4),
    ("C7", 201, Cancel, "25402056", NET, 4),
    ("W1", 335, Invite, "1234567", OURS, 7),
    ("W2", 281, Accept, "1234567", OURS, 7),
    ("W3", 234, Accept, "1234567", OURS, 5),
    ("W4", 214, Context, "1234567", OURS, 4),
    ("P1", 344, Invite, "1234567", OURS, 7),
    ("P4", 214, Context, "1234567", OURS, 4),
    ("V1", 413, Invite, "374836", OURS, 9),
    ("V2", 415, Accept, "374836", OURS, 11),
    ("V3", 326, Accept, "374836", OURS, 8),
    ("R1", 342, Invite, "1234567", OURS, 7),
    ("R4", 259, Context, "1234567", OURS, 4),
    ("N1", 294, Invite, "1234567", OURS, 6),
    ("G1", 222, Invite, "1234567", None, 4),
    ("G2", 206, Accept, "1234567", None, 5),
    ("K1", 291, Invite, "123456", KOPETE, 6),
    ("K2", 280, Accept, "123456", KOPETE, 7),
    ("K3", 215, Cancel, "123456", Some("{120019D9-C3F5-4F94-978D-CB33534C3309}"), 4),
    ("M1", 282, Accept, "25402056", Some("{A2ED5ACF-F784-4B47-A7D4-997CD8F643CC}"), 7),
    ("M2", 235, Accept, "25402056", Some("{1A879604-D1B8-11D7-9066-0003FF431510}"), 5),
    ("Y1", 282, Accept, "25402056", NET, 7),
    ("Q1", 163, Cancel, "25402056", None, 3),
    ("Z1", 405, Invite, "374836", OURS, 9),
    ("Z2", 215, Cancel, "374836", Some("{0}"), 6),
];

#[test]
fn every_vector_has_its_size_command_cookie_session_and_number_of_fields() {
    for (name, length, command, cookie, session, fields) in ROWS {
        let bytes = vector(name);
        assert_eq!(bytes.len(), length, "{name}");
        assert!(bytes.len() <= MAX_PAYLOAD);
        assert!(is_invitation(&bytes), "{name}");
        let message = Message::read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(message.command(), command, "{name}");
        assert_eq!(message.cookie().as_str(), cookie, "{name}");
        assert_eq!(message.session_id(), session, "{name}");
        assert_eq!(message.fields().count(), fields, "{name}");
        assert_eq!(message.is_context(), command == Context, "{name}");
        let again = Message::read_body(&bytes[71..]).unwrap();
        assert!(message.fields().eq(again.fields()), "{name}");
    }
}

#[test]
fn no_vector_file_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "msg"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut rows: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
    rows.sort_unstable();
    assert_eq!(files, rows);
}

#[test]
fn invites_name_their_application() {
    const VOICE: &str = "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}";
    const NETMEETING: &str = "{44BBA842-CC51-11CF-AAFA-00AA00B6015C}";
    const MICROSOFT: Option<&str> = Some("http://www.microsoft.com");
    #[rustfmt::skip]
    let rows = [
        ("O1", "NetMeeting", NETMEETING, None, Dialect::Sm1),
        ("O2", "音频对话", VOICE, None, Dialect::Sm1),
        ("O3", "an audio conversation", VOICE, None, Dialect::Sm1),
        ("F1", "File Transfer", "{5D3E02AB-6190-11d3-BBBB-00C04F795683}", None, Dialect::FileTransfer),
        ("W1", "Whiteboard", "{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}", MICROSOFT, Dialect::Sm1),
        ("P1", "Application Sharing", "{F1B1920C-6A3C-4ce7-B18C-AFAB305FD03D}", MICROSOFT, Dialect::Sm1),
        ("V1", "an audio conversation", VOICE, None, Dialect::Sm1),
        ("R1", "Remote Assistance", "{56b994a7-380f-410b-9985-c809d78c1bdc}", MICROSOFT, Dialect::Sm1),
        ("N1", "viewing webcam", "2A23868E-B45F-401d-B8B0-1E16B774A5B7", None, Dialect::Sm1),
        ("G1", "Baulder's Gate2", "{8DAE4336-2B71-11D4-9A6C-006067325E47}", None, Dialect::Legacy),
        ("K1", "NetMeeting", NETMEETING, None, Dialect::Sm1),
        ("Z1", "an audio conversation", VOICE, None, Dialect::Sm1),
    ];
    for (name, called, guid, url, dialect) in rows {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.application_name().unwrap(), called, "{name}");
        let read = message.application_guid().unwrap();
        assert_eq!(read.as_written(), guid, "{name}");
        assert!(read.is(&guid.to_lowercase()), "{name}");
        assert_eq!(message.application_url(), url, "{name}");
        assert_eq!(message.dialect(), dialect, "{name}");
        assert_eq!(message.speaks_sm1(), dialect == Dialect::Sm1, "{name}");
    }
    assert_eq!(
        rows.map(|row| row.0).to_vec(),
        ROWS.iter()
            .filter(|row| row.2 == Invite)
            .map(|row| row.0)
            .collect::<Vec<_>>()
    );
}

#[test]
fn accepts_say_what_they_ask_for_and_where_they_are() {
    use AddressSource::{Internal, IpAddress, PortXLiteral, PrivateIp, PublicIp};
    type AcceptRow = (
        &'static str,
        bool,
        bool,
        &'static [(&'static str, AddressSource)],
    );
    #[rustfmt::skip]
    let rows: [AcceptRow; 13] = [
        // Name, launches, asks for our address, candidates.
        ("O6", true, true, &[("10.27.95.174:8348", IpAddress), ("65.210.205.254:8348", PublicIp)]),
        ("O7", false, true, &[
            ("216.254.16.46:6892", IpAddress), ("10.0.2.3:6892", Internal), ("216.254.16.46:11181", PortXLiteral),
        ]),
        ("F2", false, true, &[]),
        ("F4", false, true, &[("10.44.102.65:6891", IpAddress)]),
        ("C1", true, true, &[("192.0.2.10", IpAddress)]),
        ("C2", true, false, &[("198.51.100.20", IpAddress)]),
        ("W2", true, true, &[("192.0.2.10", IpAddress)]),
        ("W3", true, false, &[("198.51.100.20", IpAddress)]),
        ("V2", true, true, &[("203.0.113.7:5060", IpAddress)]),
        ("V3", true, false, &[("203.0.113.7:5060", IpAddress)]),
        ("G2", true, true, &[("192.0.2.10", IpAddress)]),
        ("K2", true, true, &[("192.0.2.10", IpAddress)]),
        ("M1", true, true, &[("192.0.2.10", IpAddress)]),
    ];
    let more: [AcceptRow; 2] = [
        ("M2", true, false, &[("198.51.100.20", IpAddress)]),
        ("Y1", true, true, &[("192.0.2.10", IpAddress)]),
    ];
    for (name, launches, asks, candidates) in rows.iter().chain(&more) {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.launch_application(), Some(*launches), "{name}");
        assert_eq!(message.requests_ip_address(), *asks, "{name}");
        let read: Vec<(String, AddressSource)> = message
            .addresses()
            .iter()
            .map(|candidate| (candidate.to_string(), candidate.source))
            .collect();
        let want: Vec<(String, AddressSource)> = candidates
            .iter()
            .map(|(text, source)| ((*text).to_owned(), *source))
            .collect();
        assert_eq!(read, want, "{name}");
    }
    assert_eq!(
        rows.len() + more.len(),
        ROWS.iter().filter(|row| row.2 == Accept).count()
    );
    // The private address of O3 comes last, and has no port to go with it.
    let bytes = vector("O3");
    let message = Message::read(&bytes).unwrap();
    let sources: Vec<AddressSource> = message.addresses().iter().map(|c| c.source).collect();
    assert_eq!(sources, [PublicIp, PrivateIp]);
}

#[test]
fn cancels_say_why() {
    for (name, code) in [
        ("O4", CancelCode::Timeout),
        ("O5", CancelCode::Timeout),
        ("F3", CancelCode::Reject),
        ("C3", CancelCode::Reject),
        ("C4", CancelCode::RejectNotInstalled),
        ("C5", CancelCode::Timeout),
        ("C6", CancelCode::OutbandCancel),
        ("C7", CancelCode::Fail),
        ("K3", CancelCode::RejectNotInstalled),
        ("Q1", CancelCode::RejectNotInstalled),
        ("Z2", CancelCode::UserCancel),
    ] {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.cancel_code(), Some(code), "{name}");
    }
}

#[test]
fn voice_messages_carry_capabilities_and_the_connection() {
    use Medium::{Audio, Video};
    let natted = |conn_type, public: [u8; 4], private: [u8; 4], upnp| Connection {
        conn_type,
        sip_capability: Some(1),
        public_ip: Some(public.into()),
        private_ip: Some(private.into()),
        upnp: Some(upnp),
    };
    let o3 = natted(
        ConnType::IpRestrictNat,
        [129, 21, 160, 34],
        [192, 168, 1, 102],
        false,
    );
    let o2 = natted(
        ConnType::IpRestrictNat,
        [61, 237, 235, 88],
        [192, 168, 0, 12],
        true,
    );
    let o6 = natted(
        ConnType::SymmetricNat,
        [65, 210, 205, 254],
        [10, 27, 95, 174],
        false,
    );
    let firewall = Connection {
        conn_type: ConnType::Firewall,
        ..Connection::direct()
    };
    let list = |requested: &[Medium], supported: &[Medium]| {
        Some(Capabilities {
            requested: requested.to_vec(),
            supported: supported.to_vec(),
        })
    };
    for (name, connection, capabilities) in [
        ("O2", o2, list(&[Audio], &[Audio])),
        ("O3", o3, list(&[Audio], &[Audio])),
        ("O4", o3, None),
        ("O5", firewall, None),
        ("O6", o6, list(&[Audio], &[Audio])),
        (
            "V1",
            Connection::direct(),
            list(&[Audio, Video], &[Audio, Video]),
        ),
        ("V2", Connection::direct(), list(&[Audio, Video], &[])),
        ("V3", Connection::direct(), None),
        ("Z1", Connection::direct(), list(&[Audio], &[Audio, Video])),
        ("Z2", Connection::direct(), None),
    ] {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.connection(), Some(connection), "{name}");
        assert_eq!(message.capabilities(), capabilities, "{name}");
    }
    for name in ["O1", "C1", "G2", "W4"] {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.connection(), None, "{name}");
        assert_eq!(message.capabilities(), None, "{name}");
    }
    let bytes = vector("O3");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(
        (message.avm_support(), message.avm_request()),
        (Some(7), Some(2))
    );
    let bytes = vector("O6");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.using_rendezvous(), Some(false));
    assert_eq!(
        message.ip_address_enc64(),
        Some((Ipv4Addr::new(10, 27, 95, 174), Some(8348)))
    );
}

#[test]
fn contexts_carry_their_data() {
    for (name, data, address) in [
        ("W4", "192.0.2.10:10869", Some("192.0.2.10:10869")),
        ("P4", "192.0.2.10:10337", Some("192.0.2.10:10337")),
        (
            "R4",
            "65538,1,192.0.2.10:3389;HOSTNAME:3389,*,QUJDRA==,*,*,RUZHSA==",
            None,
        ),
    ] {
        let bytes = vector(name);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.context_data(), Some(data.as_bytes()), "{name}");
        assert_eq!(
            message.context_address().map(|found| found.to_string()),
            address.map(str::to_owned),
            "{name}"
        );
        assert!(message.addresses().is_empty(), "{name}");
    }
}

#[test]
fn file_transfers_carry_their_fields() {
    let bytes = vector("F1");
    let invite = Message::read(&bytes).unwrap();
    assert_eq!(invite.application_file().unwrap(), "readme.txt");
    assert_eq!(invite.application_file_size(), Some(60_904));
    assert_eq!(invite.connectivity(), None);

    let bytes = vector("F4");
    let accept = Message::read(&bytes).unwrap();
    assert_eq!(accept.port(), Some(6891));
    assert_eq!(accept.auth_cookie(), Some(93_301));
    assert_eq!(accept.sender_connect(), None);

    let bytes = vector("O7");
    let serving = Message::read(&bytes).unwrap();
    assert_eq!(serving.port(), Some(6892));
    assert_eq!(serving.port_x(), Some(11_181));
    assert_eq!(serving.port_x_internal(), None);
    assert_eq!(serving.auth_cookie(), Some(1_251_249_521));
    assert_eq!(serving.sender_connect(), Some(true));
    assert_eq!(
        serving.ip_address_internal(),
        Some((Ipv4Addr::new(10, 0, 2, 3), None))
    );
}

#[test]
fn the_folders_of_a_file_name_are_dropped() {
    for (value, name) in [
        ("readme.txt", Some("readme.txt")),
        ("C:\\Windows\\readme.txt", Some("readme.txt")),
        ("../../etc/passwd", Some("passwd")),
        ("a/..", None),
        ("..", None),
        ("folder/", None),
        ("", None),
    ] {
        let body = format!(
            "Invitation-Command: INVITE\r\nInvitation-Cookie: 1\r\nApplication-File: {value}\r\n"
        );
        let message = Message::read_body(body.as_bytes()).unwrap();
        assert_eq!(message.application_file().as_deref(), name, "{value}");
    }
}
