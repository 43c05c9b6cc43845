//! Commands that name an address the client will connect to: `XFR` and `RNG`, in every form of
//! PROTOCOL.md 12.1. The address is replaced, everything else keeps its bytes.

use super::{word, words};

/// Where the server sends the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referral {
    /// `XFR t NS address ...`: another notification server.
    Notification {
        /// Its address, `host:port`.
        address: String,
    },
    /// `XFR t SB address CKI cookie ...`: a switchboard the client asked for.
    Switchboard {
        /// The transaction it answers.
        transaction: String,
        /// Its address.
        address: String,
        /// What the client will show there.
        cookie: String,
    },
    /// `RNG session address CKI cookie inviter nick ...`: a switchboard somebody calls it to.
    Ring {
        /// Its address.
        address: String,
        /// What the client will show there.
        cookie: String,
    },
}

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 1863;

impl Referral {
    /// Reads a command of the server's. An address of `0` means the same server again and is no
    /// referral.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let at = |index| word(line, index).map(str::to_owned);
        match (word(line, 0)?, word(line, 2)?) {
            ("XFR", "NS") => {
                let address = at(3).filter(|address| address != "0")?;
                Some(Self::Notification {
                    address: with_port(&address),
                })
            }
            ("XFR", "SB") if word(line, 4)? == "CKI" => Some(Self::Switchboard {
                transaction: at(1)?,
                address: with_port(&at(3)?),
                cookie: at(5)?,
            }),
            ("RNG", address) if word(line, 3)? == "CKI" => Some(Self::Ring {
                address: with_port(address),
                cookie: at(4)?,
            }),
            _ => None,
        }
    }

    /// Which word of the line is the address.
    fn place(&self) -> usize {
        match self {
            Self::Notification { .. } | Self::Switchboard { .. } => 3,
            Self::Ring { .. } => 2,
        }
    }

    /// The line with another address, with its end.
    #[must_use]
    pub fn rewritten(&self, line: &[u8], address: &str) -> Vec<u8> {
        let place = self.place();
        let mut rewritten = Vec::with_capacity(line.len() + address.len() + 2);
        for (index, word) in words(line).enumerate() {
            if index > 0 {
                rewritten.push(b' ');
            }
            rewritten.extend_from_slice(if index == place {
                address.as_bytes()
            } else {
                word
            });
        }
        rewritten.extend_from_slice(b"\r\n");
        rewritten
    }
}

fn with_port(address: &str) -> String {
    if address.contains(':') {
        address.to_owned()
    } else {
        format!("{address}:{DEFAULT_PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_only_the_address_changes() {
        for (line, rewritten) in [
            ("XFR 2 NS 10.0.0.1:1863", "XFR 2 NS P:1"),
            ("XFR 2 NS 10.0.0.1:1863 0", "XFR 2 NS P:1 0"),
            (
                "XFR 2 NS 10.0.0.1:1863 0 10.0.0.2:1863",
                "XFR 2 NS P:1 0 10.0.0.2:1863",
            ),
            ("XFR 2 NS 10.0.0.1:1863 U D", "XFR 2 NS P:1 U D"),
            ("XFR 9 SB 10.0.0.1:1864 CKI 17.1", "XFR 9 SB P:1 CKI 17.1"),
            (
                "XFR 9 SB 10.0.0.1:1864 CKI 17.1 U messenger.msn.com",
                "XFR 9 SB P:1 CKI 17.1 U messenger.msn.com",
            ),
            (
                "XFR 9 SB 10.0.0.1:1864 CKI 17.1 U messenger.msn.com 1",
                "XFR 9 SB P:1 CKI 17.1 U messenger.msn.com 1",
            ),
            (
                "RNG 11 sb.example:1864 CKI 18.2 a@b Al%20B",
                "RNG 11 P:1 CKI 18.2 a@b Al%20B",
            ),
            (
                "RNG 11 10.0.0.1:1864 CKI 18.2 a@b Al U messenger.hotmail.com 1",
                "RNG 11 P:1 CKI 18.2 a@b Al U messenger.hotmail.com 1",
            ),
            (
                "RNG 11 10.0.0.1 CKI 18.2 a@b Al",
                "RNG 11 P:1 CKI 18.2 a@b Al",
            ),
        ] {
            let referral = Referral::read(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            let seen = referral.rewritten(line.as_bytes(), "P:1");
            assert_eq!(String::from_utf8(seen).unwrap(), format!("{rewritten}\r\n"));
        }
    }

    #[test]
    fn what_names_no_address_is_left_alone() {
        for line in [
            "XFR 2 NS 0 U D",
            "XFR 2 SB",
            "XFR 2 SB 1.2.3.4:5 XYZ 1",
            "XFR",
            "",
            "RNG 1",
            "USR 3 OK a@b A 1 0",
            "713 9",
        ] {
            assert_eq!(Referral::read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_missing_port_is_the_usual_one() {
        let referral = Referral::read(b"XFR 2 NS ns.example 0").unwrap();
        assert_eq!(
            referral,
            Referral::Notification {
                address: "ns.example:1863".into()
            }
        );
    }
}
