//! XML that is changed in some places and is byte for byte the same in all others.

use std::ops::Range;

use roxmltree::{Document, Node};

use super::Unusable;

/// Reads it.
pub(super) fn read(text: &str) -> Result<Document<'_>, Unusable> {
    Document::parse(text).map_err(|error| Unusable::Malformed(error.to_string()))
}

/// The children of that name.
pub(super) fn children<'a, 'text>(
    of: Node<'a, 'text>,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = Node<'a, 'text>> {
    of.children().filter(move |node| node.has_tag_name(name))
}

/// The text in the child of that name.
pub(super) fn text_in<'a>(of: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    children(of, name)
        .next()
        .map(|node| node.text().unwrap_or(""))
}

/// Places and what belongs there.
#[derive(Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts that in the place of the element.
    pub(super) fn replace(&mut self, node: Node<'_, '_>, with: String) {
        self.0.push((node.range(), with));
    }

    /// Puts elements behind the last one in it, each on a line of its own as that one.
    pub(super) fn append(&mut self, text: &str, to: Node<'_, '_>, elements: &[String]) {
        if elements.is_empty() {
            return;
        }
        match to.last_element_child() {
            Some(last) => {
                let before = text.get(..last.range().start).unwrap_or("");
                let indent = before.rsplit('\n').next().unwrap_or("");
                let indent = if indent.trim().is_empty() { indent } else { "" };
                let lines = elements
                    .iter()
                    .map(|element| format!("\n{indent}{element}"));
                let end = last.range().end;
                self.0.push((end..end, lines.collect()));
            }
            // `<settings/>`, or with nothing but blanks in it.
            None => {
                let name = to.tag_name().name();
                let inner = elements.concat();
                self.replace(to, format!("<{name}>{inner}</{name}>"));
            }
        }
    }

    /// The text with all of that.
    pub(super) fn apply(mut self, text: &str) -> Result<String, Unusable> {
        self.0.sort_by_key(|(place, _)| place.start);
        let mut done = String::with_capacity(text.len());
        let mut at = 0;
        let lost = || Unusable::Malformed("its elements overlap".to_owned());
        for (place, with) in self.0 {
            done.push_str(text.get(at..place.start).ok_or_else(lost)?);
            done.push_str(&with);
            at = place.end;
        }
        done.push_str(text.get(at..).ok_or_else(lost)?);
        // It is what the client reads next: better no change than a file it cannot read.
        read(&done)?;
        Ok(done)
    }
}
