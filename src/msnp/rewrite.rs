//! The commands in which a server names another one, `XFR` and `RNG`, in every form of PROTOCOL.md
//! 12.1: read, and rewritten so that the client comes back to the proxy.

use super::frame::{word, words};

/// The port of MSNP, for an address that names none (PROTOCOL.md section 11).
pub const PORT: u16 = 1863;

/// Where `XFR` sends the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transfer {
    /// To another notification server, `host:port`.
    Notification {
        /// The real one.
        address: String,
    },
    /// To log in again at the same server (address `0`); nothing to rewrite.
    SameServer,
    /// To a switchboard.
    Switchboard {
        /// The real one, `host:port`.
        address: String,
        /// What the client will show there.
        cookie: String,
    },
}

/// Reads `XFR t NS|SB address ...`.
#[must_use]
pub fn read_xfr(line: &[u8]) -> Option<Transfer> {
    if word(line, 0) != "XFR" {
        return None;
    }
    match (word(line, 2), word(line, 3)) {
        (_, "") => None,
        ("NS", "0") => Some(Transfer::SameServer),
        ("NS", address) => Some(Transfer::Notification {
            address: with_port(address),
        }),
        ("SB", address) if word(line, 4) == "CKI" && !word(line, 5).is_empty() => {
            Some(Transfer::Switchboard {
                address: with_port(address),
                cookie: word(line, 5).to_owned(),
            })
        }
        _ => None,
    }
}

/// `XFR` with the address replaced by `to`, and, in the form of MSNP7 to MSNP12 that also names the
/// current server, that one by `current`.
#[must_use]
pub fn write_xfr(line: &[u8], to: &str, current: &str) -> Vec<u8> {
    let line = replace(line, 3, to);
    if word(&line, 2) == "NS" && word(&line, 4) == "0" && word(&line, 5).contains(['.', ':']) {
        return replace(&line, 5, current);
    }
    line
}

/// Somebody calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Session at the switchboard.
    pub session: String,
    /// The real switchboard, `host:port`.
    pub address: String,
    /// What the client will show there.
    pub cookie: String,
    /// Who calls.
    pub inviter: String,
    /// Display name of who calls, encoded as on the wire.
    pub nick: String,
}

/// Reads `RNG session address CKI cookie inviter nick ...`.
#[must_use]
pub fn read_rng(line: &[u8]) -> Option<Ring> {
    let is_ring = word(line, 0) == "RNG" && word(line, 3) == "CKI";
    if !is_ring || word(line, 4).is_empty() {
        return None;
    }
    Some(Ring {
        session: word(line, 1).to_owned(),
        address: with_port(word(line, 2)),
        cookie: word(line, 4).to_owned(),
        inviter: word(line, 5).to_owned(),
        nick: word(line, 6).to_owned(),
    })
}

/// `RNG` with the address replaced by `to`.
#[must_use]
pub fn write_rng(line: &[u8], to: &str) -> Vec<u8> {
    replace(line, 2, to)
}

/// A `RNG` of ours, in the form of that version of the protocol.
#[must_use]
pub fn ring(version: u8, ring: &Ring) -> Vec<u8> {
    let tail = match version {
        0..=12 => "",
        13 => " U messenger.hotmail.com",
        _ => " U messenger.hotmail.com 1",
    };
    let Ring {
        session,
        address,
        cookie,
        inviter,
        nick,
    } = ring;
    format!("RNG {session} {address} CKI {cookie} {inviter} {nick}{tail}\r\n").into_bytes()
}

/// `host` gets the port of MSNP.
fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        // `::1` has no port, `[::1]:1863` has one.
        (!host.contains(':') || host.ends_with(']')) && port.parse::<u16>().is_ok()
    });
    if has_port {
        address.to_owned()
    } else if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{PORT}")
    } else {
        format!("{address}:{PORT}")
    }
}

/// The line with one word replaced and every other byte kept.
fn replace(line: &[u8], index: usize, by: &str) -> Vec<u8> {
    let Some(old) = words(line).nth(index) else {
        return line.to_vec();
    };
    let at = old.as_ptr() as usize - line.as_ptr() as usize;
    let mut out = line.get(..at).unwrap_or_default().to_vec();
    out.extend_from_slice(by.as_bytes());
    out.extend_from_slice(line.get(at + old.len()..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "127.0.0.1:9";

    #[test]
    fn every_form_of_xfr_is_rewritten() {
        let rows: &[(&str, &str, &str)] = &[
            // MSNP2, MSNP3 to 6, MSNP7 to 12, MSNP13 and later.
            (
                "XFR 3 NS 1.2.3.4:1863",
                "1.2.3.4:1863",
                "XFR 3 NS 127.0.0.1:9",
            ),
            (
                "XFR 3 NS 1.2.3.4:1863 0",
                "1.2.3.4:1863",
                "XFR 3 NS 127.0.0.1:9 0",
            ),
            (
                "XFR 3 NS 1.2.3.4:1863 0 5.6.7.8:1863",
                "1.2.3.4:1863",
                "XFR 3 NS 127.0.0.1:9 0 127.0.0.1:8",
            ),
            (
                "XFR 3 NS 1.2.3.4:1863 U D",
                "1.2.3.4:1863",
                "XFR 3 NS 127.0.0.1:9 U D",
            ),
            (
                "XFR 3 NS ns.example.com",
                "ns.example.com:1863",
                "XFR 3 NS 127.0.0.1:9",
            ),
            ("XFR  3 NS  a:5 0 ", "a:5", "XFR  3 NS  127.0.0.1:9 0 "),
        ];
        for (line, real, want) in rows {
            let line = format!("{line}\r\n");
            let read = Transfer::Notification {
                address: (*real).to_owned(),
            };
            assert_eq!(read_xfr(line.as_bytes()), Some(read), "{line}");
            let written = write_xfr(line.as_bytes(), PROXY, "127.0.0.1:8");
            assert_eq!(written, format!("{want}\r\n").into_bytes(), "{line}");
        }
        for tail in [
            "",
            " U messenger.msn.com",
            " U messenger.msn.com 1",
            " U messenger.msn.com 0",
        ] {
            let line = format!("XFR 3 SB 1.2.3.4:1864 CKI 17.2{tail}\r\n");
            let read = Transfer::Switchboard {
                address: "1.2.3.4:1864".to_owned(),
                cookie: "17.2".to_owned(),
            };
            assert_eq!(read_xfr(line.as_bytes()), Some(read), "{line}");
            let written = write_xfr(line.as_bytes(), PROXY, "127.0.0.1:8");
            let want = format!("XFR 3 SB 127.0.0.1:9 CKI 17.2{tail}\r\n");
            assert_eq!(written, want.into_bytes());
        }
    }

    #[test]
    fn what_names_no_server_is_left_alone() {
        assert_eq!(
            read_xfr(b"XFR 3 NS 0 0 1.2.3.4:5\r\n"),
            Some(Transfer::SameServer)
        );
        for line in [
            "XFR 3",
            "XFR 3 SB",
            "XFR 3 SB 1.2.3.4:5 CKI",
            "XFR 3 XX a:5",
            "RNG 1 a:2 CKI 3",
            "",
        ] {
            assert_eq!(read_xfr(line.as_bytes()), None, "{line}");
        }
        for line in ["RNG", "RNG 1 a:2", "RNG 1 a:2 CKI", "XFR 3 NS a:5", ""] {
            assert_eq!(read_rng(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn every_form_of_rng_is_read_rewritten_and_made() {
        let versions: &[(u8, &str)] = &[
            (2, ""),
            (12, ""),
            (13, " U messenger.hotmail.com"),
            (18, " U messenger.hotmail.com 1"),
        ];
        for (version, tail) in versions {
            let line = format!("RNG 7 1.2.3.4:1864 CKI 17.2 ann@example.com Ann%20E{tail}\r\n");
            let read = read_rng(line.as_bytes()).unwrap();
            assert_eq!(read.address, "1.2.3.4:1864");
            assert_eq!(ring(*version, &read), line.as_bytes());
            let want = format!("RNG 7 {PROXY} CKI 17.2 ann@example.com Ann%20E{tail}\r\n");
            assert_eq!(write_rng(line.as_bytes(), PROXY), want.into_bytes());
        }
    }

    #[test]
    fn an_address_always_gets_a_port() {
        let rows = [
            ("a", "a:1863"),
            ("a:5", "a:5"),
            ("::1", "[::1]:1863"),
            ("[::1]", "[::1]:1863"),
            ("[::1]:5", "[::1]:5"),
            ("a:b", "[a:b]:1863"),
        ];
        for (address, want) in rows {
            assert_eq!(with_port(address), want);
        }
    }
}
