//! The text of one bridge: a file, and the files that amend it. Keeps apart which byte came from
//! where, so that a mistake in either is told at its own place. `config` reads its one file with it.
//!
//! Amending: tables merge key by key, a value replaces a value, an array replaces an array. Only
//! `[[handoff]]` is more: one with a known `name` amends that one, a new one goes before all others,
//! because who adds a program wants it used.

use std::{
    fmt::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::words::in_words;
use crate::shown;

/// The longest excerpt of a file in a message, in characters.
const EXCERPT: usize = 60;
/// The longest message, in characters: some list every key.
const LONGEST: usize = 4_000;

/// What is wrong with a bridge file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BridgeError {
    /// The file.
    pub file: PathBuf,
    /// The place in it. None when the file as a whole is at fault.
    pub place: Option<Place>,
    /// What is wrong there, and what would be right.
    pub message: String,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The key, such as `negotiation.port.fixed` or `handoff[1].run[0]`. Empty when the text is no
    /// TOML at all.
    pub key: String,
}

/// One clean line: the message may repeat what the file says, and the file may be a stranger's.
impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.file.display().to_string();
        if let Some(place) = &self.place {
            let _ = write!(text, ":{}:{}", place.line, place.column);
            if !place.key.is_empty() {
                let _ = write!(text, ": {}", place.key);
            }
        }
        let _ = write!(text, ": {}", self.message);
        f.write_str(&shown::line(&text, LONGEST))
    }
}

impl BridgeError {
    /// The file as a whole is at fault.
    pub(crate) fn whole(file: &Path, message: impl ToString) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            message: message.to_string(),
        }
    }
}

/// One file of a [`Source`].
#[derive(Debug, Clone)]
struct Part {
    file: PathBuf,
    /// The text behind as many spaces as all parts before it are long: so a byte offset is unique.
    padded: String,
    start: usize,
}

/// The text of one bridge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    parts: Vec<Part>,
}

/// What a [`Source`] says, and where it says it.
pub(crate) struct Read<'s, T> {
    pub(crate) value: T,
    table: Spanned<DeTable<'s>>,
    source: &'s Source,
}

impl Source {
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        let mut source = Self::default();
        source.amend(file, text);
        source
    }

    /// Adds a file that amends those before it.
    pub(crate) fn amend(&mut self, file: &Path, text: &str) {
        let start = self.parts.last().map_or(0, |part| part.padded.len());
        self.parts.push(Part {
            file: file.to_owned(),
            // The reader names no place for what is missing at the very end, so there is none.
            // Not by a width of `format!`, which may be 65535 at most and panics beyond.
            padded: [" ".repeat(start).as_str(), text, "\n"].concat(),
            start,
        });
    }

    /// The file that began it.
    pub(crate) fn file(&self) -> &Path {
        self.parts
            .first()
            .map_or(Path::new(""), |part| part.file.as_path())
    }

    /// Reads all files as one.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Read<'_, T>, BridgeError> {
        let mut whole: Option<Spanned<DeTable<'_>>> = None;
        for part in &self.parts {
            let table = DeTable::parse(&part.padded).map_err(|error| {
                let offset = error.span().map_or(part.start, |span| span.start);
                self.at(offset.max(part.start), String::new(), error.message())
            })?;
            match &mut whole {
                None => whole = Some(table),
                Some(whole) => amend_table(whole.get_mut(), table.into_inner()),
            }
        }
        let table = whole.unwrap_or_else(|| Spanned::new(0..0, DeTable::new()));
        match T::deserialize(toml::Deserializer::from(table.clone())) {
            Ok(value) => Ok(Read {
                value,
                table,
                source: self,
            }),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let key = key_at(table.get_ref(), &span);
                let words = in_words(error.message(), &key);
                Err(self.at(span.start, key, words))
            }
        }
    }

    fn at(&self, offset: usize, key: String, message: impl ToString) -> BridgeError {
        let part = self.parts.iter().rev().find(|part| part.start <= offset);
        let Some(part) = part else {
            return BridgeError::whole(self.file(), message);
        };
        let before = part.padded.get(part.start..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        BridgeError {
            file: part.file.clone(),
            place: Some(Place {
                line: 1 + before.matches('\n').count(),
                column: 1 + before
                    .get(line_start..)
                    .map_or(0, |text| text.chars().count()),
                key,
            }),
            message: message.to_string(),
        }
    }
}

impl<T> Read<'_, T> {
    /// A mistake at the value with this span.
    pub(crate) fn error(&self, span: Range<usize>, message: impl ToString) -> BridgeError {
        let key = key_at(self.table.get_ref(), &span);
        self.source.at(span.start, key, message)
    }
}

fn amend_table<'s>(base: &mut DeTable<'s>, change: DeTable<'s>) {
    for (key, new) in change {
        let is_handoff = key.get_ref() == "handoff";
        match (base.get_mut(key.get_ref().as_ref()), new) {
            (Some(old), new) => amend_value(old, new, is_handoff),
            (None, new) => {
                base.insert(key, new);
            }
        }
    }
}

fn amend_value<'s>(old: &mut Spanned<DeValue<'s>>, new: Spanned<DeValue<'s>>, is_handoff: bool) {
    let span = new.span();
    match (old.get_mut(), new.into_inner()) {
        (DeValue::Table(old), DeValue::Table(new)) => amend_table(old, new),
        (DeValue::Array(old), DeValue::Array(new)) if is_handoff => amend_handoffs(old, new),
        (_, new) => *old = Spanned::new(span, new),
    }
}

fn amend_handoffs<'s>(old: &mut DeArray<'s>, new: DeArray<'s>) {
    let name = |value: &Spanned<DeValue<'_>>| {
        let table = value.get_ref().as_table()?;
        Some(table.get("name")?.get_ref().as_str()?.to_owned())
    };
    let mut added = DeArray::new();
    for change in new {
        let known = old
            .iter_mut()
            .find(|known| name(known).is_some() && name(known) == name(&change));
        match known {
            Some(known) => amend_value(known, change, false),
            None => added.push(change),
        }
    }
    for known in std::mem::replace(old, DeArray::new()) {
        added.push(known);
    }
    *old = added;
}

/// The innermost key whose name or value holds this span. None for a span of the whole file: it is
/// what is told of a key that is missing.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> String {
    let mut found = String::new();
    if !span.is_empty() {
        walk_table(table, span, "", &mut found);
    }
    found
}

fn walk_table(table: &DeTable<'_>, span: &Range<usize>, prefix: &str, found: &mut String) {
    for (key, value) in table {
        let dot = if prefix.is_empty() { "" } else { "." };
        let path = format!("{prefix}{dot}{}", shown::line(key.get_ref(), EXCERPT));
        if holds(&key.span(), span) {
            found.clone_from(&path);
        }
        walk_value(value, span, &path, found);
    }
}

fn walk_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &str, found: &mut String) {
    if holds(&value.span(), span) {
        path.clone_into(found);
    }
    match value.get_ref() {
        DeValue::Table(table) => walk_table(table, span, path, found),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                walk_value(value, span, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.contains(&inner.start) && inner.end <= outer.end
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Anything = BTreeMap<String, toml::Value>;

    fn amended(base: &str, change: &str) -> Anything {
        let mut source = Source::new(Path::new("base.toml"), base);
        source.amend(Path::new("change.toml"), change);
        source.read::<Anything>().unwrap().value
    }

    #[test]
    fn tables_merge_and_values_and_arrays_replace() {
        for (base, change, merged) in [
            ("a = 1\nb = 2", "b = 3", "a = 1\nb = 3"),
            ("a = [1, 2]", "a = [3]", "a = [3]"),
            ("[t]\na = 1\nb = 2", "t.b = 3", "[t]\na = 1\nb = 3"),
            ("t = { a = 1 }", "[t]\nb = 2", "t = { a = 1, b = 2 }"),
            ("[t]\na = 1", "t = 5", "t = 5"),
        ] {
            let merged: Anything = toml::from_str(merged).unwrap();
            assert_eq!(amended(base, change), merged, "{base} + {change}");
        }
    }

    #[test]
    fn a_handoff_is_amended_by_its_name_and_a_new_one_goes_first() {
        let base = "[[handoff]]\nname = \"a\"\nx = 1\n[[handoff]]\nname = \"b\"\n";
        let change = "[[handoff]]\nname = \"c\"\n[[handoff]]\nname = \"a\"\ny = 2\n";
        let merged: Anything = toml::from_str(
            "[[handoff]]\nname = \"c\"\n[[handoff]]\nname = \"a\"\nx = 1\ny = 2\n[[handoff]]\nname = \"b\"\n",
        )
        .unwrap();
        assert_eq!(amended(base, change), merged);
    }

    /// As deep as the largest file allows: told, not a stack overflow.
    #[test]
    fn what_is_nested_too_deep_is_a_mistake() {
        let many = 60_000;
        for text in [
            format!("a = {}", "[".repeat(many)),
            format!("a = {}{}", "[".repeat(many), "]".repeat(many)),
            format!("a = {}", "{a=".repeat(many / 2)),
            format!("[{}a]", "a.".repeat(many)),
            format!("{}a = 1", "a.".repeat(many)),
            format!("a = {{ {}a = 1 }}", "a.".repeat(many)),
        ] {
            let source = Source::new(Path::new("deep.toml"), &text);
            let error = source.read::<Strict>().err().unwrap().to_string();
            assert!(error.starts_with("deep.toml"), "{error}");
        }
    }

    /// A width of `format!` beyond 65535 panics, and so did this.
    #[test]
    fn what_amends_a_file_of_more_than_64_kib_is_read_too() {
        let base = format!("a = 1\n#{}\n", "x".repeat(70_000));
        assert_eq!(amended(&base, "a = 2")["a"].as_integer(), Some(2));
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        a: Spanned<u16>,
        t: Option<BTreeMap<String, Vec<bool>>>,
    }

    #[test]
    fn a_mistake_is_told_at_its_own_file_line_column_and_key() {
        for (base, change, told) in [
            ("a = 1\nx = 2", "", "base.toml:2:1: x: there is no key `x`"),
            (
                "a = 1",
                "t = { \"é\" = [true], b = 3 }",
                "change.toml:1:25: t.b: this is the wrong kind of value",
            ),
            ("a = 1", "\n  z = 2", "change.toml:2:3: z: there is no key"),
            (
                "a = 1",
                "a = -1",
                "change.toml:1:5: a: this value cannot be: integer `-1`, expected a whole number from 0 to 65535",
            ),
            (
                "a = 1\n[t]\nu = [true, 3]",
                "a = 2",
                "base.toml:3:12: t.u[1]: this is the wrong kind of value",
            ),
            ("a = 1", "a = ", "change.toml:1:5: "),
            ("a = ", "a = 1", "base.toml:1:5: "),
        ] {
            let mut source = Source::new(Path::new("base.toml"), base);
            source.amend(Path::new("change.toml"), change);
            let error = source.read::<Strict>().err().unwrap().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
