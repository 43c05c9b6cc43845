//! Chat messages: what a payload is, and the line that we show (PROTOCOL.md 1.2, 12.5).

use crate::invitation;

/// Whether a payload, or its beginning, may be an invitation or a chat command.
#[must_use]
pub fn may_be_ours(payload: &[u8]) -> bool {
    invitation::is_invitation(payload) || body(payload).is_some_and(|body| body.starts_with(b"/"))
}

/// The body of a `text/plain` payload.
#[must_use]
pub fn body(payload: &[u8]) -> Option<&[u8]> {
    let end = memchr::memmem::find(payload, b"\r\n\r\n")?;
    let header = payload.get(..end)?;
    let plain = header.split(|byte| *byte == b'\n').any(|line| {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().unwrap_or_default().trim_ascii();
        let kind = value
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        name.eq_ignore_ascii_case(b"Content-Type") && kind.eq_ignore_ascii_case(b"text/plain")
    });
    if plain { payload.get(end + 4..) } else { None }
}

/// A line of ours as the client shows it: `MSG peer nick length` and a payload, in italics and
/// grey, so that it does not look like the contact's.
#[must_use]
pub fn line_for_window(peer: &str, nick: &str, text: &str) -> Vec<u8> {
    let payload = format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         X-MMS-IM-Format: FN=Arial; EF=I; CO=808080; CS=0; PF=22\r\n\r\n{text}"
    );
    let nick = if nick.is_empty() { peer } else { nick };
    let mut command = format!("MSG {peer} {nick} {}\r\n", payload.len()).into_bytes();
    command.extend_from_slice(payload.as_bytes());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_plain_text_is_found_whatever_the_header_looks_like() {
        for (payload, expected) in [
            (
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n/accept",
                Some("/accept"),
            ),
            ("content-type:TEXT/PLAIN\r\n\r\nhi", Some("hi")),
            (
                "Content-Type: text/plain\r\nX-MMS-IM-Format: FN=Arial\r\n\r\n",
                Some(""),
            ),
            (
                "Content-Type: text/x-msmsgscontrol\r\nTypingUser: a@b\r\n\r\n\r\n",
                None,
            ),
            ("Content-Type: text/plain\r\n", None),
            ("", None),
        ] {
            assert_eq!(
                body(payload.as_bytes()),
                expected.map(str::as_bytes),
                "{payload}"
            );
        }
    }

    #[test]
    fn the_length_counts_bytes() {
        let command = line_for_window("bob@example.com", "Bob", "grüße");
        let text = String::from_utf8(command).unwrap();
        let (line, payload) = text.split_once("\r\n").unwrap();
        assert_eq!(line, format!("MSG bob@example.com Bob {}", payload.len()));
        assert!(payload.ends_with("grüße"));
    }
}
