//! PROTOCOL.md 10.1, one test per row.

use msn_handoff::invitation::{Command, Dialect, Guid, Message, ReadError, is_invitation};

use crate::{payload, vector};

const ACCEPT: &str =
    "Invitation-Command: ACCEPT\r\nInvitation-Cookie: 7\r\nIP-Address: 1.2.3.4\r\n";

fn fields(message: &Message<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    message
        .fields()
        .map(|field| (field.name.to_vec(), field.value.to_vec()))
        .collect()
}

#[test]
fn no_final_line_end_one_or_two_give_the_same_result() {
    let want = Message::read_body(ACCEPT.as_bytes()).unwrap();
    assert_eq!(want.fields().count(), 3);
    for end in ["", "\r\n", "\r\n\r\n", "\r\n\r\n\r\n"] {
        let body = format!("{}{end}", ACCEPT.trim_end());
        let bytes = payload(body.as_bytes());
        let message = Message::read(&bytes).unwrap();
        assert_eq!(fields(&message), fields(&want), "{end:?}");
        assert_eq!(message.cookie(), want.cookie());
    }
}

#[test]
fn bare_line_feeds_are_accepted_and_never_emitted() {
    for name in ["O1", "O3", "O6", "F4", "W4"] {
        let official = vector(name);
        let bare = String::from_utf8(official.clone())
            .unwrap()
            .replace('\r', "");
        let read = Message::read(bare.as_bytes()).unwrap();
        let want = Message::read(&official).unwrap();
        assert_eq!(fields(&read), fields(&want), "{name}");
    }
}

#[test]
fn the_command_and_the_names_are_read_in_any_letter_case() {
    let body =
        b"invitation-command: invite\r\nINVITATION-COOKIE: 7\r\napplication-guid: {1}\r\n\r\n";
    let message = Message::read_body(body).unwrap();
    assert_eq!(message.command(), Command::Invite);
    assert_eq!(message.cookie().as_str(), "7");
    assert!(message.application_guid().is_some());
    for (word, command) in [
        ("Accept", Command::Accept),
        ("cancel", Command::Cancel),
        ("Context", Command::Context),
        ("Dance", Command::Other("Dance")),
    ] {
        let body = format!("Invitation-Command: {word}\r\nInvitation-Cookie: 7\r\n");
        assert_eq!(
            Message::read_body(body.as_bytes()).unwrap().command(),
            command
        );
    }
}

#[test]
fn a_header_without_charset_in_another_order_or_case_is_accepted() {
    for header in [
        "Content-Type: text/x-msmsgsinvite\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite\r\n\r\n",
        "Content-Type: TEXT/x-MsMsgsInvite; Charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n",
        "content-type:  text/x-msmsgsinvite  ;charset=UTF-8\n\n",
    ] {
        let bytes = format!("{header}{ACCEPT}\r\n").into_bytes();
        assert!(is_invitation(&bytes), "{header:?}");
        assert_eq!(Message::read(&bytes).unwrap().command(), Command::Accept);
    }
    let chat = format!("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{ACCEPT}\r\n");
    assert!(!is_invitation(chat.as_bytes()));
    assert_eq!(
        Message::read(chat.as_bytes()).err(),
        Some(ReadError::NotInvitation)
    );
}

#[test]
fn a_request_for_our_address_is_understood_without_colon_and_with_a_trailing_space() {
    for (value, asks) in [
        ("IP-Address:", true),
        ("IP-Address", true),
        ("IP-Address: ", true),
        ("ip-address", true),
        ("Port:IP-Address:", true),
        ("", false),
        ("Port:", false),
        ("IP-Address-Internal:", false),
    ] {
        let body = format!("{ACCEPT}Request-Data: {value}\r\n\r\n");
        let message = Message::read_body(body.as_bytes()).unwrap();
        assert_eq!(message.requests_ip_address(), asks, "{value:?}");
    }
    assert!(
        !Message::read_body(ACCEPT.as_bytes())
            .unwrap()
            .requests_ip_address()
    );
}

#[test]
fn a_guid_without_braces_or_in_lower_case_is_the_same_type() {
    let webcam: Guid = "2A23868E-B45F-401d-B8B0-1E16B774A5B7".parse().unwrap();
    for spelling in [
        "2A23868E-B45F-401d-B8B0-1E16B774A5B7",
        "{2A23868E-B45F-401d-B8B0-1E16B774A5B7}",
        "{2a23868e-b45f-401d-b8b0-1e16b774a5b7}",
        "2a23868e-b45f-401d-b8b0-1e16b774a5b7",
    ] {
        let body = format!(
            "Application-GUID: {spelling}\r\nInvitation-Command: INVITE\r\nInvitation-Cookie: 7\r\n\r\n"
        );
        let message = Message::read_body(body.as_bytes()).unwrap();
        assert_eq!(message.application_guid(), Some(webcam), "{spelling}");
        assert_eq!(message.application_guid().unwrap().as_written(), spelling);
    }
}

#[test]
fn both_spellings_of_mechwarrior_are_the_same_type() {
    let seven: Guid = "{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}".parse().unwrap();
    let eight: Guid = "{041FD0FA-2942-4DC4-B4C5-73D2C55F4C94}".parse().unwrap();
    assert_eq!(seven, eight);
}

#[test]
fn negative_large_and_zero_padded_cookies_keep_their_text() {
    for text in ["-123", "4294967295", "00012"] {
        let body = format!("Invitation-Command: ACCEPT\r\nInvitation-Cookie: {text}\r\n\r\n");
        let message = Message::read_body(body.as_bytes()).unwrap();
        assert_eq!(message.cookie().as_str(), text);
    }
}

#[test]
fn an_unknown_field_is_ignored_and_preserved_when_re_emitting() {
    let body = format!("X: y\r\n{ACCEPT}Encryption: R\r\n\r\n");
    let bytes = payload(body.as_bytes());
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.command(), Command::Accept);
    let rewritten = message.with_field("IP-Address", b"5.6.7.8:9").unwrap();
    assert_eq!(
        rewritten,
        payload(body.replace("1.2.3.4", "5.6.7.8:9").as_bytes())
    );
}

#[test]
fn a_line_without_colon_is_ignored() {
    let body = format!("nothing here\r\n{ACCEPT}nor here\r\n\r\n");
    let message = Message::read_body(body.as_bytes()).unwrap();
    assert_eq!(message.fields().count(), 3);
    assert_eq!(message.command(), Command::Accept);
}

#[test]
fn of_a_duplicated_field_the_first_wins() {
    let body = format!("{ACCEPT}IP-Address: 5.6.7.8\r\nInvitation-Cookie: 8\r\n\r\n");
    let message = Message::read_body(body.as_bytes()).unwrap();
    assert_eq!(message.cookie().as_str(), "7");
    assert_eq!(message.get("IP-Address"), Some(&b"1.2.3.4"[..]));
    assert_eq!(message.addresses().len(), 1);
}

#[test]
fn a_value_without_a_space_before_it_is_accepted() {
    let body = ACCEPT.replace(": ", ":");
    let message = Message::read_body(body.as_bytes()).unwrap();
    assert_eq!(message.addresses().first().unwrap().to_string(), "1.2.3.4");
}

#[test]
fn context_data_is_preserved_byte_for_byte() {
    for data in [
        &b"Requested:SIP_A,;Capabilities:SIP_A,SIP_V,;"[..],
        b"65538,1,192.0.2.10:3389;HOSTNAME:3389,*,QUJDRA==,*,*,RUZHSA==",
        b"a:b;c,d==  e ",
        b"\xff\xfe: raw",
    ] {
        let mut body = ACCEPT.as_bytes().to_vec();
        body.extend_from_slice(b"Context-Data: ");
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n\r\n");
        let message = Message::read_body(&body).unwrap();
        assert_eq!(message.context_data(), Some(data));
    }
}

#[test]
fn a_message_without_cookie_is_to_be_ignored() {
    for body in [
        "Invitation-Command: ACCEPT\r\n\r\n",
        "Invitation-Command: ACCEPT\r\nInvitation-Cookie:\r\n\r\n",
    ] {
        assert_eq!(
            Message::read_body(body.as_bytes()).err(),
            Some(ReadError::MissingCookie)
        );
    }
    assert_eq!(
        Message::read_body(b"Invitation-Command: ACCEPT\r\nInvitation-Cookie: 1e5\r\n").err(),
        Some(ReadError::BadCookie)
    );
}

#[test]
fn a_message_without_command_is_to_be_ignored() {
    for body in [
        "Invitation-Cookie: 7\r\n\r\n",
        "Invitation-Cookie: 7\r\nInvitation-Command:  \r\n\r\n",
        "",
    ] {
        assert_eq!(
            Message::read_body(body.as_bytes()).err(),
            Some(ReadError::MissingCommand)
        );
    }
}

#[test]
fn an_accept_without_launch_application_launches_in_sm1() {
    let message = Message::read_body(ACCEPT.as_bytes()).unwrap();
    assert_eq!(message.launch_application(), None);
    assert!(message.launches(Dialect::Sm1));
    assert!(message.launches(Dialect::Legacy));
    assert!(!message.launches(Dialect::FileTransfer));
    let body = format!("{ACCEPT}Launch-Application: false\r\n");
    let message = Message::read_body(body.as_bytes()).unwrap();
    assert!(!message.launches(Dialect::Sm1));
}

#[test]
fn a_name_that_is_not_utf_8_is_shown_lossily_and_passes_unchanged() {
    let mut body = b"Application-Name: caf\xe9\r\n".to_vec();
    body.extend_from_slice(ACCEPT.as_bytes());
    let message = Message::read_body(&body).unwrap();
    assert_eq!(message.application_name().unwrap(), "caf\u{fffd}");
    assert_eq!(message.get("Application-Name"), Some(&b"caf\xe9"[..]));
    let same = message.with_field("IP-Address", b"1.2.3.4").unwrap();
    assert_eq!(same, body);
}
