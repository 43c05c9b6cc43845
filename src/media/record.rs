//! Keeps a stream that nothing here can play: a pcap file, which Wireshark and most tools read, with
//! every packet as it came and when.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    net::SocketAddrV4,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::rtp::{self, Datagram};

/// The largest file that is written; the rest of the stream is not kept.
const MAX_BYTES: u64 = 1 << 30;

/// Makes a new file that only we can read, in a folder made the same way.
///
/// # Errors
/// When the file exists, or as the file system says.
pub fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// IPv4 packets without a link layer, in the registry of link types.
const LINKTYPE_IPV4: u32 = 228;
/// Length of an IPv4 and a UDP header.
const HEADERS: usize = 28;

/// A pcap file being written.
#[derive(Debug)]
pub struct Dump {
    path: PathBuf,
    file: BufWriter<File>,
    from: SocketAddrV4,
    to: SocketAddrV4,
    written: u64,
}

impl Dump {
    /// Begins the file, for a stream between these two.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create(path: &Path, from: SocketAddrV4, to: SocketAddrV4) -> io::Result<Self> {
        let mut file = BufWriter::new(create(path)?);
        // Magic number for microseconds, version 2.4, no time zone, no accuracy, longest packet.
        for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, LINKTYPE_IPV4] {
            file.write_all(&word.to_be_bytes())?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            from,
            to,
            written: 0,
        })
    }

    /// Keeps a datagram that came `at` so long after the beginning. What is neither RTP nor RTCP
    /// is left out.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(&mut self, datagram: &[u8], at: Duration) -> io::Result<()> {
        let (Ok(whole), Ok(udp)) = (
            u16::try_from(datagram.len() + HEADERS),
            u16::try_from(datagram.len() + 8),
        ) else {
            return Ok(());
        };
        if rtp::read(datagram) == Datagram::Other || self.written > MAX_BYTES {
            return Ok(());
        }
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        for word in [seconds, at.subsec_micros(), whole.into(), whole.into()] {
            self.file.write_all(&word.to_be_bytes())?;
        }
        // IPv4 (RFC 791): no options, no fragments, time to live 64, UDP; then UDP (RFC 768). The
        // checksums are left out: this was never on a wire in this form.
        self.file.write_all(&[0x45, 0])?;
        self.file.write_all(&whole.to_be_bytes())?;
        self.file.write_all(&[0, 0, 0, 0, 64, 17, 0, 0])?;
        self.file.write_all(&self.from.ip().octets())?;
        self.file.write_all(&self.to.ip().octets())?;
        for part in [self.from.port(), self.to.port(), udp, 0] {
            self.file.write_all(&part.to_be_bytes())?;
        }
        self.file.write_all(datagram)?;
        self.written += u64::from(whole);
        Ok(())
    }

    /// Completes the file; `None` when nothing came, and then there is no file.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(mut self) -> io::Result<Option<PathBuf>> {
        self.file.flush()?;
        if self.written == 0 {
            std::fs::remove_file(&self.path)?;
            return Ok(None);
        }
        Ok(Some(self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 1), 5004);
    const TO: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 2), 6004);

    #[test]
    fn the_file_is_private_and_a_pcap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls/picture.pcap");
        let mut dump = Dump::create(&path, FROM, TO).unwrap();
        let packet = [0x80, 34, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9];
        dump.keep(&packet, Duration::from_millis(1258)).unwrap();
        dump.keep(b"neither", Duration::ZERO).unwrap();
        assert_eq!(dump.finish().unwrap().as_deref(), Some(path.as_path()));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..8], [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4]);
        assert_eq!(
            bytes[24..40],
            [0, 0, 0, 1, 0, 3, 0xef, 0xd0, 0, 0, 0, 41, 0, 0, 0, 41]
        );
        assert_eq!(bytes[40..44], [0x45, 0, 0, 41]);
        assert_eq!(bytes[52..60], [192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(bytes[60..66], [0x13, 0x8c, 0x17, 0x74, 0, 21]);
        assert_eq!(bytes[68..], packet);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn an_empty_recording_leaves_no_file_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        assert_eq!(
            Dump::create(&path, FROM, TO).unwrap().finish().unwrap(),
            None
        );
        assert!(!path.exists());
        std::fs::write(&path, "mine").unwrap();
        assert!(Dump::create(&path, FROM, TO).is_err());
    }
}
