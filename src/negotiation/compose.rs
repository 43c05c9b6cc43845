//! What we say: the messages of one invitation, from what its session knows (PROTOCOL.md section 2),
//! and what is read out of the peer's.

use core::{net::Ipv4Addr, str};

use crate::{
    invitation::{
        Accept, AddressSource, Cancel, CancelCode, Candidate, Capabilities, Connection, Context,
        Cookie, Invite, Message,
    },
    negotiation::{Announced, Role, session::Session},
};

/// Characters of one context message (PROTOCOL.md 1.4).
const CONTEXT_CHARACTERS: usize = 300;

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
        Ok(text) => text.char_indices().nth(CONTEXT_CHARACTERS).map(|(at, _)| at)?,
        Err(_) if data.len() > CONTEXT_CHARACTERS => CONTEXT_CHARACTERS,
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

/// `ip:port` in context data (PROTOCOL.md 5.5); an address alone is taken too. Only a dotted quad
/// is an address.
pub(super) fn address(data: &[u8]) -> Option<Candidate> {
    let text = str::from_utf8(data).ok()?.trim();
    let (ip, port) = match text.split_once(':') {
        Some((ip, port)) => (ip, Some(port.parse().ok().filter(|&port: &u16| port != 0)?)),
        None => (text, None),
    };
    let ip: Ipv4Addr = ip.parse().ok()?;
    Some(Candidate { ip, port, source: AddressSource::ContextData })
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
        assert!(parts.iter().all(|part| str::from_utf8(part).unwrap().chars().count() <= 300));
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
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [300, 300, 100]);
    }

    #[test]
    fn only_dotted_quads_are_addresses() {
        let source = AddressSource::ContextData;
        let ip = Ipv4Addr::new(192, 0, 2, 10);
        for (text, expected) in [
            ("192.0.2.10:10869", Some(Candidate { ip, port: Some(10869), source })),
            (" 192.0.2.10 ", Some(Candidate { ip, port: None, source })),
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
