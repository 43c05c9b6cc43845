//! `[[hook]]`: a program that is run when something happens.

use serde::{Deserialize, Deserializer, de};

use crate::{bridge, consent::Pattern};

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// When it is run.
    #[serde(deserialize_with = "some_kinds")]
    pub on: Vec<Kind>,
    /// Only for the application with this bridge id.
    pub application: Option<String>,
    /// Only for these contacts.
    pub contact: Option<Pattern>,
    /// Program and arguments, exactly so.
    #[serde(deserialize_with = "argv")]
    pub run: Vec<String>,
    /// Its exit code answers the offer: 0 is yes, 1 is no, anything else leaves it open.
    #[serde(default)]
    pub answers: bool,
}

/// The events that a hook can be run on; `docs/CONTROL.md` says when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// You are invited, or you invited.
    Offered,
    /// Somebody said yes.
    Accepted,
    /// A port of yours is open.
    Listening,
    /// The contact's address is known.
    Connected,
    /// A program was started.
    ProgramStarted,
    /// Something worth telling.
    Progress,
    /// A program ended.
    ProgramEnded,
    /// It is over.
    Ended,
}

impl Kind {
    /// As in the control protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Listening => "listening",
            Self::Connected => "connected",
            Self::ProgramStarted => "program-started",
            Self::Progress => "progress",
            Self::ProgramEnded => "program-ended",
            Self::Ended => "ended",
        }
    }
}

fn some_kinds<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<Kind>, D::Error> {
    let kinds = Vec::<Kind>::deserialize(reader)?;
    if kinds.is_empty() {
        return Err(de::Error::custom(
            "a hook on nothing is never run: name an event, such as \"offered\"",
        ));
    }
    Ok(kinds)
}

fn argv<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<String>, D::Error> {
    let argv = Vec::<String>::deserialize(reader)?;
    let program = argv.first().map_or("", String::as_str);
    if program.is_empty() {
        return Err(de::Error::custom(
            "name a program, and its arguments one by one: [\"notify-send\", \"a call\"]",
        ));
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    if bridge::is_shell(name) {
        return Err(de::Error::custom(format!(
            "{name} would take one argument for many: write a script with a first line #!/bin/{name} \
             and name it by its path"
        )));
    }
    if program.contains('/') && !program.starts_with('/') {
        return Err(de::Error::custom(format!(
            "{program:?} depends on the folder msn-handoff was started in: write the whole path"
        )));
    }
    Ok(argv)
}
