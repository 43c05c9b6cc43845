//! `decode`: shows an invitation message to a person (a table) or to a program (JSON), and says what
//! is odd about it. Facts: PROTOCOL.md sections 1 to 4 and 10.1.
//!
//! What a peer wrote is never printed raw: control characters and those that turn the reading
//! direction around are escaped in both forms.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Read, path::PathBuf};

use serde::Serialize;

use super::Failure;
use crate::bridge::Registry;
use crate::invitation::{
    CancelCode, Command, Connectivity, Dialect, Fields, Guid, MAX_CONTEXT_DATA, MAX_PAYLOAD,
    Medium, Message, ReadError, is_invitation,
};

/// The fields of PROTOCOL.md section 4, for telling which are none of them.
const KNOWN: [&str; 31] = [
    "Application-Name",
    "Application-GUID",
    "Application-URL",
    "Application-File",
    "Application-FileSize",
    "Session-Protocol",
    "Session-ID",
    "Invitation-Command",
    "Invitation-Cookie",
    "Context-Data",
    "Launch-Application",
    "Request-Data",
    "IP-Address",
    "IP-Address-Enc64",
    "IP-Address-Internal",
    "IP",
    "Port",
    "PortX",
    "PortX-Internal",
    "AuthCookie",
    "Sender-Connect",
    "Connectivity",
    "Cancel-Code",
    "Conn-Type",
    "Sip-Capability",
    "Public-IP",
    "Private-IP",
    "UPnP",
    "Avm-Support",
    "Avm-Request",
    "UsingRendezvous",
];

/// `msn-handoff decode`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The message: a MSG command, its payload, or the body alone [default: standard input]
    file: Option<PathBuf>,

    /// For programs
    #[arg(long)]
    json: bool,
}

/// More than any invitation can be; the rest is not read.
const MAX_INPUT: u64 = 64 * 1024;

pub(super) fn verb(arguments: &Arguments) -> Result<(), Failure> {
    let mut input = Vec::new();
    match &arguments.file {
        Some(file) => fs::File::open(file)
            .and_then(|file| file.take(MAX_INPUT).read_to_end(&mut input))
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?,
        None => std::io::stdin()
            .take(MAX_INPUT)
            .read_to_end(&mut input)
            .map_err(|error| Failure::new(format!("standard input: {error}")))?,
    };
    let registry = Registry::here().map_err(Failure::configuration)?;
    let name = |guid: &Guid| Some(registry.by_guid(guid)?.application.id.clone());
    let text = run_with(&input, arguments.json, name).map_err(Failure::new)?;
    super::print(&text);
    if !text.ends_with('\n') {
        super::print("\n");
    }
    Ok(())
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No bytes.
    #[error("the input is empty")]
    Empty,
    /// Neither a payload, nor a body, nor a MSG command with one.
    #[error(
        "this is no invitation: expected a MSG command, a payload with Content-Type: \
         text/x-msmsgsinvite, or lines such as \"Invitation-Command: INVITE\""
    )]
    NotInvitation,
    /// The line of a MSG command does not end in a length.
    #[error("the MSG command has no length at the end of its first line")]
    NoLength,
    /// Too big or too many fields.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The JSON could not be written.
    #[error("the JSON could not be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// What was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Given {
    Command,
    Payload,
    Body,
}

/// Everything that is shown. The JSON keys are part of the command line's contract.
#[derive(Debug, Serialize)]
struct Decoded {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<Application>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<Cancelled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launches: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asks_for_our_address: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_address: Option<String>,
    addresses: Vec<Address>,
    fields: Vec<Shown>,
    given: Given,
    payload_bytes: usize,
    warnings: Vec<String>,
}

/// What the invitation is for.
#[derive(Debug, Serialize)]
struct Application {
    /// Our name for the GUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Debug, Serialize)]
struct Cancelled {
    code: Option<String>,
    meaning: &'static str,
}

#[derive(Debug, Serialize)]
struct File {
    name: Option<String>,
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_takes_connections: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Address {
    ip: String,
    port: Option<u16>,
    from: &'static str,
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    value: String,
}

/// Decodes a payload, a body alone, or a MSG command with its payload, and renders it: as JSON when
/// `json`, else as a table.
///
/// # Errors
/// [`DecodeError`], in words for people.
pub fn run(input: &[u8], json: bool) -> Result<String, DecodeError> {
    run_with(input, json, |_| None)
}

/// As [`run`], with our own name for an application's GUID where `known_as` has one.
///
/// # Errors
/// [`DecodeError`], in words for people.
pub fn run_with(
    input: &[u8],
    json: bool,
    known_as: impl Fn(&Guid) -> Option<String>,
) -> Result<String, DecodeError> {
    let mut warnings = Vec::new();
    let (given, fields) = find(input, &mut warnings)?;
    let decoded = examine(given, fields, warnings, known_as);
    if json {
        let text = serde_json::to_string_pretty(&decoded)?;
        Ok(escape_json(&text) + "\n")
    } else {
        Ok(table(&decoded))
    }
}

/// Finds out which of the three forms the input has, and reads its fields.
fn find<'a>(
    input: &'a [u8],
    warnings: &mut Vec<String>,
) -> Result<(Given, Fields<'a>), DecodeError> {
    if input.trim_ascii().is_empty() {
        return Err(DecodeError::Empty);
    }
    let (given, payload) = if input.starts_with(b"MSG ") {
        (Given::Command, command_payload(input, warnings)?)
    } else {
        (Given::Payload, input)
    };
    if is_invitation(payload) {
        return Ok((given, Fields::read(payload)?));
    }
    let fields = Fields::read_body(payload)?;
    let is_body = [
        "Invitation-Command",
        "Invitation-Cookie",
        "Application-GUID",
    ]
    .iter()
    .any(|name| fields.get(name).is_some());
    if !is_body {
        return Err(DecodeError::NotInvitation);
    }
    if given == Given::Command {
        warnings.push("the MIME header is missing".to_owned());
        return Ok((given, fields));
    }
    Ok((Given::Body, fields))
}

/// The payload of a MSG command in either form (PROTOCOL.md 1.1).
fn command_payload<'a>(
    input: &'a [u8],
    warnings: &mut Vec<String>,
) -> Result<&'a [u8], DecodeError> {
    let end = memchr::memchr(b'\n', input).ok_or(DecodeError::NoLength)?;
    let (line, rest) = input.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    let length: usize = line
        .trim_ascii_end()
        .rsplit(|byte| *byte == b' ')
        .next()
        .and_then(|word| core::str::from_utf8(word).ok())
        .and_then(|word| word.parse().ok())
        .ok_or(DecodeError::NoLength)?;
    match rest.get(..length) {
        Some(payload) => {
            if rest.len() > length {
                warnings.push(format!(
                    "{} bytes after the {length} that the MSG command announces are not shown",
                    rest.len() - length
                ));
            }
            Ok(payload)
        }
        None => {
            warnings.push(format!(
                "the MSG command announces {length} bytes, {} are there",
                rest.len()
            ));
            Ok(rest)
        }
    }
}

/// Reads everything there is to show.
fn examine(
    given: Given,
    fields: Fields<'_>,
    mut warnings: Vec<String>,
    known_as: impl Fn(&Guid) -> Option<String>,
) -> Decoded {
    warn_about_lines(&fields, &mut warnings);
    let payload_bytes = fields.bytes().len();
    let (message, fault) = Message::inspect(fields);
    if let Some(fault) = fault {
        warnings.push(format!("{fault}: such a message is ignored"));
    }
    warn_about_values(&message, &mut warnings);

    let command = message.command();
    let dialect = message.dialect();
    let invites = command == Command::Invite;
    let accepts = command == Command::Accept;
    let guid = message.application_guid();
    let capabilities = message.capabilities();
    let names = |media: &[Medium]| -> Vec<&'static str> {
        media
            .iter()
            .map(|medium| match medium {
                Medium::Audio => "audio",
                Medium::Video => "video",
            })
            .collect()
    };
    let has_file = message.get("Application-File").is_some();
    Decoded {
        kind: match command {
            Command::Other("") => "(no command)".to_owned(),
            other => other.as_str().to_owned(),
        },
        dialect: invites.then_some(match dialect {
            Dialect::Sm1 => "SM1",
            Dialect::Legacy => "legacy",
            Dialect::FileTransfer => "file transfer",
            Dialect::Unknown => "unknown session protocol",
        }),
        cookie: message.text("Invitation-Cookie").map(String::from),
        session_id: message.text("Session-ID").map(String::from),
        application: (invites || guid.is_some()).then(|| Application {
            known_as: guid.as_ref().and_then(known_as),
            name: message.application_name().map(String::from),
            guid: message.text("Application-GUID").map(String::from),
            url: message.text("Application-URL").map(String::from),
        }),
        requested: capabilities.as_ref().map(|list| names(&list.requested)),
        supported: capabilities.as_ref().map(|list| names(&list.supported)),
        cancel: (command == Command::Cancel).then(|| {
            let code = message.cancel_code();
            Cancelled {
                meaning: meaning(code.as_ref()),
                code: code.map(|code| code.as_str().to_owned()),
            }
        }),
        launches: accepts.then(|| message.launch_application().unwrap_or(true)),
        asks_for_our_address: accepts.then(|| message.requests_ip_address()),
        file: has_file.then(|| File {
            name: message.application_file().map(String::from),
            bytes: message.application_file_size(),
            sender_takes_connections: message.connectivity().and_then(|connectivity| {
                match connectivity {
                    Connectivity::Yes => Some(true),
                    Connectivity::No => Some(false),
                    Connectivity::Unknown => None,
                }
            }),
        }),
        context_address: message.context_address().map(|address| address.to_string()),
        addresses: message
            .addresses()
            .iter()
            .map(|candidate| Address {
                ip: candidate.ip.to_string(),
                port: candidate.port,
                from: candidate.source.as_str(),
            })
            .collect(),
        fields: message
            .fields()
            .map(|field| Shown {
                name: String::from_utf8_lossy(field.name).into_owned(),
                value: String::from_utf8_lossy(field.value).into_owned(),
            })
            .collect(),
        given,
        payload_bytes,
        warnings,
    }
}

/// What is odd about the lines as such.
fn warn_about_lines(fields: &Fields<'_>, warnings: &mut Vec<String>) {
    let bytes = fields.bytes();
    if bytes.len() > MAX_PAYLOAD {
        warnings.push(format!(
            "{} bytes: a switchboard closes the connection on more than {MAX_PAYLOAD}",
            bytes.len()
        ));
    }
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for field in fields.iter() {
        *seen.entry(field.name.to_ascii_lowercase()).or_default() += 1;
    }
    for field in fields.iter() {
        let name = String::from_utf8_lossy(field.name);
        if let Some(count) = seen.remove(&field.name.to_ascii_lowercase()) {
            if count > 1 {
                warnings.push(format!("{name} is there {count} times: the first counts"));
            }
            if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                warnings.push(format!("{name} is no field of the protocol: ignored"));
            }
        }
        if core::str::from_utf8(field.value).is_err() {
            warnings.push(format!(
                "the value of {name} is not UTF-8: shown with \u{fffd}"
            ));
        }
        if field.value.iter().any(u8::is_ascii_control) {
            warnings.push(format!("the value of {name} holds control characters"));
        }
    }
    match fields.skipped_lines() {
        0 => {}
        1 => warnings.push("1 line is no field: ignored".to_owned()),
        count => warnings.push(format!("{count} lines are no fields: ignored")),
    }
    let body = fields.body();
    let bare = body.iter().filter(|byte| **byte == b'\n').count()
        - body.windows(2).filter(|pair| *pair == b"\r\n").count();
    if bare > 0 {
        warnings.push("lines end in LF: official clients end them in CRLF".to_owned());
    } else if !body.ends_with(b"\r\n\r\n") && fields.rest().is_empty() {
        warnings.push("no empty line at the end: official clients send one".to_owned());
    }
    if !fields.rest().is_empty() {
        warnings.push(format!(
            "{} bytes after the empty line are not read",
            fields.rest().len()
        ));
    }
}

/// What is odd about the values.
fn warn_about_values(message: &Message<'_>, warnings: &mut Vec<String>) {
    let invites = message.command() == Command::Invite;
    if invites && message.get("Application-GUID").is_none() {
        warnings.push("the field Application-GUID is missing: nobody knows what it is for".into());
    } else if message.get("Application-GUID").is_some() && message.application_guid().is_none() {
        warnings.push("the value of Application-GUID is no GUID".to_owned());
    }
    if invites && message.dialect() == Dialect::Unknown {
        warnings.push("Session-Protocol does not name SM1: to be answered with FAIL".to_owned());
    }
    if matches!(message.command(), Command::Other(word) if !word.is_empty()) {
        warnings.push(if message.is_context() {
            "a command nobody knows, with Context-Data: taken as a context message".to_owned()
        } else {
            "a command nobody knows: ignored".to_owned()
        });
    }
    for name in [
        "IP-Address",
        "IP-Address-Internal",
        "IP",
        "Public-IP",
        "Private-IP",
    ] {
        if message
            .get(name)
            .is_some_and(|value| crate::invitation::read_address(value).is_none())
        {
            warnings.push(format!(
                "the value of {name} is neither a.b.c.d nor a.b.c.d:port"
            ));
        }
    }
    match (message.ip_address(), message.ip_address_enc64()) {
        (_, None) if message.get("IP-Address-Enc64").is_some() => {
            warnings.push("the value of IP-Address-Enc64 is not base64 of an address".to_owned());
        }
        (Some(plain), Some(encoded)) if plain != encoded => {
            warnings.push("IP-Address and IP-Address-Enc64 differ: both are tried".to_owned());
        }
        _ => {}
    }
    for name in ["Port", "PortX", "PortX-Internal"] {
        let read = match name {
            "Port" => message.port(),
            "PortX" => message.port_x(),
            _ => message.port_x_internal(),
        };
        if message.get(name).is_some() && read.is_none() {
            warnings.push(format!("the value of {name} is no port"));
        }
    }
    if message.is_context()
        && let Some(data) = message.context_data()
    {
        let length = String::from_utf8_lossy(data).chars().count();
        if length > MAX_CONTEXT_DATA {
            warnings.push(format!(
                "{length} characters of Context-Data: official clients send at most \
                 {MAX_CONTEXT_DATA}"
            ));
        }
    }
}

/// A cancel code in words (PROTOCOL.md 2.5).
fn meaning(code: Option<&CancelCode>) -> &'static str {
    match code {
        Some(CancelCode::Reject) => "declined",
        Some(CancelCode::RejectNotInstalled) => "the application is not installed there",
        Some(CancelCode::Timeout) => "given up waiting, or cancelled by a person",
        Some(CancelCode::OutbandCancel) => "the chat window was closed",
        Some(CancelCode::Fail) => "no session protocol in common, or a failure",
        Some(CancelCode::FtTimeout) => "the file transfer's connection failed",
        Some(CancelCode::UserCancel | CancelCode::UserCanceled) => "cancelled by a person",
        Some(CancelCode::Other(_)) => "cancelled, with a code nobody knows",
        None => "cancelled, without a code",
    }
}

/// The table for people.
fn table(decoded: &Decoded) -> String {
    let mut out = String::with_capacity(2048);
    let mut facts: Vec<(&str, String)> = vec![("Kind", decoded.kind.clone())];
    let mut fact = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name, value));
        }
    };
    let yes_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let list = |media: &Vec<&'static str>| match media.is_empty() {
        true => "(nothing said)".to_owned(),
        false => media.join(", "),
    };
    fact("Dialect", decoded.dialect.map(str::to_owned));
    if let Some(application) = &decoded.application {
        fact("Application", application.known_as.clone());
        fact("Called", application.name.clone());
        fact("GUID", application.guid.clone());
        fact("URL", application.url.clone());
    }
    fact("Cookie", decoded.cookie.clone());
    fact("Session", decoded.session_id.clone());
    if let Some(cancel) = &decoded.cancel {
        fact(
            "Reason",
            Some(match &cancel.code {
                Some(code) => format!("{code} ({})", cancel.meaning),
                None => cancel.meaning.to_owned(),
            }),
        );
    }
    fact("Requested", decoded.requested.as_ref().map(list));
    fact("Supported", decoded.supported.as_ref().map(list));
    fact("Launches", decoded.launches.map(yes_no));
    fact(
        "Asks for our address",
        decoded.asks_for_our_address.map(yes_no),
    );
    if let Some(file) = &decoded.file {
        fact("File", file.name.clone());
        fact(
            "File size",
            file.bytes.map(|bytes| format!("{bytes} bytes")),
        );
        fact(
            "Sender takes connections",
            file.sender_takes_connections.map(yes_no),
        );
    }
    fact("Context address", decoded.context_address.clone());
    fact(
        "Length",
        Some(format!(
            "{} bytes ({})",
            decoded.payload_bytes,
            match decoded.given {
                Given::Command => "payload of a MSG command",
                Given::Payload => "payload",
                Given::Body => "body without MIME header",
            }
        )),
    );
    rows(
        &mut out,
        facts.iter().map(|(name, value)| (*name, value.as_str())),
    );

    out.push_str("\nFields\n");
    rows(
        &mut out,
        decoded
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str())),
    );

    if !decoded.addresses.is_empty() {
        out.push_str("\nAddresses, in the order to try them\n");
        let addresses: Vec<(String, String)> = decoded
            .addresses
            .iter()
            .map(|address| {
                let shown = match address.port {
                    Some(port) => format!("{}:{port}", address.ip),
                    None => address.ip.clone(),
                };
                (shown, format!("from {}", address.from))
            })
            .collect();
        rows(
            &mut out,
            addresses
                .iter()
                .map(|(address, from)| (address.as_str(), from.as_str())),
        );
    }

    if !decoded.warnings.is_empty() {
        out.push_str("\nWarnings\n");
        for warning in &decoded.warnings {
            let _ = writeln!(out, "  {}", escape(warning));
        }
    }
    out
}

/// The widest name that others are aligned to, in characters.
const MAX_COLUMN: usize = 28;

/// Two columns, escaped, indented by two.
fn rows<'a>(out: &mut String, rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    let width = rows
        .clone()
        .map(|(name, _)| escape(name).chars().count())
        .filter(|width| *width <= MAX_COLUMN)
        .max()
        .unwrap_or_default();
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let line = format!("  {:width$}  {}", escape(name), escape(value));
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Whether a terminal or a reader could be misled by it: controls, and what changes direction or
/// cannot be seen.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// As text for a terminal.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if misleads(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Finished JSON, where such characters can only stand within strings; all are in the basic plane.
fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && misleads(character) {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str =
        "Invitation-Command: CANCEL\r\nCancel-Code: REJECT\r\nInvitation-Cookie: 7\r\n\r\n";

    fn warnings(input: &[u8]) -> Vec<String> {
        let json: serde_json::Value =
            serde_json::from_str(&run(input, true).unwrap()).expect("valid JSON");
        json["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|warning| warning.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_body_a_payload_and_a_command_of_either_direction_say_the_same() {
        let header =
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n";
        let payload = format!("{header}{BODY}");
        let length = payload.len();
        for (input, given) in [
            (BODY.to_owned(), "body"),
            (payload.clone(), "payload"),
            (format!("MSG 5 N {length}\r\n{payload}"), "command"),
            (
                format!("MSG bob@example.com Bob%20B {length}\r\n{payload}"),
                "command",
            ),
        ] {
            let text = run(input.as_bytes(), true).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["given"], given);
            assert_eq!(json["kind"], "CANCEL");
            assert_eq!(json["cookie"], "7");
            assert_eq!(json["cancel"]["code"], "REJECT");
            assert_eq!(json["warnings"], serde_json::json!([]));
        }
    }

    #[test]
    fn every_oddity_is_said_once() {
        for (input, want) in [
            (
                "Invitation-Command: CANCEL\r\n\r\n".to_owned(),
                "the field Invitation-Cookie is missing: such a message is ignored",
            ),
            (
                "Invitation-Cookie: 7\r\n\r\n".to_owned(),
                "the field Invitation-Command is missing: such a message is ignored",
            ),
            (
                BODY.replace("Cookie: 7", "Cookie: x"),
                "the value of Invitation-Cookie is not a number of 32 bits: such a message is ignored",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\ncancel-code: FAIL\r\n\r\n"),
                "Cancel-Code is there 2 times: the first counts",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\nX: y\r\n\r\n"),
                "X is no field of the protocol: ignored",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\nno colon\r\n\r\n"),
                "1 line is no field: ignored",
            ),
            (
                BODY.replace("\r\n", "\n"),
                "lines end in LF: official clients end them in CRLF",
            ),
            (
                BODY.trim_end().to_owned(),
                "no empty line at the end: official clients send one",
            ),
            (
                format!("{BODY}more"),
                "4 bytes after the empty line are not read",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\nIP-Address: here\r\n\r\n"),
                "the value of IP-Address is neither a.b.c.d nor a.b.c.d:port",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\nIP-Address-Enc64: ?\r\n\r\n"),
                "the value of IP-Address-Enc64 is not base64 of an address",
            ),
            (
                BODY.replace(
                    "\r\n\r\n",
                    "\r\nIP-Address: 192.0.2.1:5060\r\nIP-Address-Enc64: MjAzLjAuMTEzLjc6NTA2MA==\r\n\r\n",
                ),
                "IP-Address and IP-Address-Enc64 differ: both are tried",
            ),
            (
                BODY.replace("\r\n\r\n", "\r\nPort: 99999\r\n\r\n"),
                "the value of Port is no port",
            ),
            (
                BODY.replace("CANCEL", "INVITE"),
                "the field Application-GUID is missing: nobody knows what it is for",
            ),
            (
                BODY.replace("CANCEL", "INVITE")
                    .replace("\r\n\r\n", "\r\nApplication-GUID: {}\r\n\r\n"),
                "the value of Application-GUID is no GUID",
            ),
            (
                BODY.replace("CANCEL", "INVITE").replace(
                    "\r\n\r\n",
                    "\r\nApplication-GUID: {1}\r\nSession-Protocol: SM2\r\n\r\n",
                ),
                "Session-Protocol does not name SM1: to be answered with FAIL",
            ),
            (
                BODY.replace("CANCEL", "DANCE"),
                "a command nobody knows: ignored",
            ),
            (
                format!("MSG 5 N 90\r\n{BODY}"),
                "the MSG command announces 90 bytes, 73 are there",
            ),
        ] {
            let found = warnings(input.as_bytes());
            let said = found.iter().filter(|warning| *warning == want).count();
            assert_eq!(said, 1, "{want} in {found:?}");
        }
    }

    #[test]
    fn a_message_too_long_for_a_switchboard_is_shown_and_said_to_be() {
        let input = BODY.replace("REJECT", &"R".repeat(1700));
        assert_eq!(
            warnings(input.as_bytes()),
            [format!(
                "{} bytes: a switchboard closes the connection on more than 1664",
                input.len()
            )]
        );
        assert!(matches!(
            run(
                &BODY.replace("REJECT", &"R".repeat(9000)).into_bytes(),
                false
            ),
            Err(DecodeError::Read(ReadError::TooLong { .. }))
        ));
    }

    #[test]
    fn what_is_no_invitation_is_refused() {
        for input in [
            "hello",
            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello\r\n",
            "MSG 1 N 5\r\nhello",
        ] {
            assert!(matches!(
                run(input.as_bytes(), false),
                Err(DecodeError::NotInvitation)
            ));
        }
        assert!(matches!(run(b" \r\n", false), Err(DecodeError::Empty)));
        for input in ["MSG 1 N", "MSG 1 N many\r\nx", "MSG 1 N -5\r\nx"] {
            assert!(matches!(
                run(input.as_bytes(), false),
                Err(DecodeError::NoLength)
            ));
        }
    }

    #[test]
    fn terminal_escapes_and_direction_marks_are_never_printed_raw() {
        let input = BODY.replace("REJECT", "\u{1b}[2J\u{9b}2J\u{202e}txt");
        for json in [false, true] {
            let text = run(input.as_bytes(), json).unwrap();
            assert!(!text.chars().any(|c| c != '\n' && misleads(c)), "{text:?}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&run(input.as_bytes(), true).unwrap()).unwrap();
        assert_eq!(json["fields"][1]["value"], "\u{1b}[2J\u{9b}2J\u{202e}txt");
    }

    #[test]
    fn our_own_name_of_the_application_is_shown_when_there_is_one() {
        let input =
            "Application-GUID: {1}\r\nInvitation-Command: INVITE\r\nInvitation-Cookie: 1\r\n\r\n";
        let name = |guid: &Guid| guid.is("1").then(|| "Chess".to_owned());
        let text = run_with(input.as_bytes(), false, name).unwrap();
        assert!(
            text.lines()
                .any(|line| line.starts_with("  Application ") && line.ends_with("  Chess")),
            "{text}"
        );
    }
}
