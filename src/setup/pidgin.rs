//! `~/.purple/accounts.xml`. Of an account's `settings` the ones without `ui` are the protocol's.

use std::net::SocketAddr;

use roxmltree::Node;

use super::{
    Change, Edited, Unusable,
    xml::{self, Edits, children, text_in},
};

/// msn-pecan, as it is called elsewhere, and libpurple's own: the keys are the same.
const PROTOCOLS: [&str; 3] = ["prpl-msn-pecan", "prpl-msn_pecan", "prpl-msn"];

pub(super) fn edit(text: &str, to: SocketAddr) -> Result<Edited, Unusable> {
    let document = xml::read(text)?;
    let root = document.root_element();
    if !root.has_tag_name("account") {
        let name = root.tag_name().name();
        return Err(Unusable::Malformed(format!(
            "<{name}> is no list of accounts"
        )));
    }
    let wanted = [
        ("server", "string", to.ip().to_string()),
        ("port", "int", to.port().to_string()),
        ("http_method", "bool", "0".to_owned()),
    ];
    let mut edits = Edits::default();
    let mut changes = Vec::new();
    let mut found = 0;
    for account in children(root, "account") {
        if !text_in(account, "protocol").is_some_and(|it| PROTOCOLS.contains(&it)) {
            continue;
        }
        found += 1;
        let of = text_in(account, "name").unwrap_or("").trim_end_matches('/');
        let own: Vec<Node<'_, '_>> = children(account, "settings")
            .filter(|settings| settings.attribute("ui").is_none())
            .collect();
        let mut missing = Vec::new();
        for (key, kind, new) in &wanted {
            let element = format!("<setting name='{key}' type='{kind}'>{new}</setting>");
            let mut known = own
                .iter()
                .flat_map(|settings| children(*settings, "setting"))
                .filter(|setting| setting.attribute("name") == Some(key));
            // libpurple reads them all, and the last one holds.
            let setting = known.next_back();
            let old = setting.map(|setting| setting.text().unwrap_or("").to_owned());
            // No HTTP method is what holds where nothing is said.
            let default = *key == "http_method" && old.is_none();
            if default || old.as_ref() == Some(new) {
                continue;
            }
            match setting {
                Some(setting) => edits.replace(setting, element),
                None => missing.push(element),
            }
            changes.push(Change {
                of: of.to_owned(),
                key,
                old,
                new: new.clone(),
            });
        }
        match own.last() {
            Some(settings) => edits.append(text, *settings, &missing),
            None if missing.is_empty() => {}
            None => {
                let all = format!("<settings>{}</settings>", missing.concat());
                edits.append(text, account, &[all]);
            }
        }
    }
    Ok(Edited {
        text: edits.apply(text)?,
        changes,
        found,
    })
}
