//! Session descriptions: a lenient reader and a plain writer over sdp-types.
//!
//! RTC writes what RFC 4566 does not allow (a space after `rtpmap:`, a version that never counts)
//! and understands little (APPLICATIONS.md 1.3, 1.4), so what is read is brought into form first,
//! and what is written is the least that says it: `RTP/AVP`, IPv4 literals, static payload types
//! and one telephone-event.

use core::net::Ipv4Addr;

use sdp_types::{Attribute, Connection, MediaType, Origin, TransportProto};

/// Largest description read, in bytes.
pub const MAX_SDP: usize = 8 * 1024;
/// Longest line read, in bytes; longer ones are skipped.
pub const MAX_LINE: usize = 512;
/// Most media lines read.
pub const MAX_MEDIA: usize = 8;
/// Most payload types read of one media line.
pub const MAX_FORMATS: usize = 32;

/// The name of telephone-event (RFC 4733).
const TELEPHONE_EVENT: &str = "telephone-event";

/// Why a description cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`MAX_SDP`] or with more than [`MAX_MEDIA`] media.
    #[error("too long")]
    TooLong,
    /// No session description.
    #[error("unreadable")]
    Unreadable,
}

/// Why an offer is refused; each is a SIP 488.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It demands encryption, which is not served (APPLICATIONS.md 1.4).
    #[error("encryption is required there and not served here")]
    Encryption,
    /// No medium or no codec in common.
    #[error("no medium and codec in common")]
    Nothing,
}

impl Refusal {
    /// The words after 488.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Encryption => "Encryption Levels Incompatible",
            Self::Nothing => "Not Acceptable Here",
        }
    }

    /// The `Warning` header.
    #[must_use]
    pub fn warning(self) -> &'static str {
        match self {
            Self::Encryption => "308 msn-handoff \"Encryption is not available\"",
            Self::Nothing => "305 msn-handoff \"Incompatible media format\"",
        }
    }
}

/// What a media line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
    /// `m=application`: RTC's data channel (T.120, whiteboard).
    Application,
    /// Anything else.
    Other,
}

/// Which way media flows, from the view of who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Only out.
    SendOnly,
    /// Only in.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::ReceiveOnly,
            Self::ReceiveOnly => Self::SendOnly,
            other => other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// A payload type and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// The encoding as written, or the static one; empty when unknown.
    pub name: String,
    /// Clock in hertz; 0 when unknown.
    pub clock: u32,
}

impl Format {
    /// A static payload type of RFC 3551 section 6; name and clock empty when it is none.
    #[must_use]
    pub fn fixed(payload_type: u8) -> Self {
        let (name, clock) = match payload_type {
            0 => ("PCMU", 8000),
            3 => ("GSM", 8000),
            4 => ("G723", 8000),
            5 => ("DVI4", 8000),
            6 => ("DVI4", 16000),
            8 => ("PCMA", 8000),
            26 => ("JPEG", 90000),
            31 => ("H261", 90000),
            32 => ("MPV", 90000),
            34 => ("H263", 90000),
            _ => ("", 0),
        };
        Self {
            payload_type,
            name: name.to_owned(),
            clock,
        }
    }

    /// `telephone-event` under this payload type.
    #[must_use]
    pub fn events(payload_type: u8) -> Self {
        Self {
            payload_type,
            name: TELEPHONE_EVENT.to_owned(),
            clock: 8000,
        }
    }

    /// Whether this is `telephone-event` at 8 kHz.
    #[must_use]
    pub fn is_events(&self) -> bool {
        self.clock == 8000 && self.name.eq_ignore_ascii_case(TELEPHONE_EVENT)
    }
}

/// One media line as offered or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What it is for.
    pub kind: Kind,
    /// Where its RTP is wanted; nothing when no IPv4 address is given. Not yet allowed by policy.
    pub ip: Option<Ipv4Addr>,
    /// RTP port; 0 refuses the medium.
    pub port: u16,
    /// RTCP port: the next one, or as `a=rtcp` says (RTC does).
    pub rtcp_port: u16,
    /// Payload types, in the writer's order of preference.
    pub formats: Vec<Format>,
    /// Which way.
    pub direction: Direction,
    /// Plain `RTP/AVP`.
    pub plain: bool,
    /// The words of the line, for a refusal that must repeat them.
    media: String,
    proto: String,
    format_text: String,
}

impl Media {
    /// Whether this offers RTC's T.120 data.
    #[must_use]
    pub fn is_data(&self) -> bool {
        let (proto, format) = DATA;
        self.kind == Kind::Application
            && self.port != 0
            && self.proto.eq_ignore_ascii_case(proto)
            && self.format_text.eq_ignore_ascii_case(format)
    }
}

/// What a description says about encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// Nothing, or that it is not wanted.
    #[default]
    None,
    /// Possible; an answer without it means plain RTP.
    Optional,
    /// Demanded.
    Required,
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// All media, in order.
    pub media: Vec<Media>,
    /// The strictest word on encryption in it.
    pub encryption: Encryption,
}

impl Session {
    /// The first medium of a kind that is not refused (port 0).
    #[must_use]
    pub fn first(&self, kind: Kind) -> Option<&Media> {
        self.media
            .iter()
            .find(|media| media.kind == kind && media.port != 0)
    }

    /// The audio offered.
    #[must_use]
    pub fn audio(&self) -> Option<&Media> {
        self.first(Kind::Audio).filter(|media| media.plain)
    }

    /// The video offered.
    #[must_use]
    pub fn video(&self) -> Option<&Media> {
        self.first(Kind::Video).filter(|media| media.plain)
    }
}

/// Reads an offer or an answer.
///
/// # Errors
/// When it is too long or none at all.
pub fn read(bytes: &[u8]) -> Result<Session, Error> {
    if bytes.len() > MAX_SDP {
        return Err(Error::TooLong);
    }
    let canonical = canonical(bytes)?;
    let parsed = sdp_types::Session::parse(canonical.as_bytes()).map_err(|_| Error::Unreadable)?;
    let mut encryption = encryption_of(&parsed.attributes);
    let ip = parsed.connection.as_ref().and_then(ipv4);
    let direction = direction_of(&parsed.attributes).unwrap_or_default();
    let mut media = Vec::new();
    for line in &parsed.medias {
        encryption = stricter(encryption, encryption_of(&line.attributes));
        media.push(read_media(line, ip, direction));
    }
    Ok(Session { media, encryption })
}

/// Keeps the lines we use, in the form sdp-types takes.
fn canonical(bytes: &[u8]) -> Result<String, Error> {
    let mut text = String::from("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\n");
    let mut seen = false;
    let mut media = 0;
    let mut connected = false;
    for line in bytes.split(|b| matches!(b, b'\n' | b'\r' | 0)) {
        // A line that is no text, or too long, is none we use.
        let Some(line) = core::str::from_utf8(line)
            .ok()
            .map(str::trim)
            .filter(|line| line.len() <= MAX_LINE && !line.chars().any(char::is_control))
        else {
            continue;
        };
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "v" if value == "0" => seen = true,
            "v" => return Err(Error::Unreadable),
            "c" if !connected => {
                connected = true;
                text.push_str(&format!("c={value}\r\n"));
            }
            "m" => {
                media += 1;
                connected = false;
                if media > MAX_MEDIA {
                    return Err(Error::TooLong);
                }
                let words: Vec<&str> = value.split_ascii_whitespace().collect();
                text.push_str(&format!("m={}\r\n", words.join(" ")));
            }
            "a" if !value.is_empty() => match value.split_once(':') {
                // RTC writes `a=rtpmap: 3 GSM/8000`.
                Some((name, value)) => {
                    text.push_str(&format!("a={}:{}\r\n", name.trim(), value.trim()));
                }
                None => text.push_str(&format!("a={value}\r\n")),
            },
            _ => {}
        }
    }
    if seen && media > 0 {
        Ok(text)
    } else {
        Err(Error::Unreadable)
    }
}

fn ipv4(connection: &Connection) -> Option<Ipv4Addr> {
    // `224.2.1.1/127` is multicast and does not parse, which is right: it is not served.
    connection.connection_address.parse().ok()
}

fn read_media(line: &sdp_types::Media, ip: Option<Ipv4Addr>, direction: Direction) -> Media {
    let kind = match line.media.to_ascii_lowercase().as_str() {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "application" => Kind::Application,
        _ => Kind::Other,
    };
    let mut formats: Vec<Format> = Vec::new();
    for word in line.fmt.split(' ') {
        let Some(payload_type) = word.parse().ok().filter(|pt| *pt < 128) else {
            continue;
        };
        let known = formats.iter().any(|have| have.payload_type == payload_type);
        if !known && formats.len() < MAX_FORMATS {
            formats.push(Format::fixed(payload_type));
        }
    }
    let mut rtcp_port = line.port.checked_add(1).unwrap_or_default();
    for attribute in &line.attributes {
        let value = attribute.value.as_deref().unwrap_or_default();
        let mut words = value.split_ascii_whitespace();
        match attribute.attribute.to_ascii_lowercase().as_str() {
            "rtcp" => {
                if let Some(port) = words.next().and_then(|port| port.parse().ok()) {
                    rtcp_port = port;
                }
            }
            "rtpmap" => {
                let payload_type = words.next().and_then(|pt| pt.parse::<u8>().ok());
                let mut encoding = words.next().unwrap_or_default().split('/');
                let name = encoding.next().unwrap_or_default();
                let clock = encoding.next().and_then(|clock| clock.parse().ok());
                if let Some(format) = formats
                    .iter_mut()
                    .find(|format| Some(format.payload_type) == payload_type)
                {
                    format.name = name.to_owned();
                    format.clock = clock.unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    Media {
        kind,
        ip: line.connections.first().map_or(ip, ipv4),
        port: line.port,
        rtcp_port,
        formats,
        direction: direction_of(&line.attributes).unwrap_or(direction),
        plain: line.proto.eq_ignore_ascii_case("RTP/AVP"),
        media: line.media.clone(),
        proto: line.proto.clone(),
        format_text: line.fmt.clone(),
    }
}

fn direction_of(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| {
        [
            Direction::Both,
            Direction::SendOnly,
            Direction::ReceiveOnly,
            Direction::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.name().eq_ignore_ascii_case(&attribute.attribute))
    })
}

fn encryption_of(attributes: &[Attribute]) -> Encryption {
    attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case("encryption"))
        .map(|attribute| {
            let value = attribute.value.as_deref().unwrap_or_default();
            if value.eq_ignore_ascii_case("required") {
                Encryption::Required
            } else if value.eq_ignore_ascii_case("optional") {
                Encryption::Optional
            } else {
                Encryption::None
            }
        })
        .fold(Encryption::None, stricter)
}

fn stricter(a: Encryption, b: Encryption) -> Encryption {
    match (a, b) {
        (Encryption::Required, _) | (_, Encryption::Required) => Encryption::Required,
        (Encryption::Optional, _) | (_, Encryption::Optional) => Encryption::Optional,
        _ => Encryption::None,
    }
}

/// A medium of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// RTP port; RTCP is the next one.
    pub port: u16,
    /// What we can take: in an offer, all of it is offered; in an answer, it is what may be chosen
    /// of (telephone-event is chosen under the payload type of the offer).
    pub formats: Vec<Format>,
}

/// Our side of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Where media is wanted.
    pub ip: Ipv4Addr,
    /// Session id: any number, the same for the whole call.
    pub id: u32,
    /// Version: to be raised when anything else changes (RFC 3264 section 8).
    pub version: u64,
    /// Audio, if any.
    pub audio: Option<Line>,
    /// Video, if any.
    pub video: Option<Line>,
}

/// The audio every agent understands: G.711 both laws, and keys under 101.
#[must_use]
pub fn plain_audio() -> Vec<Format> {
    vec![Format::fixed(0), Format::fixed(8), Format::events(101)]
}

/// The video RTC sends (APPLICATIONS.md 0.2): H.263 first, as RTC prefers it.
#[must_use]
pub fn plain_video() -> Vec<Format> {
    vec![Format::fixed(34), Format::fixed(31)]
}

/// What an answer agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The description.
    pub sdp: Vec<u8>,
    /// The audio payload types agreed on; empty when there is no audio.
    pub audio: Vec<Format>,
    /// The video payload types agreed on; empty when there is no video.
    pub video: Vec<Format>,
}

/// Writes an offer.
#[must_use]
pub fn offer(ours: &Ours) -> Vec<u8> {
    let mut session = blank(ours);
    for (kind, line) in [
        (MediaType::Audio, &ours.audio),
        (MediaType::Video, &ours.video),
    ] {
        if let Some(line) = line {
            session
                .medias
                .push(our_media(kind, line.port, &line.formats, Direction::Both));
        }
    }
    printed(&session)
}

/// Describes a picture to a player on this machine: it comes to that port, and RTCP to the next one
/// (APPLICATIONS.md 2.3). Players bind the port on all addresses; those that know RFC 4570 take only
/// what we send.
#[must_use]
pub fn for_player(port: u16, formats: &[Format]) -> Vec<u8> {
    let mut session = blank(&Ours {
        ip: Ipv4Addr::LOCALHOST,
        id: 0,
        version: 0,
        audio: None,
        video: None,
    });
    session.add_attribute_with_value("source-filter", " incl IN IP4 127.0.0.1 127.0.0.1");
    session
        .medias
        .push(our_media(MediaType::Video, port, formats, Direction::Both));
    printed(&session)
}

/// Answers an offer: its media lines in its order, its payload types in its order.
///
/// # Errors
/// When it cannot be taken; see [`Refusal`].
pub fn answer(theirs: &Session, ours: &Ours) -> Result<Answer, Refusal> {
    if theirs.encryption == Encryption::Required {
        return Err(Refusal::Encryption);
    }
    let mut session = blank(ours);
    let mut audio = Vec::new();
    let mut video = Vec::new();
    for media in &theirs.media {
        let (line, chosen) = match media.kind {
            Kind::Audio => (&ours.audio, &mut audio),
            Kind::Video => (&ours.video, &mut video),
            _ => (&None, &mut audio),
        };
        let usable = media.port != 0 && media.plain && chosen.is_empty();
        let formats = match line {
            Some(line) if usable => common(&media.formats, &line.formats),
            _ => Vec::new(),
        };
        let port = line.as_ref().map_or(0, |line| line.port);
        if formats.iter().any(|format| !format.is_events()) {
            let kind = match media.kind {
                Kind::Video => MediaType::Video,
                _ => MediaType::Audio,
            };
            let direction = media.direction.reversed();
            session
                .medias
                .push(our_media(kind, port, &formats, direction));
            *chosen = formats;
        } else {
            session.medias.push(refused(media));
        }
    }
    if audio.is_empty() && video.is_empty() {
        return Err(Refusal::Nothing);
    }
    Ok(Answer {
        sdp: printed(&session),
        audio,
        video,
    })
}

/// RTC's T.120 data channel (MS-SDP 3.1.5.2.1): what is written after the port.
const DATA: (&str, &str) = ("tcp", "msdata");

/// Answers an offer of T.120 data, which is taken at `port`: the line mirrored, without any
/// encryption, and every other medium refused.
///
/// # Errors
/// When it cannot be taken; see [`Refusal`].
pub fn answer_data(theirs: &Session, ours: &Ours, port: u16) -> Result<Vec<u8>, Refusal> {
    if theirs.encryption == Encryption::Required {
        return Err(Refusal::Encryption);
    }
    let mut session = blank(ours);
    let mut taken = false;
    for media in &theirs.media {
        let mut line = refused(media);
        if media.is_data() && !taken {
            taken = true;
            line.port = port;
            if media.direction != Direction::Both {
                line.add_attribute_from_str(media.direction.reversed().name());
            }
        }
        session.medias.push(line);
    }
    if taken {
        Ok(printed(&session))
    } else {
        Err(Refusal::Nothing)
    }
}

/// The formats of `theirs` that `ours` has too, under their payload types.
#[must_use]
pub fn common(theirs: &[Format], ours: &[Format]) -> Vec<Format> {
    let mut events = false;
    theirs
        .iter()
        .filter(|format| {
            if format.is_events() {
                let first = !events && ours.iter().any(Format::is_events);
                events |= first;
                return first;
            }
            // Below 96 the number says what it is; a name that says otherwise is refused.
            ours.iter().any(|have| {
                have.payload_type == format.payload_type
                    && have.clock == format.clock
                    && have.name.eq_ignore_ascii_case(&format.name)
            })
        })
        .cloned()
        .collect()
}

fn blank(ours: &Ours) -> sdp_types::Session {
    let origin = Origin::with_ip_addr(ours.id, ours.version, ours.ip);
    let mut session = sdp_types::Session::new(origin, "session");
    session.connection = Some(Connection::from_ip_addr(ours.ip));
    session.times = vec![sdp_types::Time::new(0, 0)];
    session
}

fn our_media(
    kind: MediaType,
    port: u16,
    formats: &[Format],
    direction: Direction,
) -> sdp_types::Media {
    let numbers: Vec<String> = formats.iter().map(|f| f.payload_type.to_string()).collect();
    let mut media = sdp_types::Media::new(kind, port, TransportProto::RtpAvp, numbers.join(" "));
    for format in formats {
        if !format.name.is_empty() {
            media.add_attribute_with_value(
                "rtpmap",
                format!("{} {}/{}", format.payload_type, format.name, format.clock),
            );
        }
        if format.is_events() {
            media.add_attribute_with_value("fmtp", format!("{} 0-16", format.payload_type));
        }
    }
    if direction != Direction::Both {
        media.add_attribute_from_str(direction.name());
    }
    media
}

/// A line that refuses `media`: its own words with port 0.
fn refused(media: &Media) -> sdp_types::Media {
    let mut line = sdp_types::Media::new(
        MediaType::Audio,
        0,
        TransportProto::RtpAvp,
        &media.format_text,
    );
    line.media.clone_from(&media.media);
    line.proto.clone_from(&media.proto);
    line
}

fn printed(session: &sdp_types::Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = session.write(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shape RTC offers (APPLICATIONS.md 1.3, 1.6.6).
    const RTC: &str = "v=0\r\no=- 0 0 IN IP4 192.168.1.5\r\ns=session\r\nc=IN IP4 192.168.1.5\r\n\
        b=CT:1000\r\nt=0 0\r\nm=audio 33792 RTP/AVP 97 111 112 6 0 8 4 5 3 101\r\na=rtcp:33801\r\n\
        a=rtpmap:97 red/8000\r\na=rtpmap:111 SIREN/16000\r\na=fmtp:111 bitrate=16000\r\n\
        a=rtpmap:112 G7221/16000\r\na=rtpmap:6 DVI4/16000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap: 3 GSM/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
        a=encryption:optional\r\nk=base64:c2VjcmV0\r\nm=video 33794 RTP/AVP 34 31\r\n\
        m=application 1503 tcp msdata\r\n";

    fn ours() -> Ours {
        Ours {
            ip: Ipv4Addr::new(192, 168, 1, 9),
            id: 7,
            version: 1,
            audio: Some(Line {
                port: 40000,
                formats: plain_audio(),
            }),
            video: None,
        }
    }

    fn numbers(formats: &[Format]) -> Vec<u8> {
        formats.iter().map(|f| f.payload_type).collect()
    }

    /// What MS-SDP 3.1.5.2.1 shows for application sharing, `more` added.
    fn data(more: &str) -> Session {
        let text = format!(
            "v=0\r\no=- 0 0 IN IP4 192.168.1.5\r\ns=session\r\nc=IN IP4 192.168.1.5\r\nt=0 0\r\n\
             m=application 1503 tcp msdata\r\n{more}"
        );
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_player_is_told_to_take_ours_only() {
        let format = Format {
            payload_type: 34,
            name: "H263".to_owned(),
            clock: 90_000,
        };
        let text = String::from_utf8(for_player(4000, &[format])).unwrap();
        let (before, medium) = text.split_once("m=video 4000 RTP/AVP 34\r\n").unwrap();
        // Of the session (RFC 4570 section 3), so that it holds for every medium.
        let filter = "a=source-filter: incl IN IP4 127.0.0.1 127.0.0.1\r\n";
        assert!(before.ends_with(filter), "{text}");
        assert!(medium.starts_with("a=rtpmap:34 H263/90000\r\n"), "{text}");
    }

    #[test]
    fn data_is_answered_with_its_line_mirrored() {
        let text = |more: &str, port| {
            let answer = answer_data(&data(more), &ours(), port).unwrap();
            let text = String::from_utf8(answer).unwrap();
            text.split_once("m=").unwrap().1.to_owned()
        };
        assert_eq!(text("", 1503), "application 1503 tcp msdata\r\n");
        assert_eq!(
            text("a=sendonly\r\na=encryption:optional\r\n", 1603),
            "application 1603 tcp msdata\r\na=recvonly\r\n"
        );
        assert_eq!(
            text(
                "m=audio 5004 RTP/AVP 0\r\nm=application 1503 tcp msdata\r\n",
                1503
            ),
            "application 1503 tcp msdata\r\nm=audio 0 RTP/AVP 0\r\nm=application 0 tcp msdata\r\n"
        );
    }

    #[test]
    fn data_that_must_be_encrypted_or_is_none_is_refused() {
        let refusal = |session: &Session| answer_data(session, &ours(), 1503).unwrap_err();
        let required = data("a=encryption:required\r\n");
        assert_eq!(refusal(&required), Refusal::Encryption);
        let sound = read(b"v=0\r\nm=audio 5004 RTP/AVP 0\r\n").unwrap();
        assert_eq!(refusal(&sound), Refusal::Nothing);
        for line in ["0 tcp msdata", "1503 udp msdata", "1503 tcp wb"] {
            let other = read(format!("v=0\r\nm=application {line}\r\n").as_bytes()).unwrap();
            assert_eq!(refusal(&other), Refusal::Nothing, "{line}");
        }
    }

    #[test]
    fn the_offer_of_rtc_is_read() {
        let session = read(RTC.as_bytes()).unwrap();
        let audio = session.audio().unwrap();
        assert_eq!(audio.ip, Some(Ipv4Addr::new(192, 168, 1, 5)));
        assert_eq!((audio.port, audio.rtcp_port), (33792, 33801));
        assert_eq!(
            numbers(&audio.formats),
            [97, 111, 112, 6, 0, 8, 4, 5, 3, 101]
        );
        let gsm = audio.formats.iter().find(|f| f.payload_type == 3).unwrap();
        assert_eq!((gsm.name.as_str(), gsm.clock), ("GSM", 8000));
        let video = session.video().unwrap();
        assert_eq!((video.port, video.rtcp_port), (33794, 33795));
        assert!(session.first(Kind::Application).is_some());
        assert_eq!(session.encryption, Encryption::Optional);
    }

    #[test]
    fn the_answer_mirrors_lines_keeps_their_order_and_says_nothing_new() {
        let session = read(RTC.as_bytes()).unwrap();
        let answer = answer(&session, &ours()).unwrap();
        assert_eq!(numbers(&answer.audio), [0, 8, 101]);
        assert!(answer.video.is_empty());
        insta::assert_snapshot!(String::from_utf8(answer.sdp).unwrap().replace('\r', ""), @r"
        v=0
        o=- 7 1 IN IP4 192.168.1.9
        s=session
        c=IN IP4 192.168.1.9
        t=0 0
        m=audio 40000 RTP/AVP 0 8 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:8 PCMA/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-16
        m=video 0 RTP/AVP 34 31
        m=application 0 tcp msdata
        ");
    }

    #[test]
    fn video_is_taken_when_there_is_somewhere_to_put_it() {
        let session = read(RTC.as_bytes()).unwrap();
        let mut ours = ours();
        ours.video = Some(Line {
            port: 40002,
            formats: vec![Format::fixed(34)],
        });
        let answer = answer(&session, &ours).unwrap();
        assert_eq!(numbers(&answer.video), [34]);
        let text = String::from_utf8(answer.sdp).unwrap();
        assert!(text.contains("m=video 40002 RTP/AVP 34\r\n"), "{text}");
    }

    #[test]
    fn offers_that_cannot_be_taken_say_which_488() {
        let cases = [
            (
                "a=encryption:required\r\nm=audio 4 RTP/AVP 0\r\n",
                Refusal::Encryption,
            ),
            (
                "m=audio 4 RTP/AVP 0\r\na=encryption:required\r\n",
                Refusal::Encryption,
            ),
            (
                "m=audio 4 RTP/AVP 97 111\r\na=rtpmap:97 red/8000\r\n",
                Refusal::Nothing,
            ),
            (
                "m=audio 4 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n",
                Refusal::Nothing,
            ),
            ("m=audio 0 RTP/AVP 0\r\n", Refusal::Nothing),
            ("m=audio 4 RTP/SAVP 0\r\n", Refusal::Nothing),
            ("m=application 1503 tcp msdata\r\n", Refusal::Nothing),
            (
                "m=audio 4 RTP/AVP 0\r\na=rtpmap:0 opus/48000\r\n",
                Refusal::Nothing,
            ),
        ];
        for (text, expected) in cases {
            let text = format!("v=0\r\nc=IN IP4 10.0.0.1\r\n{text}");
            let session = read(text.as_bytes()).unwrap();
            assert_eq!(answer(&session, &ours()), Err(expected), "{text}");
        }
    }

    #[test]
    fn events_keep_the_payload_type_of_the_offer_and_come_once() {
        let text = "v=0\nc=IN IP4 10.0.0.1\nm=audio 4 RTP/AVP 8 96 98\n\
                    a=rtpmap:96 telephone-event/8000\na=rtpmap:98 telephone-event/8000\n";
        let answer = answer(&read(text.as_bytes()).unwrap(), &ours()).unwrap();
        assert_eq!(numbers(&answer.audio), [8, 96]);
    }

    #[test]
    fn sloppy_descriptions_are_read() {
        let cases = [
            (
                "LF only, no t, no s",
                "v=0\no=- 0 0 IN IP4 10.0.0.1\nc=IN IP4 10.0.0.1\nm=audio 4 RTP/AVP 0\n",
            ),
            (
                "no o",
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 0\r\n",
            ),
            (
                "spaces in the name",
                "v=0\r\no=John Q Public 0 0 IN IP4 10.0.0.1\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 0\r\n",
            ),
            (
                "c in the medium",
                "v=0\r\nm=audio 4 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n",
            ),
            (
                "two spaces in m",
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio  4  RTP/AVP  0 \r\n",
            ),
            (
                "a NUL at the end",
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 0\r\n\0",
            ),
            (
                "a time that is none",
                "v=0\r\nt=now\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 0\r\n",
            ),
        ];
        for (what, text) in cases {
            let session = read(text.as_bytes()).unwrap();
            let audio = session.audio().expect(what);
            assert_eq!(audio.ip, Some(Ipv4Addr::new(10, 0, 0, 1)), "{what}");
            assert_eq!(audio.port, 4, "{what}");
        }
    }

    #[test]
    fn what_is_no_description_or_too_much_of_one_is_refused() {
        assert_eq!(read(b""), Err(Error::Unreadable));
        assert_eq!(read(b"hello"), Err(Error::Unreadable));
        assert_eq!(
            read(b"v=1\r\nm=audio 1 RTP/AVP 0\r\n"),
            Err(Error::Unreadable)
        );
        assert_eq!(
            read(b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n"),
            Err(Error::Unreadable)
        );
        assert_eq!(read(&[b'x'; MAX_SDP + 1]), Err(Error::TooLong));
        let many = format!("v=0\r\n{}", "m=audio 4 RTP/AVP 0\r\n".repeat(MAX_MEDIA + 1));
        assert_eq!(read(many.as_bytes()), Err(Error::TooLong));
    }

    #[test]
    fn addresses_that_are_no_ipv4_host_are_none() {
        for address in ["IN IP6 ::1", "IN IP4 224.2.1.1/127", "IN IP4 host.example"] {
            let text = format!("v=0\r\nc={address}\r\nm=audio 4 RTP/AVP 0\r\n");
            let session = read(text.as_bytes()).unwrap();
            assert_eq!(session.audio().unwrap().ip, None, "{address}");
        }
    }

    #[test]
    fn a_held_medium_is_answered_from_the_other_end() {
        let text = "v=0\nc=IN IP4 10.0.0.1\na=sendonly\nm=audio 4 RTP/AVP 0\n";
        let answer = answer(&read(text.as_bytes()).unwrap(), &ours()).unwrap();
        assert!(answer.sdp.ends_with(b"a=recvonly\r\n"));
    }

    #[test]
    fn our_offer_reads_back() {
        let mut ours = ours();
        ours.video = Some(Line {
            port: 40002,
            formats: plain_video(),
        });
        let session = read(&offer(&ours)).unwrap();
        assert_eq!(session.audio().unwrap().formats, plain_audio());
        assert_eq!(session.video().unwrap().formats, plain_video());
        assert_eq!(session.audio().unwrap().ip, Some(ours.ip));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&bytes);
        }

        #[test]
        fn arbitrary_lines_never_panic_and_answers_read_back(
            lines in proptest::collection::vec("[vomactk]=[ -~]{0,40}|m=(audio|video) [0-9]{1,5} RTP/AVP( [0-9]{1,3}){0,6}", 0..20)
        ) {
            let text = format!("v=0\r\n{}", lines.join("\r\n"));
            if let Ok(session) = read(text.as_bytes())
                && let Ok(answer) = answer(&session, &ours())
            {
                let back = read(&answer.sdp).unwrap();
                prop_assert_eq!(back.media.len(), session.media.len());
            }
        }
    }
}
