//! What a client says happened, and how chat is written and read.

use crate::dispatcher::Delivery;

/// What happens to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// Somebody is online, or changed the status (`NLN`, `BSY` ...).
    Online {
        /// Who.
        handle: String,
        /// Status as the protocol spells it.
        status: String,
    },
    /// Somebody went offline.
    Offline {
        /// Who.
        handle: String,
    },
    /// Somebody is in a conversation with us.
    Joined {
        /// Number of the conversation within this client.
        board: u64,
        /// Who.
        handle: String,
    },
    /// Somebody left a conversation.
    Left {
        /// Number of the conversation.
        board: u64,
        /// Who.
        handle: String,
    },
    /// A message came.
    Message {
        /// Number of the conversation.
        board: u64,
        /// Who wrote it.
        from: String,
        /// Display name, as on the wire.
        nick: String,
        /// MIME header and body.
        payload: Vec<u8>,
    },
    /// A message given to [`Carrier::send`](crate::dispatcher::Carrier::send) did not arrive.
    Undelivered {
        /// Whom it was for.
        peer: String,
        /// Which message.
        delivery: Delivery,
    },
    /// The last conversation with exactly this person has ended.
    CarrierLost {
        /// Who.
        peer: String,
    },
    /// A line given to [`Carrier::show`](crate::dispatcher::Carrier::show).
    Shown {
        /// In whose window.
        peer: String,
        /// The line.
        line: String,
    },
    /// The connection to the server has ended; nothing follows.
    SignedOut,
}

impl ClientEvent {
    /// The text of a `text/plain` message.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let Self::Message { payload, .. } = self else {
            return None;
        };
        if media_type(payload)? != "text/plain" {
            return None;
        }
        let body = memchr::memmem::find(payload, b"\r\n\r\n")
            .and_then(|end| payload.get(end + 4..))
            .unwrap_or_default();
        Some(String::from_utf8_lossy(body).into_owned())
    }
}

/// The media type in a MIME header, in lower case.
fn media_type(payload: &[u8]) -> Option<String> {
    let header = memchr::memmem::find(payload, b"\r\n\r\n")
        .and_then(|end| payload.get(..end))
        .unwrap_or(payload);
    String::from_utf8_lossy(header).lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-type")
            .then(|| value.split(';').next().unwrap_or_default().trim())
            .map(str::to_ascii_lowercase)
    })
}

/// The payload of a chat message.
#[must_use]
pub fn text_payload(text: &str) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         X-MMS-IM-Format: FN=Arial; EF=; CO=0; CS=0; PF=22\r\n\r\n{text}"
    )
    .into_bytes()
}
