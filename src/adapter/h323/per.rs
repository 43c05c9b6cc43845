//! The one place where foreign aligned PER (X.691) is read, by `rasn`.
//!
//! What bounds it: an encoding longer than [`MAX_ENCODING`] is not looked at; rasn stops at a depth
//! of 128, reserves for a list no more than the bits that are left could hold, and steps over
//! additions it does not know. No type here has a list of elements without bits, which could be
//! counted up to without end.

use rasn::{AsnType, Decode, Decoder, Encode, Encoder, types::Constraints, types::Tag};

use super::tpkt::MAX_MESSAGE;

/// The longest encoding that is read, in bytes: what a TPKT message can carry.
pub const MAX_ENCODING: usize = MAX_MESSAGE;

/// Why an encoding is not read, or a value not written. The text of what was wrong is left out of
/// it, as it may hold foreign bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPer {
    /// It is longer than is read.
    #[error("an encoding of {0} bytes")]
    TooLong(usize),
    /// It is not what it should be.
    #[error("not readable as {0}")]
    Unreadable(&'static str),
    /// The value is outside of what the type allows.
    #[error("not writable as {0}")]
    Unwritable(&'static str),
}

/// Reads a `T`; what follows it is left alone, as old stacks fill up with zeros.
///
/// # Errors
/// When it is too long or no `T`.
pub fn read<T: Decode>(bytes: &[u8], what: &'static str) -> Result<T, NotPer> {
    if bytes.len() > MAX_ENCODING {
        return Err(NotPer::TooLong(bytes.len()));
    }
    rasn::aper::decode_with_remainder(bytes)
        .map(|(value, _)| value)
        .map_err(|error| {
            tracing::trace!(what, kind = ?error.kind, "not read");
            NotPer::Unreadable(what)
        })
}

/// Writes a `T`.
///
/// # Errors
/// When the value breaks a constraint of its type.
pub fn write<T: Encode>(value: &T, what: &'static str) -> Result<Vec<u8>, NotPer> {
    rasn::aper::encode(value).map_err(|_| NotPer::Unwritable(what))
}

/// What is there but not read: an addition of a later version, or a message nothing here answers
/// to. It takes all bits up to the end of what holds it, so it can only stand where that is the end
/// of an open type or of the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Unread;

impl AsnType for Unread {
    const TAG: Tag = Tag::NULL;
}

impl Decode for Unread {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        _: Tag,
        _: &Constraints,
    ) -> Result<Self, D::Error> {
        while decoder.decode_bool(Tag::BOOL).is_ok() {}
        Ok(Self)
    }
}

impl Encode for Unread {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        _: &Constraints,
        identifier: rasn::types::Identifier,
    ) -> Result<(), E::Error> {
        encoder.encode_null(tag, identifier).map(drop)
    }
}

/// `N` components that are all BOOLEAN, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags<const N: usize>(pub [bool; N]);

impl<const N: usize> AsnType for Flags<N> {
    const TAG: Tag = Tag::BOOL;
}

impl<const N: usize> Decode for Flags<N> {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        _: Tag,
        _: &Constraints,
    ) -> Result<Self, D::Error> {
        let mut flags = [false; N];
        for flag in &mut flags {
            *flag = decoder.decode_bool(Tag::BOOL)?;
        }
        Ok(Self(flags))
    }
}

impl<const N: usize> Encode for Flags<N> {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        _: &Constraints,
        identifier: rasn::types::Identifier,
    ) -> Result<(), E::Error> {
        self.0
            .iter()
            .try_for_each(|flag| encoder.encode_bool(tag, *flag, identifier).map(drop))
    }
}
