//! What must hold for any values and any bytes.

use std::net::Ipv4Addr;

use msn_handoff::{
    cli::decode,
    invitation::{
        Accept, AcceptedBy, Cancel, CancelCode, Capabilities, Command, ConnType, Connection,
        Context, Cookie, Dialect, Guid, Invite, MAX_PAYLOAD, Medium, Message, WriteError,
        is_invitation,
    },
};
use proptest::prelude::*;

use crate::{payload, vector};

/// A value that survives the way: no control characters, no blanks at its ends.
fn value() -> impl Strategy<Value = String> {
    "[^\\p{C} ]([^\\p{C}]{0,60}[^\\p{C} ])?".prop_filter("trims to itself", |text| {
        text.as_bytes().trim_ascii() == text.as_bytes()
    })
}

fn guid() -> impl Strategy<Value = Guid> {
    "\\{?[0-9A-Fa-f]{7,8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\\}?"
        .prop_map(|text| text.parse().unwrap())
}

fn cookie() -> impl Strategy<Value = Cookie> {
    prop_oneof![
        any::<u32>().prop_map(Cookie::new),
        any::<i32>().prop_map(|value| value.to_string().parse().unwrap()),
        (0u32..9999).prop_map(|value| format!("{value:08}").parse().unwrap()),
    ]
}

fn ip() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(Ipv4Addr::from)
}

fn connection() -> impl Strategy<Value = Connection> {
    (
        prop::sample::select(vec![
            ConnType::DirectConnect,
            ConnType::IpRestrictNat,
            ConnType::PortRestrictNat,
            ConnType::SymmetricNat,
            ConnType::UnknownNat,
            ConnType::Firewall,
            ConnType::UnknownConnect,
        ]),
        any::<Option<u8>>(),
        prop::option::of(ip()),
        prop::option::of(ip()),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(conn_type, sip_capability, public_ip, private_ip, upnp)| Connection {
                conn_type,
                sip_capability,
                public_ip,
                private_ip,
                upnp,
            },
        )
}

/// Touches every reader.
fn read_all(message: &Message<'_>) {
    let _ = (
        message.command(),
        message.cookie(),
        message.dialect(),
        message.application_name(),
        message.application_guid(),
        message.application_url(),
        message.session_id(),
        message.capabilities(),
        message.context_address(),
    );
    let _ = (
        message.launch_application(),
        message.requests_ip_address(),
        message.ip_address_enc64(),
        message.port_x(),
        message.auth_cookie(),
        message.sender_connect(),
        message.connectivity(),
        message.application_file(),
        message.application_file_size(),
        message.cancel_code(),
        message.connection(),
        message.avm_support(),
    );
    for candidate in message.addresses() {
        assert_ne!(candidate.port, Some(0));
    }
    assert!(message.fields().count() <= 64);
}

/// Bytes that look enough like a message to get somewhere.
fn near_message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "Invitation-Command",
        "Invitation-Cookie",
        "Application-GUID",
        "IP-Address",
        "IP-Address-Enc64",
        "PortX",
        "Port",
        "Context-Data",
        "Session-Protocol",
        "Request-Data",
        "Application-File",
        "",
    ]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"INVITE".to_vec()),
        Just(b"ACCEPT".to_vec()),
        Just(b"7".to_vec()),
        Just(b"192.0.2.1:5060".to_vec()),
        Just(b"MjAzLjAuMTEzLjc6NTA2MA==".to_vec()),
    ];
    let separator = prop::sample::select(vec![": ", ":", " : ", ""]);
    let end = prop::sample::select(vec!["\r\n", "\n", "\r\n\r\n", "\r", ""]);
    let start = prop::sample::select(vec![
        "",
        "Invitation-Command: ACCEPT\r\nInvitation-Cookie: 7\r\n",
        "invitation-cookie:7\ninvitation-command:cancel\n",
    ]);
    let lines = prop::collection::vec((name, separator, value, end), 0..80);
    (start, lines).prop_map(|(start, lines)| {
        let mut bytes = start.as_bytes().to_vec();
        for (name, separator, value, end) in lines {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(separator.as_bytes());
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes
    })
}

proptest! {
    #[test]
    fn an_invite_is_read_as_it_was_written(
        name in value(), guid in guid(), url in prop::option::of(value()), sm1: bool,
        data in prop::option::of(value()), avm: Option<(u32, u32)>, cookie in cookie(),
        session in prop::option::of(guid_text()), connection in prop::option::of(connection()),
    ) {
        let bytes = Invite {
            name: &name,
            guid,
            url: url.as_deref(),
            sm1,
            context_data: data.as_ref().map(String::as_bytes),
            avm,
            cookie,
            session_id: session.as_deref(),
            connection,
        }
        .to_payload()
        .unwrap();
        prop_assert!(is_invitation(&bytes));
        let read = Message::read(&bytes).unwrap();
        prop_assert_eq!(read.command(), Command::Invite);
        prop_assert_eq!(read.application_name().unwrap(), name);
        prop_assert_eq!(read.application_guid().unwrap().to_string(), guid.to_string());
        prop_assert_eq!(read.application_url(), url.as_deref());
        prop_assert_eq!(read.dialect(), if sm1 { Dialect::Sm1 } else { Dialect::Legacy });
        prop_assert_eq!(read.context_data(), data.as_ref().map(String::as_bytes));
        prop_assert_eq!(read.avm_support().zip(read.avm_request()), avm);
        prop_assert_eq!(read.cookie().to_string(), cookie.to_string());
        prop_assert_eq!(read.session_id(), session.as_deref());
        prop_assert_eq!(read.connection(), connection);
    }

    #[test]
    fn an_accept_is_read_as_it_was_written(
        invitee: bool, sm1: bool, data in prop::option::of(value()), cookie in cookie(),
        session in prop::option::of(guid_text()), connection in prop::option::of(connection()),
        using_rendezvous: Option<bool>, ip in ip(), port in prop::option::of(1u16..), enc64: bool,
    ) {
        let by = if invitee { AcceptedBy::Invitee { sm1 } } else { AcceptedBy::Inviter };
        let bytes = Accept {
            by,
            context_data: data.as_ref().map(String::as_bytes),
            cookie,
            session_id: session.as_deref(),
            connection,
            using_rendezvous,
            address: Some((ip, port)),
            enc64,
        }
        .to_payload()
        .unwrap();
        let read = Message::read(&bytes).unwrap();
        prop_assert_eq!(read.command(), Command::Accept);
        prop_assert_eq!(read.cookie().to_string(), cookie.to_string());
        prop_assert_eq!(read.session_id(), session.as_deref());
        prop_assert_eq!(read.speaks_sm1(), invitee && sm1);
        prop_assert_eq!(read.requests_ip_address(), invitee);
        prop_assert_eq!(read.launch_application(), Some(true));
        prop_assert_eq!(read.using_rendezvous(), using_rendezvous);
        prop_assert_eq!(read.context_data(), data.as_ref().map(String::as_bytes));
        prop_assert_eq!(read.connection(), connection);
        prop_assert_eq!(read.ip_address(), Some((ip, port)));
        prop_assert_eq!(read.ip_address_enc64(), enc64.then_some((ip, port)));
        let first = read.addresses().first().unwrap();
        prop_assert_eq!((first.ip, first.port), (ip, port));
    }

    #[test]
    fn a_context_and_a_cancel_are_read_as_they_were_written(
        data in value(), cookie in cookie(), session in prop::option::of(guid_text()),
        code in "[A-Z_]{1,30}", connection in prop::option::of(connection()),
    ) {
        let bytes = Context { cookie, session_id: session.as_deref(), data: data.as_bytes() }
            .to_payload()
            .unwrap();
        let read = Message::read(&bytes).unwrap();
        prop_assert!(read.is_context());
        prop_assert_eq!(read.context_data(), Some(data.as_bytes()));
        prop_assert_eq!(read.cookie().to_string(), cookie.to_string());

        let code = CancelCode::read(code.as_bytes());
        let bytes = Cancel { code: code.clone(), cookie, session_id: session.as_deref(), connection }
            .to_payload()
            .unwrap();
        let read = Message::read(&bytes).unwrap();
        prop_assert_eq!(read.command(), Command::Cancel);
        prop_assert_eq!(read.cancel_code(), Some(code));
        prop_assert_eq!(read.connection(), connection);
        prop_assert_eq!(read.session_id(), session.as_deref());
    }

    #[test]
    fn a_capability_list_is_read_as_it_was_written(
        requested in media(), supported in media(),
    ) {
        let list = Capabilities { requested, supported };
        prop_assert_eq!(Capabilities::read(list.to_string().as_bytes()), Some(list));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = is_invitation(&bytes);
        let _ = Message::read(&bytes);
        let _ = decode::run(&bytes, true);
        if let Ok(message) = Message::read_body(&bytes) {
            read_all(&message);
        }
    }

    #[test]
    fn bytes_like_a_message_never_panic(body in near_message()) {
        if let Ok(message) = Message::read_body(&body) {
            read_all(&message);
        }
        let whole = payload(&body);
        if let Ok(message) = Message::read(&whole) {
            read_all(&message);
            prop_assert_eq!(message.bytes(), whole.as_slice());
        }
        let table = decode::run(&whole, false).unwrap_or_default();
        prop_assert!(!table.chars().any(|c| c != '\n' && c.is_control()));
        if let Ok(json) = decode::run(&whole, true) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
    }

    #[test]
    fn replacing_one_value_leaves_all_other_bytes_alone(
        body in near_message(), new in value(),
    ) {
        let bytes = payload(&body);
        let Ok(message) = Message::read(&bytes) else { return Ok(()) };
        match message.with_field("IP-Address", new.as_bytes()) {
            Ok(out) => {
                let old = message.get("IP-Address").unwrap();
                let at = old.as_ptr() as usize - bytes.as_ptr() as usize;
                let (head, rest) = bytes.split_at(at);
                prop_assert_eq!(&out[..at], head);
                prop_assert_eq!(&out[at..at + new.len()], new.as_bytes());
                prop_assert_eq!(&out[at + new.len()..], &rest[old.len()..]);
                prop_assert_eq!(
                    Message::read(&out).unwrap().get("IP-Address"),
                    Some(new.as_bytes())
                );
            }
            Err(WriteError::NoSuchField { .. }) => {
                prop_assert_eq!(message.get("IP-Address"), None);
            }
            Err(WriteError::TooLong { length }) => prop_assert!(length > MAX_PAYLOAD),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn guid_text() -> impl Strategy<Value = String> {
    guid().prop_map(|guid| guid.as_written().to_owned())
}

fn media() -> impl Strategy<Value = Vec<Medium>> {
    prop::sample::subsequence(vec![Medium::Audio, Medium::Video], 0..=2)
}

#[test]
fn every_cut_of_every_vector_is_read_or_refused_without_a_panic() {
    for name in ["O2", "O3", "O6", "O7", "F4", "Z1"] {
        let bytes = vector(name);
        for end in 0..=bytes.len() {
            if let Ok(message) = Message::read(&bytes[..end]) {
                read_all(&message);
            }
        }
    }
}
