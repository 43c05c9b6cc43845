//! The checked view of a message's lines (PROTOCOL.md 1.2 and 1.3): where each `Name: value` stands
//! in the borrowed bytes, in order, without an allocation. Lenient in what it takes: CRLF or LF, any
//! number of them at the end, any letter case, lines that are no fields.

use super::write::{WriteError, check};

/// The most fields a message may have. Official ones have at most 15.
pub const MAX_FIELDS: usize = 64;

/// The longest input that is read, in bytes. More than a switchboard carries
/// ([`super::MAX_PAYLOAD`]), so that a message that was too long can still be looked at.
pub const MAX_READ: usize = 8192;

/// The media type of an invitation.
const MEDIA_TYPE: &[u8] = b"text/x-msmsgsinvite";

/// Why a message is not read. It never holds any of the message's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The MIME header is missing or names another content type.
    #[error("the content type is not text/x-msmsgsinvite")]
    NotInvitation,
    /// Longer than [`MAX_READ`].
    #[error("{length} bytes are more than the {MAX_READ} that are read")]
    TooLong {
        /// Length of the input in bytes.
        length: usize,
    },
    /// More than [`MAX_FIELDS`].
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// No `Invitation-Command`, or an empty one: to be ignored.
    #[error("the field Invitation-Command is missing")]
    MissingCommand,
    /// The command is not UTF-8.
    #[error("the value of Invitation-Command is not text")]
    BadCommand,
    /// No `Invitation-Cookie`: to be ignored.
    #[error("the field Invitation-Cookie is missing")]
    MissingCookie,
    /// The cookie is not a number of 32 bits.
    #[error("the value of Invitation-Cookie is not a number of 32 bits")]
    BadCookie,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was spelled, without the blanks around it.
    pub name: &'a [u8],
    /// The value without leading blanks; trailing ones are kept.
    pub value: &'a [u8],
}

/// Where a field stands. `MAX_READ` keeps the offsets within `u16`.
#[derive(Clone, Copy, Default)]
struct Span {
    name: (u16, u16),
    value: (u16, u16),
}

/// The fields of one message, in the order of their lines.
#[derive(Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    body: usize,
    end: usize,
    spans: [Span; MAX_FIELDS],
    count: usize,
    skipped: usize,
}

/// Whether a MSG payload is an invitation: looks at the MIME header and at nothing else.
#[must_use]
pub fn is_invitation(payload: &[u8]) -> bool {
    let head = payload.get(..MAX_READ).unwrap_or(payload);
    body_offset(head).is_some()
}

/// Where the body of an invitation starts; `None` when the header does not say that it is one.
/// The first `Content-Type` counts.
fn body_offset(payload: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut matched = false;
    while at < payload.len() {
        let (line, next) = line_at(payload, at);
        at = next;
        if line.is_empty() {
            break;
        }
        if matched {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if name.trim_ascii().eq_ignore_ascii_case(b"Content-Type") {
            let value = value.get(1..).unwrap_or_default();
            let media = value.split(|byte| *byte == b';').next().unwrap_or_default();
            matched = media.trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE);
            if !matched {
                // Chat, most of the time: the rest is nobody's business.
                return None;
            }
        }
    }
    matched.then_some(at)
}

/// The line at `at` without its end (LF or CRLF), and where the next one starts.
fn line_at(bytes: &[u8], at: usize) -> (&[u8], usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    match memchr::memchr(b'\n', rest) {
        Some(length) => {
            let line = rest.get(..length).unwrap_or_default();
            (line.strip_suffix(b"\r").unwrap_or(line), at + length + 1)
        }
        None => (rest.strip_suffix(b"\r").unwrap_or(rest), bytes.len()),
    }
}

impl<'a> Fields<'a> {
    /// Reads a whole MSG payload: MIME header, then body.
    ///
    /// # Errors
    /// [`ReadError::NotInvitation`], [`ReadError::TooLong`] or [`ReadError::TooManyFields`].
    pub fn read(payload: &'a [u8]) -> Result<Self, ReadError> {
        check_length(payload)?;
        let body = body_offset(payload).ok_or(ReadError::NotInvitation)?;
        Self::from_offset(payload, body)
    }

    /// Reads a body alone.
    ///
    /// # Errors
    /// [`ReadError::TooLong`] or [`ReadError::TooManyFields`].
    pub fn read_body(body: &'a [u8]) -> Result<Self, ReadError> {
        check_length(body)?;
        Self::from_offset(body, 0)
    }

    /// Reads lines from `body` on: up to the first empty line after a field.
    fn from_offset(bytes: &'a [u8], body: usize) -> Result<Self, ReadError> {
        let mut fields = Self {
            bytes,
            body,
            end: bytes.len(),
            spans: [Span::default(); MAX_FIELDS],
            count: 0,
            skipped: 0,
        };
        let mut at = body;
        while at < bytes.len() {
            let start = at;
            let (line, next) = line_at(bytes, at);
            at = next;
            if line.is_empty() {
                if fields.count == 0 {
                    continue;
                }
                fields.end = at;
                break;
            }
            // A value may hold more colons; a line without any is no field.
            let Some(colon) = memchr::memchr(b':', line) else {
                fields.skipped += 1;
                continue;
            };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default();
            let name_start = start + (name.len() - name.trim_ascii_start().len());
            let name_end = start + name.trim_ascii_end().len();
            if name_end <= name_start {
                fields.skipped += 1;
                continue;
            }
            let value_start = start + colon + 1 + (value.len() - value.trim_ascii_start().len());
            let value_end = start + line.len();
            let span = Span {
                name: (offset(name_start)?, offset(name_end)?),
                value: (offset(value_start)?, offset(value_end)?),
            };
            *fields
                .spans
                .get_mut(fields.count)
                .ok_or(ReadError::TooManyFields)? = span;
            fields.count += 1;
        }
        Ok(fields)
    }

    /// The spans in use.
    fn spans(&self) -> &[Span] {
        self.spans.get(..self.count).unwrap_or_default()
    }

    /// The bytes of a span.
    fn slice(&self, (start, end): (u16, u16)) -> &'a [u8] {
        self.bytes
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    /// The first field of that name in any letter case.
    fn find(&self, name: &str) -> Option<&Span> {
        self.spans().iter().find(|span| {
            usize::from(span.name.1 - span.name.0) == name.len()
                && self.slice(span.name).eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// The value of the first field of that name, in any letter case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.find(name).map(|span| self.slice(span.value))
    }

    /// All fields, in order, repeated ones included.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.spans().iter().map(|span| Field {
            name: self.slice(span.name),
            value: self.slice(span.value),
        })
    }

    /// How many fields there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many lines were no fields.
    #[must_use]
    pub fn skipped_lines(&self) -> usize {
        self.skipped
    }

    /// All the bytes that were given, MIME header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes after the empty line that ends the fields; not read, but kept when re-emitting.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.end..).unwrap_or_default()
    }

    /// The bytes after the MIME header.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(self.body..).unwrap_or_default()
    }

    /// All the bytes with the values of some fields replaced; every other byte is unchanged: line
    /// ends, spelling of names, unknown fields, terminator. Of a repeated field the first is
    /// replaced, which is the one that counts. Where a name is given twice, its last value is taken.
    ///
    /// # Errors
    /// [`WriteError::NoSuchField`] when the message has no such field, [`WriteError::Control`] when a
    /// value holds a control character, [`WriteError::TooLong`] when the result could not be sent.
    pub fn with_fields(&self, changes: &[(&'static str, &[u8])]) -> Result<Vec<u8>, WriteError> {
        let mut values: [Option<&[u8]>; MAX_FIELDS] = [None; MAX_FIELDS];
        let mut length = self.bytes.len();
        for (name, value) in changes {
            check(name, value)?;
            let index = self
                .spans()
                .iter()
                .position(|span| self.slice(span.name).eq_ignore_ascii_case(name.as_bytes()))
                .ok_or(WriteError::NoSuchField { field: name })?;
            if let Some(slot) = values.get_mut(index) {
                *slot = Some(value);
            }
            length += value.len();
        }
        let mut out = Vec::with_capacity(length.min(2 * MAX_READ));
        let mut copied = 0;
        for (span, value) in self.spans().iter().zip(values) {
            if let Some(value) = value {
                let (start, end) = (usize::from(span.value.0), usize::from(span.value.1));
                out.extend_from_slice(self.bytes.get(copied..start).unwrap_or_default());
                out.extend_from_slice(value);
                copied = end;
            }
        }
        out.extend_from_slice(self.bytes.get(copied..).unwrap_or_default());
        if out.len() > super::MAX_PAYLOAD {
            return Err(WriteError::TooLong { length: out.len() });
        }
        Ok(out)
    }
}

impl core::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fields")
            .field("bytes", &self.bytes.len())
            .field("count", &self.count)
            .finish()
    }
}

/// Refuses what is longer than [`MAX_READ`].
fn check_length(bytes: &[u8]) -> Result<(), ReadError> {
    if bytes.len() > MAX_READ {
        return Err(ReadError::TooLong {
            length: bytes.len(),
        });
    }
    Ok(())
}

/// An offset within the input.
fn offset(at: usize) -> Result<u16, ReadError> {
    u16::try_from(at).map_err(|_| ReadError::TooLong { length: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_values(body: &[u8]) -> Vec<(String, String)> {
        Fields::read_body(body)
            .unwrap()
            .iter()
            .map(|field| {
                (
                    String::from_utf8_lossy(field.name).into_owned(),
                    String::from_utf8_lossy(field.value).into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn a_line_splits_at_its_first_colon_and_keeps_the_others() {
        assert_eq!(
            names_and_values(b"Request-Data: IP-Address:\r\nIP-Address:1.2.3.4:5\r\nA : b \r\n"),
            [
                ("Request-Data".into(), "IP-Address:".into()),
                ("IP-Address".into(), "1.2.3.4:5".into()),
                ("A".into(), "b ".into()),
            ]
        );
    }

    #[test]
    fn lines_that_are_no_fields_are_skipped() {
        assert_eq!(
            names_and_values(b"\r\nno colon\r\n: no name\r\n  \r\nA: b\r\nEmpty:\r\n\r\nB: c\r\n"),
            [("A".into(), "b".into()), ("Empty".into(), String::new())]
        );
        let fields = Fields::read_body(b"A: b\r\n\r\nB: c\r\n").unwrap();
        assert_eq!(fields.rest(), b"B: c\r\n");
        assert_eq!(fields.get("B"), None);
    }

    #[test]
    fn the_content_type_alone_decides_what_an_invitation_is() {
        for head in [
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n",
            "Content-Type: text/x-msmsgsinvite\r\n\r\n",
            "content-type:TEXT/X-MSMSGSINVITE ;charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n",
            "X: y\nContent-Type:   text/x-msmsgsinvite\n\n",
            "Content-Type: text/x-msmsgsinvite",
        ] {
            assert!(is_invitation(head.as_bytes()), "{head:?}");
        }
        for head in [
            "",
            "\r\n",
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nContent-Type: text/x-msmsgsinvite\r\n\r\n",
            "Content-Type: text/x-msmsgsinvitee\r\n\r\n",
            "Content-Type: text/plain\r\nContent-Type: text/x-msmsgsinvite\r\n\r\n",
            "Invitation-Command: INVITE\r\n\r\n",
        ] {
            assert!(!is_invitation(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn sixty_four_fields_are_read_and_one_more_is_refused() {
        assert_eq!(names_and_values(&b"a:b\n".repeat(64)).len(), 64);
        assert_eq!(
            Fields::read_body(&b"a:b\n".repeat(65)).err(),
            Some(ReadError::TooManyFields)
        );
        assert_eq!(
            Fields::read_body(&[b'a'; MAX_READ + 1]).err(),
            Some(ReadError::TooLong {
                length: MAX_READ + 1
            })
        );
        assert_eq!(Fields::read_body(&[b'a'; MAX_READ]).unwrap().count(), 0);
    }

    #[test]
    fn replacing_a_value_leaves_every_other_byte_alone() {
        let message =
            b"x: 1\nIP-Address:   10.0.0.1:5\r\nnot a field\r\nip-address: 2\r\nP:\r\n\r\n\r\n";
        let fields = Fields::read_body(message).unwrap();
        assert_eq!(
            fields
                .with_fields(&[("P", b"7"), ("IP-address", b"203.0.113.7:5060")])
                .unwrap(),
            b"x: 1\nIP-Address:   203.0.113.7:5060\r\nnot a field\r\nip-address: 2\r\nP:7\r\n\r\n\r\n"
        );
        assert_eq!(fields.with_fields(&[]).unwrap(), message);
        assert_eq!(
            fields.with_fields(&[("Port", b"1")]),
            Err(WriteError::NoSuchField { field: "Port" })
        );
        assert_eq!(
            fields.with_fields(&[("x", b"1\r\nPort: 2")]),
            Err(WriteError::Control { field: "x" })
        );
        assert_eq!(
            fields.with_fields(&[("x", &[b'1'; 1664])]),
            Err(WriteError::TooLong {
                length: message.len() + 1663
            })
        );
    }
}
