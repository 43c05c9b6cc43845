//! Typed access to an invitation message: every field of PROTOCOL.md section 4, read as section 3
//! and the leniency table 10.1 say. Nothing here allocates, except where a list or a lossy text is
//! returned.

use std::borrow::Cow;

use super::{
    address::{self, AddressSource, Candidate, Candidates},
    cancel::CancelCode,
    capability::Capabilities,
    connection::{ConnType, Connection},
    cookie::Cookie,
    fields::{Field, Fields, ReadError},
    guid::{FILE_TRANSFER, Guid},
    write::WriteError,
};

/// The longest `Session-ID` that is echoed, in bytes; a GUID has 38.
const MAX_SESSION_ID: usize = 128;

/// What a message wants, by its `Invitation-Command` in any letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `INVITE`
    Invite,
    /// `ACCEPT`, the first or the second: only our role tells (PROTOCOL.md section 3 rule 5).
    Accept,
    /// `CANCEL`
    Cancel,
    /// `CONTEXT`
    Context,
    /// Any other word, as it was spelled.
    Other(&'a str),
}

impl<'a> Command<'a> {
    /// Reads a value; `None` when it is not UTF-8.
    fn read(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        for command in [Self::Invite, Self::Accept, Self::Cancel, Self::Context] {
            if value.eq_ignore_ascii_case(command.as_str().as_bytes()) {
                return Some(command);
            }
        }
        core::str::from_utf8(value).ok().map(Self::Other)
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Invite => "INVITE",
            Self::Accept => "ACCEPT",
            Self::Cancel => "CANCEL",
            Self::Context => "CONTEXT",
            Self::Other(word) => word,
        }
    }
}

/// Which way of negotiating an INVITE asks for (PROTOCOL.md section 0 rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `Session-Protocol: SM1`
    Sm1,
    /// No `Session-Protocol`.
    Legacy,
    /// MSNFTP, by its GUID or by its two file fields without a session protocol.
    FileTransfer,
    /// A `Session-Protocol` without `SM1`: to be answered with `FAIL`.
    Unknown,
}

/// Whether the sender of a file can take connections (PROTOCOL.md 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connectivity {
    /// `N`
    No,
    /// `Y`
    Yes,
    /// `U`, and any other value.
    Unknown,
}

/// One message, borrowed from the payload.
#[derive(Clone)]
pub struct Message<'a> {
    fields: Fields<'a>,
    command: Command<'a>,
    cookie: Cookie,
}

impl<'a> Message<'a> {
    /// Reads a whole MSG payload: MIME header and body.
    ///
    /// # Errors
    /// [`ReadError`]; such a message is ignored, or passed on untouched.
    pub fn read(payload: &'a [u8]) -> Result<Self, ReadError> {
        Self::strict(Fields::read(payload)?)
    }

    /// Reads a body alone.
    ///
    /// # Errors
    /// [`ReadError`], but never [`ReadError::NotInvitation`].
    pub fn read_body(body: &'a [u8]) -> Result<Self, ReadError> {
        Self::strict(Fields::read_body(body)?)
    }

    /// For people who look at a broken message: as [`Self::read`] or [`Self::read_body`], but a
    /// missing command is `Other("")` and a missing or bad cookie is one with an empty text. What is
    /// wrong is the second value.
    #[must_use]
    pub fn inspect(fields: Fields<'a>) -> (Self, Option<ReadError>) {
        let command = read_command(&fields);
        let cookie = read_cookie(&fields);
        let fault = command.err().or(cookie.err());
        let message = Self {
            command: command.unwrap_or(Command::Other("")),
            cookie: cookie.unwrap_or(Cookie::absent()),
            fields,
        };
        (message, fault)
    }

    fn strict(fields: Fields<'a>) -> Result<Self, ReadError> {
        Ok(Self {
            command: read_command(&fields)?,
            cookie: read_cookie(&fields)?,
            fields,
        })
    }

    /// `Invitation-Command`
    #[must_use]
    pub fn command(&self) -> Command<'a> {
        self.command
    }

    /// `Invitation-Cookie`
    #[must_use]
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Whether it carries context data to a running negotiation: `CONTEXT`, or a command nobody
    /// knows with `Context-Data` (PROTOCOL.md 2.4).
    #[must_use]
    pub fn is_context(&self) -> bool {
        match self.command {
            Command::Context => true,
            Command::Other(_) => self.context_data().is_some(),
            Command::Invite | Command::Accept | Command::Cancel => false,
        }
    }

    /// The value of the first field of that name (any letter case), without leading blanks.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// As [`Self::get`], as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)
            .map(|value| String::from_utf8_lossy(value.trim_ascii_end()))
    }

    /// All fields in order, unknown and repeated ones included.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.fields.iter()
    }

    /// All the bytes that were read.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.fields.bytes()
    }

    /// The message with one value replaced and every other byte as it was; see
    /// [`Fields::with_fields`].
    ///
    /// # Errors
    /// [`WriteError::NoSuchField`], [`WriteError::Control`], [`WriteError::TooLong`].
    pub fn with_field(&self, name: &'static str, value: &[u8]) -> Result<Vec<u8>, WriteError> {
        self.fields.with_fields(&[(name, value)])
    }

    /// The message with several values replaced; see [`Fields::with_fields`].
    ///
    /// # Errors
    /// As [`Self::with_field`].
    pub fn with_fields(&self, changes: &[(&'static str, &[u8])]) -> Result<Vec<u8>, WriteError> {
        self.fields.with_fields(changes)
    }

    /// Which dialect an INVITE speaks. Of other messages it says as much as their fields do.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        if self
            .application_guid()
            .is_some_and(|guid| guid.is(FILE_TRANSFER))
        {
            return Dialect::FileTransfer;
        }
        match self.session_protocol() {
            Some(_) if self.speaks_sm1() => Dialect::Sm1,
            Some(_) => Dialect::Unknown,
            None if self.get("Application-File").is_some()
                && self.get("Application-FileSize").is_some() =>
            {
                Dialect::FileTransfer
            }
            None => Dialect::Legacy,
        }
    }

    /// `Application-Name`: what the sender calls it, in the sender's language. For showing only.
    #[must_use]
    pub fn application_name(&self) -> Option<Cow<'a, str>> {
        self.text("Application-Name")
    }

    /// `Application-GUID`
    #[must_use]
    pub fn application_guid(&self) -> Option<Guid> {
        Guid::read(self.get("Application-GUID")?).ok()
    }

    /// `Application-URL`: chosen by the sender, never to be opened by itself.
    #[must_use]
    pub fn application_url(&self) -> Option<&'a str> {
        core::str::from_utf8(self.get("Application-URL")?.trim_ascii_end()).ok()
    }

    /// `Session-Protocol` as it stands.
    #[must_use]
    pub fn session_protocol(&self) -> Option<&'a [u8]> {
        self.get("Session-Protocol").map(<[u8]>::trim_ascii_end)
    }

    /// Whether `Session-Protocol` names `SM1`, alone or in a list.
    #[must_use]
    pub fn speaks_sm1(&self) -> bool {
        self.session_protocol().is_some_and(|value| {
            value
                .split(|byte| matches!(byte, b',' | b';' | b' '))
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"SM1"))
        })
    }

    /// `Session-ID`, to be echoed and never checked. `None` also for one that cannot be echoed: not
    /// UTF-8, with control characters, or longer than 128 bytes.
    #[must_use]
    pub fn session_id(&self) -> Option<&'a str> {
        let value = self.get("Session-ID")?.trim_ascii_end();
        if value.len() > MAX_SESSION_ID || value.iter().any(u8::is_ascii_control) {
            return None;
        }
        core::str::from_utf8(value).ok()
    }

    /// `Context-Data`, byte for byte.
    #[must_use]
    pub fn context_data(&self) -> Option<&'a [u8]> {
        self.get("Context-Data")
    }

    /// The capability list in `Context-Data`; `None` when it is something else.
    #[must_use]
    pub fn capabilities(&self) -> Option<Capabilities> {
        Capabilities::read(self.context_data()?)
    }

    /// The address in `Context-Data`, when that is all there is in it (PROTOCOL.md 5.5).
    #[must_use]
    pub fn context_address(&self) -> Option<Candidate> {
        let (ip, port) = address::read_address(self.context_data()?)?;
        Some(Candidate {
            ip,
            port,
            source: AddressSource::ContextData,
        })
    }

    /// `Launch-Application`, when it is there.
    #[must_use]
    pub fn launch_application(&self) -> Option<bool> {
        self.flag("Launch-Application")
    }

    /// Whether an ACCEPT of a negotiation in that dialect launches; a missing field is TRUE, except
    /// in a file transfer.
    #[must_use]
    pub fn launches(&self, dialect: Dialect) -> bool {
        self.launch_application()
            .unwrap_or(dialect != Dialect::FileTransfer)
    }

    /// `Request-Data` as it stands.
    #[must_use]
    pub fn request_data(&self) -> Option<&'a [u8]> {
        self.get("Request-Data")
    }

    /// Whether `Request-Data` asks for our `IP-Address`, with or without the colon after it.
    #[must_use]
    pub fn requests_ip_address(&self) -> bool {
        self.request_data().is_some_and(|value| {
            value
                .split(|byte| matches!(byte, b':' | b',' | b';' | b' '))
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"IP-Address"))
        })
    }

    /// All addresses the message may mean, in the order to try them (PROTOCOL.md section 3 rule 4).
    /// Those of `Context-Data` are not among them ([`Self::context_address`]).
    #[must_use]
    pub fn addresses(&self) -> Candidates {
        Candidates::collect(|name| self.get(name))
    }

    /// `IP-Address`: address and port, if it is strictly that.
    #[must_use]
    pub fn ip_address(&self) -> Option<(core::net::Ipv4Addr, Option<u16>)> {
        self.address("IP-Address")
    }

    /// `IP-Address-Enc64`, decoded.
    #[must_use]
    pub fn ip_address_enc64(&self) -> Option<(core::net::Ipv4Addr, Option<u16>)> {
        address::read_enc64(self.get("IP-Address-Enc64")?)
    }

    /// `IP-Address-Internal`
    #[must_use]
    pub fn ip_address_internal(&self) -> Option<(core::net::Ipv4Addr, Option<u16>)> {
        self.address("IP-Address-Internal")
    }

    /// `Port`
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port_field("Port")
    }

    /// `PortX` as it stands; XOR [`super::PORT_MASK`] is what official clients mean.
    #[must_use]
    pub fn port_x(&self) -> Option<u16> {
        self.port_field("PortX")
    }

    /// `PortX-Internal` as it stands.
    #[must_use]
    pub fn port_x_internal(&self) -> Option<u16> {
        self.port_field("PortX-Internal")
    }

    /// `AuthCookie` of a file transfer.
    #[must_use]
    pub fn auth_cookie(&self) -> Option<u32> {
        self.number("AuthCookie")
    }

    /// `Sender-Connect` of a file transfer.
    #[must_use]
    pub fn sender_connect(&self) -> Option<bool> {
        self.flag("Sender-Connect")
    }

    /// `Connectivity` of a file transfer.
    #[must_use]
    pub fn connectivity(&self) -> Option<Connectivity> {
        Some(match self.get("Connectivity")?.trim_ascii() {
            b"N" | b"n" => Connectivity::No,
            b"Y" | b"y" => Connectivity::Yes,
            _ => Connectivity::Unknown,
        })
    }

    /// `Application-File` without any folders; `None` when nothing is left that could name a file.
    /// For showing: it may still hold control characters.
    #[must_use]
    pub fn application_file(&self) -> Option<Cow<'a, str>> {
        let value = self.get("Application-File")?.trim_ascii_end();
        let name = value
            .rsplit(|byte| matches!(byte, b'/' | b'\\'))
            .next()
            .unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        Some(String::from_utf8_lossy(name))
    }

    /// `Application-FileSize` in bytes.
    #[must_use]
    pub fn application_file_size(&self) -> Option<u64> {
        self.number("Application-FileSize")
    }

    /// `Cancel-Code`; `None` when it is missing, which is a cancel like any other.
    #[must_use]
    pub fn cancel_code(&self) -> Option<CancelCode> {
        self.get("Cancel-Code").map(CancelCode::read)
    }

    /// The fields from `Conn-Type` to `UPnP`; `None` when none of them is there.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        let conn_type = self.get("Conn-Type");
        let connection = Connection {
            conn_type: conn_type.map_or(ConnType::UnknownConnect, ConnType::read),
            sip_capability: self.number("Sip-Capability"),
            public_ip: self.address("Public-IP").map(|(ip, _)| ip),
            private_ip: self.address("Private-IP").map(|(ip, _)| ip),
            upnp: self.flag("UPnP"),
        };
        let any = conn_type.is_some()
            || connection.sip_capability.is_some()
            || connection.public_ip.is_some()
            || connection.private_ip.is_some()
            || connection.upnp.is_some();
        any.then_some(connection)
    }

    /// `Avm-Support`: a bit mask of unknown meaning, 7 where it was seen.
    #[must_use]
    pub fn avm_support(&self) -> Option<u32> {
        self.number("Avm-Support")
    }

    /// `Avm-Request`: 2 where it was seen.
    #[must_use]
    pub fn avm_request(&self) -> Option<u32> {
        self.number("Avm-Request")
    }

    /// `UsingRendezvous`
    #[must_use]
    pub fn using_rendezvous(&self) -> Option<bool> {
        self.flag("UsingRendezvous")
    }

    fn address(&self, name: &str) -> Option<(core::net::Ipv4Addr, Option<u16>)> {
        address::read_address(self.get(name)?)
    }

    fn port_field(&self, name: &str) -> Option<u16> {
        address::read_port(self.get(name)?)
    }

    /// `TRUE` or `FALSE` in any letter case.
    fn flag(&self, name: &str) -> Option<bool> {
        let value = self.get(name)?.trim_ascii();
        if value.eq_ignore_ascii_case(b"TRUE") {
            Some(true)
        } else if value.eq_ignore_ascii_case(b"FALSE") {
            Some(false)
        } else {
            None
        }
    }

    /// Decimal digits that fit.
    fn number<T: core::str::FromStr>(&self, name: &str) -> Option<T> {
        let value = self.get(name)?.trim_ascii();
        if !value.iter().all(u8::is_ascii_digit) {
            return None;
        }
        core::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// Names the kind and the size, never the content.
impl core::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message")
            .field("command", &self.command)
            .field("cookie", &self.cookie)
            .field("fields", &self.fields)
            .finish()
    }
}

fn read_command<'a>(fields: &Fields<'a>) -> Result<Command<'a>, ReadError> {
    let value = fields
        .get("Invitation-Command")
        .filter(|value| !value.trim_ascii().is_empty())
        .ok_or(ReadError::MissingCommand)?;
    Command::read(value).ok_or(ReadError::BadCommand)
}

fn read_cookie(fields: &Fields<'_>) -> Result<Cookie, ReadError> {
    let value = fields
        .get("Invitation-Cookie")
        .filter(|value| !value.trim_ascii().is_empty())
        .ok_or(ReadError::MissingCookie)?;
    Cookie::read(value).map_err(|_| ReadError::BadCookie)
}
