//! The text in what came, whatever its encoding, and what an unknown text looks like.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What an unknown text looks like, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing but blanks.
    Empty,
    /// Base64 of so many bytes.
    Base64(usize),
    /// Hexadecimal digits of so many bytes.
    Hex(usize),
    /// Readable text.
    Text,
    /// Anything else.
    Binary,
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing at all"),
            Self::Base64(bytes) => write!(f, "base64 of {bytes} bytes"),
            Self::Hex(bytes) => write!(f, "{bytes} bytes in hexadecimal"),
            Self::Text => f.write_str("readable text, but no ticket"),
            Self::Binary => f.write_str("binary data"),
        }
    }
}

impl Look {
    /// Of a text.
    pub(super) fn of(text: &str) -> Self {
        let digits = |c: char| c.is_ascii_hexdigit();
        if text.is_empty() {
            Self::Empty
        } else if text.len().is_multiple_of(2) && text.chars().all(digits) {
            Self::Hex(text.len() / 2)
        } else if let Ok(data) = STANDARD.decode(text) {
            Self::Base64(data.len())
        } else if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            Self::Binary
        } else {
            Self::Text
        }
    }
}

/// The text, by its byte order mark; UTF-8 without one, as long as it is that. A character that is
/// cut at the end may yet be completed.
pub(super) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.as_chunks::<2>().0.iter().copied().map(unit);
        Some(Cow::Owned(
            char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        ))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [] | [0xff | 0xfe | 0xef] | [0xef, 0xbb] => Some(Cow::Borrowed("")),
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest),
        _ => narrow(bytes),
    }
}

fn narrow(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => bytes
            .get(..error.valid_up_to())
            .and_then(|whole| std::str::from_utf8(whole).ok())?,
        Err(_) => return None,
    };
    Some(Cow::Borrowed(text))
}
