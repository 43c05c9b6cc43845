//! What a connection brings, by its first bytes.

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// X.224 that opens T.120.
    T120,
    Sip,
    Http,
    /// Something else, by its name if it has one.
    Other(&'static str),
}

/// Most bytes that are looked at.
pub(super) const ENOUGH: usize = 512;

/// Looks; nothing yet when there are too few to tell.
pub(super) fn look(bytes: &[u8]) -> Option<Kind> {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let ended = line.len() < bytes.len();
    match bytes {
        [3, 0, _, _, _, 0xe0, ..] => Some(Kind::T120),
        [3, 0, _, _, _, _, ..] => Some(Kind::Other("TPKT")),
        [3, ..] | [] => (bytes.len() > 6).then_some(Kind::Other("")),
        _ if bytes.starts_with(b"SIP/2.0 ") => Some(Kind::Sip),
        _ if ended && line.trim_ascii_end().ends_with(b"SIP/2.0") => Some(Kind::Sip),
        _ if ended && memchr::memmem::find(line, b" HTTP/1.").is_some() => Some(Kind::Http),
        _ if ended || bytes.len() >= ENOUGH || !bytes.is_ascii() => Some(Kind::Other("")),
        _ => None,
    }
}
