//! The ticket of a Remote Assistance session: what the context messages of the one who wants help
//! hold, recognised by its shape (APPLICATIONS.md 4.2; MS-RAI 2.2.1).
//!
//! What kind of text the messengers of the time sent is not known for certain, so nothing is
//! guessed: what has none of the known shapes is [`Reading::Opaque`] and is told by its look.

use std::net::Ipv4Addr;

pub use super::text::Look;
use super::{string_one::StringOne, string_two::StringTwo, text::decode, upload::Upload};

/// The longest ticket that is read, in bytes, over all its messages.
pub const MAX_TICKET: usize = 64 * 1024;
/// Most addresses of a ticket that are looked at.
pub const MAX_ADDRESSES: usize = 32;

/// Which Windows wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Windows XP and Server 2003: connection string 1, version 1 of the protocol.
    Xp,
    /// Windows Vista and later: connection string 2, version 2.
    Vista,
}

impl Generation {
    /// The version of the Remote Assistance protocol that it speaks, as `protocols` of a bridge
    /// file names it.
    #[must_use]
    pub fn protocol(self) -> u32 {
        match self {
            Self::Xp => 1,
            Self::Vista => 2,
        }
    }
}

/// Where the one who wants help says it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The machine.
    pub host: Host,
    /// TCP port, not 0.
    pub port: u16,
}

/// A machine, as a ticket names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An IPv4 address.
    Ip(Ipv4Addr),
    /// Anything else: the name of a Windows machine, an IPv6 address. Text of the peer's choosing.
    Other(String),
}

impl Address {
    /// Of the two texts that stand in a ticket; `None` when there is no machine or no port.
    #[must_use]
    pub fn read(host: &str, port: &str) -> Option<Self> {
        let port = port.trim().parse().ok().filter(|port| *port != 0)?;
        let host = host.trim();
        let host = match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) if host.is_empty() => return None,
            Err(_) => Host::Other(host.to_owned()),
        };
        Some(Self { host, port })
    }
}

/// A complete ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticket {
    /// Connection string 1.
    One(StringOne),
    /// Connection string 2.
    Two(StringTwo),
    /// A whole incident file.
    File(Upload),
}

impl Ticket {
    /// Who wrote it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::One(_) => Generation::Xp,
            Self::Two(_) => Generation::Vista,
            Self::File(upload) => upload.generation(),
        }
    }

    /// Where the one who wants help listens, in the order to try. A file whose ticket is encrypted
    /// tells none.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        match self {
            Self::One(one) => &one.addresses,
            Self::Two(two) => &two.addresses,
            Self::File(upload) => upload
                .ticket
                .as_ref()
                .map_or(&[], |one| one.addresses.as_slice()),
        }
    }

    /// The id of the session: text of the peer's choosing.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(&one.session_id),
            Self::Two(two) => Some(&two.id),
            Self::File(upload) => upload.ticket.as_ref().map(|one| one.session_id.as_str()),
        }
    }
}

/// The known shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `65538,1,...`
    One,
    /// `<E>...</E>`
    Two,
    /// `<UPLOADINFO>...</UPLOADINFO>`
    File,
}

/// What messages have brought so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A ticket.
    Ticket {
        /// It.
        ticket: Ticket,
        /// Nothing that may follow can belong to it. Otherwise what is there reads as a ticket, and
        /// its last field may still go on.
        whole: bool,
    },
    /// The beginning of one, or of anything.
    Unfinished,
    /// It has the shape of a ticket and is none.
    Malformed(Fault),
    /// It has no known shape.
    Opaque(Look),
}

/// What is wrong with a text that has the shape of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// String 1 with more than eight fields.
    #[error("it has more than the eight fields of a ticket")]
    Fields,
    /// String 1 with something where `*` stands.
    #[error("it has something in a field that must be *")]
    Star,
    /// A session id or a key that is not base64.
    #[error("one of its fields is not base64")]
    NotBase64,
    /// No address that could be read.
    #[error("it names no address")]
    NoAddress,
    /// Not XML, or more of it than is read. Holds nothing of the peer's.
    #[error("it is no well-formed XML")]
    Xml,
    /// XML without what belongs into it.
    #[error("it lacks {0}")]
    Lacks(&'static str),
}

/// The context messages of one session, joined in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    joined: Vec<u8>,
}

impl Messages {
    /// One more. What goes beyond [`MAX_TICKET`] is dropped.
    pub fn push(&mut self, data: &[u8]) {
        let room = MAX_TICKET.saturating_sub(self.joined.len());
        self.joined.extend(data.iter().take(room));
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.joined
    }

    /// What it is so far.
    #[must_use]
    pub fn read(&self) -> Reading {
        read(&self.joined)
    }
}

/// Reads what may be a ticket, or the beginning of one.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading {
    let Some(text) = decode(bytes) else {
        return Reading::Opaque(Look::Binary);
    };
    // Blanks and NULs around it belong to the messages, not to the ticket.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let begins = |mark: &str| text.starts_with(mark);
    if text.is_empty() || SHAPES.iter().any(|mark| mark.starts_with(text)) {
        return Reading::Unfinished;
    }
    if begins("65538,1,") {
        return StringOne::reading(text);
    }
    if begins("<?xml") {
        return match text.split_once("?>") {
            Some((_, rest)) => element(rest.trim_start()),
            None => Reading::Unfinished,
        };
    }
    if begins("<") {
        return element(text);
    }
    Reading::Opaque(Look::of(text))
}

/// What a ticket begins with.
const SHAPES: [&str; 4] = ["65538,1,", "<?xml", "<UPLOADINFO", "<E"];

fn element(text: &str) -> Reading {
    match text {
        "" => Reading::Unfinished,
        text if text.starts_with("<UPLOADINFO") => Upload::reading(text),
        text if "<UPLOADINFO".starts_with(text) => Reading::Unfinished,
        text if text.starts_with("<E") => StringTwo::reading(text),
        _ => Reading::Opaque(Look::Text),
    }
}
