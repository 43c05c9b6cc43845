//! Where a message ends: our own counting, because the parser below takes whatever follows the
//! headers for the body and believes any `Content-Length` (ANCHORS.md C.2).

use memchr::memmem;

/// Largest message read, headers and body, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// A stream that cannot be a SIP stream; the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than [`MAX_MESSAGE`] bytes without a message being complete.
    #[error("a message longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// `Content-Length` is missing, no number, or there twice: nobody can say where the next
    /// message starts.
    #[error("no usable Content-Length")]
    Length,
}

/// Cuts a TCP stream into messages (RFC 3261 section 18.3), incrementally.
#[derive(Debug, Default)]
pub struct Stream {
    buffer: Vec<u8>,
    failed: Option<FrameError>,
}

impl Stream {
    /// Adds bytes as they arrived. Call [`Stream::next`] until it gives nothing; what is kept
    /// between calls is bounded by [`MAX_MESSAGE`] plus one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole message, headers and body, or nothing yet.
    ///
    /// # Errors
    /// Once an error is given, every further call gives it again.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator cannot be pushed to"
    )]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.cut();
        if let Err(error) = result {
            self.failed = Some(error);
            self.buffer = Vec::new();
        }
        result
    }

    fn cut(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        // CRLF between messages is a keep-alive (RFC 5626 section 3.5.1).
        let blank = self
            .buffer
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        self.buffer.drain(..blank);
        let Some(head) = head_length(&self.buffer) else {
            return if self.buffer.len() > MAX_MESSAGE {
                Err(FrameError::TooLong)
            } else {
                Ok(None)
            };
        };
        let body = match content_length(self.buffer.get(..head).unwrap_or_default()) {
            Length::Is(n) => n,
            Length::Absent | Length::Bad => return Err(FrameError::Length),
        };
        let whole = head.saturating_add(body);
        if whole > MAX_MESSAGE {
            return Err(FrameError::TooLong);
        }
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let rest = self.buffer.split_off(whole);
        Ok(Some(core::mem::replace(&mut self.buffer, rest)))
    }
}

/// Length of the head including the empty line, if it is complete. Lines may end in LF alone.
pub(super) fn head_length(bytes: &[u8]) -> Option<usize> {
    let crlf = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
    let lf = memmem::find(bytes, b"\n\n").map(|at| at + 2);
    match (crlf, lf) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What a head says about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Is(usize),
    Absent,
    Bad,
}

/// Reads `Content-Length` (or `l`) from a raw head.
pub(super) fn content_length(head: &[u8]) -> Length {
    let mut found = Length::Absent;
    for line in head.split(|b| *b == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii_end();
        if !(name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l")) {
            continue;
        }
        if found != Length::Absent {
            return Length::Bad;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let digits = !value.is_empty() && value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
        found = match core::str::from_utf8(value).ok().filter(|_| digits) {
            Some(text) => text.parse().map_or(Length::Bad, Length::Is),
            None => Length::Bad,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const ONE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn two_messages_cut_anywhere_come_out_as_two() {
        let mut both = b"\r\n\r\n".to_vec();
        both.extend_from_slice(ONE);
        both.extend_from_slice(b"\r\n");
        both.extend_from_slice(b"BYE sip:a SIP/2.0\nl : 0\n\n");
        for at in 0..both.len() {
            let mut stream = Stream::default();
            let mut seen = Vec::new();
            for part in [&both[..at], &both[at..]] {
                stream.push(part);
                while let Some(message) = stream.next().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen.len(), 2, "cut at {at}");
            assert_eq!(seen[0], ONE);
        }
    }

    #[test]
    fn a_length_that_cannot_be_trusted_ends_the_stream_for_good() {
        for bad in [
            "Content-Length: -1\r\n",
            "Content-Length: 1\r\nl: 1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 0x10\r\n",
            "Content-Length:\r\n",
            "",
        ] {
            let mut stream = Stream::default();
            stream.push(format!("BYE sip:a SIP/2.0\r\n{bad}\r\n").as_bytes());
            assert_eq!(stream.next(), Err(FrameError::Length), "{bad:?}");
            stream.push(ONE);
            assert_eq!(stream.next(), Err(FrameError::Length));
        }
    }

    #[test]
    fn endless_heads_and_bodies_are_cut_off() {
        let mut stream = Stream::default();
        stream.push(&vec![b'a'; MAX_MESSAGE + 1]);
        assert_eq!(stream.next(), Err(FrameError::TooLong));
        let mut stream = Stream::default();
        stream.push(b"BYE sip:a SIP/2.0\r\nContent-Length: 99999\r\n\r\n");
        assert_eq!(stream.next(), Err(FrameError::TooLong));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_grow_without_bound(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..20)
        ) {
            let mut stream = Stream::default();
            for part in parts {
                stream.push(&part);
                while let Ok(Some(_)) = stream.next() {}
                prop_assert!(stream.buffer.len() <= MAX_MESSAGE + 2000);
            }
        }
    }
}
