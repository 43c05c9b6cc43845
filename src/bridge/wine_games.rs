//! Games that registered themselves with DirectPlay in a Wine prefix work without a bridge file:
//! one is made for each that no bridge names (APPLICATIONS.md 5.1).

use std::path::PathBuf;

use super::{
    BridgeError, Origin,
    manifest::{self, Reading},
    source::Source,
};
use crate::{
    shown,
    wine::{Prefix, registry_file::Registered},
};

const TEMPLATE: &str = include_str!("wine_game.toml");
/// The longest name that is kept, in characters.
const MAX_NAME: usize = 60;

/// The bridge of a registered game.
///
/// # Errors
/// When the registration makes no bridge: its GUID is none, its prefix has no printable name.
pub(super) fn bridge(prefix: &Prefix, game: &Registered) -> Result<Reading, BridgeError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let name = shown::line(&game.name, MAX_NAME);
    // One pass, so that a name cannot hold another placeholder.
    let text: String = TEMPLATE
        .split('@')
        .map(|piece| match piece {
            "ID" => quoted(&id(&name)),
            "NAME" => quoted(&name),
            "GUID" => quoted(game.guid.as_written()),
            "PREFIX" => quoted(&prefix.folder().display().to_string()),
            other => other.to_owned(),
        })
        .collect();
    let file: PathBuf = prefix.folder().join("system.reg");
    manifest::read(&Source::new(&file, &text), Origin::File(file))
}

/// `wine-baldur-s-gate2`.
fn id(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("wine-{}", words.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bridge::AdapterKind, negotiation::Role};

    fn game(name: &str) -> Registered {
        Registered {
            name: name.to_owned(),
            guid: "{00000000-1111-2222-3333-444444444444}".parse().unwrap(),
            file: "game.exe".to_owned(),
            path: "C:\\Games".to_owned(),
            directory: None,
        }
    }

    #[test]
    fn a_registered_game_makes_a_bridge_whatever_its_name() {
        for (name, id, shown) in [
            ("Baldur's Gate2", "wine-baldur-s-gate2", "Baldur's Gate2"),
            (
                "\"]\nrun = [\"evil\"]\n#",
                "wine-run-evil",
                "\"] run = [\"evil\"] #",
            ),
            ("@PREFIX@ {dir}", "wine-prefix-dir", "@PREFIX@ {dir}"),
            ("日本", "wine-", "日本"),
        ] {
            let prefix = Prefix::new("/home/me/a \"prefix\"".into());
            let Reading::Bridge(bridge) = bridge(&prefix, &game(name)).unwrap() else {
                panic!("{name}")
            };
            assert_eq!(bridge.application.id, id);
            assert_eq!(bridge.application.name, shown);
            assert_eq!(
                bridge.origin.to_string(),
                "/home/me/a \"prefix\"/system.reg"
            );
            for handoff in bridge.handoffs(Role::Invitee) {
                assert_eq!(handoff.adapter, AdapterKind::DirectPlay);
                assert_eq!(handoff.program(), Some("wine"));
                let wanted = handoff.wine.as_ref().unwrap();
                assert_eq!(wanted.prefix.as_deref(), Some(prefix.folder()));
            }
        }
    }
}
