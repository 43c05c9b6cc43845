//! Protocols that begin with words: SIP and HTTP, which the end of the first line tells apart
//! (NOTIFY is of both), MSNFTP and RFB.

use super::{Protocol, Seen};

/// The longest first line, with what stands before it.
pub(super) const LONGEST_LINE: usize = 4096;
/// The longest method.
const LONGEST_METHOD: usize = 32;
/// Line breaks before a SIP message are to be skipped (RFC 3261 section 7.5), and keep a connection
/// alive; so many bytes of them are.
const LONGEST_SKIPPED: usize = 64;

/// Beginnings that tell by themselves.
const BEGINNINGS: [(&[u8], Protocol); 4] = [
    (b"SIP/2.0 ", Protocol::Sip),
    (b"HTTP/1.", Protocol::Http),
    (b"VER MSNFTP", Protocol::Msnftp),
    (b"RFB 00", Protocol::Rfb),
];

/// What a connection that begins with words is.
pub(super) fn see(bytes: &[u8]) -> Seen {
    let more = Seen::NeedMore(bytes.len() + 1);
    let line_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let Some(begin) = bytes.iter().position(|byte| !line_break(byte)) else {
        return if bytes.len() > LONGEST_SKIPPED {
            Seen::Unknown
        } else {
            more
        };
    };
    if begin > LONGEST_SKIPPED {
        return Seen::Unknown;
    }
    let text = bytes.get(begin..).unwrap_or_default();
    let mut more_of_beginning = None;
    for (beginning, protocol) in BEGINNINGS {
        if text.starts_with(beginning) {
            return Seen::Known(protocol);
        }
        if beginning.starts_with(text) {
            more_of_beginning = Some(more);
        }
    }
    more_of_beginning.unwrap_or_else(|| first_line(text, begin))
}

/// What the first line of a request says; `before` so many bytes stand before it.
fn first_line(text: &[u8], before: usize) -> Seen {
    let more = Seen::NeedMore(before + text.len() + 1);
    let in_method = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    let method = text.iter().take_while(|byte| in_method(byte)).count();
    if !text.first().is_some_and(u8::is_ascii_alphabetic) || method > LONGEST_METHOD {
        return Seen::Unknown;
    }
    match text.get(method) {
        None => return more,
        Some(b' ') => {}
        Some(_) => return Seen::Unknown,
    }
    let room = LONGEST_LINE.saturating_sub(before);
    let within = text.get(..room).unwrap_or(text);
    // A control character is in no request, and the end of the line ends the search.
    let Some(end) = within
        .iter()
        .position(|byte| byte.is_ascii_control() && *byte != b'\t')
    else {
        return if within.len() < room {
            more
        } else {
            Seen::Unknown
        };
    };
    let (line, after) = within.split_at_checked(end).unwrap_or_default();
    match after {
        [b'\n', ..] | [b'\r', b'\n', ..] => {}
        [b'\r'] if end + 1 < room => return more,
        _ => return Seen::Unknown,
    }
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if last.eq_ignore_ascii_case(b"SIP/2.0") {
        Seen::Known(Protocol::Sip)
    } else if last.len() == 8 && last.to_ascii_uppercase().starts_with(b"HTTP/1.") {
        Seen::Known(if line.starts_with(b"NOTIFY ") {
            Protocol::UpnpEvent
        } else {
            Protocol::Http
        })
    } else {
        Seen::Unknown
    }
}
