//! `user.reg` of a Wine prefix, where the official client keeps the server it was last sent to. Which
//! of the two keys depends on its version; one that is not there belongs to a version that is not
//! installed. Later than 6.2 the name is in the program: a patch or /etc/hosts leads it elsewhere.

use std::net::SocketAddr;

use super::{Change, Edited, Unusable};

/// Under `HKEY_CURRENT_USER`: 1.0 to 4.7.
const OLD: &str = "[Software\\\\Microsoft\\\\MessengerService]";
/// 5.0 to 6.2.
const NEW: &str = "[Software\\\\Microsoft\\\\MSNMessenger]";
const HEAD: &str = "WINE REGISTRY Version 2";
const VALUE: &str = "\"Server\"=";

/// One server, with its port where it is not the usual one.
pub(super) fn old_value(to: SocketAddr) -> String {
    match to.port() {
        1863 => to.ip().to_string(),
        _ => to.to_string(),
    }
}

/// The server it was sent to, and the one to begin with.
pub(super) fn value(to: SocketAddr) -> String {
    format!("{};{to}", to.ip())
}

pub(super) fn edit(text: &str, to: SocketAddr) -> Result<Edited, Unusable> {
    if !text.starts_with(HEAD) {
        return Err(Unusable::Malformed(
            "this is no registry of Wine".to_owned(),
        ));
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edited = Edited {
        text: String::with_capacity(text.len()),
        changes: Vec::new(),
        found: 0,
    };
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        edited.text.push_str(line);
        let Some((of, new)) = key(line, to) else {
            continue;
        };
        edited.found += 1;
        // The key's own lines, up to the next key.
        let mut before = String::new();
        let mut rest = String::new();
        let mut old = None;
        while let Some(line) = lines.next_if(|line| !line.starts_with('[')) {
            let is_it = line
                .get(..VALUE.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(VALUE));
            if is_it && old.is_none() {
                let mut told = line.get(VALUE.len()..).unwrap_or("").trim_end();
                old = Some(told.trim_matches('"').to_owned());
                // A value of another type may go on for lines.
                while told.ends_with('\\') {
                    told = lines.next().unwrap_or("").trim_end();
                }
            } else if line.starts_with('#') && old.is_none() && rest.is_empty() {
                before.push_str(line);
            } else {
                rest.push_str(line);
            }
        }
        if !edited.text.ends_with('\n') {
            edited.text.push_str(end);
        }
        let line = format!("{VALUE}\"{new}\"{end}");
        edited.text.extend([&*before, &line, &rest]);
        if old.as_ref() != Some(&new) {
            edited.changes.push(Change {
                of: of.to_owned(),
                key: "Server",
                old,
                new,
            });
        }
    }
    if edited.changes.is_empty() {
        text.clone_into(&mut edited.text);
    }
    Ok(edited)
}

/// Whether this line begins one of the two keys, and what its value should be.
fn key(line: &str, to: SocketAddr) -> Option<(&'static str, String)> {
    let begins = |key: &str| {
        line.get(..key.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(key))
    };
    if begins(OLD) {
        Some(("HKCU\\Software\\Microsoft\\MessengerService", old_value(to)))
    } else if begins(NEW) {
        Some(("HKCU\\Software\\Microsoft\\MSNMessenger", value(to)))
    } else {
        None
    }
}
