//! Keeps a stream that nothing here can play: a pcap file, which Wireshark and most tools read, with
//! every packet as it came and when.

use std::{
    fs::File,
    io,
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    pcap::Pcap,
    rtp::{self, Datagram},
};
use crate::private;

/// The largest file that is written; the rest of the stream is not kept.
const MAX_BYTES: u64 = 1 << 30;

/// Makes a new file that only we can read, in a folder made the same way.
///
/// # Errors
/// When the file exists, or as the file system says.
pub fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        private::folder(folder)?;
    }
    private::new_file(path)
}

/// A pcap file of one stream of RTP being written.
#[derive(Debug)]
pub struct Dump {
    file: Pcap,
    from: SocketAddrV4,
    to: SocketAddrV4,
}

impl Dump {
    /// Begins the file, for a stream between these two.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create(path: &Path, from: SocketAddrV4, to: SocketAddrV4) -> io::Result<Self> {
        let file = Pcap::create(path)?;
        Ok(Self { file, from, to })
    }

    /// Keeps a datagram that came `at` so long after the beginning. What is neither RTP nor RTCP
    /// is left out.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(&mut self, datagram: &[u8], at: Duration) -> io::Result<()> {
        if rtp::read(datagram) == Datagram::Other || self.is_full() {
            return Ok(());
        }
        self.file.udp(at, self.from, self.to, datagram)
    }

    /// Whether it is as large as one may be; the rest of the stream is not kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.file.len() > MAX_BYTES
    }

    /// Completes the file; `None` when nothing came, and then there is no file.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(self) -> io::Result<Option<PathBuf>> {
        self.file.finish()
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
