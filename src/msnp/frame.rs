//! Splits a byte stream into commands (PROTOCOL.md 12.4). Every byte pushed comes out again, in
//! order and once; only a message that might be ours is held back until it is complete.

use super::words;

/// A longer command line is no MSNP; from there on the stream is passed without looking.
const MAX_LINE: usize = 16 * 1024;
/// A longer message is neither an invitation nor a chat command (1664 is the switchboard's limit).
const MAX_HELD: usize = 4096;
/// A longer payload is taken for a misreading; from there on the stream is passed without looking.
const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

const FROM_CLIENT: &[&[u8]] = &[
    b"MSG", b"UUX", b"QRY", b"ADL", b"RML", b"FQY", b"UUN", b"UUM", b"PUT", b"DEL", b"SDG", b"SDC",
    b"NOT", b"PGD", b"VAS",
];
const FROM_SERVER: &[&[u8]] = &[
    b"MSG", b"UBX", b"UBN", b"UBM", b"GCF", b"NOT", b"NFY", b"PUT", b"SDG", b"FQY", b"ADL", b"RML",
    b"IPG", b"UUX",
];
/// Errors that carry a payload when they have a length.
const ERRORS: &[&[u8]] = &[b"241", b"509", b"801"];

/// Where the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A complete command.
    Command {
        /// Its line, without the line's end.
        line: &'a [u8],
        /// The payload of a `MSG`; empty for a command whose payload follows as [`Piece::Raw`].
        payload: &'a [u8],
        /// All its bytes.
        whole: &'a [u8],
    },
    /// Bytes that are passed without looking.
    Raw(&'a [u8]),
}

/// Splits one direction of one connection.
#[derive(Debug)]
pub struct Splitter {
    origin: Origin,
    /// The beginning of something incomplete.
    held: Vec<u8>,
    /// How much of a payload is still to be passed.
    passing: usize,
    blind: bool,
}

/// What stands at the front of some bytes.
enum Front {
    /// A command of this length, with a line and perhaps a payload to look at.
    Command {
        line: usize,
        payload: usize,
        whole: usize,
    },
    /// A command whose line ends here, followed by so much to pass.
    Line {
        line: usize,
        whole: usize,
        then: usize,
    },
    /// Something incomplete.
    Incomplete,
    /// No MSNP.
    Doubt,
}

impl Splitter {
    /// A splitter for the bytes of that origin.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            held: Vec::new(),
            passing: 0,
            blind: false,
        }
    }

    /// Whether a command may be inserted behind what has come out.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.passing == 0 && !self.blind
    }

    /// Whether the stream was not understood and is passed without looking.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// Takes bytes and gives pieces.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(Piece<'_>)) {
        if self.held.is_empty() {
            let used = self.split(bytes, &mut sink);
            self.held
                .extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let used = self.split(&held, &mut sink);
            held.drain(..used);
            self.held = held;
        }
    }

    /// Gives up what is held: the stream has ended.
    pub fn finish(&mut self, mut sink: impl FnMut(Piece<'_>)) {
        if !self.held.is_empty() {
            sink(Piece::Raw(&self.held));
            self.held = Vec::new();
        }
    }

    /// Splits as far as it can; how much was used.
    fn split(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return used;
            }
            if self.blind {
                sink(Piece::Raw(rest));
                return bytes.len();
            }
            if self.passing > 0 {
                let now = self.passing.min(rest.len());
                sink(Piece::Raw(rest.get(..now).unwrap_or_default()));
                self.passing -= now;
                used += now;
                continue;
            }
            match self.front(rest) {
                Front::Command {
                    line,
                    payload,
                    whole,
                } => {
                    sink(Piece::Command {
                        line: rest.get(..line).unwrap_or_default(),
                        payload: rest.get(payload..whole).unwrap_or_default(),
                        whole: rest.get(..whole).unwrap_or_default(),
                    });
                    used += whole;
                }
                Front::Line { line, whole, then } => {
                    sink(Piece::Command {
                        line: rest.get(..line).unwrap_or_default(),
                        payload: &[],
                        whole: rest.get(..whole).unwrap_or_default(),
                    });
                    used += whole;
                    self.passing = then;
                }
                Front::Incomplete => return used,
                Front::Doubt => self.blind = true,
            }
        }
    }

    fn front(&self, bytes: &[u8]) -> Front {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return if bytes.len() > MAX_LINE {
                Front::Doubt
            } else {
                Front::Incomplete
            };
        };
        if end > MAX_LINE {
            return Front::Doubt;
        }
        let line = bytes.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let start = end + 1;
        let Some(length) = self.payload_length(line) else {
            return Front::Line {
                line: line.len(),
                whole: start,
                then: 0,
            };
        };
        if length > MAX_PAYLOAD {
            return Front::Doubt;
        }
        let streamed = Front::Line {
            line: line.len(),
            whole: start,
            then: length,
        };
        if !line.starts_with(b"MSG ") || length > MAX_HELD {
            return streamed;
        }
        let payload = bytes.get(start..).unwrap_or_default();
        if payload.len() >= length {
            Front::Command {
                line: line.len(),
                payload: start,
                whole: start + length,
            }
        } else if is_boring(payload) {
            streamed
        } else {
            Front::Incomplete
        }
    }

    /// The length of the payload, for a command that has one.
    fn payload_length(&self, line: &[u8]) -> Option<usize> {
        let verb = words(line).next()?;
        let verbs = match self.origin {
            Origin::Client => FROM_CLIENT,
            Origin::Server => FROM_SERVER,
        };
        let enough = match self.origin {
            // `241 trid length`; without a length there are two words.
            Origin::Server if ERRORS.contains(&verb) => 3,
            _ if verbs.contains(&verb) => 2,
            _ => return None,
        };
        if words(line).count() < enough {
            return None;
        }
        let last = words(line).last()?;
        if last.is_empty() || !last.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // Too many digits are a length beyond any limit.
        Some(
            std::str::from_utf8(last)
                .ok()?
                .parse()
                .unwrap_or(usize::MAX),
        )
    }
}

/// Whether the beginning of a message already shows that it cannot be ours: its header is complete
/// and names another kind.
fn is_boring(payload: &[u8]) -> bool {
    let complete = memchr::memmem::find(payload, b"\r\n\r\n").is_some();
    let undecided = super::text::body(payload).is_some_and(<[u8]>::is_empty);
    complete && !undecided && !super::text::may_be_ours(payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out, as text: commands in brackets.
    fn split(origin: Origin, chunks: &[&[u8]]) -> (String, Vec<u8>) {
        let mut splitter = Splitter::new(origin);
        let (mut shape, mut bytes) = (String::new(), Vec::new());
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Command {
                line,
                payload,
                whole,
            } => {
                shape.push_str(&format!(
                    "[{}|{}]",
                    String::from_utf8_lossy(line),
                    payload.len()
                ));
                bytes.extend_from_slice(whole);
            }
            Piece::Raw(raw) => {
                shape.push_str(&format!("({})", raw.len()));
                bytes.extend_from_slice(raw);
            }
        };
        for chunk in chunks {
            splitter.push(chunk, &mut sink);
        }
        splitter.finish(&mut sink);
        (shape, bytes)
    }

    #[test]
    fn commands_are_found_by_the_verbs_of_their_direction() {
        use Origin::{Client, Server};
        for (origin, stream, shape) in [
            (Client, "VER 1 MSNP12 CVR0\r\n", "[VER 1 MSNP12 CVR0|0]"),
            (Client, "PNG\r\nOUT\r\n", "[PNG|0][OUT|0]"),
            (Client, "MSG 4 N 5\r\nhello", "[MSG 4 N 5|5]"),
            (
                Client,
                "QRY 5 X 4\r\nabcdPNG\r\n",
                "[QRY 5 X 4|0](4)[PNG|0]",
            ),
            // A reply, whose last word is a transaction number.
            (Server, "QRY 12\r\nQNG 50\r\n", "[QRY 12|0][QNG 50|0]"),
            (
                Server,
                "UBX a@b 3\r\nxyzBYE a@b\r\n",
                "[UBX a@b 3|0](3)[BYE a@b|0]",
            ),
            (Server, "ADL 7 OK\r\nUUX 8 0\r\n", "[ADL 7 OK|0][UUX 8 0|0]"),
            (Server, "241 9 3\r\nxyz217 3\r\n", "[241 9 3|0](3)[217 3|0]"),
            (Server, "241 9\r\n217 3\r\n", "[241 9|0][217 3|0]"),
            (Server, "MSG a@b nick 0\r\n", "[MSG a@b nick 0|0]"),
            (Client, "BARE LF\nPNG\n", "[BARE LF|0][PNG|0]"),
            (Client, "incomplete", "(10)"),
        ] {
            let (seen, bytes) = split(origin, &[stream.as_bytes()]);
            assert_eq!(
                (seen.as_str(), bytes.as_slice()),
                (shape, stream.as_bytes()),
                "{stream}"
            );
        }
    }

    #[test]
    fn a_message_of_another_kind_is_not_waited_for() {
        let mut splitter = Splitter::new(Origin::Server);
        let begun = b"MSG a@b nick 900\r\nMIME-Version: 1.0\r\nContent-Type: application/x-msnmsgrp2p\r\n\r\nabc";
        let mut out = 0;
        splitter.push(begun, |piece| {
            out += match piece {
                Piece::Command { whole, .. } => whole.len(),
                Piece::Raw(raw) => raw.len(),
            };
        });
        assert_eq!(out, begun.len());
        assert!(!splitter.at_boundary());
    }

    #[test]
    fn an_invitation_is_held_until_it_is_whole() {
        let mut splitter = Splitter::new(Origin::Server);
        let payload =
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\nrest";
        let stream = format!("MSG a@b nick {}\r\n{payload}", payload.len());
        let mut count = 0;
        for byte in &stream.as_bytes()[..stream.len() - 1] {
            splitter.push(&[*byte], |_| count += 1);
        }
        assert_eq!(count, 0);
        splitter.push(b"t", |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn a_command_typed_in_the_chat_is_held_wherever_it_is_cut() {
        let payload = "Content-Type: text/plain\r\n\r\n/accept";
        let stream = format!("MSG 4 N {}\r\n{payload}", payload.len());
        for cut in 1..stream.len() {
            let (before, after) = stream.split_at(cut);
            let (shape, _) = split(Origin::Client, &[before.as_bytes(), after.as_bytes()]);
            assert_eq!(
                shape,
                format!("[MSG 4 N {}|{}]", payload.len(), payload.len()),
                "{cut}"
            );
        }
    }

    #[test]
    fn what_is_no_msnp_passes_unseen() {
        let long = vec![b'x'; MAX_LINE + 2];
        let (shape, bytes) = split(Origin::Client, &[&long, b"PNG\r\n"]);
        assert_eq!(shape, format!("({})(5)", long.len()));
        assert_eq!(bytes.len(), long.len() + 5);
        let (shape, _) = split(Origin::Server, &[b"NOT 99999999999999999999999\r\nPNG\r\n"]);
        assert!(!shape.contains('['), "{shape}");
    }

    proptest! {
        #[test]
        fn every_byte_comes_out_once_however_it_is_cut(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(b"PNG\r\n".to_vec()),
                    Just(b"MSG 1 U 3\r\nabc".to_vec()),
                    Just(b"UUX 3 4\r\n\r\n\r\n".to_vec()),
                    Just(b"MSG 1 A 9000\r\n".to_vec()),
                    prop::collection::vec(any::<u8>(), 0..40),
                ],
                0..12,
            ),
            cuts in prop::collection::vec(1_usize..30, 1..20),
            client in any::<bool>(),
        ) {
            let stream = parts.concat();
            let origin = if client { Origin::Client } else { Origin::Server };
            let mut chunks: Vec<&[u8]> = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                chunks.push(now);
                rest = later;
            }
            let (_, bytes) = split(origin, &chunks);
            prop_assert_eq!(bytes, stream);
        }
    }
}
