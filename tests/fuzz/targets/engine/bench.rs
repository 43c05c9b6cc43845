//! The applications, the contacts, and the messages these send: of the right form mostly.

use std::sync::Arc;

use libfuzzer_sys::arbitrary::Unstructured;
use msn_handoff::{
    invitation::{Guid, Medium},
    negotiation::{AddressForm, Application, ContextData, Dialect, Listens, Role},
};

pub(crate) const PEERS: [&str; 4] = [
    "bob@example.com",
    "BOB@example.com;{c4e9035f-cceb-40f0-8f17-135fb734073b}",
    "ann@example.com",
    "",
];
pub(crate) const APPLICATIONS: usize = 5;
const GUIDS: [&str; 7] = [
    "{44BBA842-CC51-11CF-AAFA-00AA00B6015C}",
    "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}",
    "{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}",
    "{56b994a7-380f-410b-9985-c809d78c1bdc}",
    "{8DAE4336-2B71-11D4-9A6C-006067325E47}",
    "{5D3E02AB-6190-11d3-BBBB-00C04F795683}",
    "{00000000-0000-0000-0000-000000000000}",
];

pub(crate) fn applications() -> Vec<Arc<Application>> {
    let plain = |which: usize| {
        let guid: Guid = GUIDS[which].parse().expect("a GUID");
        Application::new(&format!("a{which}"), guid, "a name")
    };
    let all = [
        plain(0),
        plain(1)
            .with_address(AddressForm::IpPort, Listens::Both)
            .with_media(&[Medium::Audio, Medium::Video]),
        plain(2)
            .with_address(AddressForm::Ip, Listens::Invitee)
            .with_context(Role::Invitee, ContextData::Address),
        plain(3).with_context(Role::Inviter, ContextData::Opaque),
        plain(4).with_dialect(Dialect::Legacy),
    ];
    all.into_iter().map(Arc::new).collect()
}

/// A message of a contact's, or any bytes with the head of one.
pub(crate) fn message(choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let mut text = String::from(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n",
    );
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
    let command = *choices
        .choose(&[
            "INVITE", "INVITE", "ACCEPT", "ACCEPT", "CANCEL", "CONTEXT", "REJECT", "x",
        ])
        .ok()?;
    line("Invitation-Command", command);
    line(
        "Invitation-Cookie",
        choices.choose(&["1", "2", "3", "-7"]).ok()?,
    );
    if command == "INVITE" {
        line("Application-GUID", choices.choose(&GUIDS).ok()?);
        line("Application-Name", choices.choose(&["x", "y"]).ok()?);
        if choices.ratio(3_u8, 4).ok()? {
            line("Session-Protocol", "SM1");
        }
    }
    if choices.ratio(1_u8, 2).ok()? {
        line("Session-ID", "{C4E9035F-CCEB-40F0-8F17-135FB734073B}");
    }
    if choices.ratio(3_u8, 4).ok()? {
        line(
            "Launch-Application",
            choices.choose(&["TRUE", "FALSE"]).ok()?,
        );
        line("Request-Data", "IP-Address:");
    }
    if choices.ratio(1_u8, 2).ok()? {
        let address = ["198.51.100.20", "198.51.100.20:80", "::1", "0.0.0.0"];
        line("IP-Address", choices.choose(&address).ok()?);
    }
    if command == "CANCEL" {
        let codes = [
            "REJECT",
            "TIMEOUT",
            "OUTBANDCANCEL",
            "REJECT_NOT_INSTALLED",
            "FAIL",
            "?",
        ];
        line("Cancel-Code", choices.choose(&codes).ok()?);
    }
    if choices.ratio(1_u8, 4).ok()? {
        let data = [
            "192.0.2.1:80",
            "Requested:SIP_A,;Capabilities:SIP_A,;",
            "65538,1,x",
        ];
        line("Context-Data", choices.choose(&data).ok()?);
    }
    if choices.ratio(1_u8, 16).ok()? {
        text.push_str(&String::from_utf8_lossy(choices.arbitrary::<&[u8]>().ok()?));
    }
    text.push_str("\r\n");
    Some(text.into_bytes())
}
