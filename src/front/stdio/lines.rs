//! Cuts what comes through the pipe into lines. A line that is too long or no UTF-8 is told and left
//! out; the ones after it are read. Pure.

use crate::{control::protocol::MAX_LINE, invitation::MAX_PAYLOAD};

/// There is room for a payload of the greatest length, each of whose bytes is written `\u0000`, and for
/// the rest of its line.
const _: () = assert!(MAX_PAYLOAD * 6 + 4 * 1024 < MAX_LINE);

/// Why a line was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoLine {
    /// It is longer than [`MAX_LINE`].
    #[error("a line is longer than {MAX_LINE} bytes; it was left out")]
    TooLong,
    /// It is not UTF-8.
    #[error("a line is not UTF-8; it was left out")]
    NoText,
}

/// The beginning of a line, until its end comes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// What is left of a line that is too long.
    skips: bool,
}

impl Lines {
    /// Takes the next bytes; gives the lines that end in them. Empty ones are not told.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<String, NoLine>> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let ends = parts.peek().is_some();
            if !self.skips {
                self.begun.extend_from_slice(part);
            }
            if self.begun.len() > MAX_LINE {
                self.begun = Vec::new();
                self.skips = true;
                lines.push(Err(NoLine::TooLong));
            }
            if ends {
                self.skips = false;
                lines.extend(self.cut());
            }
        }
        lines
    }

    /// No more will come: what stands there without a line end is a line too.
    pub(super) fn end(&mut self) -> Option<Result<String, NoLine>> {
        self.cut()
    }

    fn cut(&mut self) -> Option<Result<String, NoLine>> {
        let line = String::from_utf8(std::mem::take(&mut self.begun)).map_err(|_| NoLine::NoText);
        let is_empty = line.as_ref().is_ok_and(|line| line.trim().is_empty());
        (!is_empty).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of `bytes`, which come in pieces of these lengths, again and again.
    fn read(bytes: &[u8], pieces: &[usize]) -> Vec<Result<String, NoLine>> {
        let (mut reader, mut lines) = (Lines::default(), Vec::new());
        let (mut rest, mut pieces) = (bytes, pieces.iter().cycle());
        while !rest.is_empty() {
            let length = pieces.next().map_or(rest.len(), |piece| *piece);
            let (piece, more) = rest.split_at(length.clamp(1, rest.len()));
            lines.extend(reader.push(piece));
            rest = more;
        }
        lines.extend(reader.end());
        lines
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_next_line_is_read() {
        let mut bytes = b"one\r\n\n  \ntw\xffo\n".to_vec();
        bytes.extend(vec![b'x'; 3 * MAX_LINE]);
        bytes.extend(b"\nthree\nfour");
        for pieces in [&[1][..], &[7], &[4096], &[usize::MAX]] {
            assert_eq!(
                read(&bytes, pieces),
                [
                    Ok("one\r".to_owned()),
                    Err(NoLine::NoText),
                    Err(NoLine::TooLong),
                    Ok("three".to_owned()),
                    Ok("four".to_owned()),
                ]
            );
        }
    }

    #[test]
    fn the_longest_line_is_read_and_one_more_is_too_long() {
        let longest = "x".repeat(MAX_LINE);
        let ok = read(format!("{longest}\n").as_bytes(), &[1000]);
        assert_eq!(ok, [Ok(longest.clone())]);
        let more = read(format!("{longest}x\ny").as_bytes(), &[1000]);
        assert_eq!(more, [Err(NoLine::TooLong), Ok("y".to_owned())]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_line() {
        let mut lines = Lines::default();
        let told: usize = (0..1000).map(|_| lines.push(&[b'x'; 1000]).len()).sum();
        assert_eq!(told, 1);
        assert!(lines.begun.capacity() <= 2 * MAX_LINE);
    }

    proptest! {
        /// However the bytes are cut into pieces, the same lines come out, and every line that can
        /// be read is among them.
        #[test]
        fn nothing_is_lost(
            texts in proptest::collection::vec(
                prop_oneof![
                    4 => proptest::collection::vec(any::<u8>(), 0..40),
                    4 => "\\PC{0,30}".prop_map(String::into_bytes),
                    1 => (MAX_LINE - 2..MAX_LINE + 3).prop_map(|length| vec![b'x'; length]),
                ],
                0..12,
            ),
            pieces in proptest::collection::vec(1_usize..5000, 1..6),
        ) {
            let bytes = texts.join(&b'\n');
            let lines = read(&bytes, &pieces);
            prop_assert_eq!(&lines, &read(&bytes, &[usize::MAX]));
            let wanted: Vec<_> = bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| match (line.len(), std::str::from_utf8(line)) {
                    (length, _) if length > MAX_LINE => Some(Err(NoLine::TooLong)),
                    (_, Err(_)) => Some(Err(NoLine::NoText)),
                    (_, Ok(text)) => (!text.trim().is_empty()).then(|| Ok(text.to_owned())),
                })
                .collect();
            prop_assert_eq!(lines, wanted);
        }
    }
}
