//! Cuts a stream into commands as it arrives (PROTOCOL.md 12.4), without waiting for what need not be
//! looked at: only lines and short `MSG` payloads are held until they are whole, everything else
//! streams through. Nothing is changed, dropped or refused: the items put together are the input.

/// Longest command line. A longer one is no MSNP, and the rest of the stream is passed unread.
pub const MAX_LINE: usize = 8 * 1024;
/// Longest `MSG` payload given whole. An invitation has at most 1664 bytes (PROTOCOL.md 1.4).
pub const MAX_WHOLE: u64 = 4 * 1024;

/// Who writes the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A piece of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A command line with its line end. A payload that is not given whole follows as
    /// [`Item::Raw`].
    Line(&'a [u8]),
    /// A `MSG` with its payload.
    Message {
        /// The line with its line end.
        line: &'a [u8],
        /// MIME header and body.
        payload: &'a [u8],
        /// Both, as they came.
        whole: &'a [u8],
    },
    /// Part of a payload, or of a stream that is no MSNP.
    Raw(&'a [u8]),
}

impl<'a> Item<'a> {
    /// The item as it was on the wire.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Line(bytes) | Self::Raw(bytes) | Self::Message { whole: bytes, .. } => bytes,
        }
    }
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Line,
    /// The payload of a `MSG` whose line, of `line` bytes, is held; both have `whole` bytes.
    Message {
        line: usize,
        whole: usize,
    },
    /// So many bytes of a payload.
    Raw(u64),
    /// No MSNP; passed unread until the end.
    Blind,
}

/// The incremental splitter of one direction.
#[derive(Debug)]
pub struct Splitter {
    from: Side,
    next: Next,
    held: Vec<u8>,
    /// The bytes in `held` were given with the last item.
    given: bool,
}

impl Splitter {
    /// A splitter of what `from` writes.
    #[must_use]
    pub fn new(from: Side) -> Self {
        Self {
            from,
            next: Next::Line,
            held: Vec::new(),
            given: false,
        }
    }

    /// Takes the next item off the front of `input`. `None`: all of `input` has been taken, and what
    /// is not given yet is held until more comes.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Item<'a>> {
        if self.given {
            // Not only cleared: a stream that is idle now needs no memory.
            self.held = Vec::new();
            self.given = false;
        }
        loop {
            match self.next {
                Next::Line => {
                    let room = (MAX_LINE + 1).saturating_sub(self.held.len());
                    let seen = input.get(..room).unwrap_or(input);
                    let Some(end) = memchr::memchr(b'\n', seen) else {
                        let overlong = input.len() >= room;
                        if overlong {
                            self.next = Next::Blind;
                            if self.held.is_empty() {
                                continue;
                            }
                            self.given = true;
                            return Some(Item::Raw(&self.held));
                        }
                        self.hold(input, input.len());
                        return None;
                    };
                    let line_in_input = end + 1;
                    let held = self.held.len();
                    let length = if held == 0 {
                        payload_length(self.from, seen.get(..line_in_input)?)
                    } else {
                        self.hold(input, line_in_input);
                        payload_length(self.from, &self.held)
                    };
                    let line = held + line_in_input;
                    match length {
                        Length::Whole(payload) => {
                            self.next = Next::Message {
                                line,
                                whole: line + payload,
                            };
                            continue;
                        }
                        Length::None => {}
                        Length::Streamed(payload) => self.next = Next::Raw(payload),
                        Length::Absurd => self.next = Next::Blind,
                    }
                    if held == 0 {
                        return Some(Item::Line(take(input, line_in_input)));
                    }
                    self.given = true;
                    return Some(Item::Line(&self.held));
                }
                Next::Message { line, whole } => {
                    let missing = whole.saturating_sub(self.held.len());
                    if input.len() < missing {
                        self.hold(input, input.len());
                        return None;
                    }
                    self.next = Next::Line;
                    let whole = if self.held.is_empty() {
                        take(input, missing)
                    } else {
                        self.hold(input, missing);
                        self.given = true;
                        &self.held
                    };
                    let (line, payload) = whole.split_at_checked(line).unwrap_or((whole, &[]));
                    return Some(Item::Message {
                        line,
                        payload,
                        whole,
                    });
                }
                Next::Raw(0) => self.next = Next::Line,
                Next::Raw(left) => {
                    if input.is_empty() {
                        return None;
                    }
                    let now = usize::try_from(left).map_or(input.len(), |n| n.min(input.len()));
                    self.next = Next::Raw(left.saturating_sub(now as u64));
                    return Some(Item::Raw(take(input, now)));
                }
                Next::Blind => {
                    let all = input.len();
                    return (all > 0).then(|| Item::Raw(take(input, all)));
                }
            }
        }
    }

    /// Whether something else may be written into the stream now: the last item ended a command.
    /// Bytes of a command that has only begun are held here and may come after.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        matches!(self.next, Next::Line | Next::Message { .. } | Next::Raw(0))
    }

    /// Whether the stream turned out to be no MSNP: the rest of it is [`Item::Raw`].
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.next == Next::Blind
    }

    /// The bytes that are held back, at the end of the stream.
    pub fn take_held(&mut self) -> Vec<u8> {
        if self.given {
            self.held.clear();
            self.given = false;
        }
        self.next = Next::Blind;
        std::mem::take(&mut self.held)
    }

    fn hold(&mut self, input: &mut &[u8], count: usize) {
        self.held.extend_from_slice(take(input, count));
    }
}

/// The first `count` bytes, or all.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = input.split_at_checked(count).unwrap_or((input, &[]));
    *input = tail;
    head
}

enum Length {
    /// No payload follows.
    None,
    /// A `MSG` payload short enough to be given whole.
    Whole(usize),
    /// A payload to stream.
    Streamed(u64),
    /// A number that cannot be a length.
    Absurd,
}

/// What follows a line (PROTOCOL.md 12.4: a known verb, and digits in the last place).
fn payload_length(from: Side, line: &[u8]) -> Length {
    const CLIENT: &[&[u8]] = &[
        b"MSG", b"UUX", b"QRY", b"ADL", b"RML", b"FQY", b"UUN", b"UUM", b"PUT", b"DEL", b"SDG",
        b"SDC", b"NOT", b"PGD", b"VAS",
    ];
    const SERVER: &[&[u8]] = &[
        b"MSG", b"UBX", b"UBN", b"UBM", b"GCF", b"NOT", b"NFY", b"PUT", b"SDG", b"FQY", b"ADL",
        b"RML", b"IPG", b"UUX",
    ];
    const ERRORS: &[&[u8]] = &[b"241", b"509", b"801"];
    let line = line.trim_ascii_start();
    // Every verb has three letters; most lines are seen here and no more.
    let Some((verb, rest)) = line.split_at_checked(3) else {
        return Length::None;
    };
    let least = match from {
        _ if !rest.first().is_some_and(u8::is_ascii_whitespace) => return Length::None,
        Side::Client if CLIENT.contains(&verb) => 1,
        Side::Server if SERVER.contains(&verb) => 1,
        // Number and transaction id alone are an error without text.
        Side::Server if ERRORS.contains(&verb) => 2,
        _ => return Length::None,
    };
    let rest = rest.trim_ascii();
    let before = rest.iter().rposition(u8::is_ascii_whitespace);
    let (before, last) = rest.split_at(before.map_or(0, |at| at + 1));
    let arguments = words(before).take(least).count() + usize::from(!last.is_empty());
    if arguments < least || last.is_empty() || !last.iter().all(u8::is_ascii_digit) {
        return Length::None;
    }
    let length = last.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let Some(length) = length else {
        return Length::Absurd;
    };
    match usize::try_from(length) {
        Ok(whole) if verb == b"MSG" && length <= MAX_WHOLE => Length::Whole(whole),
        _ => Length::Streamed(length),
    }
}

/// The words of a line, which blanks separate.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The word at `index` (0 is the verb); empty when there is none or it is not text.
#[must_use]
pub fn word(line: &[u8], index: usize) -> &str {
    words(line)
        .nth(index)
        .and_then(|word| std::str::from_utf8(word).ok())
        .unwrap_or("")
}

#[cfg(test)]
mod tests;
