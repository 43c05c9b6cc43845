//! A picture that no player shows, in a file that one opens; or, of an unknown payload type, in one
//! that Wireshark opens. Only we can read either.

use std::{
    fs::File,
    io::{self, Write as _},
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::media::{
    picture::{Coding, Depacketiser},
    record::{self, Dump},
    rtp::{self, Datagram},
};

/// The largest file that is written; the rest of the picture is not kept.
const MAX_BYTES: u64 = 1 << 30;

/// A recording being made.
pub(super) struct Recording {
    kind: Kind,
    path: PathBuf,
    malformed: u64,
}

enum Kind {
    Pictures(Box<Pictures>),
    Packets(Dump),
}

struct Pictures {
    coding: Coding,
    file: File,
    depacketiser: Depacketiser,
    written: u64,
    full: bool,
    still: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The recording, unless nothing came of it, and how it is coded.
    pub(super) recording: Option<(PathBuf, Option<Coding>)>,
    /// A picture of it, if there is one already.
    pub(super) still: Option<PathBuf>,
    /// How many payloads were left out.
    pub(super) malformed: u64,
    /// It is not whole: the file was as large as one may be.
    pub(super) full: bool,
}

impl Recording {
    /// Begins one in that folder.
    pub(super) fn begin(
        folder: &Path,
        payload_type: u8,
        from: SocketAddrV4,
        to: SocketAddrV4,
    ) -> io::Result<Self> {
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let coding = Coding::of(payload_type);
        let extension = coding.map_or("pcap", Coding::extension);
        let path = folder.join(format!("webcam-{name}.{extension}"));
        let kind = match coding {
            Some(coding) => Kind::Pictures(Box::new(Pictures {
                coding,
                file: record::create(&path)?,
                depacketiser: Depacketiser::new(coding),
                written: 0,
                full: false,
                still: None,
            })),
            None => Kind::Packets(Dump::create(&path, from, to)?),
        };
        Ok(Self {
            kind,
            path,
            malformed: 0,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the next packet, which came `at` so long after the beginning.
    pub(super) fn keep(&mut self, datagram: &[u8], at: Duration) -> io::Result<()> {
        let pictures = match &mut self.kind {
            Kind::Packets(dump) => return dump.keep(datagram, at),
            Kind::Pictures(pictures) => pictures,
        };
        let Datagram::Rtp(packet) = rtp::read(datagram) else {
            return Ok(());
        };
        // A packet of another payload type may come in between; it is not of this picture.
        if Coding::of(packet.payload_type) != Some(pictures.coding) {
            return Ok(());
        }
        match pictures.depacketiser.take(&packet) {
            Ok(bytes) => pictures.write(&bytes, &self.path),
            Err(why) => {
                tracing::debug!(%why, "left out of the recording");
                self.malformed += 1;
                Ok(())
            }
        }
    }

    /// Completes it. A file of nothing is removed.
    pub(super) fn finish(self) -> io::Result<Made> {
        let malformed = self.malformed;
        let mut pictures = match self.kind {
            Kind::Packets(dump) => {
                let full = dump.is_full();
                let recording = dump.finish()?.map(|path| (path, None));
                return Ok(Made {
                    recording,
                    still: None,
                    malformed,
                    full,
                });
            }
            Kind::Pictures(pictures) => pictures,
        };
        let rest = std::mem::replace(
            &mut pictures.depacketiser,
            Depacketiser::new(pictures.coding),
        );
        pictures.write(&rest.finish(), &self.path)?;
        pictures.file.flush()?;
        let recording = if pictures.written == 0 {
            std::fs::remove_file(&self.path)?;
            None
        } else {
            Some((self.path, Some(pictures.coding)))
        };
        Ok(Made {
            recording,
            still: pictures.still,
            malformed,
            full: pictures.full,
        })
    }
}

impl Pictures {
    /// What is written is at once in the file: it may be looked at meanwhile.
    fn write(&mut self, bytes: &[u8], path: &Path) -> io::Result<()> {
        self.full |= self.written + bytes.len() as u64 > MAX_BYTES;
        if bytes.is_empty() || self.full {
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.coding == Coding::Jpeg && self.still.is_none() {
            let still = path.with_extension("jpg");
            let made = record::create(&still).and_then(|mut file| file.write_all(bytes));
            match made {
                Ok(()) => self.still = Some(still),
                Err(error) => tracing::warn!(%error, "no still picture"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 1), 5004);
    const TO: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 2), 6004);

    fn packet(payload_type: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
        rtp::write(&rtp::Packet {
            payload_type,
            marker: true,
            sequence,
            timestamp: 0,
            source: 1,
            payload,
        })
        .unwrap()
    }

    #[test]
    fn a_picture_is_in_the_file_at_once_and_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let mut recording = Recording::begin(&folder, 26, FROM, TO).unwrap();
        let picture = packet(26, 1, &[0, 0, 0, 0, 1, 50, 2, 2, 9]);
        recording.keep(&picture, Duration::ZERO).unwrap();
        let path = recording.path().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[9, 0xff, 0xd9]));
        recording.keep(&picture, Duration::ZERO).unwrap();
        recording
            .keep(&packet(26, 2, b"bad"), Duration::ZERO)
            .unwrap();
        recording
            .keep(&packet(34, 3, b"other"), Duration::ZERO)
            .unwrap();
        let made = recording.finish().unwrap();
        assert_eq!(made.malformed, 1);
        assert_eq!(made.recording.unwrap(), (path.clone(), Some(Coding::Jpeg)));
        assert_eq!(std::fs::read(&path).unwrap(), [&bytes[..], &bytes].concat());
        let still = made.still.unwrap();
        assert_eq!(std::fs::read(&still).unwrap(), bytes);
        for path in [path, still] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn the_unknown_is_kept_as_packets_and_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::begin(folder.path(), 96, FROM, TO).unwrap();
        recording
            .keep(&packet(96, 1, b"x"), Duration::ZERO)
            .unwrap();
        let (path, coding) = recording.finish().unwrap().recording.unwrap();
        assert_eq!((path.extension().unwrap(), coding), ("pcap".as_ref(), None));
        for payload_type in [31, 96] {
            let recording = Recording::begin(folder.path(), payload_type, FROM, TO).unwrap();
            let path = recording.path().to_owned();
            assert!(recording.finish().unwrap().recording.is_none());
            assert!(!path.exists());
        }
    }
}
