//! MSNP as far as a proxy needs it (PROTOCOL.md section 12): where a command ends, which of them
//! name an address, who is in a switchboard, and how a chat message is built. No I/O.

pub mod frame;
pub mod referral;
pub mod roster;
pub mod text;

/// The words of a command line.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
}

/// A word as text; the protocol's own words are ASCII, a peer's handle may hold anything.
#[must_use]
pub fn word(line: &[u8], index: usize) -> Option<&str> {
    words(line)
        .nth(index)
        .and_then(|word| std::str::from_utf8(word).ok())
}

/// A handle as it is compared: lower case, without the `;{machine-guid}` of MSNP16 and later.
#[must_use]
pub fn handle(text: &str) -> String {
    text.split(';')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}
