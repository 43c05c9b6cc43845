//! Reads MSNP commands off a socket for the demo's server and client: one line, and a payload where
//! PROTOCOL.md 12.4 says the verb carries one. Kept apart from the proxy's framing (`crate::msnp`) on
//! purpose: what tests the proxy must not share its mistakes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest command line taken.
const MAX_LINE: usize = 8 * 1024;
/// Longest payload taken (a contact list, `ADL`, is the longest in practice).
const MAX_PAYLOAD: usize = 64 * 1024;

/// Who wrote a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// One command with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    words: Vec<String>,
    bytes: Vec<u8>,
    payload_at: usize,
}

impl Frame {
    /// The verb (`MSG`), empty on an empty line.
    pub(super) fn verb(&self) -> &str {
        self.word(0)
    }

    /// The word at `index` (0 is the verb), empty when there is none.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// All words of the line.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The payload, empty when the command has none.
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// The command as it was on the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Cuts a stream into [`Frame`]s. [`FrameReader::next`] may be dropped and called again.
pub(super) struct FrameReader<R> {
    stream: R,
    from: Side,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of what `from` writes.
    pub(super) fn new(stream: R, from: Side) -> Self {
        Self {
            stream,
            from,
            buffer: Vec::new(),
        }
    }

    /// The next command, or `None` when the stream ended (also in the middle of a command).
    ///
    /// # Errors
    /// What the socket says, and [`io::ErrorKind::InvalidData`] for a line or payload too long.
    pub(super) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = take(&mut self.buffer, self.from)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(4096);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Takes the first whole command out of `buffer`.
fn take(buffer: &mut Vec<u8>, from: Side) -> io::Result<Option<Frame>> {
    let too_long = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return if buffer.len() > MAX_LINE {
            Err(too_long("command line too long"))
        } else {
            Ok(None)
        };
    };
    let payload_at = end + 1;
    let line = buffer.get(..end).unwrap_or_default();
    let words: Vec<String> = String::from_utf8_lossy(line)
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    let length = payload_length(&words, from);
    if length > MAX_PAYLOAD || end > MAX_LINE {
        return Err(too_long("payload too long"));
    }
    let whole = payload_at + length;
    if buffer.len() < whole {
        return Ok(None);
    }
    let bytes = buffer.drain(..whole).collect();
    Ok(Some(Frame {
        words,
        bytes,
        payload_at,
    }))
}

/// Bytes of payload behind this line (PROTOCOL.md 12.4: known verb and digits in the last place).
fn payload_length(words: &[String], from: Side) -> usize {
    const CLIENT: &[&str] = &[
        "MSG", "UUX", "QRY", "ADL", "RML", "FQY", "UUN", "UUM", "PUT", "DEL", "SDG", "SDC", "NOT",
        "PGD", "VAS",
    ];
    const SERVER: &[&str] = &[
        "MSG", "UBX", "UBN", "UBM", "GCF", "NOT", "NFY", "PUT", "SDG", "FQY", "ADL", "RML", "IPG",
        "UUX",
    ];
    const ERRORS: &[&str] = &["241", "509", "801"];
    let Some(verb) = words.first().map(String::as_str) else {
        return 0;
    };
    let carries = match from {
        Side::Client => CLIENT.contains(&verb),
        Side::Server => SERVER.contains(&verb) || (ERRORS.contains(&verb) && words.len() > 2),
    };
    match words.last() {
        Some(last) if carries && words.len() > 1 && last.bytes().all(|b| b.is_ascii_digit()) => {
            last.parse().unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

/// Percent-encodes a display name so that it is one word (PROTOCOL.md 1.1).
pub(super) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A handle without the machine GUID that MSNP16+ hangs on it (PROTOCOL.md 12.3), in lower case.
pub(super) fn bare(handle: &str) -> String {
    handle
        .split(';')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_cut_at_every_byte_gives_the_same_commands() {
        let stream = b"VER 1 MSNP8 CVR0\r\nMSG 2 N 5\r\na\r\nbcPNG\r\nADL 3 2\r\nxyOUT\r\n";
        for cut in 0..stream.len() {
            let (head, tail) = stream.split_at(cut);
            let mut reader = FrameReader::new(head.chain(tail), Side::Client);
            let mut verbs = Vec::new();
            let mut whole = Vec::new();
            while let Some(frame) = reader.next().await.unwrap() {
                verbs.push((frame.verb().to_owned(), frame.payload().to_vec()));
                whole.extend_from_slice(frame.bytes());
            }
            assert_eq!(whole, stream, "cut at {cut}");
            assert_eq!(verbs.len(), 5, "cut at {cut}");
            assert_eq!(verbs[1], ("MSG".to_owned(), b"a\r\nbc".to_vec()));
        }
    }

    #[test]
    fn a_payload_follows_where_the_verb_and_the_last_word_say_so() {
        let rows: &[(&str, Side, usize)] = &[
            ("MSG 4 N 133", Side::Client, 133),
            ("MSG a@b A 133", Side::Server, 133),
            ("ADL 5 OK", Side::Server, 0),
            ("ADL 5 60", Side::Client, 60),
            ("UUX 6 0", Side::Server, 0),
            ("QRY 7", Side::Server, 0),
            ("QRY 7 PROD 32", Side::Client, 32),
            ("GCF 8 Shields.xml", Side::Client, 0),
            ("GCF 8 Shields.xml 145", Side::Server, 145),
            ("241 9 12", Side::Server, 12),
            ("217 9", Side::Server, 0),
            ("CAL 9 15", Side::Server, 0),
            ("", Side::Server, 0),
        ];
        for (line, from, want) in rows {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(payload_length(&words, *from), *want, "{line}");
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_an_error_and_not_memory() {
        let line = vec![b'x'; MAX_LINE + 5000];
        let mut reader = FrameReader::new(line.as_slice(), Side::Client);
        assert!(reader.next().await.is_err());
    }

    #[test]
    fn names_become_one_word() {
        assert_eq!(encode("Ann Example 100%"), "Ann%20Example%20100%25");
        assert_eq!(bare("Ann@Example.com;{1}"), "ann@example.com");
    }
}
