//! TPKT (RFC 1006 section 6): where one message of call signalling or of H.245 ends and the next
//! begins. A message longer than [`MAX_MESSAGE`] is an error, so that is all that is ever kept.

/// Bytes of a TPKT header.
pub const HEADER: usize = 4;
/// The longest message that is read, in bytes, its header included. A Setup with fast start has
/// some hundreds, a capability set of NetMeeting as well.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Why bytes are no TPKT, or none that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTpkt {
    /// They do not begin with a TPKT header.
    #[error("no TPKT header")]
    NoHeader,
    /// The message is longer than is read, or than can be written.
    #[error("a message of {0} bytes")]
    TooLong(usize),
}

/// How long the message is that begins with that header, the header included.
///
/// # Errors
/// When it is no header, or of a message too long to be read.
pub fn length(header: [u8; HEADER]) -> Result<usize, NotTpkt> {
    let [version, _, high, low] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version != 3 || length < HEADER {
        return Err(NotTpkt::NoHeader);
    }
    if length > MAX_MESSAGE {
        return Err(NotTpkt::TooLong(length));
    }
    Ok(length)
}

/// That message with its header.
///
/// # Errors
/// When it is longer than the header can say.
pub fn framed(message: &[u8]) -> Result<Vec<u8>, NotTpkt> {
    let length = HEADER.saturating_add(message.len());
    let told = u16::try_from(length).map_err(|_| NotTpkt::TooLong(length))?;
    let [high, low] = told.to_be_bytes();
    Ok([&[3, 0, high, low], message].concat())
}

/// Messages of one connection, out of bytes as they come.
#[derive(Debug, Default)]
pub struct Framer {
    kept: Vec<u8>,
}

impl Framer {
    /// Takes bytes, and gives the messages that are whole, without their headers. What is kept is
    /// less than one message.
    ///
    /// # Errors
    /// When the connection carries no TPKT, or a message that is too long; nothing after that has
    /// a meaning.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, NotTpkt> {
        self.kept.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut rest = self.kept.as_slice();
        while let Some(header) = rest.first_chunk() {
            let Some((whole, after)) = rest.split_at_checked(length(*header)?) else {
                break;
            };
            // Empty ones keep a connection open (H.225.0 section 7.1 allows it).
            if let Some(message) = whole.get(HEADER..).filter(|message| !message.is_empty()) {
                messages.push(message.to_vec());
            }
            rest = after;
        }
        self.kept = rest.to_vec();
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_says_how_long_its_message_is() {
        assert_eq!(length([3, 0, 0, 11]), Ok(11));
        for (header, why) in [
            ([3, 0, 0, 3], NotTpkt::NoHeader),
            (*b"GET ", NotTpkt::NoHeader),
            ([3, 0, 0xff, 0xff], NotTpkt::TooLong(65_535)),
        ] {
            assert_eq!(length(header), Err(why), "{header:02x?}");
        }
        assert_eq!(framed(&[0; 65_532]), Err(NotTpkt::TooLong(65_536)));
    }

    proptest! {
        #[test]
        fn messages_come_out_however_the_bytes_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            cut in 1..50usize,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|one| framed(one).unwrap()).collect();
            let mut framer = Framer::default();
            let mut read = Vec::new();
            for bytes in stream.chunks(cut) {
                read.extend(framer.push(bytes).unwrap());
            }
            let said: Vec<_> = messages.into_iter().filter(|one| !one.is_empty()).collect();
            prop_assert_eq!(read, said);
            prop_assert!(framer.kept.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_a_message(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..900), 0..12),
        ) {
            let mut framer = Framer::default();
            for bytes in parts {
                if framer.push(&[&[3, 0, 31, 255], bytes.as_slice()].concat()).is_err() {
                    break;
                }
                prop_assert!(framer.kept.len() < MAX_MESSAGE);
            }
        }
    }
}
