//! Chat text: the payload of a line that we show, and what is in a payload the user sends
//! (PROTOCOL.md 1.1 and 1.2 for the frame around it); and the payload that is no text at all.

/// The payload of a chat line, in the font clients use by default.
#[must_use]
pub fn payload(text: &str) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         X-MMS-IM-Format: FN=MS%20Shell%20Dlg; EF=; CO=0; CS=0; PF=0\r\n\r\n{text}"
    )
    .into_bytes()
}

/// A payload that says nothing, as Kopete sends to keep a switchboard open (PROTOCOL.md 5.0).
pub const KEEP_ALIVE: &[u8] = b"MIME-Version: 1.0\r\nContent-Type: text/x-keepalive\r\n\r\n";

/// The media type of a payload without its parameters, as written; empty when it has none.
#[must_use]
pub fn content_type(payload: &[u8]) -> &str {
    let (header, _) = parts(payload);
    header
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at(colon);
            if !name.trim_ascii().eq_ignore_ascii_case(b"content-type") {
                return None;
            }
            let value = value.get(1..)?.split(|byte| *byte == b';').next()?;
            std::str::from_utf8(value.trim_ascii()).ok()
        })
        .unwrap_or("")
}

/// What the user wrote, if the payload is chat.
#[must_use]
pub fn chat(payload: &[u8]) -> Option<&str> {
    if !content_type(payload).eq_ignore_ascii_case("text/plain") {
        return None;
    }
    std::str::from_utf8(parts(payload).1).ok()
}

/// MIME header and body. Without an empty line all is header.
fn parts(payload: &[u8]) -> (&[u8], &[u8]) {
    memchr::memmem::find(payload, b"\r\n\r\n")
        .and_then(|end| Some((payload.get(..end)?, payload.get(end + 4..)?)))
        .unwrap_or((payload, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let written = payload("Gr\u{fc}\u{df}e\r\n\r\n/ok");
        assert_eq!(chat(&written), Some("Gr\u{fc}\u{df}e\r\n\r\n/ok"));
    }

    #[test]
    fn only_chat_is_chat() {
        let rows: &[(&[u8], &str, Option<&str>)] = &[
            (b"content-type:TEXT/plain\r\n\r\nhi", "TEXT/plain", Some("hi")),
            (
                b"MIME-Version: 1.0\r\nContent-Type: text/x-msmsgscontrol\r\nTypingUser: a\r\n\r\n\r\n",
                "text/x-msmsgscontrol",
                None,
            ),
            (b"Content-Type: text/plain\r\n\r\n\xff", "text/plain", None),
            (b"Content-Type: text/plain", "text/plain", Some("")),
            (b"Content-Type", "", None),
            (b"\r\n\r\nContent-Type: text/plain", "", None),
            (b"", "", None),
        ];
        for (payload, media, text) in rows {
            assert_eq!(content_type(payload), *media);
            assert_eq!(chat(payload), *text);
        }
    }
}
