//! The recording as text: when, from where, how much, and the beginning in hexadecimal and ASCII.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Write as _},
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    media::{record, sniff::Protocol},
    negotiation::InvitationId,
};

/// How much of a connection or a datagram is written out.
pub(super) const SHOWN: usize = 512;
/// Bytes of a line.
const LINE: usize = 16;

/// What is recorded, for the files.
pub(super) struct Subject {
    pub(super) application: String,
    pub(super) id: String,
    pub(super) invitation: InvitationId,
    pub(super) peer: String,
    pub(super) at: SocketAddrV4,
}

/// The file.
pub(super) struct Notes {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Notes {
    /// Begins it, so that only we can read it.
    pub(super) fn create(path: PathBuf, subject: &Subject, at: Duration) -> io::Result<Self> {
        let mut file = BufWriter::new(record::create(&path)?);
        let Subject {
            peer, application, ..
        } = subject;
        let (to, from) = (subject.at, time(at));
        writeln!(
            file,
            "What {peer} sent for {application} to {to}, from {from} on.\n"
        )?;
        Ok(Self { file, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what happened, and bytes of which the first is number `offset` as far as they are
    /// shown.
    pub(super) fn tell(
        &mut self,
        at: Duration,
        what: &str,
        bytes: &[u8],
        offset: usize,
    ) -> io::Result<()> {
        writeln!(self.file, "{} {what}", time(at))?;
        let shown = bytes.get(..SHOWN.saturating_sub(offset)).unwrap_or(bytes);
        self.file.write_all(dump(shown, offset).as_bytes())
    }

    /// Writes a line without a time.
    pub(super) fn sum(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.file, "{line}")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// For people.
pub(super) fn looks_like(protocol: Option<Protocol>) -> String {
    protocol.map_or_else(
        || "looks like nothing known".to_owned(),
        |protocol| format!("looks like {protocol}"),
    )
}

/// The time since 1970 as people write it, in UTC.
fn time(at: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + at).to_string()
}

/// The same for the name of a file.
pub(super) fn stamp(at: Duration) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string();
    time.replace(':', "")
}

/// Bytes in hexadecimal and ASCII; the first of them is number `offset`.
fn dump(bytes: &[u8], offset: usize) -> String {
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
