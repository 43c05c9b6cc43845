//! The Q.931 part of call signalling: its header and information elements (Q.931 sections 4.2 to
//! 4.5, H.225.0 section 7.2). What H.323 puts into the user-user element is read by `h225`.

/// The longest name that is kept, in bytes (H.225.0 table 9: Display has at most 82).
const MAX_NAME: usize = 82;

const PROTOCOL: u8 = 0x08;
const BEARER: u8 = 0x04;
const CAUSE: u8 = 0x08;
const DISPLAY: u8 = 0x28;
const CALLING_NUMBER: u8 = 0x6c;
const USER_USER: u8 = 0x7e;
/// What stands before the ASN.1 of a user-user element.
const ASN_1: u8 = 0x05;

/// Message types (Q.931 table 4-2).
pub mod kind {
    /// The called side rings.
    pub const ALERTING: u8 = 0x01;
    /// The called side has the call.
    pub const CALL_PROCEEDING: u8 = 0x02;
    /// A call begins.
    pub const SETUP: u8 = 0x05;
    /// The call is taken.
    pub const CONNECT: u8 = 0x07;
    /// The call is over.
    pub const RELEASE_COMPLETE: u8 = 0x5a;
    /// Something beside the call.
    pub const FACILITY: u8 = 0x62;
}

/// Why a call ended (Q.850 table 1).
pub mod cause {
    /// Somebody hung up.
    pub const NORMAL: u8 = 16;
    /// User busy.
    pub const BUSY: u8 = 17;
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotQ931 {
    /// It is something else, such as the X.224 of T.120.
    #[error("no Q.931 message")]
    Other,
    /// Q.931, but not the beginning of a call.
    #[error("Q.931 message type {0:#04x}")]
    OtherType(u8),
    /// It ends before its end.
    #[error("cut short")]
    Short,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type; see [`kind`].
    pub kind: u8,
    /// The number of the call, of the caller's choosing, below 0x8000.
    pub reference: u16,
    /// It is of the side that was called.
    pub of_called: bool,
    /// What the sender is called, or its number. Foreign text.
    pub name: Option<String>,
    /// Why the call ended (Q.850), if that is said.
    pub cause: Option<u8>,
    /// The ASN.1 of H.225.0.
    pub user: Option<Vec<u8>>,
}

/// A call that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its number, of the caller's choosing.
    pub reference: u16,
    /// What the caller is called, or its number. Foreign text.
    pub caller: Option<String>,
}

/// Reads what follows the TPKT header.
///
/// # Errors
/// When it is no Q.931, or cut.
pub fn read(message: &[u8]) -> Result<Message, NotQ931> {
    let Some((&[PROTOCOL, 2, high, low, kind], elements)) = message.split_first_chunk() else {
        let begins = message.starts_with(&[PROTOCOL, 2]);
        return Err(if begins {
            NotQ931::Short
        } else {
            NotQ931::Other
        });
    };
    // The highest bit tells the side that chose the number: 0 in a message of that side.
    let reference = u16::from_be_bytes([high, low]);
    let (mut display, mut number, mut cause, mut user) = (None, None, None, None);
    let mut rest = elements;
    while let Some((identifier, content, after)) = element(rest)? {
        match identifier {
            DISPLAY => display = display.or_else(|| name(content)),
            CALLING_NUMBER => number = number.or_else(|| name(digits(content))),
            // The last octet, without its extension bit; a diagnostic would be after it.
            CAUSE => cause = cause.or_else(|| content.get(1).map(|octet| octet & 0x7f)),
            USER_USER => user = user.or_else(|| Some(content.strip_prefix(&[ASN_1])?.to_vec())),
            _ => {}
        }
        rest = after;
    }
    Ok(Message {
        kind,
        reference: reference & 0x7fff,
        of_called: reference & 0x8000 != 0,
        name: display.or(number),
        cause,
        user,
    })
}

/// Reads a message that must begin a call.
///
/// # Errors
/// When it does not.
pub fn read_setup(message: &[u8]) -> Result<Setup, NotQ931> {
    let message = read(message)?;
    if message.kind != kind::SETUP || message.of_called {
        return Err(NotQ931::OtherType(message.kind));
    }
    Ok(Setup {
        reference: message.reference,
        caller: message.name,
    })
}

type Element<'a> = (u8, &'a [u8], &'a [u8]);

/// The first information element: identifier, content, what follows.
fn element(bytes: &[u8]) -> Result<Option<Element<'_>>, NotQ931> {
    let Some((&identifier, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    // One octet in all (Q.931 figure 4-9).
    if identifier & 0x80 != 0 {
        return Ok(Some((identifier, &[], rest)));
    }
    // H.225.0 gives the user-user element two octets of length.
    let (length, rest) = if identifier == USER_USER {
        let (length, rest) = rest.split_first_chunk().ok_or(NotQ931::Short)?;
        (usize::from(u16::from_be_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first().ok_or(NotQ931::Short)?;
        (usize::from(*length), rest)
    };
    let (content, after) = rest.split_at_checked(length).ok_or(NotQ931::Short)?;
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

/// The bytes of that message, without a TPKT header. A Setup says what it carries: 64 kbit/s,
/// unrestricted, H.221 (H.225.0 section 7.2.2.1).
#[must_use]
pub fn write(message: &Message) -> Vec<u8> {
    let side = if message.of_called { 0x8000 } else { 0 };
    let [high, low] = (message.reference & 0x7fff | side).to_be_bytes();
    let mut bytes = vec![PROTOCOL, 2, high, low, message.kind];
    if message.kind == kind::SETUP {
        bytes.extend([BEARER, 3, 0x88, 0x90, 0xa5]);
    }
    if let Some(cause) = message.cause {
        bytes.extend([CAUSE, 2, 0x80, 0x80 | cause]);
    }
    if let Some(name) = &message.name {
        let shown = name.bytes().filter(|byte| (0x20..0x7f).contains(byte));
        let shown: Vec<u8> = shown.take(MAX_NAME).collect();
        bytes.extend([DISPLAY, u8::try_from(shown.len()).unwrap_or_default()]);
        bytes.extend(shown);
    }
    if let Some(user) = &message.user {
        // A user-user element that is longer does not exist: TPKT refuses the message before.
        let length = u16::try_from(user.len().saturating_add(1)).unwrap_or(u16::MAX);
        let [high, low] = length.to_be_bytes();
        bytes.extend([USER_USER, high, low, ASN_1]);
        bytes.extend(user);
    }
    bytes
}

#[cfg(test)]
#[path = "q931/tests.rs"]
mod tests;
