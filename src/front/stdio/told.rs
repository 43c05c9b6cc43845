//! What a client that spawned us is told, beside the answers and events of the control protocol.
//! `docs/STDIO.md` is for its author. Pure.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    control::protocol::Id,
    dispatcher::{Delivery, Verdict},
};

/// An invitation message, MIME header and body: as text, or in base64 where it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Payload {
    #[serde(rename = "payload")]
    Text(String),
    Base64(String),
}

impl Payload {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(BASE64_STANDARD.encode(error.as_bytes())),
        }
    }

    /// Its bytes, or a sentence.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64(text) => BASE64_STANDARD
                .decode(text)
                .map_err(|error| format!("the payload is no base64: {error}")),
        }
    }
}

/// A line of ours that answers one of [`Said`](super::said::Said).
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) id: serde_json::Value,
    pub(super) ok: Obeyed,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Obeyed {
    /// `taken`: it was for us; `pass`: it goes on to where it was going.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<&'static str>,
}

impl From<Verdict> for Obeyed {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict: Some(match verdict {
                Verdict::Taken => "taken",
                Verdict::Pass => "pass",
            }),
        }
    }
}

/// A line of ours that asks something of the client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Asks<'a> {
    Send {
        account: &'a str,
        to: &'a str,
        #[serde(flatten)]
        payload: Payload,
        delivery: Id,
    },
    Show {
        account: &'a str,
        peer: &'a str,
        line: &'a str,
    },
}

impl<'a> Asks<'a> {
    pub(super) fn send(
        account: &'a str,
        to: &'a str,
        payload: Vec<u8>,
        Delivery(id): Delivery,
    ) -> Self {
        Self::Send {
            account,
            to,
            payload: Payload::of(payload),
            delivery: Id(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::InvitationId;

    #[test]
    fn payloads_are_written_as_text_where_they_are() {
        for bytes in [b"\xc3\xa9\r\n\0".to_vec(), vec![0xff, 0]] {
            assert_eq!(Payload::of(bytes.clone()).bytes(), Ok(bytes));
        }
        assert!(Payload::Base64("?".into()).bytes().is_err());
        let asks = Asks::send(
            "a@b",
            "c@d",
            b"x\r\n".to_vec(),
            Delivery(InvitationId((1 << 32) + 2)),
        );
        assert_eq!(
            serde_json::to_string(&asks).unwrap(),
            r#"{"send":{"account":"a@b","to":"c@d","payload":"x\r\n","delivery":"1.2"}}"#
        );
    }
}
