//! Bridges that are made on the spot, for an invitation that no program here takes: it is recorded.

use std::{path::Path, sync::Arc};

use super::{
    Bridge, BridgeError, Handoff, Origin, Unclaimed,
    manifest::{self, Reading},
    source::Source,
};
use crate::{
    invitation::{Guid, Message},
    negotiation::{AddressForm, Application, Dialect, Listens},
    shown,
};

/// What a consent rule calls every application that no bridge describes.
pub const UNKNOWN: &str = "unknown";
/// A bridge file with nothing but the recorder.
const TEMPLATE: &str = include_str!("unknown.toml");
/// The longest name that is kept, in characters.
const MAX_NAME: usize = 60;

/// The bridge that records the application of an INVITE that nobody describes. It goes by what the
/// INVITE says: its GUID, its dialect, its name made fit to be shown.
///
/// # Errors
/// Never, unless the embedded template is wrong.
pub fn unknown(guid: Guid, invite: &Message<'_>) -> Result<Bridge, BridgeError> {
    let name = invite.application_name();
    let name = shown::line(name.as_deref().unwrap_or_default(), MAX_NAME);
    let mut application = Application::new(&id(&guid), guid, &name)
        .with_address(AddressForm::IpPort, Listens::Both)
        .with_dialect(if invite.speaks_sm1() {
            Dialect::Sm1
        } else {
            Dialect::Legacy
        });
    application.name = if name.is_empty() {
        "an unknown application".to_owned()
    } else {
        format!("{name} (unknown here)")
    };
    Ok(Bridge {
        application: Arc::new(application),
        handoffs: recorder()?,
        unclaimed: Unclaimed::Record,
        install: None,
        note: None,
        origin: Origin::Invitation,
    })
}

/// A known application, recorded because no program here takes it.
///
/// # Errors
/// As [`unknown`].
pub fn recorded(bridge: &Bridge) -> Result<Bridge, BridgeError> {
    Ok(Bridge {
        handoffs: recorder()?,
        ..bridge.clone()
    })
}

/// `unknown-8dae4336`: for people who have several of them.
fn id(guid: &Guid) -> String {
    let letters = guid
        .as_written()
        .chars()
        .filter(char::is_ascii_alphanumeric);
    let group: String = letters.take(8).collect();
    format!("{UNKNOWN}-{}", group.to_ascii_lowercase())
}

fn recorder() -> Result<Vec<Handoff>, BridgeError> {
    let file = Path::new("unknown.toml");
    match manifest::read(&Source::new(file, TEMPLATE), Origin::BuiltIn)? {
        Reading::Bridge(bridge) => Ok(bridge.handoffs),
        Reading::Hidden(_) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bridge::AdapterKind, negotiation::Role};

    fn invite(name: &str, more: &str) -> Vec<u8> {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
             Application-Name: {name}\r\n\
             Application-GUID: {{8DAE4336-2B71-11D4-9A6C-006067325E47}}\r\n\
             {more}Invitation-Command: INVITE\r\nInvitation-Cookie: 7\r\n\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn any_invite_makes_a_bridge_that_records() {
        let sm1 = "Session-Protocol: SM1\r\nSession-ID: {00000000-1111-2222-3333-444444444444}\r\n";
        for (name, more, shown, dialect) in [
            ("A Game", "", "A Game (unknown here)", Dialect::Legacy),
            ("A Game", sm1, "A Game (unknown here)", Dialect::Sm1),
            (
                "evil\u{202e}\u{7}",
                "",
                "evil (unknown here)",
                Dialect::Legacy,
            ),
            ("", "", "an unknown application", Dialect::Legacy),
        ] {
            let payload = invite(name, more);
            let message = Message::read(&payload).unwrap();
            let guid = message.application_guid().unwrap();
            let bridge = unknown(guid, &message).unwrap();
            assert_eq!(bridge.application.name, shown);
            assert_eq!(bridge.application.id, "unknown-8dae4336");
            assert_eq!(bridge.application.dialect, dialect);
            assert_eq!(bridge.application.guids, [guid]);
            assert_eq!(bridge.adapter(Role::Invitee), Some(AdapterKind::Record));
        }
    }
}
