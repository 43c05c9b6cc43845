//! The words a SIP message is made of, each checked when it is made. The writer accepts nothing
//! else, so a CR, a LF or another control character cannot get into a message whatever a peer, a
//! bridge file or a softphone sent (ANCHORS.md C.2, last but four rows).

use core::{fmt, net::Ipv4Addr};

/// Longest header value kept, in bytes, after unfolding.
pub const MAX_VALUE: usize = 2048;
/// Longest token (method, tag, branch part) in bytes.
pub const MAX_TOKEN: usize = 128;

/// Why a word was refused. The word itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWord {
    /// Longer than this kind of word may be.
    #[error("too long")]
    TooLong,
    /// A character that may not stand here.
    #[error("a character that may not stand here")]
    Character,
    /// Nothing where something must be.
    #[error("empty")]
    Empty,
}

/// A header value: one line, no control character but TAB, at most [`MAX_VALUE`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(String);

impl Text {
    /// Checks `value`.
    ///
    /// # Errors
    /// A control character or too many bytes.
    pub fn new(value: impl Into<String>) -> Result<Self, BadWord> {
        let value = value.into();
        if value.len() > MAX_VALUE {
            return Err(BadWord::TooLong);
        }
        if value.chars().any(|c| c != '\t' && c.is_control()) {
            return Err(BadWord::Character);
        }
        Ok(Self(value))
    }

    /// The words of this module are lines already; what is printed from them is too. Control
    /// characters are dropped all the same, so this cannot make an invalid value.
    pub(super) fn printed(value: impl fmt::Display) -> Self {
        let mut text = value.to_string();
        text.retain(|c| c == '\t' || !c.is_control());
        Self(text)
    }

    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An RFC 3261 `token` (section 25.1): method names, tags, branches, header names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// Checks `value`.
    ///
    /// # Errors
    /// Empty, longer than [`MAX_TOKEN`], or a character outside `token`.
    pub fn new(value: impl Into<String>) -> Result<Self, BadWord> {
        let value = value.into();
        if value.is_empty() {
            return Err(BadWord::Empty);
        }
        if value.len() > MAX_TOKEN {
            return Err(BadWord::TooLong);
        }
        if !value.bytes().all(is_token) {
            return Err(BadWord::Character);
        }
        Ok(Self(value))
    }

    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `byte` belongs to RFC 3261 `token`.
#[must_use]
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// A host of a SIP address: an IPv4 literal, or a name that is never looked up here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// `192.0.2.7`
    V4(Ipv4Addr),
    /// A host name (letters, digits, `-`, `.`, `_`; no leading `-` or `.`).
    Name(String),
}

impl Host {
    /// Checks `host`.
    ///
    /// # Errors
    /// Anything that is neither a dotted quad nor a host name; IPv6 literals among them.
    pub fn new(host: &str) -> Result<Self, BadWord> {
        if host.is_empty() {
            return Err(BadWord::Empty);
        }
        if host.len() > 253 {
            return Err(BadWord::TooLong);
        }
        if let Ok(ip) = host.parse() {
            return Ok(Self::V4(ip));
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        // Digits and dots only, yet no dotted quad: an address in disguise (octal, short form).
        let disguised = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !host.bytes().all(good) || host.starts_with(['-', '.']) || disguised {
            return Err(BadWord::Character);
        }
        Ok(Self::Name(host.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A `sip:` or `sips:` address. The parameters are kept as they were written, because printing
/// them from a parsed form loses some (ANCHORS.md C.2); `?headers` are dropped on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    secure: bool,
    user: Option<String>,
    host: Host,
    port: Option<u16>,
    tail: String,
}

impl Uri {
    /// Makes `sip:user@host:port` from checked parts.
    ///
    /// # Errors
    /// A user outside RFC 3261 `user` characters, longer than [`MAX_TOKEN`] or starting with `-`;
    /// port 0.
    pub fn new(user: Option<&str>, host: Host, port: Option<u16>) -> Result<Self, BadWord> {
        Self::with_tail(false, user, host, port, "")
    }

    /// `sip:user@ip:port`, from parts that cannot be wrong.
    #[must_use]
    pub fn of(user: &Token, ip: Ipv4Addr, port: u16) -> Self {
        Self {
            secure: false,
            user: Some(user.to_string()),
            host: Host::V4(ip),
            port: Some(port),
            tail: String::new(),
        }
    }

    /// `sip:ip:port` without a user, as RTC itself writes it (APPLICATIONS.md 1.3).
    #[must_use]
    pub fn userless(ip: Ipv4Addr, port: u16) -> Self {
        Self {
            secure: false,
            user: None,
            host: Host::V4(ip),
            port: Some(port),
            tail: String::new(),
        }
    }

    /// All parts; `tail` is empty or `;param...`.
    pub(super) fn with_tail(
        secure: bool,
        user: Option<&str>,
        host: Host,
        port: Option<u16>,
        tail: &str,
    ) -> Result<Self, BadWord> {
        if let Some(user) = user {
            // A colon is the (deprecated) password; other agents print it, so it is let through.
            let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()%&=+$,;?/:".contains(&b);
            if user.is_empty() {
                return Err(BadWord::Empty);
            }
            if user.len() > MAX_TOKEN {
                return Err(BadWord::TooLong);
            }
            // `-oProxyCommand=x` is an option to whoever gets it on a command line.
            if user.starts_with('-') || !user.bytes().all(good) {
                return Err(BadWord::Character);
            }
        }
        if port == Some(0) {
            return Err(BadWord::Character);
        }
        if tail.len() > 512 {
            return Err(BadWord::TooLong);
        }
        let good = |b: u8| b.is_ascii_graphic() && !b"<>\",?@".contains(&b);
        if !tail.bytes().all(good) || !(tail.is_empty() || tail.starts_with(';')) {
            return Err(BadWord::Character);
        }
        Ok(Self {
            secure,
            user: user.map(str::to_owned),
            host,
            port,
            tail: tail.to_owned(),
        })
    }

    /// The user part.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, if written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the scheme is `sips`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_break_or_control_is_refused() {
        for bad in ["a\r\nVia: x", "a\nb", "a\rb", "\0", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(Text::new(bad), Err(BadWord::Character), "{bad:?}");
        }
        assert!(Text::new("tab\tis fine, so is é").is_ok());
        assert_eq!(Text::new("x".repeat(MAX_VALUE + 1)), Err(BadWord::TooLong));
    }

    #[test]
    fn hosts_that_rsip_accepts_but_nobody_should() {
        for bad in [
            "-evil",
            ".x",
            "a b",
            "a/b",
            "[::1]",
            "",
            "127.1",
            "010.0.0.1",
            "2130706433",
        ] {
            assert!(Host::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Host::new("10.0.0.1"),
            Ok(Host::V4(Ipv4Addr::new(10, 0, 0, 1)))
        );
        assert!(Host::new("Some-Host.example").is_ok());
    }

    #[test]
    fn users_that_would_be_options_or_break_the_line_are_refused() {
        let host = || Host::V4(Ipv4Addr::new(10, 0, 0, 1));
        for bad in ["-oProxyCommand=x", "a b", "a\r\nb", "", "a@b", "<a>"] {
            assert!(Uri::new(Some(bad), host(), Some(5060)).is_err(), "{bad:?}");
        }
        assert!(Uri::new(Some("bridge"), host(), Some(0)).is_err());
        assert_eq!(
            Uri::new(Some("bridge"), host(), Some(5062)).map(|u| u.to_string()),
            Ok("sip:bridge@10.0.0.1:5062".to_owned())
        );
    }
}
