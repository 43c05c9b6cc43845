//! The profile that the server sends after a login: where it sees the client (PROTOCOL.md 4.1). Clients
//! compare that with their own address and tell contacts what kind of router they are behind.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::frame::word;

const KIND: &str = "text/x-msmsgsprofile";

/// The two fields that tell where the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// `ClientIP`.
    pub ip: Ipv4Addr,
    /// `ClientPort` as it stands. The original servers swapped its bytes, revived ones do not.
    pub port: u16,
}

/// What a profile says; nothing of another message.
#[must_use]
pub fn read(payload: &[u8]) -> Option<Seen> {
    let text = core::str::from_utf8(payload).ok()?;
    let field = |name: &str| {
        text.split("\r\n").find_map(|line| {
            let (have, value) = line.split_once(':')?;
            have.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if !field("Content-Type")?.starts_with(KIND) {
        return None;
    }
    Some(Seen {
        ip: field("ClientIP")?.parse().ok()?,
        port: field("ClientPort")
            .and_then(|port| port.parse().ok())
            .unwrap_or(0),
    })
}

/// What the profile would say without a proxy, for a client at `client` whose proxy reaches the server
/// from `proxy`: what the server sees unchanged from there is unchanged from the client.
#[must_use]
pub fn without_proxy(seen: Seen, proxy: SocketAddrV4, client: SocketAddrV4) -> Seen {
    Seen {
        ip: if seen.ip == *proxy.ip() {
            *client.ip()
        } else {
            seen.ip
        },
        port: if seen.port == proxy.port() {
            client.port()
        } else if seen.port.swap_bytes() == proxy.port() {
            client.port().swap_bytes()
        } else {
            seen.port
        },
    }
}

/// The message with other values, whole: the line says how long the payload is. A message without
/// both fields stays as it is.
#[must_use]
pub fn write(line: &[u8], payload: &[u8], seen: Seen) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + 16);
    for piece in payload.split_inclusive(|byte| *byte == b'\n') {
        let name = piece.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"ClientIP") {
            body.extend_from_slice(format!("ClientIP: {}\r\n", seen.ip).as_bytes());
        } else if name.eq_ignore_ascii_case(b"ClientPort") {
            body.extend_from_slice(format!("ClientPort: {}\r\n", seen.port).as_bytes());
        } else {
            body.extend_from_slice(piece);
        }
    }
    let words = [word(line, 0), word(line, 1), word(line, 2)].join(" ");
    let mut whole = format!("{words} {}\r\n", body.len()).into_bytes();
    whole.append(&mut body);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = "MIME-Version: 1.0\r\n\
        Content-Type: text/x-msmsgsprofile; charset=UTF-8\r\n\
        kv: 5\r\nClientIP: 198.51.100.7\r\nClientPort: 16415\r\n\r\n";

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    #[test]
    fn the_fields_are_read_and_written() {
        let seen = read(PAYLOAD.as_bytes()).unwrap();
        assert_eq!(seen.ip, Ipv4Addr::new(198, 51, 100, 7));
        assert_eq!(seen.port, 16415);
        let line = format!("MSG Hotmail Hotmail {}\r\n", PAYLOAD.len());
        let same = write(line.as_bytes(), PAYLOAD.as_bytes(), seen);
        assert_eq!(same, format!("{line}{PAYLOAD}").into_bytes());
        let other = Seen {
            ip: Ipv4Addr::LOCALHOST,
            port: 5,
        };
        let written = write(line.as_bytes(), PAYLOAD.as_bytes(), other);
        let text = String::from_utf8(written).unwrap();
        let (line, body) = text.split_once("\r\n").unwrap();
        assert_eq!(line, format!("MSG Hotmail Hotmail {}", body.len()));
        assert_eq!(read(body.as_bytes()), Some(other));
        assert!(body.contains("kv: 5\r\n"));
    }

    #[test]
    fn other_messages_say_nothing() {
        for payload in [
            "",
            "ClientIP: 1.2.3.4\r\n",
            "Content-Type: text/plain\r\nClientIP: 1.2.3.4\r\n",
            "Content-Type: text/x-msmsgsprofile\r\nClientIP: home\r\n",
        ] {
            assert_eq!(read(payload.as_bytes()), None, "{payload}");
        }
        proptest::proptest!(|(payload: Vec<u8>, line: Vec<u8>)| {
            let _ = read(&payload);
            let seen = Seen { ip: Ipv4Addr::LOCALHOST, port: 1 };
            let _ = write(&line, &payload, seen);
        });
    }

    #[test]
    fn what_no_router_changed_is_the_clients_own() {
        let (proxy, client) = (at("192.168.1.2:4000"), at("127.0.0.1:5000"));
        for (ip, port, want) in [
            ("192.168.1.2", 4000, ("127.0.0.1", 5000)),
            (
                "192.168.1.2",
                4000_u16.swap_bytes(),
                ("127.0.0.1", 5000_u16.swap_bytes()),
            ),
            ("198.51.100.7", 4000, ("198.51.100.7", 5000)),
            ("198.51.100.7", 4001, ("198.51.100.7", 4001)),
        ] {
            let seen = Seen {
                ip: ip.parse().unwrap(),
                port,
            };
            let told = without_proxy(seen, proxy, client);
            assert_eq!((told.ip.to_string().as_str(), told.port), want);
        }
    }
}
