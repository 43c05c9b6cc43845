//! GUIDs as Messenger peers spell them (PROTOCOL.md section 3 rule 1): an opaque text that is
//! compared in a normal form and sent as it was written.

use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::inline::InlineText;

/// The longest GUID text that is read, in bytes. The usual one has 38 (PROTOCOL.md 1.4).
const MAX_TEXT: usize = 64;

/// The file transfer's GUID in normal form, as [`Guid::is`] wants it (PROTOCOL.md section 6).
pub const FILE_TRANSFER: &str = "5d3e02ab-6190-11d3-bbbb-00c04f795683";

/// An `Application-GUID` or `Session-ID`.
///
/// Equal without regard to braces, letter case and leading zeros of the first group: one known
/// application is spelled with seven digits there. Nothing else is assumed about its shape.
#[derive(Clone, Copy)]
pub struct Guid(InlineText<MAX_TEXT>);

/// Why a text is not a GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a GUID is at most 64 printable ASCII characters, like {{44BBA842-CC51-11CF-AAFA-00AA00B6015C}}"
)]
pub struct GuidError;

impl Guid {
    /// Reads a GUID; surrounding blanks are dropped.
    ///
    /// # Errors
    /// [`GuidError`] when nothing is left, or it is longer than 64 bytes or not printable ASCII.
    pub fn read(text: &[u8]) -> Result<Self, GuidError> {
        let text = InlineText::new(text.trim_ascii()).ok_or(GuidError)?;
        let guid = Self(text);
        if guid.normal().next().is_none() {
            return Err(GuidError);
        }
        Ok(guid)
    }

    /// The text as it was written, which is how it is sent.
    #[must_use]
    pub fn as_written(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it names the same thing as `text`, which may be spelled in any way.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.normal().eq(normal(text))
    }

    /// The sixteen bytes that Windows keeps: the first three groups are little-endian numbers.
    /// `None` when it is not of the usual shape; a group may have lost leading zeros.
    #[must_use]
    pub fn bytes(&self) -> Option<[u8; 16]> {
        let text = self.0.as_str().trim_ascii();
        let text = text.strip_prefix('{').unwrap_or(text);
        let text = text.strip_suffix('}').unwrap_or(text);
        let mut groups = text.split('-').map(|group| {
            let digits = !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(group, 16).ok())?
        });
        let mut next = || groups.next().flatten();
        let first = u32::try_from(next()?).ok()?.to_le_bytes();
        let second = u16::try_from(next()?).ok()?.to_le_bytes();
        let third = u16::try_from(next()?).ok()?.to_le_bytes();
        let fourth = u16::try_from(next()?).ok()?.to_be_bytes();
        let [0, 0, fifth @ ..] = next()?.to_be_bytes() else {
            return None;
        };
        if groups.next().is_some() {
            return None;
        }
        let mut bytes = [0; 16];
        let parts = first.iter().chain(&second).chain(&third);
        for (place, byte) in bytes.iter_mut().zip(parts.chain(&fourth).chain(&fifth)) {
            *place = *byte;
        }
        Some(bytes)
    }

    /// The bytes that are compared.
    fn normal(&self) -> impl Iterator<Item = u8> + '_ {
        normal(self.0.as_str())
    }
}

/// Without blanks around it, braces, leading zeros of the first group (one digit stays), in lower
/// case.
fn normal(text: &str) -> impl Iterator<Item = u8> + '_ {
    let text = text.trim_ascii();
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let mut rest = text.as_bytes();
    while let [b'0', tail @ ..] = rest
        && tail.first().is_some_and(u8::is_ascii_hexdigit)
    {
        rest = tail;
    }
    rest.iter().map(u8::to_ascii_lowercase)
}

impl PartialEq for Guid {
    fn eq(&self, other: &Self) -> bool {
        self.normal().eq(other.normal())
    }
}

impl Eq for Guid {}

impl PartialOrd for Guid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Guid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normal().cmp(other.normal())
    }
}

impl Hash for Guid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.normal() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        Self::read(text.as_bytes())
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_written())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({})", self.as_written())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    fn guid(text: &str) -> Guid {
        text.parse().unwrap()
    }

    #[test]
    fn its_bytes_are_those_that_windows_keeps() {
        let bytes = |text: &str| text.parse::<Guid>().unwrap().bytes();
        let baldur = "{8DAE4336-2B71-11D4-9A6C-006067325E47}";
        assert_eq!(
            bytes(baldur),
            Some([
                0x36, 0x43, 0xae, 0x8d, 0x71, 0x2b, 0xd4, 0x11, 0x9a, 0x6c, 0x00, 0x60, 0x67, 0x32,
                0x5e, 0x47
            ])
        );
        assert_eq!(
            bytes("{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}"),
            bytes("041fd0fa-2942-4dc4-b4c5-73d2c55f4c94")
        );
        for text in [
            "x",
            "8DAE4336-2B71-11D4-9A6C",
            "18DAE4336-2B71-11D4-9A6C-006067325E47",
            "8DAE4336-2B71-11D4-9A6C-1006067325E47",
            "8DAE4336-2B71-11D4-9A6C-006067325E47-1",
            "8DAE4336-+B71-11D4-9A6C-006067325E47",
            "8DAE4336--11D4-9A6C-006067325E47",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn spelling_does_not_matter_to_comparison_and_is_kept_for_sending() {
        let spellings = [
            "{2A23868E-B45F-401d-B8B0-1E16B774A5B7}",
            "2A23868E-B45F-401d-B8B0-1E16B774A5B7",
            "2a23868e-b45f-401d-b8b0-1e16b774a5b7",
            " {2a23868e-B45F-401d-B8B0-1E16B774A5B7} ",
        ];
        for text in spellings {
            assert_eq!(guid(text), guid(spellings[0]));
            assert!(guid(text).is(spellings[1]));
            assert_eq!(guid(text).as_written(), text.trim());
        }
        assert_eq!(spellings.map(guid).iter().collect::<HashSet<_>>().len(), 1);
        assert_eq!(spellings.map(guid).iter().collect::<BTreeSet<_>>().len(), 1);
    }

    #[test]
    fn a_lost_leading_zero_is_the_same_application() {
        let seven = guid("{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}");
        let eight = guid("{041FD0FA-2942-4DC4-B4C5-73D2C55F4C94}");
        assert_eq!(seven, eight);
        assert_eq!(seven.as_written(), "{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}");
        assert_ne!(
            guid("{01FD0FA0-2942-4DC4-B4C5-73D2C55F4C94}"),
            guid("{1FD0FA00-2942-4DC4-B4C5-73D2C55F4C94}")
        );
    }

    #[test]
    fn odd_but_real_texts_are_guids() {
        assert_eq!(guid("{0}").as_written(), "{0}");
        assert_ne!(guid("{0}"), guid("{1}"));
        assert!(
            !guid("{44BBA842-CC51-11CF-AAFA-00AA00B6015C}")
                .is("{44BBA842-CC51-11CF-AAFA-00AA00B6015B}")
        );
    }

    #[test]
    fn empty_long_and_unprintable_texts_are_refused() {
        for text in [
            "",
            "  ",
            "{}",
            &"a".repeat(65),
            "{a\u{e9}}",
            "{a b}",
            "a\0b",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(GuidError), "{text:?}");
        }
        assert!(Guid::read(b"\xff\xfe").is_err());
    }
}
