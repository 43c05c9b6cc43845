//! The lines that a client and we exchange besides those of the control protocol. Pure.

use std::net::Ipv4Addr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{control::protocol::Id, dispatcher::Verdict};

/// What a client tells us.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Comes back with the answer.
    pub(super) id: serde_json::Value,
    pub(super) what: Told,
}

/// The kinds of [`Report`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A user has signed in.
    SignedIn {
        account: String,
        /// The address of this machine that leads to the server, if the client knows it.
        own_ip: Option<Ipv4Addr>,
    },
    SignedOut,
    /// An invitation message of a contact's.
    Message {
        from: String,
        payload: Vec<u8>,
    },
    /// The user is about to send that text.
    Typed {
        to: String,
        text: String,
    },
    /// The last conversation with that contact has closed.
    Left {
        peer: String,
    },
    /// A message of ours could not be delivered.
    Undelivered {
        delivery: Id,
    },
}

impl Told {
    /// The contact it is about.
    pub(super) fn peer(&self) -> Option<&str> {
        match self {
            Self::Message { from: peer, .. }
            | Self::Typed { to: peer, .. }
            | Self::Left { peer } => Some(peer),
            Self::SignedIn { .. } | Self::SignedOut | Self::Undelivered { .. } => None,
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    id: serde_json::Value,
    #[serde(flatten)]
    what: RawTold,
}

#[derive(Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
enum RawTold {
    SignedIn {
        account: String,
        #[serde(rename = "own-ip")]
        own_ip: Option<Ipv4Addr>,
    },
    SignedOut,
    Message {
        from: String,
        payload: Option<String>,
        payload64: Option<String>,
    },
    Typed {
        to: String,
        text: String,
    },
    Left {
        peer: String,
    },
    Undelivered {
        delivery: Id,
    },
}

/// Reads a line. `None`: it tells nothing, so it is a request of the control protocol.
///
/// # Errors
/// The line's id, and what is wrong with it.
pub(super) fn read(line: &str) -> Result<Option<Report>, (serde_json::Value, String)> {
    let value: serde_json::Value = serde_json::from_str(line)
        .map_err(|error| (serde_json::Value::Null, format!("no JSON object: {error}")))?;
    if value.get("told").is_none() {
        return Ok(None);
    }
    let id = value.get("id").cloned().unwrap_or_default();
    let raw: Raw =
        serde_json::from_value(value).map_err(|error| (id.clone(), error.to_string()))?;
    let what = match raw.what {
        RawTold::SignedIn { account, own_ip } => Told::SignedIn { account, own_ip },
        RawTold::SignedOut => Told::SignedOut,
        RawTold::Message {
            from,
            payload,
            payload64,
        } => {
            let payload = match (payload, payload64) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(text)) => BASE64_STANDARD
                    .decode(text)
                    .map_err(|error| (id.clone(), format!("payload64: {error}")))?,
                _ => return Err((id, "one of payload and payload64 is needed".to_owned())),
            };
            Told::Message { from, payload }
        }
        RawTold::Typed { to, text } => Told::Typed { to, text },
        RawTold::Left { peer } => Told::Left { peer },
        RawTold::Undelivered { delivery } => Told::Undelivered { delivery },
    };
    Ok(Some(Report { id: raw.id, what }))
}

/// Whether a message or a line was for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdicts {
    /// It was: the client does nothing with it.
    Taken,
    /// It was not: the client goes on as without us.
    Pass,
}

impl From<Verdict> for Verdicts {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Taken => Self::Taken,
            Verdict::Pass => Self::Pass,
        }
    }
}

/// The answer to `message` and `typed`.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) id: serde_json::Value,
    pub(super) verdict: Verdicts,
}

/// What the client is to do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wanted<'a> {
    /// Send an invitation message to a contact.
    Send(Letter<'a>),
    /// Show a line in the window with a contact; it never reaches the contact.
    Show { peer: &'a str, line: &'a str },
}

/// A message to be sent.
#[derive(Debug, Serialize)]
pub(super) struct Letter<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload64: Option<String>,
    delivery: Id,
}

impl<'a> Wanted<'a> {
    /// As text where it is text.
    pub(super) fn send(to: &'a str, payload: Vec<u8>, delivery: Id) -> Self {
        let (payload, payload64) = match String::from_utf8(payload) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
        };
        Self::Send(Letter {
            to,
            payload,
            payload64,
            delivery,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::negotiation::InvitationId;

    #[test]
    fn what_a_client_tells_is_read_as_documented() {
        for (line, what) in [
            (
                r#"{"told":"signed-in","account":"a@b.c","own-ip":"192.0.2.1"}"#,
                Told::SignedIn {
                    account: "a@b.c".into(),
                    own_ip: Some(Ipv4Addr::new(192, 0, 2, 1)),
                },
            ),
            (
                r#"{"id":1,"told":"message","from":"a@b.c","payload":"x\r\n"}"#,
                Told::Message {
                    from: "a@b.c".into(),
                    payload: b"x\r\n".to_vec(),
                },
            ),
            (
                r#"{"told":"message","from":"a@b.c","payload64":"/w=="}"#,
                Told::Message {
                    from: "a@b.c".into(),
                    payload: vec![255],
                },
            ),
            (r#"{"told":"signed-out"}"#, Told::SignedOut),
            (
                r#"{"told":"undelivered","delivery":"1.2"}"#,
                Told::Undelivered {
                    delivery: Id(InvitationId((1 << 32) + 2)),
                },
            ),
        ] {
            assert_eq!(read(line).unwrap().unwrap().what, what, "{line}");
        }
        assert_eq!(read(r#"{"verb":"list"}"#), Ok(None));
        for (wrong, why) in [
            ("{", "no JSON object"),
            (r#"{"told":"dance"}"#, "unknown variant"),
            (
                r#"{"told":"message","from":"a@b.c"}"#,
                "payload64 is needed",
            ),
            (
                r#"{"told":"message","from":"a@b.c","payload64":"?"}"#,
                "payload64",
            ),
        ] {
            let (_, told) = read(wrong).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn what_is_no_text_goes_as_base64() {
        let delivery = Id(InvitationId((1 << 32) + 2));
        let line = |payload: &[u8]| {
            serde_json::to_string(&Wanted::send("a@b.c", payload.to_vec(), delivery)).unwrap()
        };
        assert_eq!(
            line(b"x\r\n"),
            r#"{"send":{"to":"a@b.c","payload":"x\r\n","delivery":"1.2"}}"#
        );
        assert_eq!(
            line(&[255]),
            r#"{"send":{"to":"a@b.c","payload64":"/w==","delivery":"1.2"}}"#
        );
    }

    proptest! {
        #[test]
        fn arbitrary_lines_are_read_or_refused(line in ".{0,200}") {
            let _ = read(&line);
        }
    }
}
