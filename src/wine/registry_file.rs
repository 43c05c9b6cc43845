//! Reads `system.reg`, the text in which Wine keeps its registry (APPLICATIONS.md 5.3): the games
//! that registered themselves with DirectPlay. Pure: text in, games out.
//!
//! ```text
//! WINE REGISTRY Version 2
//! [Software\\Wow6432Node\\Microsoft\\DirectPlay\\Applications\\Baldur's Gate2] 1700000000
//! "File"="BGMain.exe"
//! "Guid"="{8DAE4336-2B71-11D4-9A6C-006067325E47}"
//! ```

use crate::invitation::Guid;

/// The first line.
const HEADER: &str = "WINE REGISTRY Version 2";
/// Where games register: 64-bit prefixes keep what 32-bit programs see in a view of its own.
const FOLDERS: &[&str] = &[
    "Software\\Microsoft\\DirectPlay\\Applications\\",
    "Software\\Wow6432Node\\Microsoft\\DirectPlay\\Applications\\",
];
/// Most games that are read.
const MAX_GAMES: usize = 256;

/// A game that registered itself with DirectPlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The name of its key.
    pub name: String,
    /// What it is known by.
    pub guid: Guid,
    /// The program, without folder.
    pub file: String,
    /// The folder of the program, as Windows writes it.
    pub path: String,
    /// The folder to start it in, as Windows writes it.
    pub directory: Option<String>,
}

/// The text is no registry of Wine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not begin with {HEADER:?}")]
pub struct NoRegistry;

/// The games of a registry, without those that lack a GUID, a program or its folder.
///
/// # Errors
/// When it is no registry.
pub fn games(text: &str) -> Result<Vec<Registered>, NoRegistry> {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(HEADER) {
        return Err(NoRegistry);
    }
    let mut games = Vec::new();
    let mut open: Option<Open> = None;
    for line in lines {
        if line.starts_with('[') {
            games.extend(open.take().and_then(Open::close));
            if games.len() == MAX_GAMES {
                break;
            }
            open = key(line).and_then(|key| Open::new(&key));
        } else if let Some(open) = &mut open
            && let Some((name, value)) = string_value(line)
        {
            open.set(&name, value);
        }
    }
    games.extend(open.and_then(Open::close));
    Ok(games)
}

/// A game whose values are being read.
#[derive(Default)]
struct Open {
    name: String,
    guid: Option<Guid>,
    file: Option<String>,
    path: Option<String>,
    directory: Option<String>,
}

impl Open {
    fn new(key: &str) -> Option<Self> {
        let name = FOLDERS.iter().find_map(|folder| {
            let (start, name) = key.split_at_checked(folder.len())?;
            start.eq_ignore_ascii_case(folder).then_some(name)
        })?;
        let is_game = !name.is_empty() && !name.contains('\\');
        is_game.then(|| Self {
            name: name.to_owned(),
            ..Self::default()
        })
    }

    fn set(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("Guid") {
            self.guid = Guid::read(value.as_bytes()).ok();
        } else if name.eq_ignore_ascii_case("File") {
            self.file = Some(value);
        } else if name.eq_ignore_ascii_case("Path") {
            self.path = Some(value);
        } else if name.eq_ignore_ascii_case("CurrentDirectory") {
            self.directory = Some(value);
        }
    }

    fn close(self) -> Option<Registered> {
        Some(Registered {
            name: self.name,
            guid: self.guid?,
            file: self.file.filter(|file| !file.is_empty())?,
            path: self.path.filter(|path| !path.is_empty())?,
            directory: self.directory.filter(|directory| !directory.is_empty()),
        })
    }
}

/// `[Software\\Name] 1700000000`.
fn key(line: &str) -> Option<String> {
    let (key, _) = quoted(line.strip_prefix('[')?, ']')?;
    Some(key)
}

/// `"Name"="text"` or `"Name"=str(2):"text"`; values of other kinds are none of ours.
fn string_value(line: &str) -> Option<(String, String)> {
    let (name, rest) = quoted(line.strip_prefix('"')?, '"')?;
    let rest = rest.strip_prefix('=')?;
    let rest = rest.strip_prefix("str(2):").unwrap_or(rest);
    let (value, _) = quoted(rest.strip_prefix('"')?, '"')?;
    Some((name, value))
}

/// The text up to `end` with its escapes undone, and what follows. A backslash stands before
/// itself, before `end` and before `[`; `\n`, `\t`, `\e` and their like are as in C; `\x` has one
/// to four digits and means a unit of UTF-16, so two of them may be one character.
fn quoted(text: &str, end: char) -> Option<(String, &str)> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.char_indices().peekable();
    let mut buffer = [0; 2];
    while let Some((at, c)) = chars.next() {
        if c == end {
            let rest = text.get(at + c.len_utf8()..)?;
            return Some((String::from_utf16_lossy(&units), rest));
        }
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        let (_, escaped) = chars.next()?;
        let digits = |radix, max, first: u16, chars: &mut std::iter::Peekable<_>| {
            let mut unit = first;
            for _ in 0..max {
                let next = chars
                    .peek()
                    .and_then(|(_, c): &(usize, char)| c.to_digit(radix));
                let Some(digit) = next else { break };
                let _ = chars.next();
                unit = unit
                    .wrapping_mul(u16::try_from(radix).unwrap_or(16))
                    .wrapping_add(u16::try_from(digit).unwrap_or(0));
            }
            unit
        };
        match escaped {
            'n' => units.push(0x0a),
            'r' => units.push(0x0d),
            't' => units.push(0x09),
            'a' => units.push(0x07),
            'b' => units.push(0x08),
            'e' => units.push(0x1b),
            'f' => units.push(0x0c),
            'v' => units.push(0x0b),
            'x' => units.push(digits(16, 4, 0, &mut chars)),
            '0'..='7' => {
                let first = u16::try_from(escaped.to_digit(8)?).ok()?;
                units.push(digits(8, 2, first, &mut chars));
            }
            other => units.extend_from_slice(other.encode_utf16(&mut buffer)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines that Wine 8.0 wrote after `wine reg add` (less keys that do not matter).
    const WRITTEN_BY_WINE: &str = r#"WINE REGISTRY Version 2
;; All keys relative to REGISTRY\\Machine

#arch=win64

[Software\\Microsoft\\DirectPlay\\Applications\\MechWarrior \[4\] "Mercs" \xe9\x65e5\x672c] 1795409598
#time=1dd7b068ee56fde
@="default"
"File"="mw4.exe"
"Flags"=dword:00000003
"Guid"="{041fd0fa-2942-4dc4-b4c5-73d2c55f4c94}"
"Path"=str(2):"%ProgramFiles%\\MW \x00e91\\\"x\""

[Software\\Microsoft\\DirectPlay\\Service Providers\\Internet TCP/IP Connection For DirectPlay] 1795409598
#time=1dd7b068e7ec90a
"DescriptionA"="Internet TCP/IP Connection For DirectPlay"

[Software\\Wow6432Node\\Microsoft\\DirectPlay\\Applications\\Baldur's Gate2] 1795409598
#time=1dd7b068ec7f06c
"CurrentDirectory"="C:\\Program Files (x86)\\Black Isle\\BGII - SoA"
"File"="BGMain.exe"
"Guid"="{8DAE4336-2B71-11D4-9A6C-006067325E47}"
"Path"="C:\\Program Files (x86)\\Black Isle\\BGII - SoA"
"Data"=hex:00,01,02,\
  03,04

[Software\\Wow6432Node\\Microsoft\\Driver Signing] 1795409595
#time=1dd7b068cf944b6
#link
"#;

    #[test]
    fn games_of_both_views_are_read_as_wine_writes_them() {
        let games = games(WRITTEN_BY_WINE).unwrap();
        let [mech, baldur] = games.as_slice() else {
            panic!("{games:?}")
        };
        assert_eq!(mech.name, "MechWarrior [4] \"Mercs\" é日本");
        assert_eq!(mech.path, "%ProgramFiles%\\MW é1\\\"x\"");
        assert_eq!(mech.directory, None);
        assert!(mech.guid.is("{41FD0FA-2942-4DC4-B4C5-73D2C55F4C94}"));
        let folder = "C:\\Program Files (x86)\\Black Isle\\BGII - SoA";
        assert_eq!(
            *baldur,
            Registered {
                name: "Baldur's Gate2".into(),
                guid: "{8dae4336-2b71-11d4-9a6c-006067325e47}".parse().unwrap(),
                file: "BGMain.exe".into(),
                path: folder.into(),
                directory: Some(folder.into()),
            }
        );
    }

    #[test]
    fn letter_case_of_keys_and_values_does_not_matter() {
        let text = format!(
            "{HEADER}\n[SOFTWARE\\\\microsoft\\\\DIRECTPLAY\\\\Applications\\\\X] 1\n\
             \"guid\"=\"{{8DAE4336-2B71-11D4-9A6C-006067325E47}}\"\n\"FILE\"=\"a\"\n\"path\"=\"b\"\n"
        );
        assert_eq!(games(&text).unwrap()[0].name, "X");
    }

    #[test]
    fn escapes_are_undone() {
        for (text, read) in [
            (r"a\\b", "a\\b"),
            (r#"\"q\""#, "\"q\""),
            (r"\n\t\e\0", "\n\t\u{1b}\0"),
            (r"\x41\x042", "AB"),
            (r"\xd83d\xde00", "\u{1f600}"),
            (r"\xd83d", "\u{fffd}"),
            (r"\101\0011", "A\u{1}1"),
            ("é", "é"),
        ] {
            let line = format!("{text}\"rest");
            assert_eq!(
                quoted(&line, '"'),
                Some((read.to_owned(), "rest")),
                "{text}"
            );
        }
        for text in ["", "a", "a\\", "\\\""] {
            assert_eq!(quoted(text, '"'), None, "{text}");
        }
    }

    #[test]
    fn another_text_is_no_registry() {
        for text in ["", "REGEDIT4\n", "WINE REGISTRY Version 1\n"] {
            assert_eq!(games(text), Err(NoRegistry), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read(text in r#"([\[\]"=\\x0-9a-f\n]|Software|Guid|.){0,200}"#) {
            let key = "[Software\\\\Microsoft\\\\DirectPlay\\\\Applications\\\\X] 1";
            let _ = games(&format!("{HEADER}\n{key}\n{text}"));
            let _ = games(&format!("{HEADER}\n{text}"));
        }
    }
}
