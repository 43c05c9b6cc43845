//! What we say: the messages of one invitation, from what its session knows (PROTOCOL.md section 2),
//! and how context data is cut and read.

use core::{net::Ipv4Addr, str};

use crate::{
    invitation::{
        Accept, AcceptedBy, AddressSource, Cancel, CancelCode, Candidate, Capabilities, Connection,
        Context, Cookie, Invite, MAX_CONTEXT_DATA, read_address,
    },
    negotiation::{AddressForm, Announced, Announcement, Role, session::Session},
};

/// Cuts context data into messages the peer's API takes: at most 300 characters each (bytes, where
/// the data is not UTF-8), and no cut beside a space, for readers trim values.
pub(super) fn split_context(data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some((part, after)) = cut(rest) {
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// The first part and what is left, or `None` when all fits.
fn cut(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let limit = match str::from_utf8(data) {
        Ok(text) => text
            .char_indices()
            .nth(MAX_CONTEXT_DATA)
            .map(|(at, _)| at)?,
        Err(_) if data.len() > MAX_CONTEXT_DATA => MAX_CONTEXT_DATA,
        Err(_) => return None,
    };
    let is_text = str::from_utf8(data).is_ok();
    let starts_character = |at: usize| !is_text || data.get(at).is_none_or(|b| b & 0xC0 != 0x80);
    let is_space = |at: usize| data.get(at).is_some_and(|&b| b == b' ' || b == b'\t');
    let at = (1..=limit)
        .rev()
        .find(|&at| starts_character(at) && !is_space(at) && !is_space(at - 1))
        .unwrap_or(limit);
    data.split_at_checked(at)
}

/// The address in context data, when that is all there is in it (PROTOCOL.md 5.5).
pub(super) fn address(data: &[u8]) -> Option<Candidate> {
    let (ip, port) = read_address(data)?;
    Some(Candidate {
        ip,
        port,
        source: AddressSource::ContextData,
    })
}

/// Our INVITE.
pub(super) fn invite(session: &Session, asked: Option<&Capabilities>) -> Result<Vec<u8>, String> {
    let application = &session.application;
    let guid = application
        .guids
        .first()
        .copied()
        .ok_or("the bridge has no GUID")?;
    let context_data = has_media(session).then(|| match asked {
        Some(asked) => asked.to_string(),
        None => Capabilities::offering(&application.media).to_string(),
    });
    let payload = Invite {
        name: &application.announce,
        guid,
        url: application.url.as_deref(),
        sm1: session.sm1,
        context_data: context_data.as_deref().map(str::as_bytes),
        avm: application.avm,
        cookie: session.cookie,
        session_id: session.session_id.as_deref(),
        connection: connection(session, None),
    };
    payload.to_payload().map_err(|error| error.to_string())
}

/// Our ACCEPT: #1 or #2, as our role says. What the INVITE had not is left out (PROTOCOL.md 2.7).
pub(super) fn accept(session: &Session, own: &Announced) -> Result<Vec<u8>, String> {
    let by = match session.role {
        Role::Invitee => AcceptedBy::Invitee { sm1: session.sm1 },
        Role::Inviter => AcceptedBy::Inviter,
    };
    let answers = has_media(session) && session.role == Role::Invitee;
    let context_data = answers.then(|| Capabilities::requesting(&session.media).to_string());
    let payload = Accept {
        by,
        context_data: context_data.as_deref().map(str::as_bytes),
        cookie: session.cookie,
        session_id: session.session_id.as_deref(),
        connection: connection(session, own.connection),
        using_rendezvous: None,
        address: announced_address(session, own)?,
        enc64: session.application.enc64,
    };
    payload.to_payload().map_err(|error| error.to_string())
}

/// A context message of ours.
pub(super) fn context(session: &Session, data: &[u8]) -> Result<Vec<u8>, String> {
    let payload = Context {
        cookie: session.cookie,
        session_id: session.session_id.as_deref(),
        data,
    };
    payload.to_payload().map_err(|error| error.to_string())
}

/// The CANCEL that ends a session; `None` only if even that cannot be written.
pub(super) fn farewell(session: &Session, code: CancelCode) -> Option<Vec<u8>> {
    let connection = connection(session, None);
    cancel(
        session.cookie,
        session.session_id.as_deref(),
        code,
        connection,
    )
}

/// A CANCEL. A code of another spelling that cannot be written is left at `REJECT`.
pub(super) fn cancel(
    cookie: Cookie,
    session_id: Option<&str>,
    code: CancelCode,
    connection: Option<Connection>,
) -> Option<Vec<u8>> {
    let full = Cancel {
        code,
        cookie,
        session_id,
        connection,
    };
    full.to_payload()
        .or_else(|_| {
            let code = CancelCode::Reject;
            Cancel {
                code,
                cookie,
                session_id: None,
                connection: None,
            }
            .to_payload()
        })
        .ok()
}

/// Whether the capability list of voice and video goes with it.
fn has_media(session: &Session) -> bool {
    !session.application.media.is_empty()
}

/// The `Conn-Type` block: what was found out now, else what was announced before, else a direct
/// connection.
fn connection(session: &Session, now: Option<Connection>) -> Option<Connection> {
    session.application.connection.then(|| {
        now.or(session.connection)
            .unwrap_or_else(Connection::direct)
    })
}

/// What stands in `IP-Address`.
fn announced_address(
    session: &Session,
    own: &Announced,
) -> Result<Option<(Ipv4Addr, Option<u16>)>, String> {
    let must_listen = session
        .application
        .must_listen(session.role, Announcement::Accept);
    match (session.application.address, own.port) {
        (AddressForm::None, _) => Ok(None),
        (AddressForm::Ip, _) => Ok(Some((own.ip, None))),
        (AddressForm::IpPort, Some(port)) if port != 0 => Ok(Some((own.ip, Some(port)))),
        // Who calls has no port to be called at.
        (AddressForm::IpPort, None) if !must_listen => Ok(Some((own.ip, None))),
        (AddressForm::IpPort, _) => Err("no port to announce".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_context_data_is_one_message() {
        assert_eq!(split_context(b"192.0.2.10:10869"), [b"192.0.2.10:10869"]);
        assert_eq!(split_context(b""), [b""]);
        assert_eq!(split_context(&[b'x'; 300]).len(), 1);
    }

    #[test]
    fn long_context_data_is_cut_by_characters_and_loses_nothing() {
        let text = "é".repeat(301) + &"x".repeat(299);
        let parts = split_context(text.as_bytes());
        assert_eq!(parts.len(), 2);
        assert_eq!(parts.concat(), text.as_bytes());
        assert!(
            parts
                .iter()
                .all(|part| str::from_utf8(part).unwrap().chars().count() <= 300)
        );
    }

    #[test]
    fn no_cut_stands_beside_a_space() {
        let text = format!("{} {}", "x".repeat(299), "y".repeat(10));
        let parts = split_context(text.as_bytes());
        assert_eq!(parts.concat(), text.as_bytes());
        for part in parts {
            assert_eq!(part, part.trim_ascii());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_by_number() {
        let parts = split_context(&[0xFF; 700]);
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [300, 300, 100]
        );
    }

    #[test]
    fn only_dotted_quads_are_addresses() {
        let source = AddressSource::ContextData;
        let ip = Ipv4Addr::new(192, 0, 2, 10);
        for (text, expected) in [
            (
                "192.0.2.10:10869",
                Some(Candidate {
                    ip,
                    port: Some(10869),
                    source,
                }),
            ),
            (
                " 192.0.2.10 ",
                Some(Candidate {
                    ip,
                    port: None,
                    source,
                }),
            ),
            ("192.0.2.10:0", None),
            ("192.0.2.10:70000", None),
            ("192.0.2:80", None),
            ("0x7f000001:80", None),
            ("localhost:80", None),
            ("65538,1,192.0.2.10:3389", None),
            ("", None),
        ] {
            assert_eq!(address(text.as_bytes()), expected, "{text}");
        }
    }
}
