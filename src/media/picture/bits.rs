//! Joins payloads that end and begin in the middle of a byte: SBIT and EBIT of RFC 4587 section 4.1
//! and RFC 2190 section 5.1.

/// The byte that is not complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Joint {
    /// Its upper bits; the others are 0.
    byte: u8,
    /// How many of them count, 0 to 7.
    count: u8,
}

impl Joint {
    /// Appends `payload` without its first `sbit` and last `ebit` bits (0 to 7 each). `None` when
    /// there is not so much.
    #[must_use]
    pub(super) fn join(&mut self, payload: &[u8], sbit: u8, ebit: u8) -> Option<Vec<u8>> {
        let (first, rest) = payload.split_first()?;
        let (sbit, ebit) = (sbit & 7, ebit & 7);
        if rest.is_empty() && sbit + ebit > 7 {
            return None;
        }
        let first = first & (0xff >> sbit);
        let mut out = Vec::with_capacity(payload.len() + 2);
        let fits = self.count == sbit;
        if fits {
            out.push(self.byte | first);
        } else {
            // Not the continuation: zeros up to a whole byte. Before a start code they are allowed.
            out.extend(self.end());
            out.push(first);
        }
        out.extend_from_slice(rest);
        *self = Self::default();
        if ebit > 0
            && let Some(last) = out.pop()
        {
            *self = Self {
                byte: last & (0xff << ebit),
                count: 8 - ebit,
            };
        }
        Some(out)
    }

    /// The byte that is not complete, with zeros.
    #[must_use]
    pub(super) fn end(&mut self) -> Option<u8> {
        let Self { byte, count } = std::mem::take(self);
        (count > 0).then_some(byte)
    }
}

/// The first 128 bits of `data` after `sbit`, with zeros where there are no more.
#[must_use]
pub(super) fn window(data: &[u8], sbit: u8) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    u128::from_be_bytes(bytes) << (sbit & 7)
}

/// `count` bits of a window, behind the first `skip`. Both together are at most 128.
#[must_use]
pub(super) fn field(window: u128, skip: u32, count: u32) -> u32 {
    let value = window
        .checked_shl(skip)
        .and_then(|rest| rest.checked_shr(128 - count));
    value.and_then(|value| value.try_into().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_of_a_byte_become_one() {
        let mut joint = Joint::default();
        assert_eq!(joint.join(&[0xab, 0xcf], 0, 4).unwrap(), [0xab]);
        assert_eq!(joint.join(&[0xfd, 0xee], 4, 0).unwrap(), [0xcd, 0xee]);
        assert_eq!(joint.end(), None);
        // A single byte of which two bits count.
        assert_eq!(joint.join(&[0b1111_0000], 0, 5).unwrap(), b"");
        assert_eq!(joint.join(&[0b0001_1100], 3, 2).unwrap(), b"");
        assert_eq!(joint.end(), Some(0b1111_1100));
    }

    #[test]
    fn what_does_not_continue_begins_at_a_byte() {
        let mut joint = Joint::default();
        assert_eq!(joint.join(&[0xff, 0xff], 0, 3).unwrap(), [0xff]);
        assert_eq!(joint.join(&[0xff, 0xff], 2, 0).unwrap(), [0xf8, 0x3f, 0xff]);
        assert_eq!(joint.join(&[], 0, 0), None);
        assert_eq!(joint.join(&[0xff], 5, 5), None);
    }

    #[test]
    fn fields_of_a_window() {
        let window = window(&[0b0000_0101, 0b1100_0000], 3);
        assert_eq!(field(window, 2, 3), 0b101);
        assert_eq!(field(window, 0, 9), 0b0_0101_1100);
        assert_eq!(field(window, 60, 9), 0);
    }

    proptest! {
        #[test]
        fn a_cut_stream_is_whole_again(
            stream in prop::collection::vec(any::<u8>(), 1..60),
            cuts in prop::collection::btree_set(1..480_usize, 0..9),
        ) {
            let bits = stream.len() * 8;
            let mut joint = Joint::default();
            let mut out = Vec::new();
            let mut from = 0;
            for to in cuts.into_iter().filter(|cut| *cut < bits).chain([bits]) {
                let (sbit, ebit) = (from % 8, to.next_multiple_of(8) - to);
                // What is not the piece's is filled with ones, as an encoder's neighbour would be.
                let piece = &stream[from / 8..to.div_ceil(8)];
                let narrow = |n: usize| u8::try_from(n).unwrap();
                out.extend(joint.join(piece, narrow(sbit), narrow(ebit)).unwrap());
                from = to;
            }
            out.extend(joint.end());
            prop_assert_eq!(out, stream);
        }

        #[test]
        fn nothing_makes_it_panic(pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4), any::<u8>(), any::<u8>()), 0..20)) {
            let mut joint = Joint::default();
            for (piece, sbit, ebit) in pieces {
                let _ = joint.join(&piece, sbit, ebit);
            }
        }
    }
}
