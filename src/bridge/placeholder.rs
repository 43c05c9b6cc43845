//! Placeholders: `{peer.ip}` in an argument, a variable or a file that a program is given.
//!
//! A placeholder expands inside its own argument and can never make a second one. Values are
//! types, printed from a parsed value; text that a peer chose is admitted through an allow-list and
//! only where it is the whole argument (ANCHORS.md E.3 row 1).

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The placeholders that have one meaning everywhere. `{file.NAME}` and `{path.NAME}` come on top,
/// one for each entry of `files` and `paths`.
pub(super) const KNOWN: &[&str] = &[
    "agent.port",
    "agent.rtp",
    "dir",
    "game.dir",
    "game.exe",
    "game.guid",
    "game.mod",
    "own.ip",
    "own.port",
    "peer",
    "peer.ip",
    "peer.port",
    "runtime",
    "sdp",
    "session.guid",
    "ticket",
    "wine.prefix",
];

/// Those that are text of a peer's choosing.
const FOREIGN: &[&str] = &["game.mod", "peer"];

/// The longest text of a peer's choosing that is handed on, in bytes.
const MAX_WORD: usize = 128;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address.
    Ip(Ipv4Addr),
    /// A port.
    Port(u16),
    /// A path of our own making.
    Path(PathBuf),
    /// A GUID, as the bytes that Windows keeps.
    Guid([u8; 16]),
    /// Text from outside; made by [`Value::word`] and [`Value::plain_name`] only.
    Word(Word),
}

/// Text from outside that passed the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

/// The values of one hand-over, by placeholder.
#[derive(Debug, Clone, Default)]
pub struct Values {
    table: BTreeMap<String, Value>,
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Placeholder(String),
}

/// What is wrong with a template or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace has no partner.
    #[error("`{{` without `}}`; write `{{{{` for a brace itself")]
    Unclosed,
    /// A closing brace alone.
    #[error("`}}` without `{{`; write `}}}}` for a brace itself")]
    Unopened,
    /// Nobody knows the placeholder.
    #[error("there is no placeholder {{{name}}}; there are {known}")]
    Unknown {
        /// What stands there.
        name: String,
        /// What could.
        known: String,
    },
    /// Text of a peer's choosing inside a longer argument.
    #[error("{{{0}}} is text the other person chose, so it must be the whole argument")]
    NotAlone(String),
    /// The placeholder has no value in this hand-over.
    #[error("{{{0}}} has no value here")]
    NoValue(String),
    /// A value with a line break or another control character.
    #[error("the value of {{{0}}} holds a control character")]
    Control(String),
    /// Text from outside with characters that no program should get.
    #[error("the other person's {0} holds characters that are not handed to programs")]
    Unsafe(String),
}

impl Value {
    /// Text from outside: letters, digits and `._@+-`, not beginning with `-`, so that no program
    /// takes it for an option, a path or two arguments.
    ///
    /// # Errors
    /// [`TemplateError::Unsafe`], naming `what` it was.
    pub fn word(what: &str, text: &str) -> Result<Self, TemplateError> {
        let admitted = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        if text.is_empty()
            || text.len() > MAX_WORD
            || text.starts_with('-')
            || !text.chars().all(admitted)
        {
            return Err(TemplateError::Unsafe(what.to_owned()));
        }
        Ok(Self::Word(Word(text.to_owned())))
    }

    /// As [`Value::word`], for what will name a file or a folder: letters, digits, `_` and `-`.
    ///
    /// # Errors
    /// [`TemplateError::Unsafe`], naming `what` it was.
    pub fn plain_name(what: &str, text: &str) -> Result<Self, TemplateError> {
        if text.contains(['.', '@', '+']) {
            return Err(TemplateError::Unsafe(what.to_owned()));
        }
        Self::word(what, text)
    }

    fn print(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Port(port) => port.to_string(),
            Self::Path(path) => path.to_string_lossy().into_owned(),
            Self::Guid(bytes) => guid(*bytes),
            Self::Word(word) => word.0.clone(),
        }
    }
}

impl Values {
    /// Sets a value.
    pub fn set(&mut self, placeholder: &str, value: Value) {
        self.table.insert(placeholder.to_owned(), value);
    }

    /// The same, chained.
    #[must_use]
    pub fn with(mut self, placeholder: &str, value: Value) -> Self {
        self.set(placeholder, value);
        self
    }

    /// A value that is a path.
    #[must_use]
    pub fn path(&self, placeholder: &str) -> Option<&Path> {
        match self.get(placeholder) {
            Some(Value::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// A value.
    #[must_use]
    pub fn get(&self, placeholder: &str) -> Option<&Value> {
        self.table.get(placeholder)
    }
}

impl Template {
    /// Reads a template; `own` are the `file.` and `path.` names of its handoff.
    ///
    /// # Errors
    /// When a brace or a placeholder is wrong.
    pub fn read(text: &str, own: &[String]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(inside) = from.strip_prefix('{') {
                let (name, after) = inside.split_once('}').ok_or(TemplateError::Unclosed)?;
                if !KNOWN.contains(&name) && !own.iter().any(|own| own == name) {
                    return Err(unknown(name, own));
                }
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after;
            } else {
                return Err(TemplateError::Unopened);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let template = Self { pieces };
        template.check_alone()?;
        Ok(template)
    }

    /// Text of a peer's choosing stands alone.
    fn check_alone(&self) -> Result<(), TemplateError> {
        let foreign = |piece: &Piece| match piece {
            Piece::Placeholder(name) if FOREIGN.contains(&name.as_str()) => Some(name.clone()),
            _ => None,
        };
        match self.pieces.iter().find_map(foreign) {
            Some(name) if self.pieces.len() > 1 => Err(TemplateError::NotAlone(name)),
            _ => Ok(()),
        }
    }

    /// The text with every placeholder replaced.
    ///
    /// # Errors
    /// When a placeholder has no value, or one that would begin a new line in a file.
    pub fn expand(&self, values: &Values) -> Result<String, TemplateError> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Ok(text.clone()),
                Piece::Placeholder(name) => {
                    let value = values.get(name).map(Value::print);
                    let value = value.ok_or_else(|| TemplateError::NoValue(name.clone()))?;
                    if value.chars().any(char::is_control) {
                        return Err(TemplateError::Control(name.clone()));
                    }
                    Ok(value)
                }
            })
            .collect()
    }

    /// The placeholders in it.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Placeholder(name) => Some(name.as_str()),
        })
    }

    /// The whole text when it holds no placeholder.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl std::fmt::Display for Template {
    /// As it was written, less the doubling of braces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Placeholder(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// `{8DAE4336-2B71-11D4-9A6C-006067325E47}`
fn guid(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, i, j, rest @ ..] = bytes;
    let first = u32::from_le_bytes([a, b, c, d]);
    let second = u16::from_le_bytes([e, f]);
    let third = u16::from_le_bytes([g, h]);
    let rest: String = rest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{{{first:08X}-{second:04X}-{third:04X}-{i:02X}{j:02X}-{rest}}}")
}

fn unknown(name: &str, own: &[String]) -> TemplateError {
    let known: Vec<String> = KNOWN
        .iter()
        .map(ToString::to_string)
        .chain(own.iter().cloned())
        .map(|name| format!("{{{name}}}"))
        .collect();
    let name = name.chars().take(40).collect();
    TemplateError::Unknown {
        name,
        known: known.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(text: &str) -> Result<String, TemplateError> {
        let values = Values::default()
            .with("peer.ip", Value::Ip(Ipv4Addr::new(192, 0, 2, 10)))
            .with("peer.port", Value::Port(5060))
            .with("session.guid", Value::Guid(*b"0123456789abcdef"))
            .with("dir", Value::Path("/run/x y".into()))
            .with("file.rc", Value::Path("/run/rc".into()));
        Template::read(text, &["file.rc".into()])?.expand(&values)
    }

    #[test]
    fn placeholders_expand_where_they_stand() {
        for (text, expanded) in [
            ("", ""),
            ("plain", "plain"),
            ("{peer.ip}", "192.0.2.10"),
            (
                "sip:x@{peer.ip}:{peer.port};transport=tcp",
                "sip:x@192.0.2.10:5060;transport=tcp",
            ),
            ("{dir}/a", "/run/x y/a"),
            ("{session.guid}", "{33323130-3534-3736-3839-616263646566}"),
            ("{file.rc}", "/run/rc"),
            ("{{peer.ip}}", "{peer.ip}"),
            ("a}}b{{c", "a}b{c"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, message) in [
            ("{peer.ip", "`{` without `}`; write `{{` for a brace itself"),
            ("peer.ip}", "`}` without `{`; write `}}` for a brace itself"),
            ("{sdp}", "{sdp} has no value here"),
            (
                "x{peer}",
                "{peer} is text the other person chose, so it must be the whole argument",
            ),
        ] {
            assert_eq!(expand(text).unwrap_err().to_string(), message, "{text}");
        }
        let unknown = expand("{peer.name}").unwrap_err().to_string();
        assert!(
            unknown.starts_with("there is no placeholder {peer.name}; there are {agent.port} ")
        );
        assert!(unknown.ends_with(" {file.rc}"));
    }

    #[test]
    fn text_from_outside_passes_an_allow_list() {
        for text in ["alice@example.com", "a", "x_1+2.3-4"] {
            assert!(Value::word("handle", text).is_ok(), "{text}");
        }
        let long = "a".repeat(MAX_WORD + 1);
        for text in [
            "",
            "-o",
            "--",
            "a b",
            "a;b",
            "$(x)",
            "`x`",
            "a'b",
            "a\"b",
            "a\nb",
            "a\0b",
            "a/b",
            "../x",
            "a\u{202e}b",
            "é",
            "a=b",
            "a|b",
            "a&b",
            "<a>",
            "{peer}",
            &long,
        ] {
            assert!(Value::word("handle", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_from_outside_leads_nowhere_else() {
        assert!(Value::plain_name("mod", "japlus_2-x").is_ok());
        for text in ["", ".", "..", "a.b", "-x", "a/b", "a b", "+quit", "a@b"] {
            assert!(Value::plain_name("mod", text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_read_expands(text in ".{0,60}") {
            if let Ok(template) = Template::read(&text, &[]) {
                let _ = template.expand(&Values::default());
            }
        }

        #[test]
        fn what_a_word_expands_to_is_that_word(text in "[^-].{0,40}") {
            if let Ok(word) = Value::word("handle", &text) {
                let values = Values::default().with("peer", word);
                let expanded = Template::read("{peer}", &[]).unwrap().expand(&values).unwrap();
                prop_assert_eq!(expanded, text);
            }
        }
    }
}
