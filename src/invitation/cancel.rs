//! Why a negotiation was cancelled (PROTOCOL.md 2.5).

use core::fmt;

/// The value of `Cancel-Code`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CancelCode {
    /// `REJECT`: the recipient declined.
    Reject,
    /// `REJECT_NOT_INSTALLED`: the application is not supported or not installed.
    RejectNotInstalled,
    /// `TIMEOUT`: the inviter stopped waiting, or a person cancelled.
    Timeout,
    /// `OUTBANDCANCEL`: the chat window is being closed.
    OutbandCancel,
    /// `FAIL`: none of the session protocols is known, or something failed.
    Fail,
    /// `FTTIMEOUT`: the file transfer's connection failed.
    FtTimeout,
    /// `USER_CANCEL`, of aMSN.
    UserCancel,
    /// `USER_CANCELED`, of aMSN.
    UserCanceled,
    /// Anything else; to be treated as "cancelled". The text is the peer's, at most 64 characters.
    Other(String),
}

/// The longest unknown code that is kept, in characters.
const MAX_OTHER: usize = 64;

impl CancelCode {
    /// Reads a value; letter case and blanks around it do not matter. Allocates only for an
    /// unknown code.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        for code in [
            Self::Reject,
            Self::RejectNotInstalled,
            Self::Timeout,
            Self::OutbandCancel,
            Self::Fail,
            Self::FtTimeout,
            Self::UserCancel,
            Self::UserCanceled,
        ] {
            if value.eq_ignore_ascii_case(code.as_str().as_bytes()) {
                return code;
            }
        }
        let kept = value.get(..4 * MAX_OTHER).unwrap_or(value);
        Self::Other(
            String::from_utf8_lossy(kept)
                .chars()
                .take(MAX_OTHER)
                .collect(),
        )
    }

    /// The code as it stands in a message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Reject => "REJECT",
            Self::RejectNotInstalled => "REJECT_NOT_INSTALLED",
            Self::Timeout => "TIMEOUT",
            Self::OutbandCancel => "OUTBANDCANCEL",
            Self::Fail => "FAIL",
            Self::FtTimeout => "FTTIMEOUT",
            Self::UserCancel => "USER_CANCEL",
            Self::UserCanceled => "USER_CANCELED",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for CancelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_is_read_back_in_any_case() {
        for text in [
            "REJECT",
            "REJECT_NOT_INSTALLED",
            "TIMEOUT",
            "OUTBANDCANCEL",
            "FAIL",
            "FTTIMEOUT",
            "USER_CANCEL",
            "USER_CANCELED",
        ] {
            let code = CancelCode::read(text.as_bytes());
            assert!(!matches!(code, CancelCode::Other(_)), "{text}");
            assert_eq!(code.as_str(), text);
            assert_eq!(CancelCode::read(text.to_lowercase().as_bytes()), code);
        }
    }

    #[test]
    fn an_unknown_code_is_kept_but_never_whole_when_it_is_long() {
        assert_eq!(
            CancelCode::read(b" BUSY "),
            CancelCode::Other("BUSY".into())
        );
        let CancelCode::Other(text) = CancelCode::read(&[0xff; 5000]) else {
            panic!("not a known code");
        };
        assert_eq!(text.chars().count(), 64);
    }
}
