//! Connection string 2: the ticket of Windows Vista and later (MS-RAI 2.2.2; APPLICATIONS.md 4.2).
//!
//! ```xml
//! <E><A KH="..." KH2="..." ID="..."/><C><T ID="1" SID="0"><L P="49230" N="192.0.2.10"/></T></C></E>
//! ```
//!
//! XML of a peer's choosing is read by roxmltree: no document type, so no entities of its own, and a
//! bounded number of nodes.

use roxmltree::{Document, Node, ParsingOptions};

use super::ticket::{Address, Fault, MAX_ADDRESSES, Reading, Ticket};

/// Most nodes of a document; a ticket has a few dozen.
const MAX_NODES: u32 = 1024;

/// A ticket of Windows Vista or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringTwo {
    /// Where the one who wants help listens, in the order to try.
    pub addresses: Vec<Address>,
    /// Id of the session: text of the peer's choosing, not empty.
    pub id: String,
    /// Hash of the key of the one who wants help (SHA-1): text of the peer's choosing, not empty.
    pub key_hash: String,
    /// The same with SHA-256, from Windows 8 on.
    pub key_hash_2: Option<String>,
}

impl StringTwo {
    /// What a text that begins as one is.
    pub(super) fn reading(text: &str) -> Reading {
        let Some((xml, _)) = up_to(text, "</E>") else {
            return if begins_as_element(text, "E") {
                Reading::Unfinished
            } else {
                Reading::Malformed(Fault::Xml)
            };
        };
        match Self::parse(xml) {
            Ok(two) => Reading::Ticket {
                ticket: Ticket::Two(two),
                whole: true,
            },
            Err(fault) => Reading::Malformed(fault),
        }
    }

    fn parse(xml: &str) -> Result<Self, Fault> {
        let document = document(xml)?;
        let root = document.root_element();
        if !root.has_tag_name("E") {
            return Err(Fault::Xml);
        }
        let a = child(root, "A").ok_or(Fault::Lacks("the element A"))?;
        let addresses: Vec<Address> = children(root, "C")
            .flat_map(|c| children(c, "T"))
            .flat_map(|t| children(t, "L"))
            .filter_map(|l| Address::read(l.attribute("N")?, l.attribute("P")?))
            .take(MAX_ADDRESSES)
            .collect();
        if addresses.is_empty() {
            return Err(Fault::NoAddress);
        }
        Ok(Self {
            addresses,
            id: attribute(a, "ID").ok_or(Fault::Lacks("the session id"))?,
            key_hash: attribute(a, "KH").ok_or(Fault::Lacks("the hash of the key"))?,
            key_hash_2: attribute(a, "KH2"),
        })
    }
}

/// The text up to and with the first of `mark`, and the rest.
pub(super) fn up_to<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    text.split_at_checked(text.find(mark)? + mark.len())
}

/// Whether an element of that name begins here, or may.
pub(super) fn begins_as_element(text: &str, name: &str) -> bool {
    let rest = text.strip_prefix('<').and_then(|it| it.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['>', ' ', '\t', '\r', '\n']))
}

pub(super) fn document(xml: &str) -> Result<Document<'_>, Fault> {
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    // What the parser says would repeat text of the peer's.
    Document::parse_with_options(xml, options).map_err(|_| Fault::Xml)
}

pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn children<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    node.children()
        .filter(move |child| child.has_tag_name(name))
}

/// An attribute that is there and not empty.
pub(super) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    let value = node.attribute(name).filter(|value| !value.is_empty())?;
    Some(value.to_owned())
}
