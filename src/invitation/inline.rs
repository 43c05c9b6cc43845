//! A short text kept in place, so that cookies and GUIDs need no allocation.

/// At most `N` bytes of printable ASCII (checked when made).
#[derive(Clone, Copy)]
pub(super) struct InlineText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> InlineText<N> {
    /// Copies `text`; `None` when it is longer than `N` or holds anything but `!` to `~`.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        if !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self {
            bytes,
            len: text.len(),
        })
    }

    /// No text.
    pub(super) const fn empty() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        self.bytes
            .get(..self.len)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}
