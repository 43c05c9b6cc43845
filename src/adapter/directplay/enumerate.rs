//! The question which sessions a DirectPlay host has, and its answer: EnumSessions of DirectPlay 4
//! (APPLICATIONS.md 5.2). Pure: bytes in, bytes out. Numbers are little-endian, but for the port.
//!
//! The host opens a connection of its own for the answer, to the port that stands in the question.
//! On a connection messages follow each other without pause; the first word of each tells its size.

/// The size of a question without password, in bytes.
pub const QUESTION: usize = 52;
/// The longest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 4096;
/// The header: size, reply address, signature, command, version.
const HEADER: usize = 28;
/// Where the offsets inside a message count from: the signature.
const BASE: usize = 20;
/// The smallest answer: header, description, offset of the name.
const MIN_ANSWER: usize = 112;
/// The longest name that is kept, in characters.
const MAX_NAME: usize = 64;
/// The upper twelve bits of the first word, for messages between machines.
const TOKEN: u32 = 0xfab;
const SIGNATURE: &[u8] = b"play";
const ANSWER: u16 = 1;
const ASK: u16 = 2;
/// The dialect that DirectX 9 speaks.
const VERSION: u16 = 14;
/// Ask for all sessions, also for those that nobody can join just now.
const ALL: u32 = 2;

/// A session that somebody hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which one, as its bytes stand on the wire.
    pub instance: [u8; 16],
    /// Which game.
    pub application: [u8; 16],
    /// Most players; 0 for no limit.
    pub max_players: u32,
    /// Players now.
    pub players: u32,
    /// Its name: text of the host's choosing.
    pub name: String,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// It is not DirectPlay.
    #[error("it is no DirectPlay message")]
    Other,
    /// Its size is impossible.
    #[error("its size of {0} bytes is impossible")]
    Size(usize),
    /// It is DirectPlay, but another message.
    #[error("it is DirectPlay command {0}, no answer")]
    Command(u16),
}

/// The question for the sessions of a game. `port` is where we take the answer.
#[must_use]
pub fn question(application: [u8; 16], port: u16) -> [u8; QUESTION] {
    let mut message = [0; QUESTION];
    let size = u32::try_from(QUESTION).unwrap_or(0);
    let parts: [(usize, &[u8]); 9] = [
        (0, &(TOKEN << 20 | size).to_le_bytes()),
        // AF_INET; the address stays 0, which means where the question came from.
        (4, &2_u16.to_le_bytes()),
        (6, &port.to_be_bytes()),
        (20, SIGNATURE),
        (24, &ASK.to_le_bytes()),
        (26, &VERSION.to_le_bytes()),
        (28, &application),
        // No password.
        (44, &0_u32.to_le_bytes()),
        (48, &ALL.to_le_bytes()),
    ];
    for (at, bytes) in parts {
        for (place, byte) in message.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }
    message
}

/// The first message of a stream with its length, or `None` when more bytes are needed.
///
/// # Errors
/// When what stands there is no DirectPlay message: the stream cannot be read further.
pub fn message(stream: &[u8]) -> Result<Option<&[u8]>, NoAnswer> {
    let Some(word) = number(stream, 0) else {
        return Ok(None);
    };
    if word >> 20 != TOKEN {
        return Err(NoAnswer::Other);
    }
    let size = usize::try_from(word & 0xf_ffff).unwrap_or(usize::MAX);
    if !(HEADER..=MAX_MESSAGE).contains(&size) {
        return Err(NoAnswer::Size(size));
    }
    let Some(message) = stream.get(..size) else {
        return Ok(None);
    };
    if message.get(BASE..BASE + SIGNATURE.len()) != Some(SIGNATURE) {
        return Err(NoAnswer::Other);
    }
    Ok(Some(message))
}

/// Reads one message as an answer.
///
/// # Errors
/// When it is none.
pub fn answer(message: &[u8]) -> Result<Session, NoAnswer> {
    let message = self::message(message)?.ok_or(NoAnswer::Size(message.len()))?;
    let command = half(message, 24).ok_or(NoAnswer::Other)?;
    if command != ANSWER {
        return Err(NoAnswer::Command(command));
    }
    let short = || NoAnswer::Size(message.len());
    if message.len() < MIN_ANSWER {
        return Err(short());
    }
    Ok(Session {
        instance: sixteen(message, 36).ok_or_else(short)?,
        application: sixteen(message, 52).ok_or_else(short)?,
        max_players: number(message, 68).ok_or_else(short)?,
        players: number(message, 72).ok_or_else(short)?,
        name: name(message),
    })
}

/// The name, where there is one.
fn name(message: &[u8]) -> String {
    let offset = number(message, 108).and_then(|offset| usize::try_from(offset).ok());
    let at = offset
        .filter(|offset| *offset != 0)
        .and_then(|offset| offset.checked_add(BASE));
    let Some(bytes) = at.and_then(|at| message.get(at..)) else {
        return String::new();
    };
    let units = bytes
        .chunks_exact(2)
        .filter_map(|pair| half(pair, 0))
        .take_while(|unit| *unit != 0)
        .take(MAX_NAME);
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn sixteen(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BALDUR: [u8; 16] = [
        0x36, 0x43, 0xae, 0x8d, 0x71, 0x2b, 0xd4, 0x11, 0x9a, 0x6c, 0x00, 0x60, 0x67, 0x32, 0x5e,
        0x47,
    ];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// An answer as a host builds it (APPLICATIONS.md 5.2).
    fn answered(name: &str) -> Vec<u8> {
        let mut bytes = vec![0; MIN_ANSWER];
        bytes[4..8].copy_from_slice(&[2, 0, 0x08, 0xfc]);
        bytes[20..28].copy_from_slice(b"play\x01\0\x0e\0");
        bytes[28] = 0x50;
        bytes[36..52].copy_from_slice(&[7; 16]);
        bytes[52..68].copy_from_slice(&BALDUR);
        bytes[68] = 6;
        bytes[72] = 1;
        bytes[108] = 0x5c;
        bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        let size = 0xfab0_0000 | u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        bytes
    }

    #[test]
    fn the_question_is_the_known_one() {
        assert_eq!(
            hex(&question(BALDUR, 2300)),
            "3400b0fa020008fc000000000000000000000000706c617902000e00\
             3643ae8d712bd4119a6c006067325e470000000002000000"
        );
    }

    #[test]
    fn an_answer_tells_the_session() {
        assert_eq!(
            answer(&answered("Bob's game é")).unwrap(),
            Session {
                instance: [7; 16],
                application: BALDUR,
                max_players: 6,
                players: 1,
                name: "Bob's game é".into(),
            }
        );
    }

    #[test]
    fn messages_follow_each_other_on_a_stream() {
        let (first, second) = (answered("one"), answered("the other"));
        let stream = [first.as_slice(), &second].concat();
        for end in 0..first.len() {
            assert_eq!(message(&stream[..end]), Ok(None), "{end}");
        }
        assert_eq!(message(&stream), Ok(Some(first.as_slice())));
        let rest = &stream[first.len()..];
        assert_eq!(answer(rest).unwrap().name, "the other");
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = answered("x");
            bytes[at] = byte;
            bytes
        };
        for (bytes, why) in [
            (b"GET / HTTP/1.0\r\n".to_vec(), NoAnswer::Other),
            (changed(20, b'x'), NoAnswer::Other),
            (changed(24, 2), NoAnswer::Command(2)),
            (question(BALDUR, 1).to_vec(), NoAnswer::Command(2)),
            (changed(2, 0xb2), NoAnswer::Size(131_188)),
            (vec![27, 0, 0xb0, 0xfa], NoAnswer::Size(27)),
            (vec![], NoAnswer::Size(0)),
        ] {
            assert_eq!(answer(&bytes), Err(why));
        }
        let mut short = answered("")[..111].to_vec();
        short[0] = 111;
        assert_eq!(answer(&short), Err(NoAnswer::Size(111)));
    }

    #[test]
    fn a_name_that_is_not_there_is_no_name() {
        for offset in [[0, 0, 0, 0], [0xff; 4], [0xff, 0xff, 0, 0]] {
            let mut bytes = answered("x");
            bytes[108..112].copy_from_slice(&offset);
            assert_eq!(answer(&bytes).unwrap().name, "");
        }
        let long = answer(&answered(&"x".repeat(500))).unwrap();
        assert_eq!(long.name.len(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec((0_usize..160, any::<u8>()), 0..6),
        ) {
            let _ = answer(&bytes);
            let mut close = answered("some name that is there");
            for (at, byte) in changes {
                if let Some(place) = close.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = answer(&close);
            if let Ok(Some(one)) = message(&close) {
                prop_assert!(one.len() <= close.len());
            }
        }
    }
}
