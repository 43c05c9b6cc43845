//! `~/.amsn/ACCOUNT/config.xml`: entries with an attribute and a value.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    Change, Edited, Unusable,
    xml::{self, Edits, children, text_in},
};

/// Each profile has a folder; the one above is for those who have no account yet.
pub(super) fn files(home: &Path) -> Vec<PathBuf> {
    let folder = home.join(".amsn");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("config.xml"))
        .collect();
    files.sort();
    files
}

pub(super) fn edit(text: &str, to: SocketAddr) -> Result<Edited, Unusable> {
    let document = xml::read(text)?;
    let root = document.root_element();
    if !root.has_tag_name("config") {
        let name = root.tag_name().name();
        return Err(Unusable::Malformed(format!("<{name}> is no configuration")));
    }
    let entry = |key: &str| {
        // aMSN reads them all, and the last one holds.
        let mut entries = children(root, "entry");
        entries.rfind(|entry| text_in(*entry, "attribute") == Some(key))
    };
    let of = entry("login").and_then(|entry| text_in(entry, "value"));
    let wanted = [
        ("start_ns_server", to.to_string()),
        ("default_ns_server", to.to_string()),
        ("connectiontype", "direct".to_owned()),
    ];
    let mut edits = Edits::default();
    let mut missing = Vec::new();
    let mut changes = Vec::new();
    for (key, new) in wanted {
        let entry = entry(key);
        let old = entry.and_then(|entry| text_in(entry, "value"));
        // Direct is what holds where nothing is said.
        if old == Some(&*new) || (key == "connectiontype" && entry.is_none()) {
            continue;
        }
        let element = format!(
            "<entry>\n      <attribute>{key}</attribute>\n      <value>{new}</value>\n   </entry>"
        );
        match entry {
            Some(entry) => edits.replace(entry, element),
            None => missing.push(element),
        }
        changes.push(Change {
            of: of.unwrap_or("").to_owned(),
            key,
            old: old.map(str::to_owned),
            new,
        });
    }
    edits.append(text, root, &missing);
    Ok(Edited {
        text: edits.apply(text)?,
        changes,
        found: 1,
    })
}
