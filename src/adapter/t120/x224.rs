//! X.224 class 0 over TPKT (T.123), as far as it opens a T.120 connection (APPLICATIONS.md 9).

/// TPKT: version 3, reserved, length of all.
const TPKT: usize = 4;
/// Our reference of the connection; the other side's is its own.
const REFERENCE: [u8; 2] = [0x12, 0x03];
/// Connect-Initial of T.125 section 7: `[APPLICATION 101]`, in an X.224 data unit.
const CONNECT_INITIAL: [u8; 5] = [0x02, 0xf0, 0x80, 0x7f, 0x65];

/// The whole TPKT packet that `bytes` begin with, and what follows it.
fn packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[3, _, high, low, ..] = bytes else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < TPKT {
        return None;
    }
    let (packet, rest) = bytes.split_at_checked(length)?;
    Some((packet.get(TPKT..)?, rest))
}

/// The Connection Confirm (X.224 section 13.4) for the whole Connection Request (13.3) that `bytes`
/// begin with; none when they do not, or when another class than 0 is preferred, which T.123 does
/// not know. It grants nothing but the transport connection.
#[must_use]
pub fn confirm(bytes: &[u8]) -> Option<[u8; 11]> {
    let (request, _) = packet(bytes)?;
    let &[_, kind, 0, 0, a, b, class, ..] = request else {
        return None;
    };
    if kind != 0xe0 || class >> 4 != 0 {
        return None;
    }
    let [c, d] = REFERENCE;
    Some([3, 0, 0, 11, 6, 0xd0, a, b, c, d, 0])
}

/// Whether, after the Connection Request, `bytes` ask for a conference: MCS Connect-Initial.
#[must_use]
pub fn asks_to_confer(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((inside, after)) = packet(rest) {
        if inside.starts_with(&CONNECT_INITIAL) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: [u8; 11] = [3, 0, 0, 11, 6, 0xe0, 0, 0, 0xab, 0xcd, 0];

    #[test]
    fn a_request_is_confirmed_by_its_reference() {
        let confirmed = confirm(&REQUEST).unwrap();
        assert_eq!(confirmed, [3, 0, 0, 11, 6, 0xd0, 0xab, 0xcd, 0x12, 0x03, 0]);
        let more = [&REQUEST[..], b"more"].concat();
        assert_eq!(confirm(&more), Some(confirmed));
    }

    #[test]
    fn half_a_request_other_classes_and_other_units_are_not_confirmed() {
        assert_eq!(confirm(&REQUEST[..10]), None);
        for (at, byte) in [(0, 4), (5, 0xd0), (6, 1), (10, 0x40), (3, 2), (3, 7)] {
            let mut other = REQUEST;
            other[at] = byte;
            assert_eq!(confirm(&other), None, "{at}");
        }
    }

    #[test]
    fn a_conference_is_asked_for_after_the_request() {
        let initial = [3, 0, 0, 11, 0x02, 0xf0, 0x80, 0x7f, 0x65, 0x82, 0x01];
        assert!(asks_to_confer(&[REQUEST, initial].concat()));
        assert!(!asks_to_confer(&[REQUEST, REQUEST].concat()));
        assert!(!asks_to_confer(&initial[..10]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = confirm(&bytes);
            let _ = asks_to_confer(&bytes);
            let framed = [&[3, 0, 0, bytes.len() as u8 + 4][..], &bytes].concat();
            let _ = (confirm(&framed), asks_to_confer(&framed));
        }
    }
}
