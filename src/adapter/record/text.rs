//! The recording as text: when, from where, how much, and the beginning in hexadecimal and ASCII.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

/// How much of a connection or a datagram is written out.
pub(super) const SHOWN: usize = 512;
/// Bytes of a line.
const LINE: usize = 16;

/// The time since 1970 as people write it, in UTC.
pub(super) fn time(at: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + at).to_string()
}

/// The same for the name of a file.
pub(super) fn stamp(at: Duration) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string();
    time.replace(':', "")
}

/// Bytes in hexadecimal and ASCII; the first of them is number `offset`.
pub(super) fn dump(bytes: &[u8], offset: usize) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(LINE).enumerate() {
        let _ = write!(text, "    {:04x} ", offset + number * LINE);
        for at in 0..LINE {
            let _ = match line.get(at) {
                Some(byte) => write!(text, " {byte:02x}"),
                None => write!(text, "   "),
            };
        }
        let letters = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(text, "  {}", letters.collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_out() {
        assert_eq!(
            dump(b"GET / HTTP/1.1\r\n\x00\xff~", 32),
            "    0020  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..\n    \
             0030  00 ff 7e                                         ..~\n"
        );
        assert_eq!(dump(&[], 0), "");
    }

    #[test]
    fn times_are_readable() {
        let at = Duration::from_millis(1_066_000_000_123);
        assert_eq!(time(at), "2003-10-12T23:06:40.123Z");
        assert_eq!(stamp(at), "2003-10-12T230640Z");
    }
}
