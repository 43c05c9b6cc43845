//! What a bridge file may say. What is wrong is told with file, line, key and what would be right.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    num::NonZeroU16,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    AdapterKind, Bridge, BridgeError, Handoff, Keep, Medium, Origin, Ports, Probe, ReadyRule,
    Template, TemplateError, Unclaimed, Watched, Way, formats,
    source::{Read, Source},
};
use crate::{
    invitation::{self, Guid},
    launch::Stop,
    negotiation::{
        AddressForm, Application, ContextData, ContextRule, Dialect, Listens, Port, Role, Transport,
    },
    shown,
    wine::{Pattern, Wanted},
};

/// Interpreters that would make one argument into many.
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env", "xargs",
];
/// Whether a program of that name takes one argument for many.
pub(crate) fn is_shell(name: &str) -> bool {
    SHELLS.contains(&name)
}

/// How long a program may take to be ready when its file does not say.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long the programs of a side may take in all: whoever waits for their address waits a minute
/// (PROTOCOL.md section 8), and it has to get there.
const LONGEST_PREPARE: Duration = Duration::from_secs(50);
/// How long a forwarded port may be silent when its file does not say.
const IDLE: Duration = Duration::from_secs(300);
/// How long the peer's program is looked for when its file does not say.
const PROBE_WITHIN: Duration = Duration::from_secs(60);

/// As much of a file as says whether there is more to read.
#[derive(Debug, Deserialize)]
struct Head {
    id: Spanned<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    id: Spanned<String>,
    name: Spanned<String>,
    guids: Spanned<Vec<Spanned<String>>>,
    announce: Spanned<String>,
    url: Option<Spanned<String>>,
    #[serde(default)]
    unclaimed: Unclaimed,
    #[serde(rename = "enabled")]
    _enabled: Option<bool>,
    install: Option<Spanned<String>>,
    note: Option<Spanned<String>>,
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
    name: Spanned<String>,
    #[serde(default = "yes")]
    enabled: bool,
    adapter: AdapterKind,
    role: Option<RawRole>,
    #[serde(default)]
    medium: Medium,
    #[serde(default)]
    builtin: bool,
    #[serde(default)]
    run: Vec<Spanned<String>>,
    #[serde(default)]
    optional: Vec<Vec<Spanned<String>>>,
    start_in: Option<Spanned<String>>,
    ports: Option<Spanned<String>>,
    #[serde(default)]
    protocols: Vec<u32>,
    #[serde(default)]
    formats: Vec<Spanned<String>>,
    wine: Option<RawWine>,
    to: Option<Spanned<String>>,
    shares: Option<Spanned<String>>,
    idle: Option<u16>,
    #[serde(default)]
    keep: RawKeep,
    wait: Option<u16>,
    probe: Option<Probe>,
    probe_within: Option<u16>,
    way: Option<Spanned<Way>>,
    confine: Option<bool>,
    #[serde(default)]
    reach: Vec<Spanned<PathBuf>>,
    watch: Option<Watched>,
    agent: Option<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    dirs: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    files: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    paths: BTreeMap<Spanned<String>, Vec<PathBuf>>,
    #[serde(default)]
    requires: Requires,
    ready: Option<RawReady>,
    ready_within: Option<Spanned<u16>>,
    #[serde(default)]
    stop: RawStop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawWine {
    prefix: Option<PathBuf>,
    registered: Option<String>,
    #[serde(default)]
    programs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Requires {
    #[serde(default)]
    programs: Vec<Spanned<String>>,
    #[serde(default)]
    help: Vec<Spanned<String>>,
    #[serde(default)]
    any_env: Vec<Spanned<String>>,
    #[serde(default)]
    files: Vec<Spanned<String>>,
    #[serde(default)]
    any_files: Vec<Spanned<String>>,
    any_what: Option<Spanned<String>>,
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
struct RawKeep {
    megabytes: Option<NonZeroU16>,
    connections: Option<NonZeroU16>,
    seconds: Option<NonZeroU16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStop {
    words: Option<String>,
    grace: Option<u16>,
}

/// What a bridge file says.
#[derive(Debug)]
pub enum Reading {
    /// A bridge.
    Bridge(Box<Bridge>),
    /// `enabled = false`: hides the bridge with this id.
    Hidden(String),
}

/// Reads a bridge.
///
/// # Errors
/// What is wrong, where, and what would be right.
pub(super) fn read(source: &Source, origin: Origin) -> Result<Reading, BridgeError> {
    let head = source.read::<Head>()?;
    let id = head.value.id.get_ref().clone();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.starts_with('-') || !id.chars().all(plain) {
        let message = format!(
            "{id:?} is no id: use lower-case letters, digits and hyphens, such as \"my-game\""
        );
        return Err(head.error(head.value.id.span(), message));
    }
    if !head.value.enabled {
        return Ok(Reading::Hidden(id));
    }
    let place = source.read::<File>()?;
    let raw = &place.value;
    let mut application = application(&place)?;
    let handoffs: Vec<Handoff> = raw
        .handoff
        .iter()
        .filter(|raw| raw.get_ref().enabled)
        .map(|raw| handoff(&place, raw, &application))
        .collect::<Result<_, _>>()?;
    check_distinct(&place)?;
    application.prepare = prepare(&handoffs);
    Ok(Reading::Bridge(Box::new(Bridge {
        application: Arc::new(application),
        handoffs,
        unclaimed: raw.unclaimed,
        install: raw.install.clone().map(Spanned::into_inner),
        note: raw.note.clone().map(Spanned::into_inner),
        origin,
    })))
}

fn application(place: &Read<'_, File>) -> Result<Application, BridgeError> {
    let raw = &place.value;
    let guids: Vec<Guid> = raw
        .guids
        .get_ref()
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
                place.error(text.span(), message)
            })
        })
        .collect::<Result<_, _>>()?;
    let Some(first) = guids.first() else {
        return Err(place.error(raw.guids.span(), "is empty: name at least one GUID"));
    };
    // The first two go out in an INVITE, line by line; people read the others.
    let texts = [Some(&raw.announce), raw.url.as_ref(), Some(&raw.name)];
    let more = [raw.install.as_ref(), raw.note.as_ref()];
    for text in texts.into_iter().chain(more).flatten() {
        one_line(place, text)?;
    }
    let negotiation = &raw.negotiation;
    let mut application = Application::new(raw.id.get_ref(), *first, raw.announce.get_ref());
    application.name.clone_from(raw.name.get_ref());
    application.guids = guids;
    application.url = raw.url.as_ref().map(|url| url.get_ref().clone());
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
            return Err(place.error(port.span(), "port 0 is none: use 1 to 65535"));
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

/// That a text can be shown as it is, in a terminal and in the chat window.
fn one_line(place: &Read<'_, File>, text: &Spanned<String>) -> Result<(), BridgeError> {
    if shown::is_line(text.get_ref()) {
        return Ok(());
    }
    let message = "write one line of text, and not an empty one: no control characters, no marks of \
                   direction";
    Err(place.error(text.span(), message))
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
    matches!(groups.as_slice(), [7..=9, 4, 4, 4, 12])
}

impl From<RawRole> for Role {
    fn from(role: RawRole) -> Self {
        match role {
            RawRole::Inviter => Self::Inviter,
            RawRole::Invitee => Self::Invitee,
        }
    }
}

/// The name is what an amendment and the configuration know a handoff by.
fn check_distinct(place: &Read<'_, File>) -> Result<(), BridgeError> {
    let mut names = BTreeSet::new();
    for raw in &place.value.handoff {
        let name = &raw.get_ref().name;
        if !names.insert(name.get_ref()) {
            return Err(place.error(
                name.span(),
                "another handoff has this name: give it its own",
            ));
        }
    }
    Ok(())
}

fn handoff(
    place: &Read<'_, File>,
    raw: &Spanned<RawHandoff>,
    application: &Application,
) -> Result<Handoff, BridgeError> {
    let raw = raw.get_ref();
    let start = raw.name.span();
    let told = [Some(&raw.name), raw.shares.as_ref()];
    let required = [raw.requires.any_what.as_ref()].into_iter();
    let required = required.chain(raw.requires.any_env.iter().map(Some));
    for text in told.into_iter().chain(required).flatten() {
        one_line(place, text)?;
    }
    check_names(place, raw)?;
    let own: Vec<String> = raw
        .files
        .keys()
        .map(|name| format!("file.{}", name.get_ref()))
        .chain(
            raw.paths
                .keys()
                .map(|name| format!("path.{}", name.get_ref())),
        )
        .collect();
    let template = |text: &Spanned<String>| {
        Template::read(text.get_ref(), &own).map_err(|error| place.error(text.span(), error))
    };
    let run = all(&raw.run, template)?;
    check_program(place, raw, &run)?;
    let forwards = raw.adapter == AdapterKind::ForwardTcp;
    if forwards && (raw.to.is_none() || raw.ports.is_none()) {
        let message = "\"forward-tcp\" needs `ports`, and `to`: the address they lead to";
        return Err(place.error(start, message));
    }
    let one_program = matches!(raw.adapter, AdapterKind::Call | AdapterKind::Listen);
    if one_program && raw.run.is_empty() {
        return Err(place.error(
            start,
            "\"call\" and \"listen\" need `run`: they start a program",
        ));
    }
    let (to, to_port) = raw
        .to
        .as_ref()
        .map(|to| machine(place, to))
        .transpose()?
        .unzip();
    let to_port = to_port.flatten();
    if let (Some(to), Some(_), true) = (&raw.to, to_port, forwards) {
        return Err(place.error(
            to.span(),
            "`ports` says which ports: write the address alone",
        ));
    }
    let records = raw.adapter == AdapterKind::Record;
    if raw.adapter == AdapterKind::T120 && !matches!(raw.role, Some(RawRole::Invitee)) {
        let message = "\"t120\" is for the one who is invited: write `role = \"invitee\"`";
        return Err(place.error(start, message));
    }
    let given = raw.adapter == AdapterKind::T120 && raw.to.is_some();
    let ways = [
        raw.builtin,
        given || !raw.run.is_empty() || raw.agent.is_some(),
    ];
    if records && ways != [false, false] {
        let message = "\"record\" starts nothing: leave `run`, `agent` and `builtin` out";
        return Err(place.error(start, message));
    }
    let told = application.address == AddressForm::IpPort
        || application.port.is_some()
        || application.sends_address_context(Role::Invitee);
    if records && !told {
        let message = "nobody would learn the port of \"record\": write `address = \"ip:port\"` or \
                       `port` under [negotiation]";
        return Err(place.error(start, message));
    }
    if ways == [false, false] && !forwards && !records {
        return Err(place.error(
            start,
            "this handoff does nothing: give it `run`, `agent` or `builtin = true`",
        ));
    }
    if ways == [true, true] {
        return Err(place.error(start, "`builtin` stands alone: it runs no program"));
    }
    for program in &raw.requires.programs {
        check_named_program(place, program.span(), program.get_ref())?;
    }
    for option in &raw.requires.help {
        let is_option = option.get_ref().starts_with('-') && !option.get_ref().contains(' ');
        if !is_option || raw.run.is_empty() {
            let message = "name an option of the program of `run`, such as \"--listen\"";
            return Err(place.error(option.span(), message));
        }
    }
    let ready = match &raw.ready {
        None if raw.agent.is_some() => ReadyRule::Sip,
        None if raw.adapter == AdapterKind::Listen => {
            listening(application).map_err(|error| place.error(start.clone(), error))?
        }
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
        name: raw.name.get_ref().clone(),
        adapter: raw.adapter,
        role: raw
            .role
            .map(Role::from)
            .or_else(|| own_role(raw.adapter, application)),
        medium: raw.medium,
        builtin: raw.builtin,
        run,
        optional: raw
            .optional
            .iter()
            .map(|group| all(group, template))
            .collect::<Result<_, _>>()?,
        start_in: raw.start_in.as_ref().map(template).transpose()?,
        ports: raw
            .ports
            .as_ref()
            .map(|text| ports(place, text))
            .transpose()?
            .unwrap_or_default(),
        protocols: raw.protocols.clone(),
        formats: raw
            .formats
            .iter()
            .map(|text| formats::read(text.get_ref()).map_err(|why| place.error(text.span(), why)))
            .collect::<Result<_, _>>()?,
        to,
        to_port,
        shares: raw.shares.clone().map(Spanned::into_inner),
        idle: seconds(raw.idle, IDLE),
        keep: keep(&raw.keep),
        wait: seconds(raw.wait, Duration::ZERO),
        probe: raw.probe,
        way: way(place, raw, application)?,
        confined: confined(place, start.clone(), raw)?,
        watch: raw.watch,
        probe_within: seconds(raw.probe_within, PROBE_WITHIN),
        wine: raw.wine.as_ref().map(|raw| Wanted {
            prefix: raw.prefix.clone(),
            guids: application.guids.clone(),
            name: raw.registered.as_deref().map(Pattern::new),
            programs: raw.programs.clone(),
        }),
        agent: raw.agent.as_ref().map(template).transpose()?,
        env: templates(&raw.env, template)?,
        dirs: raw.dirs.iter().map(|dir| dir.get_ref().clone()).collect(),
        files: templates(&raw.files, template)?,
        paths: raw
            .paths
            .iter()
            .map(|(name, paths)| (name.get_ref().clone(), paths.clone()))
            .collect(),
        requires: super::Requires {
            programs: raw
                .requires
                .programs
                .iter()
                .map(|program| program.get_ref().clone())
                .collect(),
            help: raw
                .requires
                .help
                .iter()
                .map(|option| option.get_ref().clone())
                .collect(),
            files: all(&raw.requires.files, template)?,
            any_env: raw
                .requires
                .any_env
                .iter()
                .map(|name| name.get_ref().clone())
                .collect(),
            any_files: all(&raw.requires.any_files, template)?,
            any_what: raw.requires.any_what.clone().map(Spanned::into_inner),
        },
        ready,
        ready_within: ready_within(place, raw)?,
        stop,
    })
}

/// Where a confined program may read and write, besides its own folder.
fn confined(
    place: &Read<'_, File>,
    start: Range<usize>,
    raw: &RawHandoff,
) -> Result<Option<Vec<PathBuf>>, BridgeError> {
    if raw.confine == Some(true) && raw.run.is_empty() {
        return Err(place.error(
            start,
            "`confine` is about the program of `run`: there is none",
        ));
    }
    for path in &raw.reach {
        let path_itself = path.get_ref();
        // With a `false` it is one that was confined before.
        if raw.confine.is_none() {
            let message = "`reach` says what a confined program may reach: write `confine = true`";
            return Err(place.error(path.span(), message));
        }
        if !path_itself.is_absolute() && !path_itself.starts_with("~") {
            let message = "write a path that begins with / or ~/";
            return Err(place.error(path.span(), message));
        }
    }
    let reach = raw.reach.iter().map(|path| path.get_ref().clone());
    Ok((raw.confine == Some(true)).then(|| reach.collect()))
}

/// Who owns the announced port: what the handoff says, if its adapter can do that, or what the adapter
/// does.
fn way(
    place: &Read<'_, File>,
    raw: &RawHandoff,
    application: &Application,
) -> Result<Way, BridgeError> {
    let usual = raw.adapter.usual_way();
    let Some(given) = &raw.way else {
        return Ok(usual);
    };
    let way = *given.get_ref();
    let udp = application
        .port
        .is_some_and(|port| port.transport == Transport::Udp);
    let why = match (raw.adapter, way) {
        (AdapterKind::Listen, Way::Gate) if udp => {
            "the gate before a program that listens takes TCP, and this application's port is UDP: \
             write \"direct\""
        }
        (AdapterKind::Listen, _) => return Ok(way),
        _ if way == usual => return Ok(way),
        (_, Way::Direct) => {
            "this adapter stands between the contact and the program; for a program that owns the \
             announced port itself write `adapter = \"listen\"`"
        }
        (_, Way::Gate) => {
            "with this adapter the program connects to the contact: there is no port to stand at"
        }
    };
    Err(place.error(given.span(), why))
}

fn ready_within(place: &Read<'_, File>, raw: &RawHandoff) -> Result<Duration, BridgeError> {
    let Some(given) = &raw.ready_within else {
        return Ok(READY_WITHIN);
    };
    let time = Duration::from_secs((*given.get_ref()).into());
    if time > LONGEST_PREPARE {
        let message = "50 seconds at most: the other side waits a minute for an answer";
        return Err(place.error(given.span(), message));
    }
    Ok(time)
}

/// How long it may take until one of the programs of the slower side is ready: they are tried one
/// after the other.
fn prepare(handoffs: &[Handoff]) -> Option<Duration> {
    let of_role = |role: Role| -> Duration {
        handoffs
            .iter()
            .filter(|handoff| handoff.medium == Medium::Session)
            .filter(|handoff| handoff.role.is_none_or(|own| own == role))
            .map(|handoff| handoff.ready_within)
            .sum()
    };
    let longer = of_role(Role::Inviter).max(of_role(Role::Invitee));
    (longer > Duration::ZERO).then_some(longer.min(LONGEST_PREPARE))
}

fn keep(raw: &RawKeep) -> Keep {
    let default = Keep::default();
    Keep {
        bytes: raw
            .megabytes
            .map_or(default.bytes, |given| u64::from(given.get()) << 20),
        connections: raw.connections.map_or(default.connections, NonZeroU16::get),
        time: seconds(raw.seconds.map(NonZeroU16::get), default.time),
    }
}

fn seconds(given: Option<u16>, or: Duration) -> Duration {
    given.map_or(or, |seconds| Duration::from_secs(seconds.into()))
}

/// The role of a program that calls, or of one that listens, where the negotiation settles it.
fn own_role(adapter: AdapterKind, application: &Application) -> Option<Role> {
    let listener = match application.listens {
        Listens::Inviter => Role::Inviter,
        Listens::Invitee => Role::Invitee,
        Listens::Both | Listens::Neither => return None,
    };
    match adapter {
        AdapterKind::Listen => Some(listener),
        AdapterKind::Call => Some(listener.other()),
        _ => None,
    }
}

/// That a program listens where it was told to: nobody is sent to an address without it.
fn listening(application: &Application) -> Result<ReadyRule, TemplateError> {
    let at = Template::read("{own.ip}:{own.port}", &[])?;
    Ok(match application.port.map(|port| port.transport) {
        Some(Transport::Udp) => ReadyRule::Udp(at),
        Some(Transport::Tcp) | None => ReadyRule::Tcp(at),
    })
}

/// One machine: an address, or one with a port.
fn machine(
    place: &Read<'_, File>,
    text: &Spanned<String>,
) -> Result<(Ipv4Addr, Option<u16>), BridgeError> {
    let error = |message: &str| place.error(text.span(), message);
    let (ip, port) = match text.get_ref().split_once(':') {
        Some((ip, port)) => (ip, Some(port.parse().ok().filter(|port| *port != 0))),
        None => (text.get_ref().as_str(), None),
    };
    let (Ok(ip), false) = (ip.parse::<Ipv4Addr>(), port == Some(None)) else {
        return Err(error("write an IPv4 address, such as \"192.168.122.10\""));
    };
    if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
        return Err(error("that is no address of one machine"));
    }
    Ok((ip, port.flatten()))
}

fn ports(place: &Read<'_, File>, text: &Spanned<String>) -> Result<Ports, BridgeError> {
    let parsed = text.get_ref().parse();
    parsed.map_err(|error: super::NoPorts| place.error(text.span(), error))
}

fn all(
    texts: &[Spanned<String>],
    template: impl Fn(&Spanned<String>) -> Result<Template, BridgeError>,
) -> Result<Vec<Template>, BridgeError> {
    texts.iter().map(template).collect()
}

fn templates(
    table: &BTreeMap<Spanned<String>, Spanned<String>>,
    template: impl Fn(&Spanned<String>) -> Result<Template, BridgeError>,
) -> Result<Vec<(String, Template)>, BridgeError> {
    table
        .iter()
        .map(|(name, text)| Ok((name.get_ref().clone(), template(text)?)))
        .collect()
}

/// Names of files, folders, paths and variables are of the bridge's making and stay in their place.
fn check_names(place: &Read<'_, File>, raw: &RawHandoff) -> Result<(), BridgeError> {
    for name in raw.files.keys().chain(raw.paths.keys()) {
        let text = name.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() || text.starts_with('.') || !text.chars().all(plain) {
            let message = "a name here is made of letters, digits and ._- and begins with no dot";
            return Err(place.error(name.span(), message));
        }
    }
    for name in raw.env.keys() {
        let text = name.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.is_empty() || !text.chars().all(plain) {
            let message = "a variable's name is made of letters, digits and underscores";
            return Err(place.error(name.span(), message));
        }
    }
    for folder in &raw.dirs {
        let inside = |part| matches!(part, Component::Normal(_));
        if !folder.get_ref().components().all(inside) {
            let message = "leads out of the private folder: write a name such as \".config/phone\"";
            return Err(place.error(folder.span(), message));
        }
    }
    Ok(())
}

/// The program is named, not computed, and it is no shell.
fn check_program(
    place: &Read<'_, File>,
    raw: &RawHandoff,
    run: &[Template],
) -> Result<(), BridgeError> {
    let (Some(text), Some(program)) = (raw.run.first(), run.first()) else {
        return Ok(());
    };
    match program.literal() {
        Some(program) => check_named_program(place, text.span(), program),
        None => Err(place.error(
            text.span(),
            "the program is named here, not computed: no placeholder in it",
        )),
    }
}

fn check_named_program(
    place: &Read<'_, File>,
    at: Range<usize>,
    program: &str,
) -> Result<(), BridgeError> {
    if !shown::is_line(program) || (program.contains('/') && !program.starts_with('/')) {
        let message = "name a program that PATH finds, or its whole path from /";
        return Err(place.error(at, message));
    }
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(program);
    if is_shell(name) {
        let message = format!(
            "{name} would take one argument for many: name the program itself, or a script of yours by its path"
        );
        return Err(place.error(at, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        read(
            &Source::new(Path::new("my-game.toml"), text),
            Origin::BuiltIn,
        )
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
        let every = page.split("## Every key").nth(1).unwrap();
        let example = every
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
            ("programs  =", "nonsense = 1\nprograms  ="),
            ("stop     = {", "stop = { nonsense = 1, "),
            ("port       = {", "port = { nonsense = 1, "),
            ("context    = {", "context = { nonsense = 1, "),
            ("keep     = {", "keep = { nonsense = 1, "),
        ] {
            let message = parse(&example.replacen(place, from, 1))
                .unwrap_err()
                .to_string();
            let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            assert!(keys.len() > 1, "{message}");
            for key in keys {
                let named = [" ", "]"].map(|end| example.contains(&format!("{key}{end}")));
                assert!(named.contains(&true), "{key} is not in docs/BRIDGES.md");
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
    fn an_invitation_waits_as_long_as_its_programs_may_take_one_after_the_other() {
        let game = |handoffs: &str| {
            let Reading::Bridge(bridge) = parse(&format!("{GAME}{handoffs}")).unwrap() else {
                panic!("hidden")
            };
            bridge.application.prepare.map(|time| time.as_secs())
        };
        let more = |name: &str, rest: &str| {
            format!("[[handoff]]\nname = \"{name}\"\nadapter = \"sip\"\nbuiltin = true\n{rest}\n")
        };
        assert_eq!(game(""), Some(10));
        assert_eq!(game("ready-within = 30\n"), Some(30));
        assert_eq!(game(&more("b", "ready-within = 4")), Some(14));
        let sides = more("b", "ready-within = 4\nrole = \"inviter\"")
            + &more("c", "ready-within = 7\nrole = \"invitee\"");
        assert_eq!(game(&sides), Some(17), "the longer side");
        assert_eq!(game(&more("b", "medium = \"video\"")), Some(10));
        assert_eq!(game(&more("b", "enabled = false")), Some(10));
        // The other side waits a minute in all.
        assert_eq!(game(&more("b", "ready-within = 50")), Some(50));
        let Reading::Bridge(bridge) = parse(&format!("{GAME}enabled = false\n")).unwrap() else {
            panic!("hidden")
        };
        assert_eq!(bridge.application.prepare, None);
    }

    #[test]
    fn a_program_that_was_confined_can_be_freed() {
        for (text, confined) in [
            ("", None),
            ("confine = true\n", Some(vec![])),
            (
                "confine = true\nreach = [\"~/x\"]\n",
                Some(vec!["~/x".into()]),
            ),
            ("confine = false\nreach = [\"~/x\"]\n", None),
        ] {
            let text = format!("{GAME}{text}");
            let Reading::Bridge(bridge) = parse(&text).unwrap() else {
                panic!("hidden")
            };
            assert_eq!(bridge.handoffs[0].confined, confined, "{text}");
        }
    }

    #[test]
    fn a_hidden_bridge_is_told_by_its_id_and_says_no_more() {
        let text = "id = \"my-game\"\nenabled = false\n";
        assert!(matches!(parse(text).unwrap(), Reading::Hidden(id) if id == "my-game"));
    }

    #[test]
    fn a_handoff_that_is_not_enabled_is_none() {
        let Reading::Bridge(bridge) = parse(&format!("{GAME}enabled = false\n")).unwrap() else {
            panic!("hidden")
        };
        assert!(bridge.handoffs.is_empty());
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
            ("bad ports", format!("{GAME}ports = \"7-3\"\n")),
            ("bad format", format!("{GAME}formats = [\"97\"]\n")),
            (
                "forwards nowhere",
                GAME.replacen("\"sip\"", "\"forward-tcp\"", 1),
            ),
            (
                "calls with nothing",
                GAME.replacen("\"sip\"", "\"call\"", 1)
                    .replacen("run =", "agent = \"x\" #", 1),
            ),
            (
                "answers when inviting",
                GAME.replacen("\"sip\"", "\"t120\"", 1),
            ),
            (
                "forwards to a port",
                GAME.replacen("\"sip\"", "\"forward-tcp\"", 1).replacen(
                    "run =",
                    "ports = \"1503\"\nto = \"10.0.0.2:1503\" #",
                    1,
                ),
            ),
            (
                "forwards to no port",
                format!("{GAME}to = \"10.0.0.2:0\"\n"),
            ),
            (
                "forwards to many",
                format!("{GAME}to = \"255.255.255.255\"\n"),
            ),
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
            ("file leading out", format!("{GAME}files.\"../x\" = \"\"\n")),
            (
                "twice the same name",
                format!(
                    "{GAME}[[handoff]]\nname = \"the game\"\nadapter = \"sip\"\nbuiltin = true\n"
                ),
            ),
            ("ready too late", format!("{GAME}ready-within = 51\n")),
            ("bad variable", format!("{GAME}env.\"A=B\" = \"\"\n")),
            (
                "program in the current folder",
                GAME.replacen("\"wine\"", "\"./wine\"", 1),
            ),
            (
                "required word",
                format!("{GAME}requires.help = [\"listen\"]\n"),
            ),
            (
                "required shell",
                format!("{GAME}requires.programs = [\"bash\"]\n"),
            ),
            (
                "two lines to announce",
                GAME.replacen("announce = \"My Game\"", "announce = \"My\\r\\nGame\"", 1),
            ),
            (
                "unknown key deep down",
                GAME.replacen("transport =", "transprot =", 1),
            ),
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

    proptest! {
        #[test]
        fn whatever_a_file_says_it_is_read_or_refused_at_a_place_in_it(
            at in 0..GAME.len(), cut in 0..12usize, piece in "\\PC{0,12}|[\\[\\]{}\"'=.\n#é-]{0,6}", amend in any::<bool>(),
        ) {
            let end = (at + cut).min(GAME.len());
            let text = format!("{}{piece}{}", &GAME[..at], &GAME[end..]);
            let mut source = Source::new(Path::new("a"), if amend { GAME } else { &text });
            if amend {
                source.amend(Path::new("b"), &text);
            }
            if let Err(error) = read(&source, Origin::BuiltIn) {
                let place = error.place.unwrap();
                let line = text.split('\n').nth(place.line - 1).unwrap_or_default();
                prop_assert!(place.column <= line.chars().count() + 1, "{place:?} {line:?}");
            }
        }
    }
}
