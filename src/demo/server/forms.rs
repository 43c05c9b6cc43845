//! The lines whose form depends on the version of the protocol: addresses (PROTOCOL.md 12.1),
//! presence, contact list and switchboard members (12.3). Pure.

use std::net::SocketAddr;

use crate::demo::wire::encode;

/// Redirect to another notification server.
pub(super) fn xfr_ns(version: u8, trid: &str, to: SocketAddr, current: SocketAddr) -> String {
    match version {
        0..=2 => format!("XFR {trid} NS {to}\r\n"),
        3..=6 => format!("XFR {trid} NS {to} 0\r\n"),
        7..=12 => format!("XFR {trid} NS {to} 0 {current}\r\n"),
        _ => format!("XFR {trid} NS {to} U D\r\n"),
    }
}

/// Where a new switchboard is, and the cookie that opens it.
pub(super) fn xfr_sb(version: u8, trid: &str, to: SocketAddr, cookie: &str) -> String {
    let tail = match version {
        0..=12 => "",
        13 => " U messenger.msn.com",
        _ => " U messenger.msn.com 1",
    };
    format!("XFR {trid} SB {to} CKI {cookie}{tail}\r\n")
}

/// Somebody calls.
pub(super) fn rng(
    version: u8,
    session: u64,
    at: SocketAddr,
    cookie: &str,
    inviter: &str,
    nick: &str,
) -> String {
    let tail = match version {
        0..=12 => "",
        13 => " U messenger.hotmail.com",
        _ => " U messenger.hotmail.com 1",
    };
    let nick = encode(nick);
    format!("RNG {session} {at} CKI {cookie} {inviter} {nick}{tail}\r\n")
}

/// The end of a login.
pub(super) fn usr_ok(version: u8, trid: &str, handle: &str, nick: &str) -> String {
    let nick = encode(nick);
    match version {
        0..=5 => format!("USR {trid} OK {handle} {nick}\r\n"),
        6..=7 => format!("USR {trid} OK {handle} {nick} 1\r\n"),
        8..=9 => format!("USR {trid} OK {handle} {nick} 1 0\r\n"),
        _ => format!("USR {trid} OK {handle} 1 0\r\n"),
    }
}

/// A person who is online.
#[derive(Debug, Clone)]
pub(super) struct Presence {
    pub(super) handle: String,
    pub(super) nick: String,
    /// `NLN`, `BSY` ...
    pub(super) status: String,
    /// Capability number and what follows it in `CHG`, as the client wrote them.
    pub(super) rest: Vec<String>,
}

impl Presence {
    fn tail(&self, version: u8) -> String {
        let caps = self.rest.first().map_or("0", String::as_str);
        let plain = caps.split(':').next().unwrap_or("0");
        let object = self.rest.get(1);
        match version {
            0..=7 => String::new(),
            8 => format!(" {plain}"),
            9..=15 => object.map_or_else(
                || format!(" {plain}"),
                |object| format!(" {plain} {object}"),
            ),
            _ => {
                let caps = if caps.contains(':') {
                    caps.to_owned()
                } else {
                    format!("{caps}:0")
                };
                object.map_or_else(|| format!(" {caps}"), |object| format!(" {caps} {object}"))
            }
        }
    }

    fn who(&self, version: u8) -> String {
        let Self { handle, nick, .. } = self;
        let nick = encode(nick);
        match version {
            0..=13 => format!("{handle} {nick}"),
            14..=15 => format!("{handle} 1 {nick}"),
            _ => format!("1:{handle} {nick}"),
        }
    }

    /// Told to somebody who has just come online.
    pub(super) fn iln(&self, version: u8, trid: &str) -> String {
        let (who, tail) = (self.who(version), self.tail(version));
        format!("ILN {trid} {} {who}{tail}\r\n", self.status)
    }

    /// Told to everybody who is online.
    pub(super) fn nln(&self, version: u8) -> String {
        let (who, tail) = (self.who(version), self.tail(version));
        format!("NLN {} {who}{tail}\r\n", self.status)
    }
}

/// Somebody went offline.
pub(super) fn fln(version: u8, handle: &str) -> String {
    match version {
        0..=13 => format!("FLN {handle}\r\n"),
        14..=15 => format!("FLN {handle} 1\r\n"),
        _ => format!("FLN 1:{handle} 0:0\r\n"),
    }
}

/// The contact list in the answer to `SYN`: everybody in `contacts` (handle, nick) is a contact, is
/// allowed, and has us.
pub(super) fn syn(
    version: u8,
    trid: &str,
    stamps: (&str, &str),
    own_nick: &str,
    contacts: &[(String, String)],
) -> String {
    let count = contacts.len();
    let own_nick = encode(own_nick);
    let mut out = match version {
        0..=7 => format!("SYN {trid} 1\r\nGTC {trid} 1 A\r\nBLP {trid} 1 AL\r\n"),
        8..=9 => format!("SYN {trid} 1 {count} 1\r\nGTC A\r\nBLP AL\r\nLSG 0 Friends 0\r\n"),
        _ => format!(
            "SYN {trid} {} {} {count} 1\r\nGTC A\r\nBLP AL\r\nPRP MFN {own_nick}\r\n\
             LSG Friends {}\r\n",
            or_zero(stamps.0),
            or_zero(stamps.1),
            guid(0),
        ),
    };
    if version <= 7 {
        if version == 7 {
            out += &format!("LSG {trid} 1 1 1 0 Friends 0\r\n");
        }
        for list in ["FL", "AL", "BL", "RL"] {
            if list == "BL" || count == 0 {
                out += &format!("LST {trid} {list} 1 0 0\r\n");
                continue;
            }
            for (index, (handle, nick)) in contacts.iter().enumerate() {
                let group = if version == 7 && list == "FL" {
                    " 0"
                } else {
                    ""
                };
                out += &format!(
                    "LST {trid} {list} 1 {} {count} {handle} {}{group}\r\n",
                    index + 1,
                    encode(nick)
                );
            }
        }
        return out;
    }
    for (index, (handle, nick)) in contacts.iter().enumerate() {
        let nick = encode(nick);
        out += &match version {
            8..=9 => format!("LST {handle} {nick} 11 0\r\n"),
            10..=11 => format!(
                "LST N={handle} F={nick} C={} 11 {}\r\n",
                guid(index + 1),
                guid(0)
            ),
            _ => format!(
                "LST N={handle} F={nick} C={} 11 1 {}\r\n",
                guid(index + 1),
                guid(0)
            ),
        };
    }
    out
}

fn or_zero(stamp: &str) -> &str {
    if stamp.is_empty() { "0" } else { stamp }
}

fn guid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A member of a switchboard as it is told to a client of `version`.
pub(super) fn member(version: u8, handle: &str, nick: &str) -> String {
    let nick = encode(nick);
    match version {
        0..=11 => format!("{handle} {nick}"),
        12..=15 => format!("{handle} {nick} 0"),
        _ => format!("{handle} {nick} 0:0"),
    }
}

/// The profile message after a login (PROTOCOL.md 4.1 for what clients take from it).
pub(super) fn profile(handle: &str, client: SocketAddr) -> Vec<u8> {
    let body = format!(
        "MIME-Version: 1.0\r\n\
         Content-Type: text/x-msmsgsprofile; charset=UTF-8\r\n\
         LoginTime: 1000000000\r\n\
         EmailEnabled: 0\r\n\
         MemberIdHigh: 65536\r\n\
         MemberIdLow: 1\r\n\
         lang_preference: 1033\r\n\
         preferredEmail: {handle}\r\n\
         country: US\r\n\
         PostalCode: \r\n\
         Gender: \r\n\
         Kid: 0\r\n\
         Age: \r\n\
         sid: 507\r\n\
         kv: 5\r\n\
         MSPAuth: 1\r\n\
         ClientIP: {}\r\n\
         ClientPort: {}\r\n\r\n",
        client.ip(),
        client.port().swap_bytes(),
    );
    format!("MSG Hotmail Hotmail {}\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_in_the_form_of_each_version() {
        let (to, current): (SocketAddr, SocketAddr) = (
            "127.0.0.1:1863".parse().unwrap(),
            "127.0.0.1:99".parse().unwrap(),
        );
        let ns: &[(u8, &str)] = &[
            (2, "XFR 3 NS 127.0.0.1:1863\r\n"),
            (3, "XFR 3 NS 127.0.0.1:1863 0\r\n"),
            (6, "XFR 3 NS 127.0.0.1:1863 0\r\n"),
            (7, "XFR 3 NS 127.0.0.1:1863 0 127.0.0.1:99\r\n"),
            (12, "XFR 3 NS 127.0.0.1:1863 0 127.0.0.1:99\r\n"),
            (13, "XFR 3 NS 127.0.0.1:1863 U D\r\n"),
        ];
        for (version, want) in ns {
            assert_eq!(xfr_ns(*version, "3", to, current), *want, "MSNP{version}");
        }
        let sb: &[(u8, &str)] = &[
            (2, "XFR 3 SB 127.0.0.1:1863 CKI 1.2\r\n"),
            (12, "XFR 3 SB 127.0.0.1:1863 CKI 1.2\r\n"),
            (
                13,
                "XFR 3 SB 127.0.0.1:1863 CKI 1.2 U messenger.msn.com\r\n",
            ),
            (
                18,
                "XFR 3 SB 127.0.0.1:1863 CKI 1.2 U messenger.msn.com 1\r\n",
            ),
        ];
        for (version, want) in sb {
            assert_eq!(xfr_sb(*version, "3", to, "1.2"), *want, "MSNP{version}");
        }
        let ring: &[(u8, &str)] = &[
            (2, "RNG 7 127.0.0.1:1863 CKI 1.2 a@b A%20B\r\n"),
            (
                13,
                "RNG 7 127.0.0.1:1863 CKI 1.2 a@b A%20B U messenger.hotmail.com\r\n",
            ),
            (
                14,
                "RNG 7 127.0.0.1:1863 CKI 1.2 a@b A%20B U messenger.hotmail.com 1\r\n",
            ),
        ];
        for (version, want) in ring {
            assert_eq!(
                rng(*version, 7, to, "1.2", "a@b", "A B"),
                *want,
                "MSNP{version}"
            );
        }
    }

    #[test]
    fn presence_grows_with_the_version() {
        let presence = Presence {
            handle: "a@b".into(),
            nick: "A B".into(),
            status: "NLN".into(),
            rest: vec!["5".into(), "obj".into()],
        };
        let rows: &[(u8, &str)] = &[
            (2, "NLN NLN a@b A%20B\r\n"),
            (8, "NLN NLN a@b A%20B 5\r\n"),
            (9, "NLN NLN a@b A%20B 5 obj\r\n"),
            (14, "NLN NLN a@b 1 A%20B 5 obj\r\n"),
            (18, "NLN NLN 1:a@b A%20B 5:0 obj\r\n"),
        ];
        for (version, want) in rows {
            assert_eq!(presence.nln(*version), *want, "MSNP{version}");
        }
    }
}
