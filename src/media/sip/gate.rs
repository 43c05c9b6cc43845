//! The one door through which foreign SIP bytes come in. Everything is checked, capped and brought
//! into one form before rsip sees it, and checked again after, because rsip both refuses what real
//! agents send and accepts what nobody should (the table in ANCHORS.md C.2). Neither its types nor
//! its error texts, which hold the whole packet, get out.

use core::fmt::Write as _;

use rsip::prelude::{HeadersExt as _, ToTypedHeader as _, UntypedHeader as _};

use super::{
    frame::{self, Length, MAX_MESSAGE},
    message::{CSeq, Fields, Message, Method, Party, Request, Response, Via},
    text::{BadWord, Host, MAX_VALUE, Text, Token, Uri},
    write::{self, Draft},
};

/// Longest head (start line and headers) read, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Most header lines read.
pub const MAX_HEADERS: usize = 64;
/// Most Via values read: a call over the open network has one to three.
pub const MAX_VIAS: usize = 16;

/// Why bytes are no message for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing but line ends: a keep-alive (RFC 5626 section 4.4.1). To be ignored.
    #[error("a keep-alive")]
    KeepAlive,
    /// Longer than [`MAX_MESSAGE`]. To be ignored.
    #[error("longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// Not SIP at all: no start line of it. To be ignored.
    #[error("not SIP")]
    NotSip,
    /// A response nobody can use. To be ignored.
    #[error("an unreadable response: {0}")]
    Response(&'static str),
    /// A request that must be refused.
    #[error("a request to refuse: {0}")]
    Refused(Box<Refusal>),
}

/// A request that is refused, and what is known of how to say so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {why}")]
pub struct Refusal {
    /// The status to refuse with.
    pub status: u16,
    /// Why, in our words.
    pub why: &'static str,
    /// The headers a response must copy, as far as they could be read.
    copy: Vec<(&'static str, Text)>,
}

impl Refusal {
    /// The response, or nothing where none may be sent: an ACK is never answered, and without a
    /// Via, Call-ID and CSeq nobody could match it.
    #[must_use]
    pub fn response(&self) -> Option<Vec<u8>> {
        let has = |name| self.copy.iter().any(|(have, _)| *have == name);
        let ack = self.copy.iter().any(|(name, value)| {
            *name == "CSeq" && (value.as_str().to_ascii_uppercase()).ends_with("ACK")
        });
        if ack
            || !["Via", "From", "To", "Call-ID", "CSeq"]
                .into_iter()
                .all(has)
        {
            return None;
        }
        let mut draft = Draft::response(self.status, write::reason(self.status));
        for (name, value) in &self.copy {
            draft = draft.header(name, value);
        }
        Some(draft.agent("Server").finish())
    }
}

/// Reads one datagram, or one message cut by [`frame::Stream`].
///
/// # Errors
/// See [`Error`]: most are to be ignored in silence, [`Error::Refused`] has a response.
pub fn read(bytes: &[u8]) -> Result<Message, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLong);
    }
    let blank = bytes
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n' | 0))
        .count();
    let bytes = bytes.get(blank..).unwrap_or_default();
    if bytes.is_empty() {
        return Err(Error::KeepAlive);
    }
    let (first, _) = split_line(bytes);
    let start = Start::read(first)?;
    let raw = RawHead::read(bytes);
    let outcome = raw.problem.map_or_else(
        || assemble(&start, &raw),
        |(status, why)| Err(Problem { status, why }),
    );
    outcome.map_err(|problem| match start {
        Start::Response { .. } => Error::Response(problem.why),
        _ => Error::Refused(Box::new(Refusal {
            status: problem.status,
            why: problem.why,
            copy: raw.copied(),
        })),
    })
}

/// What is wrong, before it is known whether anybody is to be told.
#[derive(Debug, Clone, Copy)]
struct Problem {
    status: u16,
    why: &'static str,
}

fn bad(why: &'static str) -> Problem {
    Problem { status: 400, why }
}

/// The start line, read by us: rsip refuses the whole message when the method is unknown, and then
/// nobody could answer 405 or 501.
#[derive(Debug)]
enum Start {
    Request {
        method: Method,
        uri: String,
    },
    Response {
        status: u16,
        reason: Text,
    },
    /// Looks like a SIP request, but cannot be served.
    Broken(Problem),
}

impl Start {
    fn read(line: &[u8]) -> Result<Self, Error> {
        let is_response = line
            .get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 "));
        if is_response {
            let rest = core::str::from_utf8(line.get(8..).unwrap_or_default())
                .map_err(|_| Error::Response("not UTF-8"))?;
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let status = Some(code)
                .filter(|code| code.len() == 3)
                .and_then(|code| code.parse().ok())
                .filter(|code| (100..700).contains(code))
                .ok_or(Error::Response("status"))?;
            let reason = Text::new(reason.trim()).map_err(|_| Error::Response("reason"))?;
            return Ok(Self::Response { status, reason });
        }
        // The version is what tells a SIP request from everything else on the port.
        let line = line.trim_ascii();
        let Some(version_at) = memchr::memrchr(b' ', line) else {
            return Err(Error::NotSip);
        };
        let (rest, version) = line.split_at(version_at);
        let version = version.trim_ascii();
        if !version
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
        {
            return Err(Error::NotSip);
        }
        let Some(space) = memchr::memchr(b' ', rest) else {
            return Err(Error::NotSip);
        };
        let (method, uri) = rest.split_at(space);
        let Some(method) = core::str::from_utf8(method)
            .ok()
            .and_then(|method| Token::new(method).ok())
        else {
            return Err(Error::NotSip);
        };
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Ok(Self::Broken(Problem {
                status: 505,
                why: "version",
            }));
        }
        let Some(uri) = core::str::from_utf8(uri.trim_ascii())
            .ok()
            .filter(|uri| !uri.is_empty() && uri.len() <= MAX_VALUE)
        else {
            return Ok(Self::Broken(bad("Request-URI")));
        };
        Ok(Self::Request {
            method: Method::new(&method),
            uri: uri.to_owned(),
        })
    }
}

/// The headers in one form: names in full, values on one line, lists of Via taken apart.
#[derive(Debug, Default)]
struct RawHead {
    headers: Vec<(Token, Text)>,
    vias: Vec<Text>,
    body: Vec<u8>,
    problem: Option<(u16, &'static str)>,
}

impl RawHead {
    /// Reads as far as it can; the first problem is kept, and reading goes on so that a refusal
    /// can name the call.
    fn read(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        let Some(length) = frame::head_length(bytes) else {
            head.trouble(400, "no end of headers");
            head.lines(bytes.get(..bytes.len().min(MAX_HEAD)).unwrap_or_default());
            return head;
        };
        let (raw, rest) = bytes.split_at(length);
        if raw.len() > MAX_HEAD {
            head.trouble(513, "headers too long");
            head.lines(raw.get(..MAX_HEAD).unwrap_or_default());
            return head;
        }
        head.lines(raw);
        match frame::content_length(raw) {
            Length::Absent => head.body = rest.to_vec(),
            Length::Is(n) => match rest.get(..n) {
                // A datagram may be longer than its message says: the rest is no part of it.
                Some(body) => head.body = body.to_vec(),
                None => head.trouble(400, "body shorter than Content-Length"),
            },
            Length::Bad => head.trouble(400, "Content-Length"),
        }
        head
    }

    fn trouble(&mut self, status: u16, why: &'static str) {
        self.problem.get_or_insert((status, why));
    }

    fn lines(&mut self, raw: &[u8]) {
        let (_, mut rest) = split_line(raw);
        let mut count = 0;
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            rest = after;
            if line.is_empty() {
                break;
            }
            let mut whole = line.to_vec();
            // A line that starts with white space continues the one before (RFC 3261 7.3.1).
            while matches!(rest.first(), Some(b' ' | b'\t')) {
                let (more, after) = split_line(rest);
                rest = after;
                whole.push(b' ');
                whole.extend_from_slice(more.trim_ascii());
            }
            count += 1;
            if count > MAX_HEADERS {
                self.trouble(400, "too many headers");
                break;
            }
            self.line(&whole);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return self.trouble(400, "a header without colon");
        };
        let (name, value) = line.split_at(colon);
        let name = core::str::from_utf8(name.trim_ascii_end())
            .ok()
            .map(full_name)
            .and_then(|name| Token::new(name).ok());
        let Some(name) = name else {
            return self.trouble(400, "header name");
        };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let Some(value) = core::str::from_utf8(value).ok() else {
            return self.trouble(400, "a header that is not UTF-8");
        };
        let value = match Text::new(value) {
            Ok(value) => value,
            Err(BadWord::TooLong) => return self.trouble(513, "a header too long"),
            Err(_) => return self.trouble(400, "a control character in a header"),
        };
        if name.as_str().eq_ignore_ascii_case("Via") {
            for via in split_list(value.as_str()) {
                if self.vias.len() == MAX_VIAS {
                    return self.trouble(400, "too many Via");
                }
                if let Ok(via) = Text::new(via) {
                    self.vias.push(via);
                }
            }
            return;
        }
        const ONCE: [&str; 8] = [
            "From",
            "To",
            "Call-ID",
            "CSeq",
            "Content-Length",
            "Content-Type",
            "Max-Forwards",
            "Content-Encoding",
        ];
        if self.get(name.as_str()).is_some()
            && ONCE
                .iter()
                .any(|once| name.as_str().eq_ignore_ascii_case(once))
        {
            return self.trouble(400, "a header that may be there once is there twice");
        }
        self.headers.push((name, value));
    }

    fn get(&self, name: &str) -> Option<&Text> {
        self.headers
            .iter()
            .find(|(have, _)| have.as_str().eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// What a refusal copies.
    fn copied(&self) -> Vec<(&'static str, Text)> {
        let mut copy: Vec<_> = self.vias.iter().map(|via| ("Via", via.clone())).collect();
        for name in ["From", "To", "Call-ID", "CSeq"] {
            if let Some(value) = self.get(name) {
                copy.push((name, value.clone()));
            }
        }
        copy
    }
}

/// The second half: what the first made canonical goes through rsip, and what comes out is checked.
fn assemble(start: &Start, raw: &RawHead) -> Result<Message, Problem> {
    if let Start::Broken(problem) = start {
        return Err(*problem);
    }
    through_rsip(raw)?;
    let call_id = raw
        .get("Call-ID")
        .filter(|id| !id.as_str().is_empty() && id.as_str().len() <= 256)
        .ok_or(bad("Call-ID"))?;
    let cseq = read_cseq(raw.get("CSeq").ok_or(bad("CSeq"))?)?;
    let first_via = raw.vias.first().ok_or(bad("no Via"))?;
    let via = read_via(first_via)?;
    let from = read_party(raw.get("From").ok_or(bad("From"))?)?;
    let to = read_party(raw.get("To").ok_or(bad("To"))?)?;
    let contact = match raw.get("Contact") {
        Some(value) if value.as_str() != "*" => read_contact(value)?,
        _ => None,
    };
    let record_route = raw
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().eq_ignore_ascii_case("Record-Route"))
        .map(|(_, value)| value.clone())
        .collect();
    // Above 255 is as good as 255; rubbish is refused.
    let max_forwards = match raw.get("Max-Forwards") {
        Some(value) => {
            let number: u32 = value.as_str().parse().map_err(|_| bad("Max-Forwards"))?;
            Some(u8::try_from(number).unwrap_or(u8::MAX))
        }
        None => None,
    };
    const TYPED: [&str; 9] = [
        "Content-Type",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Record-Route",
        "Content-Length",
        "Max-Forwards",
    ];
    let fields = Fields {
        vias: raw.vias.clone(),
        via,
        from,
        to,
        call_id: call_id.clone(),
        cseq,
        contact,
        record_route,
        max_forwards,
        content_type: raw.get("Content-Type").cloned(),
        others: raw
            .headers
            .iter()
            .filter(|(name, _)| {
                !TYPED
                    .iter()
                    .any(|typed| name.as_str().eq_ignore_ascii_case(typed))
            })
            .cloned()
            .collect(),
        body: raw.body.clone(),
    };
    match start {
        Start::Request { method, uri } => {
            if fields.cseq.method != *method {
                return Err(bad("CSeq counts another method"));
            }
            Ok(Message::Request(Request {
                method: method.clone(),
                uri: read_uri(uri)?,
                fields,
            }))
        }
        Start::Response { status, reason } => Ok(Message::Response(Response {
            status: *status,
            reason: reason.clone(),
            fields,
        })),
        Start::Broken(problem) => Err(*problem),
    }
}

/// Writes the headers in the form rsip takes, and lets it read them. The start line is a fixed
/// one: ours is read already, and an unknown method would fail the whole message.
fn through_rsip(raw: &RawHead) -> Result<(), Problem> {
    let mut canonical = String::from("OPTIONS sip:u@h SIP/2.0\r\n");
    for via in &raw.vias {
        let _ = write!(canonical, "Via: {via}\r\n");
    }
    for (name, value) in &raw.headers {
        let _ = write!(canonical, "{name}: {value}\r\n");
    }
    canonical.push_str("\r\n");
    let message = rsip::SipMessage::try_from(canonical).map_err(|_| bad("unreadable"))?;
    // A message that lost its call on the way is not the one we checked.
    let same = message
        .call_id_header()
        .is_ok_and(|id| Some(id.value()) == raw.get("Call-ID").map(Text::as_str));
    if same { Ok(()) } else { Err(bad("Call-ID")) }
}

/// Reads an address. The user part is taken off first: rsip 0.4 reads one with a dot in it
/// (`john.doe@10.0.0.1`) as part of the host. What it says of host and port must be all there is
/// between the user and the parameters, and the parameters are copied as they were written.
fn read_uri(written: &str) -> Result<Uri, Problem> {
    let (scheme, rest) = written.split_once(':').ok_or(bad("address"))?;
    let secure = scheme.eq_ignore_ascii_case("sips");
    if !secure && !scheme.eq_ignore_ascii_case("sip") {
        return Err(Problem {
            status: 416,
            why: "only sip: addresses are served",
        });
    }
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let (host_and_port, tail) = match place.find([';', '?']) {
        Some(at) => place.split_at(at),
        None => (place, ""),
    };
    if host_and_port.contains('[') {
        return Err(bad("IPv6 addresses are not served"));
    }
    if !host_and_port.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("address"));
    }
    let parsed =
        rsip::Uri::try_from(format!("sip:u@{host_and_port}")).map_err(|_| bad("address"))?;
    let (host, port) = own_host(&parsed)?;
    let said = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    if !said.eq_ignore_ascii_case(host_and_port) {
        return Err(bad("address"));
    }
    let tail = tail.split('?').next().unwrap_or_default();
    Uri::with_tail(secure, user, host, port, tail).map_err(|_| bad("address"))
}

fn own_host(parsed: &rsip::Uri) -> Result<(Host, Option<u16>), Problem> {
    let host = Host::new(&parsed.host_with_port.host.to_string()).map_err(|_| bad("host"))?;
    let port = match &parsed.host_with_port.port {
        Some(port) => Some(port.to_string().parse().map_err(|_| bad("port"))?),
        None => None,
    };
    if port == Some(0) {
        return Err(bad("port"));
    }
    Ok((host, port))
}

fn read_cseq(value: &Text) -> Result<CSeq, Problem> {
    let mut words = value.as_str().split_ascii_whitespace();
    let number = words
        .next()
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|number| number.parse::<u32>().ok())
        .filter(|number| *number < 1 << 31)
        .ok_or(bad("CSeq number"))?;
    let method = words
        .next()
        .and_then(|method| Token::new(method).ok())
        .ok_or(bad("CSeq method"))?;
    if words.next().is_some() {
        return Err(bad("CSeq"));
    }
    Ok(CSeq {
        number,
        method: Method::new(&method),
    })
}

/// Reads the topmost Via. White space around the separators is legal and defeats rsip, so it goes
/// first; the branch is taken from our own text, since only that is copied into responses.
fn read_via(value: &Text) -> Result<Via, Problem> {
    let problem = || bad("Via");
    let mut slashes = value.as_str().splitn(3, '/');
    let (name, version, rest) = match (slashes.next(), slashes.next(), slashes.next()) {
        (Some(name), Some(version), Some(rest)) => (name.trim(), version.trim(), rest.trim()),
        _ => return Err(problem()),
    };
    if !name.eq_ignore_ascii_case("SIP") || version != "2.0" {
        return Err(problem());
    }
    let (transport, sent) = rest
        .split_once(|c: char| c.is_ascii_whitespace())
        .ok_or_else(problem)?;
    if sent.contains('[') {
        return Err(bad("IPv6 addresses are not served"));
    }
    let mut parts = sent.split(';');
    let sent_by: String = parts
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    let mut canonical = format!("SIP/2.0/{} {sent_by}", transport.to_ascii_uppercase());
    let mut branch = None;
    let mut rport = false;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        if name.eq_ignore_ascii_case("branch") {
            let value = value.filter(|value| !value.is_empty() && value.len() <= 256);
            branch = Some(Text::new(value.ok_or_else(problem)?).map_err(|_| problem())?);
        } else if name.eq_ignore_ascii_case("rport") {
            rport = true;
        }
    }
    // rsip knows the transports and the form of host and port.
    canonical.push_str(";x=y");
    let typed = rsip::headers::untyped::Via::new(canonical)
        .typed()
        .map_err(|_| problem())?;
    if typed.uri.auth.is_some() {
        return Err(problem());
    }
    let (host, port) = own_host(&typed.uri)?;
    Ok(Via {
        host,
        port,
        branch,
        rport,
    })
}

/// Takes the tag out of a From or To. The rest may be anything: `"a<b>" <sip:...>`, a `tel:`
/// address, an IPv6 host. It is copied, never used.
fn read_party(value: &Text) -> Result<Party, Problem> {
    let text = value.as_str();
    let parameters = match find_outside_quotes(text, '<') {
        Some(open) => {
            let close = text
                .get(open..)
                .and_then(|rest| rest.find('>').map(|at| open + at))
                .ok_or(bad("From or To"))?;
            text.get(close + 1..).unwrap_or_default()
        }
        // Without angle brackets everything after the first `;` belongs to the header.
        None => text
            .find(';')
            .and_then(|at| text.get(at..))
            .unwrap_or_default(),
    };
    let mut tag = None;
    for part in split_outside_quotes(parameters, ';') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.trim().eq_ignore_ascii_case("tag") {
            if tag.is_some() {
                return Err(bad("two tags"));
            }
            let value = value.trim();
            // RTC's tag is a GUID; some agents put characters outside `token` there.
            let good = !value.is_empty()
                && value.len() <= 256
                && value
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"<>\",".contains(&b));
            if !good {
                return Err(bad("tag"));
            }
            tag = Some(Text::new(value).map_err(|_| bad("tag"))?);
        }
    }
    Ok(Party {
        value: value.clone(),
        tag,
    })
}

/// The address in the first Contact.
fn read_contact(value: &Text) -> Result<Option<Uri>, Problem> {
    let Some(first) = split_list(value.as_str()).next() else {
        return Ok(None);
    };
    let written = match find_outside_quotes(first, '<') {
        Some(open) => first
            .get(open + 1..)
            .and_then(|rest| rest.split_once('>'))
            .map(|(inside, _)| inside)
            .ok_or(bad("Contact"))?,
        None => first.split(';').next().unwrap_or_default(),
    }
    .trim();
    read_uri(written).map(Some)
}

/// One line without its end, and what follows. A CR counts only before LF.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => {
            let (line, rest) = bytes.split_at(at);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (line, rest.get(1..).unwrap_or_default())
        }
        None => (bytes, &[]),
    }
}

/// The full name of a compact header (RFC 3261 section 7.3.3).
fn full_name(name: &str) -> &str {
    const SHORT: [(&str, &str); 10] = [
        ("v", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("c", "Content-Type"),
        ("e", "Content-Encoding"),
        ("k", "Supported"),
        ("s", "Subject"),
    ];
    SHORT
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name))
        .map_or(name, |(_, full)| full)
}

/// Parts of a comma-separated list, trimmed, empty ones left out; commas in quotes and in angle
/// brackets do not count.
fn split_list(value: &str) -> impl Iterator<Item = &str> {
    split_outside_quotes(value, ',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn split_outside_quotes(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    core::iter::from_fn(move || {
        let text = rest?;
        match find_outside_quotes(text, separator) {
            Some(at) => {
                rest = text.get(at + separator.len_utf8()..);
                text.get(..at)
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// Where `wanted` stands outside quotes (and, unless it is the bracket itself, outside `<>`).
fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            _ if c == wanted && depth == 0 => return Some(at),
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
