//! TPKT (RFC 1006) and what may be in its first packet: X.224 of T.120 or RDP, MCS, or H.225's
//! Q.931.

use memchr::memmem;

use super::{Protocol, Seen};

/// Length of a TPKT header.
const HEADER: usize = 4;
/// Length of the fixed part of a Connection Request or Confirm, with its length indicator.
const FIXED: usize = 7;

/// What a connection that begins with TPKT is.
pub(super) fn see(bytes: &[u8]) -> Seen {
    if !bytes.iter().zip([3, 0]).all(|(byte, is)| *byte == is) {
        return Seen::Unknown;
    }
    let [_, _, high, low, first, second, rest @ ..] = bytes else {
        return Seen::NeedMore(HEADER + 2);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match (*first, *second) {
        // Q.931 (protocol discriminator 8) with the two bytes of call reference that H.225 uses.
        (8, 2) if length >= 9 => match rest {
            [_, _, 5, ..] => Seen::Known(Protocol::H225Setup),
            [_, _, kind, ..] => Seen::Known(Protocol::H225(*kind)),
            _ => Seen::NeedMore(9),
        },
        // X.224 data, whole, with MCS Connect-Initial in BER: [APPLICATION 101].
        (2, 0xf0) if length >= 9 => match rest {
            [0x80, 0x7f, 0x65, ..] => Seen::Known(Protocol::McsConnect),
            _ if [0x80, 0x7f, 0x65].starts_with(rest) => Seen::NeedMore(bytes.len() + 1),
            _ => Seen::Unknown,
        },
        (indicator @ 6..=254, code @ (0xe0 | 0xd0)) => {
            let end = HEADER + 1 + usize::from(indicator);
            if end > length {
                return Seen::Unknown;
            }
            let Some(variable) = bytes.get(HEADER + FIXED..end) else {
                return Seen::NeedMore(end);
            };
            Seen::Known(match (code == 0xe0, is_rdp(variable, code)) {
                (true, true) => Protocol::RdpRequest,
                (true, false) => Protocol::T120Request,
                (false, true) => Protocol::RdpConfirm,
                (false, false) => Protocol::T120Confirm,
            })
        }
        _ => Seen::Unknown,
    }
}

/// Whether the variable part of a Connection Request or Confirm is RDP's (MS-RDPBCGR 2.2.1.1 and
/// 2.2.1.2): a cookie or routing token, ended by a line break, then a structure of 8 bytes.
fn is_rdp(variable: &[u8], code: u8) -> bool {
    let request = code == 0xe0;
    let cookie =
        memmem::find(variable, b"Cookie: mstshash=").or(memmem::find(variable, b"Cookie: msts="));
    if request && cookie.is_some() {
        return true;
    }
    let structure = memmem::rfind(variable, b"\r\n")
        .and_then(|at| variable.get(at + 2..))
        .unwrap_or(variable);
    match structure {
        [1, _, 8, 0, ..] => request,
        [2 | 3, _, 8, 0, ..] => !request,
        _ => false,
    }
}
