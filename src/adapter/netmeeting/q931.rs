//! As much of H.225 call signalling as shows who calls, and the answer that turns a call away:
//! TPKT (RFC 1006 section 6), the Q.931 header and its information elements (Q.931 sections 4.2 to
//! 4.5, H.225.0 section 7.2). What H.323 itself puts into the user-user element is not read.

/// Bytes of a TPKT header.
pub const TPKT_HEADER: usize = 4;
/// The longest message that is read, in bytes. A Setup with fast start has some hundreds.
pub const MAX_MESSAGE: usize = 8 * 1024;
/// The longest name that is kept, in bytes (H.225.0 table 9: Display has at most 82).
const MAX_NAME: usize = 82;

const PROTOCOL: u8 = 0x08;
const SETUP: u8 = 0x05;
const CAUSE: u8 = 0x08;
const DISPLAY: u8 = 0x28;
const CALLING_NUMBER: u8 = 0x6c;
const USER_USER: u8 = 0x7e;

/// A call that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its number, of the caller's choosing.
    pub reference: u16,
    /// What the caller is called, or its number. Foreign text.
    pub caller: Option<String>,
}

/// Why a message is no Setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotASetup {
    /// It does not begin with a TPKT header.
    #[error("no TPKT header")]
    NoHeader,
    /// It is longer than is read.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// It is not Q.931, such as the X.224 of T.120.
    #[error("no Q.931 message")]
    NotQ931,
    /// Q.931, but not the beginning of a call.
    #[error("Q.931 message type {0:#04x}")]
    OtherType(u8),
    /// It ends before its end.
    #[error("cut short")]
    Short,
}

/// How long the message is that begins with that header, the header included.
///
/// # Errors
/// When it is no header, or of a message too long to be read.
pub fn length(header: [u8; TPKT_HEADER]) -> Result<usize, NotASetup> {
    let [version, _, high, low] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version != 3 || length < TPKT_HEADER {
        return Err(NotASetup::NoHeader);
    }
    if length > MAX_MESSAGE {
        return Err(NotASetup::TooLong(length));
    }
    Ok(length)
}

/// Reads what follows the TPKT header.
///
/// # Errors
/// When it is not the beginning of a call.
pub fn read_setup(message: &[u8]) -> Result<Setup, NotASetup> {
    let Some((&[PROTOCOL, 2, high, low, kind], elements)) = message.split_first_chunk() else {
        let begins = message.starts_with(&[PROTOCOL, 2]);
        return Err(if begins {
            NotASetup::Short
        } else {
            NotASetup::NotQ931
        });
    };
    // The highest bit tells the side that chose the number: 0 in a message of that side.
    let reference = u16::from_be_bytes([high, low]);
    if kind != SETUP || reference & 0x8000 != 0 {
        return Err(NotASetup::OtherType(kind));
    }
    let (mut display, mut number) = (None, None);
    let mut rest = elements;
    while let Some((identifier, content, after)) = element(rest)? {
        match identifier {
            DISPLAY => display = display.or_else(|| name(content)),
            CALLING_NUMBER => number = number.or_else(|| name(digits(content))),
            _ => {}
        }
        rest = after;
    }
    Ok(Setup {
        reference,
        caller: display.or(number),
    })
}

type Element<'a> = (u8, &'a [u8], &'a [u8]);

/// The first information element: identifier, content, what follows.
fn element(bytes: &[u8]) -> Result<Option<Element<'_>>, NotASetup> {
    let Some((&identifier, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    // One octet in all (Q.931 figure 4-9).
    if identifier & 0x80 != 0 {
        return Ok(Some((identifier, &[], rest)));
    }
    // H.225.0 gives the user-user element two octets of length.
    let (length, rest) = if identifier == USER_USER {
        let (length, rest) = rest.split_first_chunk().ok_or(NotASetup::Short)?;
        (usize::from(u16::from_be_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first().ok_or(NotASetup::Short)?;
        (usize::from(*length), rest)
    };
    let (content, after) = rest.split_at_checked(length).ok_or(NotASetup::Short)?;
    Ok(Some((identifier, content, after)))
}

/// The digits of a number, after its octet 3 and, where that says so, 3a (Q.931 section 4.5.10).
fn digits(content: &[u8]) -> &[u8] {
    match content {
        [first, rest @ ..] if first & 0x80 != 0 => rest,
        [_, _, rest @ ..] => rest,
        _ => &[],
    }
}

fn name(content: &[u8]) -> Option<String> {
    let content = content.get(..MAX_NAME).unwrap_or(content);
    let text = String::from_utf8_lossy(content);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    (!text.is_empty()).then(|| text.to_owned())
}

/// The ReleaseComplete that turns that call away: cause 17, "user busy", and the user-user element
/// that H.225.0 requires, with the reason destinationRejection.
#[must_use]
pub fn release_complete(call: &Setup) -> Vec<u8> {
    // H323-UserInformation in aligned PER: the choice releaseComplete, its reason present;
    // protocolIdentifier {itu-t (0) recommendation (0) h (8) 2250 version (0) 4}; reason 3.
    const USER_INFORMATION: &[u8] = &[0x05, 0x40, 0x06, 0x00, 0x08, 0x91, 0x4a, 0x00, 0x04, 0x18];
    // The discriminator of ASN.1 stands before it.
    const USER_LENGTH: u8 = 1 + USER_INFORMATION.len() as u8;
    let [high, low] = (call.reference | 0x8000).to_be_bytes();
    let mut message = vec![PROTOCOL, 2, high, low, 0x5a];
    message.extend([CAUSE, 2, 0x80, 0x80 | 17]);
    message.extend([USER_USER, 0, USER_LENGTH, 0x05]);
    message.extend(USER_INFORMATION);
    let length = u16::try_from(TPKT_HEADER + message.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    [&[3, 0, high, low], message.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Setup with these information elements.
    fn setup(elements: &[u8]) -> Vec<u8> {
        [&[8, 2, 0x12, 0x34, 5], elements].concat()
    }

    #[test]
    fn who_calls_is_read() {
        let bearer = [4, 3, 0x88, 0xc0, 0xa5];
        let display = [0x28, 5, b'A', b'n', b'n', b' ', 0];
        let number = [0x6c, 4, 0x00, 0x80, b'4', b'2'];
        let short_number = [0x6c, 3, 0x81, b'4', b'2'];
        let user = [0x7e, 0, 2, 5, 0];
        for (elements, caller) in [
            (
                [&bearer[..], &display, &number, &user].concat(),
                Some("Ann"),
            ),
            ([&bearer[..], &number, &user].concat(), Some("42")),
            ([&[0xa1][..], &short_number].concat(), Some("42")),
            ([&[0x28, 0][..], &[0x6c, 0], &user].concat(), None),
            (user.to_vec(), None),
            (Vec::new(), None),
        ] {
            let read = read_setup(&setup(&elements)).unwrap();
            assert_eq!(read.reference, 0x1234);
            assert_eq!(read.caller.as_deref(), caller, "{elements:02x?}");
        }
    }

    #[test]
    fn what_is_no_call_is_told_apart() {
        for (message, why) in [
            (&b""[..], NotASetup::NotQ931),
            (&[0x06, 0xe0, 0, 0, 0, 0, 0], NotASetup::NotQ931),
            (&[8, 2, 0, 1], NotASetup::Short),
            (&[8, 2, 0, 1, 7], NotASetup::OtherType(7)),
            (&[8, 2, 0x80, 1, 5], NotASetup::OtherType(5)),
            (&[8, 2, 0, 1, 5, 0x28], NotASetup::Short),
            (&[8, 2, 0, 1, 5, 0x28, 2, b'a'], NotASetup::Short),
            (&[8, 2, 0, 1, 5, 0x7e, 0], NotASetup::Short),
        ] {
            assert_eq!(read_setup(message), Err(why), "{message:02x?}");
        }
        assert_eq!(length([3, 0, 0, 11]), Ok(11));
        for (header, why) in [
            ([3, 0, 0, 3], NotASetup::NoHeader),
            (*b"GET ", NotASetup::NoHeader),
            ([3, 0, 0xff, 0xff], NotASetup::TooLong(65_535)),
        ] {
            assert_eq!(length(header), Err(why), "{header:02x?}");
        }
    }

    #[test]
    fn the_answer_is_as_long_as_it_says_and_names_the_call() {
        let call = Setup {
            reference: 0x1234,
            caller: None,
        };
        let answer = release_complete(&call);
        let header = *answer.first_chunk().unwrap();
        assert_eq!(length(header), Ok(answer.len()));
        assert_eq!(answer.get(4..9), Some(&[8, 2, 0x92, 0x34, 0x5a][..]));
    }

    proptest! {
        #[test]
        fn reading_never_panics(message in proptest::collection::vec(any::<u8>(), 0..600), setup in any::<bool>()) {
            let message = if setup { self::setup(&message) } else { message };
            if let Ok(call) = read_setup(&message) {
                prop_assert!(call.caller.is_none_or(|name| name.len() <= 3 * MAX_NAME));
                prop_assert!(call.reference < 0x8000);
            }
        }

        #[test]
        fn a_cut_setup_is_short_or_still_a_setup(cut in 0..20usize) {
            let whole = setup(&[4, 3, 0x88, 0xc0, 0xa5, 0x28, 3, b'A', b'n', b'n', 0x7e, 0, 1, 5]);
            let cut = whole.get(..cut.min(whole.len())).unwrap_or_default();
            prop_assert!(!matches!(read_setup(cut), Err(NotASetup::OtherType(_))));
        }
    }
}
