//! The capability list of voice and video, in `Context-Data` (PROTOCOL.md 4.2).

use core::fmt;

/// A medium of a voice/video invitation (PROTOCOL.md 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// `SIP_A`
    Audio,
    /// `SIP_V`
    Video,
}

impl Medium {
    /// The item as it stands in the list.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "SIP_A",
            Self::Video => "SIP_V",
        }
    }
}

/// What is asked for, and what the sender could do. No list holds a medium twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// After `Requested:`.
    pub requested: Vec<Medium>,
    /// After `Capabilities:`; empty when the sender does not say (an ACCEPT may leave it out).
    pub supported: Vec<Medium>,
}

impl Capabilities {
    /// Asks for `media` and says that these can be done.
    #[must_use]
    pub fn offering(media: &[Medium]) -> Self {
        Self {
            requested: distinct(media),
            supported: distinct(media),
        }
    }

    /// Asks for `media`, silent about what can be done, as an ACCEPT may.
    #[must_use]
    pub fn requesting(media: &[Medium]) -> Self {
        Self {
            requested: distinct(media),
            supported: Vec::new(),
        }
    }

    /// Reads a list; `None` when neither key is there, so that it is some other context data.
    /// Unknown keys and items are dropped, and so are empty ones. Blanks and letter case do not
    /// matter. Two lists of at most two media are all that is allocated.
    #[must_use]
    pub fn read(context_data: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut any = false;
        for part in context_data.split(|byte| *byte == b';') {
            let Some(colon) = memchr::memchr(b':', part) else {
                continue;
            };
            let (key, items) = part.split_at(colon);
            let key = key.trim_ascii();
            let list = if key.eq_ignore_ascii_case(b"Requested") {
                &mut read.requested
            } else if key.eq_ignore_ascii_case(b"Capabilities") {
                &mut read.supported
            } else {
                continue;
            };
            any = true;
            for item in items.get(1..).unwrap_or_default().split(|b| *b == b',') {
                let item = item.trim_ascii();
                for medium in [Medium::Audio, Medium::Video] {
                    if item.eq_ignore_ascii_case(medium.as_str().as_bytes())
                        && !list.contains(&medium)
                    {
                        list.push(medium);
                    }
                }
            }
        }
        any.then_some(read)
    }
}

/// The media without repetitions, in their order.
fn distinct(media: &[Medium]) -> Vec<Medium> {
    let mut list = Vec::with_capacity(2);
    for medium in media {
        if !list.contains(medium) {
            list.push(*medium);
        }
    }
    list
}

/// As it stands in `Context-Data`, with the comma and the semicolon that always end a list. The
/// second list is left out when it is empty.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requested:")?;
        for medium in &self.requested {
            write!(f, "{},", medium.as_str())?;
        }
        f.write_str(";")?;
        if !self.supported.is_empty() {
            f.write_str("Capabilities:")?;
            for medium in &self.supported {
                write!(f, "{},", medium.as_str())?;
            }
            f.write_str(";")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Medium::{Audio, Video};
    use super::*;

    #[test]
    fn the_lists_of_the_captures_are_read_and_written_back() {
        for (text, requested, supported) in [
            (
                "Requested:SIP_A,;Capabilities:SIP_A,;",
                &[Audio][..],
                &[Audio][..],
            ),
            (
                "Requested:SIP_A,;Capabilities:SIP_A,SIP_V,;",
                &[Audio],
                &[Audio, Video],
            ),
            (
                "Requested:SIP_A,SIP_V,;Capabilities:SIP_A,SIP_V,;",
                &[Audio, Video],
                &[Audio, Video],
            ),
            ("Requested:SIP_A,SIP_V,;", &[Audio, Video], &[]),
            ("Requested:;", &[], &[]),
        ] {
            let read = Capabilities::read(text.as_bytes()).unwrap();
            assert_eq!(read.requested, requested, "{text}");
            assert_eq!(read.supported, supported, "{text}");
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_list_with_odd_punctuation_is_read_all_the_same() {
        let want = Capabilities {
            requested: vec![Audio],
            supported: vec![Audio, Video],
        };
        for text in [
            "Requested:SIP_A;Capabilities:SIP_A,SIP_V",
            "requested: sip_a, ; capabilities: SIP_A,,SIP_V,SIP_A,;",
            "Capabilities:SIP_A,SIP_X,SIP_V,;Zoom:1;Requested:SIP_A,;;",
        ] {
            assert_eq!(Capabilities::read(text.as_bytes()), Some(want.clone()));
        }
    }

    #[test]
    fn other_context_data_is_no_capability_list() {
        for text in [
            "",
            "192.0.2.10:10869",
            "65538,1,192.0.2.10:3389;HOST:3389,*",
        ] {
            assert_eq!(Capabilities::read(text.as_bytes()), None);
        }
    }
}
