//! Writes the messages we send, in the official field order (PROTOCOL.md section 2), byte-equal to
//! the vectors of section 13. Nothing that cannot be sent comes out: no control characters in a
//! value, at most [`MAX_PAYLOAD`] bytes.

use core::{
    fmt::{Display, Write as _},
    net::Ipv4Addr,
};

use super::{
    MAX_PAYLOAD, address::write_enc64, cancel::CancelCode, connection::Connection, cookie::Cookie,
    guid::Guid,
};

/// The official MIME header, 71 bytes (PROTOCOL.md 1.2).
const HEADER: &str =
    "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n";

/// Why a message is not written. It names the field, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The value holds a line end or another control character.
    #[error("the value of {field} holds a control character")]
    Control {
        /// Name of the field.
        field: &'static str,
    },
    /// The payload is longer than [`MAX_PAYLOAD`].
    #[error("{length} bytes are more than the {MAX_PAYLOAD} that a switchboard carries")]
    TooLong {
        /// Length of the payload in bytes.
        length: usize,
    },
    /// The message has no such field whose value could be replaced.
    #[error("the message has no field {field}")]
    NoSuchField {
        /// Name of the field.
        field: &'static str,
    },
}

/// Refuses control characters: a line end in a value would be a field of its own.
pub(super) fn check(field: &'static str, value: &[u8]) -> Result<(), WriteError> {
    if value.iter().any(u8::is_ascii_control) {
        return Err(WriteError::Control { field });
    }
    Ok(())
}

/// A payload in the making.
struct Payload(Vec<u8>);

impl Payload {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(HEADER.as_bytes());
        Self(bytes)
    }

    fn field(&mut self, name: &'static str, value: &[u8]) -> Result<(), WriteError> {
        check(name, value)?;
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn optional(&mut self, name: &'static str, value: Option<&[u8]>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| self.field(name, value))
    }

    fn shown(&mut self, name: &'static str, value: Option<impl Display>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| {
            self.field(name, value.to_string().as_bytes())
        })
    }

    fn flag(&mut self, name: &'static str, value: Option<bool>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| {
            self.field(name, if value { b"TRUE" } else { b"FALSE" })
        })
    }

    fn connection(&mut self, connection: Option<&Connection>) -> Result<(), WriteError> {
        let Some(connection) = connection else {
            return Ok(());
        };
        self.field("Conn-Type", connection.conn_type.as_str().as_bytes())?;
        self.shown("Sip-Capability", connection.sip_capability)?;
        self.shown("Public-IP", connection.public_ip)?;
        self.shown("Private-IP", connection.private_ip)?;
        self.flag("UPnP", connection.upnp)
    }

    /// The empty line at the end, and the check of the length.
    fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        self.0.extend_from_slice(b"\r\n");
        if self.0.len() > MAX_PAYLOAD {
            return Err(WriteError::TooLong {
                length: self.0.len(),
            });
        }
        Ok(self.0)
    }
}

/// An INVITE (PROTOCOL.md 2.1 and 2.7).
#[derive(Debug, Clone)]
pub struct Invite<'a> {
    /// `Application-Name`, as the registry spells it.
    pub name: &'a str,
    /// `Application-GUID`, as the registry spells it.
    pub guid: Guid,
    /// `Application-URL`
    pub url: Option<&'a str>,
    /// Whether `Session-Protocol: SM1` is said; legacy invitations do without.
    pub sm1: bool,
    /// `Context-Data`: the capabilities of voice and video. NetMeeting must have none.
    pub context_data: Option<&'a [u8]>,
    /// `Avm-Support` and `Avm-Request`, which official voice clients send as 7 and 2.
    pub avm: Option<(u32, u32)>,
    /// `Invitation-Cookie`
    pub cookie: Cookie,
    /// `Session-ID`, with braces; legacy invitations do without.
    pub session_id: Option<&'a str>,
    /// The fields from `Conn-Type` to `UPnP`, for voice and video.
    pub connection: Option<Connection>,
}

impl Invite<'_> {
    /// The whole payload.
    ///
    /// # Errors
    /// [`WriteError::Control`] or [`WriteError::TooLong`].
    pub fn to_payload(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Payload::new();
        out.field("Application-Name", self.name.as_bytes())?;
        out.field("Application-GUID", self.guid.as_written().as_bytes())?;
        out.optional("Application-URL", self.url.map(str::as_bytes))?;
        out.optional("Session-Protocol", self.sm1.then_some(b"SM1"))?;
        out.optional("Context-Data", self.context_data)?;
        out.field("Invitation-Command", b"INVITE")?;
        out.shown("Avm-Support", self.avm.map(|(support, _)| support))?;
        out.shown("Avm-Request", self.avm.map(|(_, request)| request))?;
        out.field("Invitation-Cookie", self.cookie.as_str().as_bytes())?;
        out.optional("Session-ID", self.session_id.map(str::as_bytes))?;
        out.connection(self.connection.as_ref())?;
        out.finish()
    }
}

/// Whose ACCEPT it is, which decides about two fields (PROTOCOL.md 2.2 and 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcceptedBy {
    /// ACCEPT #1: asks for the other's address, and names `SM1` where the INVITE did.
    Invitee {
        /// Whether the INVITE had `Session-Protocol: SM1`.
        sm1: bool,
    },
    /// ACCEPT #2: has neither `Session-Protocol` nor `Request-Data`; with them two known clients
    /// answer each other without end (PROTOCOL.md section 10 trap 1).
    Inviter,
}

/// An ACCEPT (PROTOCOL.md 2.2, 2.3 and 2.7).
#[derive(Debug, Clone)]
pub struct Accept<'a> {
    /// Which of the two it is.
    pub by: AcceptedBy,
    /// `Context-Data`: the capabilities of voice and video, from the invitee.
    pub context_data: Option<&'a [u8]>,
    /// `Invitation-Cookie`, as it was received.
    pub cookie: Cookie,
    /// `Session-ID`, as it was received.
    pub session_id: Option<&'a str>,
    /// The fields from `Conn-Type` to `UPnP`, for voice and video.
    pub connection: Option<Connection>,
    /// `UsingRendezvous`, which official voice clients send as FALSE.
    pub using_rendezvous: Option<bool>,
    /// `IP-Address`: where we listen, or where we are.
    pub address: Option<(Ipv4Addr, Option<u16>)>,
    /// Whether `IP-Address-Enc64` repeats the address, as voice and video do.
    pub enc64: bool,
}

impl Accept<'_> {
    /// The whole payload.
    ///
    /// # Errors
    /// [`WriteError::Control`] or [`WriteError::TooLong`].
    pub fn to_payload(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Payload::new();
        out.field("Invitation-Command", b"ACCEPT")?;
        out.optional("Context-Data", self.context_data)?;
        out.field("Invitation-Cookie", self.cookie.as_str().as_bytes())?;
        out.optional("Session-ID", self.session_id.map(str::as_bytes))?;
        if self.by == (AcceptedBy::Invitee { sm1: true }) {
            out.field("Session-Protocol", b"SM1")?;
        }
        out.connection(self.connection.as_ref())?;
        out.field("Launch-Application", b"TRUE")?;
        out.flag("UsingRendezvous", self.using_rendezvous)?;
        if matches!(self.by, AcceptedBy::Invitee { .. }) {
            out.field("Request-Data", b"IP-Address:")?;
        }
        if let Some((ip, port)) = self.address {
            let mut text = ip.to_string();
            if let Some(port) = port {
                // Writing to a String cannot fail.
                let _ = write!(text, ":{port}");
            }
            out.field("IP-Address", text.as_bytes())?;
            if self.enc64 {
                out.field("IP-Address-Enc64", write_enc64(&text).as_bytes())?;
            }
        }
        out.finish()
    }
}

/// A context message (PROTOCOL.md 2.4). Peers want at most [`super::MAX_CONTEXT_DATA`] characters in
/// one, and five in a session; the sender sees to both.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// `Invitation-Cookie`, as it was received.
    pub cookie: Cookie,
    /// `Session-ID`, as it was received.
    pub session_id: Option<&'a str>,
    /// `Context-Data`. Leading blanks would be lost on the way.
    pub data: &'a [u8],
}

impl Context<'_> {
    /// The whole payload.
    ///
    /// # Errors
    /// [`WriteError::Control`] or [`WriteError::TooLong`].
    pub fn to_payload(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Payload::new();
        out.field("Invitation-Command", b"CONTEXT")?;
        out.field("Invitation-Cookie", self.cookie.as_str().as_bytes())?;
        out.optional("Session-ID", self.session_id.map(str::as_bytes))?;
        out.field("Context-Data", self.data)?;
        out.finish()
    }
}

/// A CANCEL (PROTOCOL.md 2.5). Never an answer to a CANCEL.
#[derive(Debug, Clone)]
pub struct Cancel<'a> {
    /// `Cancel-Code`
    pub code: CancelCode,
    /// `Invitation-Cookie`, as it was received.
    pub cookie: Cookie,
    /// `Session-ID`, as it was received.
    pub session_id: Option<&'a str>,
    /// The fields from `Conn-Type` to `UPnP`, for voice and video.
    pub connection: Option<Connection>,
}

impl Cancel<'_> {
    /// The whole payload.
    ///
    /// # Errors
    /// [`WriteError::Control`] or [`WriteError::TooLong`].
    pub fn to_payload(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Payload::new();
        out.field("Invitation-Command", b"CANCEL")?;
        out.field("Cancel-Code", self.code.as_str().as_bytes())?;
        out.field("Invitation-Cookie", self.cookie.as_str().as_bytes())?;
        out.optional("Session-ID", self.session_id.map(str::as_bytes))?;
        out.connection(self.connection.as_ref())?;
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite<'static> {
        Invite {
            name: "NetMeeting",
            guid: "{44BBA842-CC51-11CF-AAFA-00AA00B6015C}".parse().unwrap(),
            url: None,
            sm1: true,
            context_data: None,
            avm: None,
            cookie: Cookie::new(25_402_056),
            session_id: Some("{C4E9035F-CCEB-40F0-8F17-135FB734073B}"),
            connection: None,
        }
    }

    #[test]
    fn a_value_that_would_be_two_lines_is_refused_by_name() {
        for bad in ["a\r\nPort: 1", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb"] {
            let message = Invite {
                name: bad,
                ..invite()
            };
            assert_eq!(
                message.to_payload(),
                Err(WriteError::Control {
                    field: "Application-Name"
                })
            );
            let message = Context {
                cookie: Cookie::new(1),
                session_id: None,
                data: bad.as_bytes(),
            };
            assert_eq!(
                message.to_payload(),
                Err(WriteError::Control {
                    field: "Context-Data"
                })
            );
            let message = Cancel {
                code: CancelCode::Other(bad.to_owned()),
                cookie: Cookie::new(1),
                session_id: None,
                connection: None,
            };
            assert_eq!(
                message.to_payload(),
                Err(WriteError::Control {
                    field: "Cancel-Code"
                })
            );
        }
    }

    #[test]
    fn exactly_1664_bytes_are_sent_and_one_more_is_refused() {
        let empty = Invite {
            name: "",
            ..invite()
        };
        let room = MAX_PAYLOAD - empty.to_payload().unwrap().len();
        let name = "n".repeat(room);
        let fits = Invite {
            name: &name,
            ..invite()
        };
        assert_eq!(fits.to_payload().unwrap().len(), MAX_PAYLOAD);
        let name = "n".repeat(room + 1);
        let long = Invite {
            name: &name,
            ..invite()
        };
        assert_eq!(
            long.to_payload(),
            Err(WriteError::TooLong {
                length: MAX_PAYLOAD + 1
            })
        );
    }

    #[test]
    fn the_second_accept_has_neither_session_protocol_nor_request_data() {
        let accept = Accept {
            by: AcceptedBy::Inviter,
            context_data: None,
            cookie: Cookie::new(1),
            session_id: Some("{0}"),
            connection: None,
            using_rendezvous: None,
            address: Some((Ipv4Addr::new(192, 0, 2, 1), None)),
            enc64: false,
        };
        let text = String::from_utf8(accept.to_payload().unwrap()).unwrap();
        assert!(!text.contains("Session-Protocol"));
        assert!(!text.contains("Request-Data"));
        assert!(text.ends_with("IP-Address: 192.0.2.1\r\n\r\n"));
    }
}
