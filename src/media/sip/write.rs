//! Writes SIP messages. Header names are ours (`'static`), values are [`Text`]: there is no way to
//! put a line break into one.

use core::fmt::Write as _;

use super::{
    message::{Fields, Method, Party},
    text::{Text, Token, Uri},
};

/// What goes into `User-Agent` and `Server`.
pub const AGENT: &str = concat!("msn-handoff/", env!("CARGO_PKG_VERSION"));
/// The methods we serve, for `Allow`.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO";

/// The usual words for a status (RFC 3261 section 21); for people only.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        603 => "Decline",
        _ => "Status",
    }
}

/// A message being written.
#[derive(Debug)]
pub struct Draft {
    head: String,
}

impl Draft {
    /// Starts a request.
    #[must_use]
    pub fn request(method: &Method, uri: &Uri) -> Self {
        Self {
            head: format!("{method} {uri} SIP/2.0\r\n"),
        }
    }

    /// Starts a response.
    #[must_use]
    pub fn response(status: u16, words: &'static str) -> Self {
        Self {
            head: format!("SIP/2.0 {} {words}\r\n", status.clamp(100, 699)),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &Text) -> Self {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    /// Adds a header of our own words.
    #[must_use]
    pub fn fixed(mut self, name: &'static str, value: &'static str) -> Self {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    /// Adds `User-Agent`, unless the value is empty.
    #[must_use]
    pub fn agent(self, name: &'static str) -> Self {
        self.fixed(name, AGENT)
    }

    /// Ends the message without a body.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.head.push_str("Content-Length: 0\r\n\r\n");
        self.head.into_bytes()
    }

    /// Ends the message with a session description.
    #[must_use]
    pub fn with_sdp(mut self, sdp: &[u8]) -> Vec<u8> {
        let _ = write!(
            self.head,
            "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
            sdp.len()
        );
        let mut bytes = self.head.into_bytes();
        bytes.extend_from_slice(sdp);
        bytes
    }

    /// A response that carries what a response must copy (RFC 3261 section 8.2.6.2): every Via
    /// (`top` replaces the first), From, To, Call-ID, CSeq. `tag` is added to a To without one.
    #[must_use]
    pub fn reply(
        status: u16,
        words: &'static str,
        top: Option<&Text>,
        request: &Fields,
        tag: Option<&Token>,
    ) -> Self {
        let mut draft = Self::response(status, words);
        for (i, via) in request.vias.iter().enumerate() {
            let via = match top {
                Some(top) if i == 0 => top,
                _ => via,
            };
            draft = draft.header("Via", via);
        }
        draft
            .header("From", &request.from.value)
            .header("To", &tagged(&request.to, tag))
            .header("Call-ID", &request.call_id)
            .header("CSeq", &Text::printed(&request.cseq))
    }
}

/// `party` with `tag`, unless it has one.
#[must_use]
pub(super) fn tagged(party: &Party, tag: Option<&Token>) -> Text {
    match tag {
        Some(tag) if party.tag.is_none() => {
            Text::printed(format_args!("{};tag={tag}", party.value))
        }
        _ => party.value.clone(),
    }
}
