//! Keeps a stream that nothing here can play so that it can be played later: an rtpdump file, which
//! rtpplay sends again packet by packet, and beside it the description that a player needs.
//!
//! The file format is that of rtptools, version 1.0 (`rtpdump(1)`), all in network byte order.
//! [`super::record`] keeps streams for analysis instead.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    net::SocketAddrV4,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    record,
    rtp::{self, Datagram},
    statistics::clock_rate,
};

/// The largest file that is written; the rest of the stream is not kept.
const MAX_BYTES: u64 = 1 << 30;
/// Length of the header of a packet in the file.
const HEADER: usize = 8;

/// An rtpdump file being written.
#[derive(Debug)]
pub struct RtpDump {
    path: PathBuf,
    file: BufWriter<File>,
    /// Where the stream arrives.
    own: SocketAddrV4,
    written: u64,
    described: bool,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The stream.
    pub dump: PathBuf,
    /// Its description, if a packet of RTP came.
    pub description: Option<PathBuf>,
}

impl RtpDump {
    /// Begins a file that only we can read, for a stream that arrives there.
    ///
    /// # Errors
    /// As [`record::create`].
    pub fn create(path: &Path, own: SocketAddrV4) -> io::Result<Self> {
        let mut file = BufWriter::new(record::create(path)?);
        writeln!(file, "#!rtpplay1.0 {}/{}", own.ip(), own.port())?;
        // The beginning of the recording is not told: seconds, microseconds. Then the address.
        file.write_all(&[0; 8])?;
        file.write_all(&own.ip().octets())?;
        file.write_all(&own.port().to_be_bytes())?;
        file.write_all(&[0; 2])?;
        Ok(Self {
            path: path.to_owned(),
            file,
            own,
            written: 0,
            described: false,
        })
    }

    fn description(&self) -> PathBuf {
        self.path.with_extension("sdp")
    }

    /// Keeps a datagram that came `at` so long after the beginning. What is neither RTP nor RTCP
    /// is left out. The first packet of RTP makes the description.
    ///
    /// # Errors
    /// As the file system says; as [`record::create`] for the description.
    pub fn keep(&mut self, datagram: &[u8], at: Duration) -> io::Result<()> {
        let (Ok(whole), Ok(length)) = (
            u16::try_from(datagram.len() + HEADER),
            u16::try_from(datagram.len()),
        ) else {
            return Ok(());
        };
        let kind = rtp::read(datagram);
        if kind == Datagram::Other || self.written > MAX_BYTES {
            return Ok(());
        }
        // RTCP is told by a length of 0.
        let length = if kind == Datagram::Rtcp { 0 } else { length };
        let at = u32::try_from(at.as_millis()).unwrap_or(u32::MAX);
        self.file.write_all(&whole.to_be_bytes())?;
        self.file.write_all(&length.to_be_bytes())?;
        self.file.write_all(&at.to_be_bytes())?;
        self.file.write_all(datagram)?;
        self.written += u64::from(whole);
        if let Datagram::Rtp(packet) = kind
            && !self.described
        {
            self.described = true;
            let text = description(self.own, packet.payload_type);
            record::create(&self.description())?.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// Completes the file; `None` when nothing came, and then there is no file.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(mut self) -> io::Result<Option<Kept>> {
        self.file.flush()?;
        if self.written == 0 {
            std::fs::remove_file(&self.path)?;
            return Ok(None);
        }
        let description = self.described.then(|| self.description());
        Ok(Some(Kept {
            dump: self.path,
            description,
        }))
    }
}

/// The least that a player needs (APPLICATIONS.md 2.3). Static payload types need no map, and of
/// the dynamic ones only those are named that RTC is known to use (1.4).
fn description(own: SocketAddrV4, payload_type: u8) -> String {
    let medium = if clock_rate(payload_type) == 90_000 && payload_type != 14 {
        "video"
    } else {
        "audio"
    };
    let map = match payload_type {
        111 => "a=rtpmap:111 SIREN/16000\r\na=fmtp:111 bitrate=16000\r\n",
        112 => "a=rtpmap:112 G7221/16000\r\na=fmtp:112 bitrate=24000\r\n",
        _ => "",
    };
    let (ip, port) = (own.ip(), own.port());
    format!(
        "v=0\r\no=- 0 0 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m={medium} {port} RTP/AVP {payload_type}\r\n{map}"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::media::sdp;

    const OWN: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 2), 6004);

    #[test]
    fn the_file_is_an_rtpdump_with_its_description_and_both_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls/picture.rtp");
        let mut dump = RtpDump::create(&path, OWN).unwrap();
        let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
        let packet = [0x80, 34, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9];
        dump.keep(&report, Duration::from_millis(5)).unwrap();
        dump.keep(b"neither", Duration::ZERO).unwrap();
        dump.keep(&packet, Duration::from_millis(1258)).unwrap();
        let kept = dump.finish().unwrap().unwrap();
        assert_eq!(kept.dump, path);
        let mut want = b"#!rtpplay1.0 192.0.2.2/6004\n".to_vec();
        want.extend([0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2, 0x17, 0x74, 0, 0]);
        want.extend([0, 16, 0, 0, 0, 0, 0, 5]);
        want.extend(report);
        want.extend([0, 21, 0, 13, 0, 0, 4, 0xea]);
        want.extend(packet);
        assert_eq!(std::fs::read(&path).unwrap(), want);
        let description = kept.description.unwrap();
        assert_eq!(description, path.with_extension("sdp"));
        let text = std::fs::read_to_string(&description).unwrap();
        assert!(text.contains("m=video 6004 RTP/AVP 34\r\n"), "{text}");
        for path in [&path, &description] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn each_description_is_one_of_its_medium() {
        for (payload_type, medium) in [
            (0, "audio"),
            (8, "audio"),
            (14, "audio"),
            (111, "audio"),
            (26, "video"),
            (31, "video"),
            (32, "video"),
            (34, "video"),
        ] {
            let text = description(OWN, payload_type);
            let line = format!("m={medium} 6004 RTP/AVP {payload_type}\r\n");
            assert!(text.contains(&line), "{text}");
            assert!(sdp::read(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_empty_recording_leaves_no_file_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.rtp");
        assert_eq!(RtpDump::create(&path, OWN).unwrap().finish().unwrap(), None);
        assert!(!path.exists());
        let description = folder.path().join("x.sdp");
        std::fs::write(&description, "mine").unwrap();
        let mut dump = RtpDump::create(&path, OWN).unwrap();
        let packet = [0x80, 34, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9];
        assert!(dump.keep(&packet, Duration::ZERO).is_err());
        assert_eq!(std::fs::read(&description).unwrap(), b"mine");
    }
}
