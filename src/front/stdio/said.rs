//! What a client that spawned us says, beside the verbs of the control protocol. `docs/STDIO.md` is for
//! its author. Pure.

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::told::Payload;
use crate::{
    control::protocol::{Id, Refusal},
    shown,
};

/// One line of the client's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Request {
    /// Comes back with the answer.
    #[serde(default)]
    pub(super) id: serde_json::Value,
    /// Which account it is about; not needed while only one is signed in.
    #[serde(default)]
    pub(super) account: Option<String>,
    #[serde(flatten)]
    pub(super) said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(super) enum Said {
    /// As [`Invitations::attach`](crate::dispatcher::Invitations::attach).
    SignedIn {
        /// The address of this machine on the client's connection to the server.
        #[serde(default)]
        address: Option<Ipv4Addr>,
    },
    /// As `detach`.
    SignedOut,
    /// As `received`.
    Message {
        from: String,
        #[serde(flatten)]
        payload: Payload,
    },
    /// As `typed`.
    Typed { to: String, text: String },
    /// As `carrier_lost`.
    Left { peer: String },
    /// As `undelivered`.
    Undelivered { delivery: Id },
}

/// The verbs of [`Said`]; every other is the control protocol's.
const OURS: [&str; 6] = [
    "signed-in",
    "signed-out",
    "message",
    "typed",
    "left",
    "undelivered",
];

/// Reads a line. `Ok(None)`: it is the control protocol's. Otherwise what is wrong, for whom.
pub(super) fn read(line: &str) -> Result<Option<Request>, (serde_json::Value, Refusal)> {
    #[derive(Deserialize)]
    struct Glance {
        #[serde(default)]
        id: serde_json::Value,
        verb: String,
    }
    let Ok(glance) = serde_json::from_str::<Glance>(line) else {
        return Ok(None);
    };
    if !OURS.contains(&glance.verb.as_str()) {
        return Ok(None);
    }
    serde_json::from_str(line).map(Some).map_err(|error| {
        let message = format!("no `{}`: {error}", glance.verb);
        (glance.id, unreadable(&message))
    })
}

pub(super) fn unreadable(message: &str) -> Refusal {
    Refusal {
        reason: "unreadable".to_owned(),
        message: shown::line(message, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::InvitationId;

    #[test]
    fn lines_are_read_as_documented() {
        let payload = Payload::Text("MIME-Version: 1.0\r\n".into());
        let from = || "ann@example.com".to_owned();
        for (line, said) in [
            (
                r#"{"verb":"signed-in","account":"a@b","later":1}"#,
                Said::SignedIn { address: None },
            ),
            (
                r#"{"verb":"signed-in","account":"a@b","address":"192.0.2.5"}"#,
                Said::SignedIn {
                    address: Some(Ipv4Addr::new(192, 0, 2, 5)),
                },
            ),
            (r#"{"verb":"signed-out","id":[1]}"#, Said::SignedOut),
            (
                r#"{"verb":"message","from":"ann@example.com","payload":"MIME-Version: 1.0\r\n"}"#,
                Said::Message {
                    from: from(),
                    payload,
                },
            ),
            (
                r#"{"verb":"message","from":"ann@example.com","base64":"/w=="}"#,
                Said::Message {
                    from: from(),
                    payload: Payload::of(vec![255]),
                },
            ),
            (
                r#"{"verb":"typed","to":"ann@example.com","text":"/accept"}"#,
                Said::Typed {
                    to: from(),
                    text: "/accept".into(),
                },
            ),
            (
                r#"{"verb":"left","peer":"ann@example.com"}"#,
                Said::Left { peer: from() },
            ),
            (
                r#"{"verb":"undelivered","delivery":"0.3"}"#,
                Said::Undelivered {
                    delivery: Id(InvitationId(3)),
                },
            ),
        ] {
            assert_eq!(read(line).unwrap().unwrap().said, said, "{line}");
        }
    }

    #[test]
    fn the_rest_is_the_control_protocols() {
        for line in ["", "[]", "{", r#"{"verb":"list"}"#, r#"{"verb":"dance"}"#] {
            assert_eq!(read(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_to_the_one_who_wrote_it() {
        for line in [
            r#"{"id":7,"verb":"message","from":"ann@example.com"}"#,
            r#"{"id":7,"verb":"message","payload":"x"}"#,
            r#"{"id":7,"verb":"typed","to":1,"text":"x"}"#,
            r#"{"id":7,"verb":"undelivered","delivery":3}"#,
            r#"{"id":7,"verb":"signed-in","account":"a@b","address":"::1"}"#,
        ] {
            let (id, refusal) = read(line).unwrap_err();
            assert_eq!(id, 7);
            assert_eq!(refusal.reason, "unreadable");
            assert!(refusal.message.starts_with("no `"), "{refusal:?}");
        }
    }
}
