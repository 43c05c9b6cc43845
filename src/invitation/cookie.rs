//! The invitation cookie: a number to compare, a text to echo (PROTOCOL.md section 3 rule 2).

use core::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::inline::InlineText;

/// The longest cookie text that is read, in bytes. The documented numbers need 11.
const MAX_TEXT: usize = 24;

/// An invitation cookie. Equal when the numbers are equal (`00012` is `12`); written as it was read.
#[derive(Clone, Copy)]
pub struct Cookie {
    text: InlineText<MAX_TEXT>,
    value: i64,
}

/// Why a text is not a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cookie is a decimal number from -2147483648 to 4294967295")]
pub struct CookieError;

impl Cookie {
    /// A cookie of ours. PROTOCOL.md 1.4 asks for 1 to 999999; the caller draws it.
    #[must_use]
    pub fn new(value: u32) -> Self {
        // Ten digits at most, so the fallback is never taken.
        Self::read(value.to_string().as_bytes()).unwrap_or(Self {
            text: InlineText::empty(),
            value: i64::from(value),
        })
    }

    /// Reads the value of `Invitation-Cookie`. Surrounding blanks are dropped, leading zeros kept.
    ///
    /// # Errors
    /// [`CookieError`] when it is not a decimal number, or one of more than 32 bits.
    pub fn read(text: &[u8]) -> Result<Self, CookieError> {
        let text = text.trim_ascii();
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.is_empty() {
            return Err(CookieError);
        }
        let mut value: i64 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(CookieError);
            }
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(i64::from(digit - b'0')))
                .ok_or(CookieError)?;
        }
        if negative {
            value = -value;
        }
        if !(i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value) {
            return Err(CookieError);
        }
        let text = InlineText::new(text).ok_or(CookieError)?;
        Ok(Self { text, value })
    }

    /// A stand-in for a message that has none ([`super::Message::inspect`]); its text is empty.
    pub(super) fn absent() -> Self {
        Self {
            text: InlineText::empty(),
            value: i64::MIN,
        }
    }

    /// The text as it was received; this is what is echoed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.value
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Cookie {}

impl PartialOrd for Cookie {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cookie {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl Hash for Cookie {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl FromStr for Cookie {
    type Err = CookieError;

    fn from_str(text: &str) -> Result<Self, CookieError> {
        Self::read(text.as_bytes())
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_and_the_number_is_compared() {
        for (text, value) in [
            ("25402056", 25_402_056),
            ("-123", -123),
            ("4294967295", 4_294_967_295),
            ("-2147483648", -2_147_483_648),
            ("00012", 12),
            ("0", 0),
        ] {
            let cookie: Cookie = text.parse().unwrap();
            assert_eq!(cookie.as_str(), text);
            assert_eq!(cookie.to_string(), text);
            assert_eq!(cookie.value(), value);
        }
        assert_eq!(
            "00012".parse::<Cookie>().unwrap(),
            "12".parse::<Cookie>().unwrap()
        );
        assert_ne!(
            "-1".parse::<Cookie>().unwrap(),
            "4294967295".parse::<Cookie>().unwrap()
        );
        assert_eq!(Cookie::new(u32::MAX).as_str(), "4294967295");
        assert_eq!(Cookie::read(b" 7 ").unwrap().as_str(), "7");
    }

    #[test]
    fn what_is_not_a_32_bit_number_is_refused() {
        for text in [
            "",
            "-",
            "+1",
            "1x",
            "1 2",
            "4294967296",
            "-2147483649",
            "99999999999999999999999999",
            "0000000000000000000000001",
        ] {
            assert_eq!(text.parse::<Cookie>(), Err(CookieError), "{text}");
        }
    }
}
