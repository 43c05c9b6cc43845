//! The addresses a message may mean (PROTOCOL.md section 3 rule 4), in the order to try them.
//! Only strict dotted quads are addresses: no names, no octal, no short forms, no port 0.

use core::{fmt, net::Ipv4Addr};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// What official clients XOR a port with in `PortX` (PROTOCOL.md section 3 rule 4).
pub const PORT_MASK: u16 = 0x3141;

/// The most candidates one message can give.
const MAX_CANDIDATES: usize = 16;

/// The longest base64 text that is decoded; `255.255.255.255:65535` needs 28.
const MAX_ENC64: usize = 40;

/// Base64 with or without its padding, whatever the unused last bits are.
const ENC64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The field a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressSource {
    /// `IP-Address`, with its own port or that of `Port`.
    IpAddress,
    /// `IP-Address-Enc64`, with its own port or that of `Port`.
    Enc64,
    /// `Port`, where `IP-Address` already names another port.
    Port,
    /// `IP` and `Port` of jmsn's webcam INVITE (PROTOCOL.md 5.7).
    Webcam,
    /// `IP-Address-Internal`, with `Port`.
    Internal,
    /// `PortX` unmasked, with the address of `IP-Address`.
    PortX,
    /// `PortX` as it stands, as DotMSN means it.
    PortXLiteral,
    /// `PortX-Internal` unmasked, with the address of `IP-Address-Internal`.
    PortXInternal,
    /// `PortX-Internal` as it stands.
    PortXInternalLiteral,
    /// `Public-IP`, with the port of `IP-Address` (PROTOCOL.md section 10 trap 10).
    PublicIp,
    /// `Private-IP`, with the port of `IP-Address`.
    PrivateIp,
    /// `Context-Data` of a context message (PROTOCOL.md 5.5).
    ContextData,
}

impl AddressSource {
    /// The field in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IpAddress => "IP-Address",
            Self::Enc64 => "IP-Address-Enc64",
            Self::Port => "Port",
            Self::Webcam => "IP",
            Self::Internal => "IP-Address-Internal",
            Self::PortX => "PortX",
            Self::PortXLiteral => "PortX (literal)",
            Self::PortXInternal => "PortX-Internal",
            Self::PortXInternalLiteral => "PortX-Internal (literal)",
            Self::PublicIp => "Public-IP",
            Self::PrivateIp => "Private-IP",
            Self::ContextData => "Context-Data",
        }
    }
}

/// One address of the peer, from one field. The peer wrote it: it is a claim, not a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Address.
    pub ip: Ipv4Addr,
    /// Port, when the field or a sibling gave one; never 0.
    pub port: Option<u16>,
    /// Where it stood.
    pub source: AddressSource,
}

/// As it stands in a message: `ip` or `ip:port`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// Candidates in the order to try them; no address and port twice.
#[derive(Clone, Copy, Default)]
pub struct Candidates {
    list: [Option<Candidate>; MAX_CANDIDATES],
    count: usize,
}

impl Candidates {
    /// Collects what `value` (the value of a field by its name) has to say.
    pub(super) fn collect<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let address = |name: &str| value(name).and_then(read_address);
        let port = |name: &str| value(name).and_then(read_port);
        let plain = address("IP-Address");
        let encoded = value("IP-Address-Enc64").and_then(read_enc64);
        let internal = address("IP-Address-Internal");
        let sibling = port("Port");
        let main = plain.or(encoded);
        let own_port = plain
            .and_then(|(_, port)| port)
            .or(encoded.and_then(|(_, port)| port));

        let mut found = Self::default();
        let mut add = |address: Option<(Ipv4Addr, Option<u16>)>, source| {
            if let Some((ip, port)) = address {
                found.push(Candidate { ip, port, source });
            }
        };
        let or_sibling = |address: Option<(Ipv4Addr, _)>| {
            address.map(|(ip, port): (_, Option<u16>)| (ip, port.or(sibling)))
        };
        let at = |address: Option<(Ipv4Addr, _)>, port: Option<u16>| match (address, port) {
            (Some((ip, _)), Some(port)) => Some((ip, Some(port))),
            _ => None,
        };
        add(or_sibling(plain), AddressSource::IpAddress);
        add(or_sibling(encoded), AddressSource::Enc64);
        add(at(main, sibling), AddressSource::Port);
        add(or_sibling(address("IP")), AddressSource::Webcam);
        add(or_sibling(internal), AddressSource::Internal);
        let masked = |name: &str| port(name).map(|port| port ^ PORT_MASK).filter(|p| *p != 0);
        add(at(main, masked("PortX")), AddressSource::PortX);
        add(
            at(internal, masked("PortX-Internal")),
            AddressSource::PortXInternal,
        );
        add(at(main, port("PortX")), AddressSource::PortXLiteral);
        add(
            at(internal, port("PortX-Internal")),
            AddressSource::PortXInternalLiteral,
        );
        // These two say where the sender is, not where it listens; the port is that of the address.
        let there = own_port.or(sibling);
        for (name, source) in [
            ("Public-IP", AddressSource::PublicIp),
            ("Private-IP", AddressSource::PrivateIp),
        ] {
            add(address(name).map(|(ip, own)| (ip, own.or(there))), source);
        }
        found
    }

    /// Appends one, unless it is there already.
    fn push(&mut self, candidate: Candidate) {
        if self
            .iter()
            .any(|known| known.ip == candidate.ip && known.port == candidate.port)
        {
            return;
        }
        if let Some(slot) = self.list.get_mut(self.count) {
            *slot = Some(candidate);
            self.count += 1;
        }
    }

    /// In the order to try them.
    pub fn iter(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.list.iter().copied().flatten()
    }

    /// The one to try first.
    #[must_use]
    pub fn first(&self) -> Option<Candidate> {
        self.iter().next()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the message names no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As a list of its own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Candidate> {
        self.iter().collect()
    }
}

impl fmt::Debug for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl IntoIterator for Candidates {
    type Item = Candidate;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<Candidate>, MAX_CANDIDATES>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().flatten()
    }
}

/// Reads `a.b.c.d` or `a.b.c.d:port`; blanks around it do not matter, anything else does.
#[must_use]
pub fn read_address(value: &[u8]) -> Option<(Ipv4Addr, Option<u16>)> {
    let value = value.trim_ascii();
    let (ip, port) = match memchr::memchr(b':', value) {
        Some(colon) => {
            let (ip, port) = value.split_at(colon);
            (ip, Some(digits(port.get(1..)?)?))
        }
        None => (value, None),
    };
    if ip.len() > 15 {
        return None;
    }
    // The standard library takes exactly four decimal numbers without leading zeros.
    let ip = core::str::from_utf8(ip).ok()?.parse().ok()?;
    Some((ip, port))
}

/// Reads base64 of what [`read_address`] reads.
pub(super) fn read_enc64(value: &[u8]) -> Option<(Ipv4Addr, Option<u16>)> {
    let value = value.trim_ascii();
    if value.len() > MAX_ENC64 {
        return None;
    }
    let mut decoded = [0; MAX_ENC64];
    let length = ENC64.decode_slice(value, &mut decoded).ok()?;
    read_address(decoded.get(..length)?)
}

/// Writes base64 of `text`.
pub(super) fn write_enc64(text: &str) -> String {
    ENC64.encode(text)
}

/// Reads a port; blanks around it do not matter.
pub(super) fn read_port(value: &[u8]) -> Option<u16> {
    digits(value.trim_ascii())
}

/// One to five digits that make a port, not 0.
fn digits(text: &[u8]) -> Option<u16> {
    if text.len() > 5 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::AddressSource::*;
    use super::*;

    fn shown(fields: &[(&str, &str)]) -> Vec<(String, AddressSource)> {
        let fields: Vec<(String, Vec<u8>)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Candidates::collect(|name| {
            fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_slice())
        })
        .into_iter()
        .map(|candidate| (candidate.to_string(), candidate.source))
        .collect()
    }

    #[test]
    fn only_strict_dotted_quads_are_addresses() {
        for (text, ip, port) in [
            ("1.2.3.4", [1, 2, 3, 4], None),
            (" 10.27.95.174:8348 ", [10, 27, 95, 174], Some(8348)),
            ("255.255.255.255:65535", [255; 4], Some(65535)),
        ] {
            assert_eq!(read_address(text.as_bytes()), Some((ip.into(), port)));
        }
        for text in [
            "",
            "localhost",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "0x1.2.3.4",
            "16909060",
            "1.2.3.256",
            "1.2.3.4:",
            "1.2.3.4:0",
            "1.2.3.4:+80",
            "1.2.3.4:65536",
            "1.2.3.4:000080",
            "1.2.3.4:5060:1",
            "1.2.3.4;5060",
            "1.2.3.4 5.6.7.8",
            "::1",
            "[::1]:5060",
            "1.2.3.4@evil.example",
        ] {
            assert_eq!(read_address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_address(b"\xff.2.3.4"), None);
    }

    #[test]
    fn the_encoded_address_is_read_with_or_without_padding() {
        let want = Some((Ipv4Addr::new(203, 0, 113, 7), Some(5060)));
        assert_eq!(read_enc64(b"MjAzLjAuMTEzLjc6NTA2MA=="), want);
        assert_eq!(read_enc64(b"MjAzLjAuMTEzLjc6NTA2MA"), want);
        assert_eq!(read_enc64(b"!!!"), None);
        assert_eq!(read_enc64(&[b'A'; 4000]), None);
        assert_eq!(write_enc64("203.0.113.7:5060"), "MjAzLjAuMTEzLjc6NTA2MA==");
    }

    #[test]
    fn a_masked_port_is_tried_unmasked_first_and_then_as_it_stands() {
        // The pairs of PROTOCOL.md section 3 rule 4.
        assert_eq!(11181 ^ PORT_MASK, 6892);
        assert_eq!(11178 ^ PORT_MASK, 6891);
        assert_eq!(
            shown(&[("IP-Address", "192.0.2.1"), ("PortX", "11181")]),
            [
                ("192.0.2.1".into(), IpAddress),
                ("192.0.2.1:6892".into(), PortX),
                ("192.0.2.1:11181".into(), PortXLiteral),
            ]
        );
        // 0x3141 unmasked is port 0, which is none.
        assert_eq!(
            shown(&[("IP-Address", "192.0.2.1"), ("PortX", "12609")]),
            [
                ("192.0.2.1".into(), IpAddress),
                ("192.0.2.1:12609".into(), PortXLiteral),
            ]
        );
    }

    #[test]
    fn candidates_come_in_the_order_of_the_rule_and_never_twice() {
        assert_eq!(
            shown(&[
                ("Private-IP", "10.0.0.2"),
                ("Public-IP", "198.51.100.7"),
                ("PortX-Internal", "11178"),
                ("PortX", "11181"),
                ("IP-Address-Internal", "10.0.0.2"),
                ("Port", "6892"),
                ("IP-Address-Enc64", "MjAzLjAuMTEzLjc6NTA2MA=="),
                ("IP-Address", "192.0.2.1"),
            ]),
            [
                ("192.0.2.1:6892".into(), IpAddress),
                ("203.0.113.7:5060".into(), Enc64),
                ("10.0.0.2:6892".into(), Internal),
                ("10.0.0.2:6891".into(), PortXInternal),
                ("192.0.2.1:11181".into(), PortXLiteral),
                ("10.0.0.2:11178".into(), PortXInternalLiteral),
                ("198.51.100.7:5060".into(), PublicIp),
                ("10.0.0.2:5060".into(), PrivateIp),
            ]
        );
    }

    #[test]
    fn siblings_complete_an_address_and_bad_ones_do_not_spoil_it() {
        for (fields, want) in [
            (
                &[("IP-Address", "192.0.2.1:5060"), ("Port", "6891")][..],
                &[("192.0.2.1:5060", IpAddress), ("192.0.2.1:6891", Port)][..],
            ),
            (
                &[("IP-Address", "192.0.2.1"), ("Port", "0")],
                &[("192.0.2.1", IpAddress)],
            ),
            (
                &[("IP-Address", "example.com"), ("Public-IP", "192.0.2.9")],
                &[("192.0.2.9", PublicIp)],
            ),
            (
                &[("IP", "192.0.2.1"), ("Port", "7000")],
                &[("192.0.2.1:7000", Webcam)],
            ),
            (
                &[
                    ("IP-Address", "192.0.2.1:8348"),
                    ("IP-Address-Enc64", "MTkyLjAuMi4xOjgzNDg="),
                ],
                &[("192.0.2.1:8348", IpAddress)],
            ),
            (&[("Port", "7000")], &[]),
        ] {
            let want: Vec<_> = want
                .iter()
                .map(|(text, source)| ((*text).to_owned(), *source))
                .collect();
            assert_eq!(shown(fields), want, "{fields:?}");
        }
    }
}
