//! A SIP message as the rest of the program sees it: a few typed headers, everything else as
//! checked text. No type of rsip appears here.

use core::fmt;

use super::text::{Host, Text, Token, Uri};

/// A request method (RFC 3261 section 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// Starts or changes a call.
    Invite,
    /// Confirms the final answer to an INVITE.
    Ack,
    /// Ends a call.
    Bye,
    /// Takes an unanswered INVITE back.
    Cancel,
    /// Asks what we can do; also "is anybody there".
    Options,
    /// Mid-call information; RTC uses it (APPLICATIONS.md 1.3).
    Info,
    /// Known to SIP, not served here: MESSAGE, REFER, SUBSCRIBE, ...: answered 405.
    Known(&'static str),
    /// Never heard of: answered 501.
    Other(Token),
}

impl Method {
    /// Reads a method name; case does not matter (some old stacks write lower case).
    #[must_use]
    pub fn new(name: &Token) -> Self {
        const KNOWN: [&str; 9] = [
            "MESSAGE",
            "REFER",
            "SUBSCRIBE",
            "NOTIFY",
            "PRACK",
            "UPDATE",
            "REGISTER",
            "PUBLISH",
            "SERVICE",
        ];
        let upper = name.as_str().to_ascii_uppercase();
        match upper.as_str() {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "INFO" => Self::Info,
            _ => match KNOWN.iter().find(|known| **known == upper) {
                Some(known) => Self::Known(known),
                None => Self::Other(name.clone()),
            },
        }
    }

    /// The name as written on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Known(name) => name,
            Self::Other(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sequence header: a number below 2^31 and the method it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// The number.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// What the topmost Via says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Where the sender thinks it is.
    pub host: Host,
    /// Its port, if written.
    pub port: Option<u16>,
    /// The transaction; RTC writes none (APPLICATIONS.md 1.3).
    pub branch: Option<Text>,
    /// Whether the sender asks to be answered at its source port (RFC 3581).
    pub rport: bool,
}

/// One side of a dialog: the From or the To header. The value is opaque, because a display name
/// may hold anything; only the tag is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The whole value as received.
    pub value: Text,
    /// The tag; RFC 2543 agents may have none.
    pub tag: Option<Text>,
}

/// The headers every message has, and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// All Via values, one each, topmost first, as received.
    pub vias: Vec<Text>,
    /// The topmost one, read.
    pub via: Via,
    /// Who asks.
    pub from: Party,
    /// Who is asked.
    pub to: Party,
    /// The call.
    pub call_id: Text,
    /// The sequence.
    pub cseq: CSeq,
    /// Where the sender wants further requests.
    pub contact: Option<Uri>,
    /// The route the message recorded, as received.
    pub record_route: Vec<Text>,
    /// Hops left.
    pub max_forwards: Option<u8>,
    /// Type of the body.
    pub content_type: Option<Text>,
    /// Every other header, in order: name as written, value.
    pub others: Vec<(Token, Text)>,
    /// The body, exactly as long as the sender said.
    pub body: Vec<u8>,
}

impl Fields {
    /// First value of another header, by name (case does not matter).
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&Text> {
        self.others
            .iter()
            .find(|(have, _)| have.as_str().eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether the body is a session description. A missing type counts: old agents forget it.
    #[must_use]
    pub fn has_sdp(&self) -> bool {
        !self.body.is_empty()
            && self.content_type.as_ref().is_none_or(|kind| {
                let kind = kind.as_str().split(';').next().unwrap_or_default();
                kind.trim().eq_ignore_ascii_case("application/sdp")
            })
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub method: Method,
    /// Of whom.
    pub uri: Uri,
    /// The rest.
    pub fields: Fields,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// The words after it.
    pub reason: Text,
    /// The rest.
    pub fields: Fields,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The headers.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        match self {
            Self::Request(request) => &request.fields,
            Self::Response(response) => &response.fields,
        }
    }
}
