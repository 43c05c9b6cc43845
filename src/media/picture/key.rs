//! Where a player that starts late can begin.

use super::{Coding, continuity::Begins, h261, h263, jpeg, mpv};

/// Whether a packet begins a picture that needs none before. The I and P bits of the payload
/// headers are not trusted where the picture itself can be asked.
///
/// H.261 has no such pictures, only blocks; there it is the sender's word that all of them are.
#[must_use]
pub fn begins_key_picture(coding: Coding, payload: &[u8]) -> bool {
    match coding {
        Coding::Jpeg => jpeg::begins(payload),
        Coding::H261 => h261::header(payload)
            .is_ok_and(|header| header.begins() == Begins::Picture && header.intra),
        Coding::Mpv => mpv::header(payload).is_ok_and(|header| header.is_key()),
        Coding::H263 => h263::header(payload)
            .is_ok_and(|header| header.begins() == Begins::Picture && header.is_intra()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_picture_is_told() {
        use Coding::{H261, H263, Jpeg, Mpv};
        for (story, coding, payload, want) in [
            (
                "JPEG, its beginning",
                Jpeg,
                &[0, 0, 0, 0, 1, 60, 22, 18, 9][..],
                true,
            ),
            (
                "JPEG, its middle",
                Jpeg,
                &[0, 0, 4, 0, 1, 60, 22, 18, 9],
                false,
            ),
            (
                "H.261, a picture said to be intra",
                H261,
                &[3, 0, 0, 0, 0, 1, 0, 7],
                true,
            ),
            ("H.261, a picture", H261, &[1, 0, 0, 0, 0, 1, 0, 7], false),
            ("H.261, a group", H261, &[3, 0, 0, 0, 0, 1, 0x10, 7], false),
            // 22 bits of start code, 8 of time, then PTYPE: 10 000 010 0 for intra QCIF.
            (
                "H.263, intra",
                H263,
                &[0, 0, 0, 0, 0, 0, 0x80, 0x02, 0x08, 0x00],
                true,
            ),
            (
                "H.263, inter",
                H263,
                &[0, 0, 0, 0, 0, 0, 0x80, 0x02, 0x0a, 0x00],
                false,
            ),
            (
                "H.263, intra, I bit set",
                H263,
                &[0, 0x10, 0, 0, 0, 0, 0x80, 0x02, 0x08, 0x00],
                true,
            ),
            (
                "H.263, intra, in mode B",
                H263,
                &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x02, 0x08],
                true,
            ),
            (
                "MPEG, sequence and intra",
                Mpv,
                &[0, 0, 0x39, 0, 0, 0, 1, 0xb3],
                true,
            ),
            (
                "MPEG, intra alone",
                Mpv,
                &[0, 0, 0x19, 0, 0, 0, 1, 0],
                false,
            ),
            ("MPEG, inter", Mpv, &[0, 0, 0x1a, 0, 0, 0, 1, 0], false),
        ] {
            assert_eq!(begins_key_picture(coding, payload), want, "{story}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            for coding in [Coding::Jpeg, Coding::H261, Coding::Mpv, Coding::H263] {
                let _ = begins_key_picture(coding, &payload);
            }
        }
    }
}
