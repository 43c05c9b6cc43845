//! Reads one bridge file. What is wrong is told with file, line and what would be right.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

use super::{AdapterKind, Bridge, Handoff, Medium, Origin, ReadyRule, Template, Unclaimed};
use crate::{
    invitation::{self, Guid},
    launch::Stop,
    negotiation::{
        AddressForm, Application, ContextData, ContextRule, Dialect, Listens, Port, Role, Transport,
    },
};

/// Interpreters that would make one argument into many.
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env", "xargs",
];
/// How long a program may take to be ready when its file does not say.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// What is wrong with a bridge file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", file.display())]
pub struct BridgeError {
    /// The file.
    pub file: PathBuf,
    /// Its line, counted from 1.
    pub line: usize,
    /// What is wrong there, and what would be right.
    pub message: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    id: Spanned<String>,
    name: String,
    guids: Vec<Spanned<String>>,
    announce: String,
    url: Option<String>,
    #[serde(default)]
    unclaimed: Unclaimed,
    #[serde(default = "yes")]
    enabled: bool,
    install: Option<String>,
    note: Option<String>,
    negotiation: Negotiation,
    #[serde(default)]
    handoff: Vec<Spanned<RawHandoff>>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Negotiation {
    #[serde(default)]
    dialect: RawDialect,
    #[serde(default)]
    address: RawAddress,
    #[serde(default)]
    listens: RawListens,
    context: Option<RawContext>,
    #[serde(default)]
    media: Vec<RawMedium>,
    #[serde(default)]
    connection: bool,
    #[serde(default)]
    enc64: bool,
    avm: Option<Avm>,
    port: Option<Spanned<RawPort>>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawDialect {
    #[default]
    Sm1,
    Legacy,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum RawAddress {
    #[default]
    #[serde(rename = "ip")]
    Ip,
    #[serde(rename = "ip:port")]
    IpPort,
    #[serde(rename = "none")]
    None,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawListens {
    #[default]
    Inviter,
    Invitee,
    Both,
    Neither,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawRole {
    Inviter,
    Invitee,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawContextData {
    Address,
    Opaque,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContext {
    from: RawRole,
    data: RawContextData,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawMedium {
    Audio,
    Video,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Avm {
    support: u32,
    request: u32,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawTransport {
    Tcp,
    Udp,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPort {
    fixed: u16,
    transport: RawTransport,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawHandoff {
    name: String,
    adapter: AdapterKind,
    role: Option<RawRole>,
    #[serde(default)]
    medium: Medium,
    #[serde(default)]
    builtin: bool,
    #[serde(default)]
    run: Vec<Spanned<String>>,
    agent: Option<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    dirs: Vec<PathBuf>,
    #[serde(default)]
    files: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    paths: BTreeMap<String, Vec<PathBuf>>,
    #[serde(default)]
    requires: Requires,
    ready: Option<RawReady>,
    ready_within: Option<u16>,
    #[serde(default)]
    stop: RawStop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Requires {
    #[serde(default)]
    any_env: Vec<String>,
    #[serde(default)]
    files: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawReady {
    Started,
    Sip,
    Output(String),
    Tcp(Spanned<String>),
    Udp(Spanned<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStop {
    words: Option<String>,
    grace: Option<u16>,
}

/// Where a mistake stands: file and text, to turn an offset into a line.
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, offset: usize, message: impl ToString) -> BridgeError {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        BridgeError {
            file: self.file.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            message: message.to_string(),
        }
    }
}

/// What a bridge file says.
#[derive(Debug)]
pub enum Reading {
    /// A bridge.
    Bridge(Box<Bridge>),
    /// `enabled = false`: hides the bridge with this id.
    Hidden(String),
}

/// Reads the text of a bridge file.
///
/// # Errors
/// What is wrong, where, and what would be right.
pub(super) fn read(file: &Path, text: &str, origin: Origin) -> Result<Reading, BridgeError> {
    let place = Place { file, text };
    let raw: File = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        place.error(offset, error.message())
    })?;
    let id = raw.id.get_ref().clone();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.starts_with('-') || !id.chars().all(plain) {
        let message =
            format!("id {id:?}: use lower-case letters, digits and hyphens, such as \"my-game\"");
        return Err(place.error(raw.id.span().start, message));
    }
    if !raw.enabled {
        return Ok(Reading::Hidden(id));
    }
    let application = application(&place, &raw)?;
    let handoffs = raw
        .handoff
        .iter()
        .map(|raw| handoff(&place, raw))
        .collect::<Result<_, _>>()?;
    Ok(Reading::Bridge(Box::new(Bridge {
        application: Arc::new(application),
        handoffs,
        unclaimed: raw.unclaimed,
        install: raw.install,
        note: raw.note,
        origin,
    })))
}

fn application(place: &Place<'_>, raw: &File) -> Result<Application, BridgeError> {
    let guids: Vec<Guid> = raw
        .guids
        .iter()
        .map(|text| {
            let guid = Guid::read(text.get_ref().as_bytes())
                .ok()
                .filter(|_| looks_like_a_guid(text.get_ref()));
            guid.ok_or_else(|| {
                let message = format!(
                    "{:?} is no GUID; one looks like {{8DAE4336-2B71-11D4-9A6C-006067325E47}}",
                    text.get_ref()
                );
                place.error(text.span().start, message)
            })
        })
        .collect::<Result<_, _>>()?;
    let Some(first) = guids.first() else {
        return Err(place.error(raw.id.span().start, "guids is empty: name at least one"));
    };
    let negotiation = &raw.negotiation;
    let mut application = Application::new(raw.id.get_ref(), first.clone(), &raw.announce);
    application.name.clone_from(&raw.name);
    application.guids = guids;
    application.url.clone_from(&raw.url);
    application.dialect = match negotiation.dialect {
        RawDialect::Sm1 => Dialect::Sm1,
        RawDialect::Legacy => Dialect::Legacy,
    };
    application.address = match negotiation.address {
        RawAddress::Ip => AddressForm::Ip,
        RawAddress::IpPort => AddressForm::IpPort,
        RawAddress::None => AddressForm::None,
    };
    application.listens = match negotiation.listens {
        RawListens::Inviter => Listens::Inviter,
        RawListens::Invitee => Listens::Invitee,
        RawListens::Both => Listens::Both,
        RawListens::Neither => Listens::Neither,
    };
    application.context = negotiation.context.map(|rule| ContextRule {
        from: rule.from.into(),
        data: match rule.data {
            RawContextData::Address => ContextData::Address,
            RawContextData::Opaque => ContextData::Opaque,
        },
    });
    application.media = negotiation
        .media
        .iter()
        .map(|medium| match medium {
            RawMedium::Audio => invitation::Medium::Audio,
            RawMedium::Video => invitation::Medium::Video,
        })
        .collect();
    application.connection = negotiation.connection;
    application.enc64 = negotiation.enc64;
    application.avm = negotiation.avm.map(|avm| (avm.support, avm.request));
    application.port = match &negotiation.port {
        None => None,
        Some(port) if port.get_ref().fixed == 0 => {
            return Err(place.error(port.span().start, "port 0 is none: use 1 to 65535"));
        }
        Some(port) => Some(Port {
            number: port.get_ref().fixed,
            transport: match port.get_ref().transport {
                RawTransport::Tcp => Transport::Tcp,
                RawTransport::Udp => Transport::Udp,
            },
        }),
    };
    Ok(application)
}

/// On the wire a GUID is opaque; in a file a missing group is a slip of the pen. One known GUID has
/// lost the first zero of its first group.
fn looks_like_a_guid(text: &str) -> bool {
    let text = text.trim();
    let text = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(text);
    let groups: Vec<usize> = text
        .split('-')
        .map(|group| {
            if group.chars().all(|c| c.is_ascii_hexdigit()) {
                group.len()
            } else {
                0
            }
        })
        .collect();
    matches!(groups.as_slice(), [7 | 8 | 9, 4, 4, 4, 12])
}

impl From<RawRole> for Role {
    fn from(role: RawRole) -> Self {
        match role {
            RawRole::Inviter => Self::Inviter,
            RawRole::Invitee => Self::Invitee,
        }
    }
}

fn handoff(place: &Place<'_>, raw: &Spanned<RawHandoff>) -> Result<Handoff, BridgeError> {
    let start = raw.span().start;
    let raw = raw.get_ref();
    let own: Vec<String> = raw
        .files
        .keys()
        .map(|name| format!("file.{name}"))
        .chain(raw.paths.keys().map(|name| format!("path.{name}")))
        .collect();
    let template = |text: &Spanned<String>| {
        Template::read(text.get_ref(), &own).map_err(|error| place.error(text.span().start, error))
    };
    let run: Vec<Template> = raw.run.iter().map(template).collect::<Result<_, _>>()?;
    check_program(place, raw, &run)?;
    let ways = [raw.builtin, !raw.run.is_empty() || raw.agent.is_some()];
    if ways == [false, false] {
        return Err(place.error(
            start,
            "this handoff does nothing: give it `run`, `agent` or `builtin = true`",
        ));
    }
    if ways == [true, true] {
        return Err(place.error(start, "`builtin` stands alone: it runs no program"));
    }
    for folder in &raw.dirs {
        if folder.is_absolute() || folder.components().any(|part| part.as_os_str() == "..") {
            let message = format!("dirs: {} leads out of the private folder", folder.display());
            return Err(place.error(start, message));
        }
    }
    let ready = match &raw.ready {
        None if raw.agent.is_some() => ReadyRule::Sip,
        None | Some(RawReady::Started) => ReadyRule::Started,
        Some(RawReady::Sip) => ReadyRule::Sip,
        Some(RawReady::Output(text)) => ReadyRule::Output(text.clone()),
        Some(RawReady::Tcp(at)) => ReadyRule::Tcp(template(at)?),
        Some(RawReady::Udp(at)) => ReadyRule::Udp(template(at)?),
    };
    let mut stop = Stop {
        words: raw.stop.words.clone(),
        ..Stop::default()
    };
    if let Some(grace) = raw.stop.grace {
        stop.grace = Duration::from_secs(grace.into());
    }
    Ok(Handoff {
        name: raw.name.clone(),
        adapter: raw.adapter,
        role: raw.role.map(Role::from),
        medium: raw.medium,
        builtin: raw.builtin,
        run,
        agent: raw.agent.as_ref().map(template).transpose()?,
        env: templates(&raw.env, template)?,
        dirs: raw.dirs.clone(),
        files: templates(&raw.files, template)?,
        paths: raw.paths.clone(),
        requires_any_env: raw.requires.any_env.clone(),
        requires_files: raw
            .requires
            .files
            .iter()
            .map(template)
            .collect::<Result<_, _>>()?,
        ready,
        ready_within: raw
            .ready_within
            .map_or(READY_WITHIN, |s| Duration::from_secs(s.into())),
        stop,
    })
}

fn templates(
    table: &BTreeMap<String, Spanned<String>>,
    template: impl Fn(&Spanned<String>) -> Result<Template, BridgeError>,
) -> Result<Vec<(String, Template)>, BridgeError> {
    table
        .iter()
        .map(|(name, text)| Ok((name.clone(), template(text)?)))
        .collect()
}

/// The program is named, not computed, and it is no shell.
fn check_program(place: &Place<'_>, raw: &RawHandoff, run: &[Template]) -> Result<(), BridgeError> {
    let (Some(text), Some(program)) = (raw.run.first(), run.first()) else {
        return Ok(());
    };
    let at = text.span().start;
    let Some(program) = program.literal() else {
        return Err(place.error(
            at,
            "the program is named here, not computed: no placeholder in it",
        ));
    };
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(program);
    if SHELLS.contains(&name) {
        let message = format!(
            "{name} would take one argument for many: name the program itself, or a script of yours by its path"
        );
        return Err(place.error(at, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAME: &str = r#"id = "my-game"
name = "My Game"
guids = ["{8DAE4336-2B71-11D4-9A6C-006067325E47}"]
announce = "My Game"

[negotiation]
dialect = "legacy"
port = { fixed = 47624, transport = "tcp" }

[[handoff]]
name = "the game"
adapter = "sip"
run = ["wine", "game.exe", "{peer.ip}"]
"#;

    fn parse(text: &str) -> Result<Reading, BridgeError> {
        read(Path::new("my-game.toml"), text, Origin::BuiltIn)
    }

    #[test]
    fn a_complete_file_is_read() {
        let Reading::Bridge(bridge) = parse(GAME).unwrap() else {
            panic!("hidden")
        };
        assert_eq!(bridge.application.id, "my-game");
        assert_eq!(bridge.application.dialect, Dialect::Legacy);
        assert_eq!(bridge.application.port.unwrap().number, 47624);
        assert_eq!(bridge.handoffs[0].program(), Some("wine"));
    }

    #[test]
    fn the_documented_example_is_read_and_names_every_key() {
        let page = include_str!("../../docs/BRIDGES.md");
        let example = page
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let Reading::Bridge(bridge) = parse(example).unwrap() else {
            panic!("hidden")
        };
        assert_eq!(bridge.handoffs.len(), 3);
        // An unknown key makes the reader list all it knows.
        for (place, from) in [
            ("id ", "nonsense = 1\nid "),
            ("dialect ", "nonsense = 1\ndialect "),
            ("name     =", "nonsense = 1\nname     ="),
        ] {
            let message = parse(&example.replacen(place, from, 1))
                .unwrap_err()
                .to_string();
            let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            assert!(keys.len() > 5, "{message}");
            for key in keys {
                assert!(example.contains(key), "{key} is not in docs/BRIDGES.md");
            }
        }
        for placeholder in crate::bridge::placeholder::KNOWN {
            assert!(
                page.contains(&format!("{{{placeholder}}}")),
                "{placeholder}"
            );
        }
    }

    #[test]
    fn a_hidden_bridge_is_told_by_its_id() {
        let text = GAME.replacen("announce", "enabled = false\nannounce", 1);
        assert!(matches!(parse(&text).unwrap(), Reading::Hidden(id) if id == "my-game"));
    }

    #[test]
    fn mistakes_are_told_with_line_and_remedy() {
        let cases = [
            ("unknown key", GAME.replacen("announce", "anounce", 1)),
            ("missing key", GAME.replacen("name = \"My Game\"\n", "", 1)),
            ("bad id", GAME.replacen("\"my-game\"", "\"My Game\"", 1)),
            ("bad guid", GAME.replacen("8DAE4336-", "", 1)),
            (
                "no guid",
                GAME.replacen("\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"", "", 1),
            ),
            ("bad dialect", GAME.replacen("legacy", "modern", 1)),
            ("port 0", GAME.replacen("47624", "0", 1)),
            ("port too big", GAME.replacen("47624", "70000", 1)),
            ("bad adapter", GAME.replacen("\"sip\"", "\"magic\"", 1)),
            (
                "bad placeholder",
                GAME.replacen("{peer.ip}", "{peer.addr}", 1),
            ),
            (
                "computed program",
                GAME.replacen("\"wine\"", "\"{dir}/x\"", 1),
            ),
            (
                "shell",
                GAME.replacen("\"wine\", \"game.exe\"", "\"/bin/sh\", \"-c\"", 1),
            ),
            (
                "nothing to do",
                GAME.replacen("run = [\"wine\", \"game.exe\", \"{peer.ip}\"]\n", "", 1),
            ),
            ("builtin and program", format!("{GAME}builtin = true\n")),
            ("leading out", format!("{GAME}dirs = [\"../x\"]\n")),
            ("no toml", "id = \n".to_owned()),
        ];
        let mut messages = String::new();
        for (what, text) in cases {
            let error = parse(&text)
                .err()
                .unwrap_or_else(|| panic!("{what} was accepted"));
            messages.push_str(&format!("{what}:\n  {error}\n"));
        }
        insta::assert_snapshot!(messages);
    }
}
