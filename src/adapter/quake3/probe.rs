//! The question whether a Quake 3 game is hosted somewhere, and its answer: `getinfo` and
//! `getstatus` (APPLICATIONS.md 6). Pure: bytes in, bytes out.
//!
//! A datagram outside of a game's connection begins with four bytes `FF`. The question carries a
//! challenge that the answer repeats, so that nobody who did not see the question can answer it.

/// What a datagram outside of a connection begins with.
const MARK: &[u8] = &[0xff; 4];
/// The longest answer that is read, in bytes: the engine's own limit of a message.
const MAX_ANSWER: usize = 16_384;
/// Most pairs of an information string that are read.
const MAX_PAIRS: usize = 128;
/// The longest key or value that is kept, in characters.
const MAX_VALUE: usize = 128;
/// Most players that are read; the engine allows 64.
const MAX_PLAYERS: usize = 128;

/// What an answer must repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

/// What a host says of its game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The protocol number, which tells the game and its version.
    pub protocol: u32,
    /// Its name: text of the host's choosing.
    pub hostname: String,
    /// The map: text of the host's choosing.
    pub map: String,
    /// How many play.
    pub clients: u32,
    /// How many may.
    pub max_clients: u32,
    /// Whether it asks for a password.
    pub needs_password: bool,
    /// The folder of a modification (`fs_game`): text of the host's choosing.
    pub game: Option<String>,
}

/// The longer answer: everything the host tells, and who plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Keys and values.
    pub info: Vec<(String, String)>,
    /// The players.
    pub players: Vec<Player>,
}

/// One player of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    /// Points.
    pub score: i32,
    /// Milliseconds, 999 while connecting.
    pub ping: i32,
    /// Text of the player's choosing.
    pub name: String,
}

/// Why a datagram is no answer to our question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// It does not begin as one.
    #[error("it is no answer of a game")]
    Other,
    /// It is longer than an engine sends.
    #[error("it is too long")]
    TooLong,
    /// It answers somebody else's question, or nobody's.
    #[error("it does not repeat our challenge")]
    Challenge,
    /// There is no protocol number in it.
    #[error("it tells no protocol number")]
    Protocol,
}

impl Challenge {
    /// A challenge of these bytes, which should be unpredictable.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The short question.
#[must_use]
pub fn getinfo(challenge: &Challenge) -> Vec<u8> {
    question("getinfo", challenge)
}

/// The long question.
#[must_use]
pub fn getstatus(challenge: &Challenge) -> Vec<u8> {
    question("getstatus", challenge)
}

fn question(command: &str, challenge: &Challenge) -> Vec<u8> {
    [MARK, command.as_bytes(), b" ", challenge.0.as_bytes()].concat()
}

/// Reads the answer to [`getinfo`].
///
/// # Errors
/// When it is none, or not to this question.
pub fn read_info(datagram: &[u8], challenge: &Challenge) -> Result<Info, NoAnswer> {
    let body = body(datagram, b"infoResponse")?;
    let pairs = pairs(body);
    check(&pairs, challenge)?;
    let number = |key| value(&pairs, key).and_then(|text| text.parse::<u32>().ok());
    let text = |key| value(&pairs, key).unwrap_or_default().to_owned();
    Ok(Info {
        protocol: number("protocol").ok_or(NoAnswer::Protocol)?,
        hostname: text("hostname"),
        map: text("mapname"),
        clients: number("clients").unwrap_or(0),
        max_clients: number("sv_maxclients").unwrap_or(0),
        needs_password: number("needpass").is_some_and(|needed| needed != 0),
        game: Some(text("game")).filter(|game| !game.is_empty()),
    })
}

/// Reads the answer to [`getstatus`].
///
/// # Errors
/// When it is none, or not to this question.
pub fn read_status(datagram: &[u8], challenge: &Challenge) -> Result<Status, NoAnswer> {
    let body = body(datagram, b"statusResponse")?;
    let mut lines = body.split(|byte| *byte == b'\n');
    let info = pairs(lines.next().unwrap_or_default());
    check(&info, challenge)?;
    let players = lines.filter_map(player).take(MAX_PLAYERS).collect();
    Ok(Status { info, players })
}

/// What follows the line with the name of the answer.
fn body<'a>(datagram: &'a [u8], name: &[u8]) -> Result<&'a [u8], NoAnswer> {
    let rest = datagram
        .strip_prefix(MARK)
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix(b"\n"))
        .ok_or(NoAnswer::Other)?;
    if datagram.len() > MAX_ANSWER {
        return Err(NoAnswer::TooLong);
    }
    Ok(rest)
}

/// `\key\value\key\value`. A key without a value is dropped.
fn pairs(info: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(info);
    let text = text.trim_end_matches(['\n', '\r', '\0']);
    let mut parts = text.strip_prefix('\\').unwrap_or_default().split('\\');
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        if pairs.len() == MAX_PAIRS {
            break;
        }
        pairs.push((cut(key), cut(value)));
    }
    pairs
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE).collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value.as_str())
}

fn check(pairs: &[(String, String)], challenge: &Challenge) -> Result<(), NoAnswer> {
    match value(pairs, "challenge") {
        Some(echo) if echo == challenge.0 => Ok(()),
        _ => Err(NoAnswer::Challenge),
    }
}

/// `score ping "name"`.
fn player(line: &[u8]) -> Option<Player> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.splitn(3, ' ');
    let score = parts.next()?.parse().ok()?;
    let ping = parts.next()?.parse().ok()?;
    let name = parts.next()?.trim_end_matches(['\r', '\0']);
    let name = name.strip_prefix('"').unwrap_or(name);
    let name = name.strip_suffix('"').unwrap_or(name);
    Some(Player {
        score,
        ping,
        name: cut(name),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge() -> Challenge {
        Challenge::new([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef])
    }

    fn answer(text: &str) -> Vec<u8> {
        [MARK, text.as_bytes()].concat()
    }

    #[test]
    fn a_question_is_one_line_with_the_challenge_and_nothing_after_it() {
        assert_eq!(
            getinfo(&challenge()),
            b"\xff\xff\xff\xffgetinfo 0123456789abcdef"
        );
        assert_eq!(
            getstatus(&challenge()),
            b"\xff\xff\xff\xffgetstatus 0123456789abcdef"
        );
    }

    #[test]
    fn an_answer_tells_the_game() {
        let datagram = answer(
            "infoResponse\n\\game\\japlus\\challenge\\0123456789abcdef\\gametype\\0\
             \\sv_maxclients\\8\\needpass\\1\\clients\\2\\mapname\\mp/ffa3\\hostname\\*Jedi*\\protocol\\26",
        );
        assert_eq!(
            read_info(&datagram, &challenge()).unwrap(),
            Info {
                protocol: 26,
                hostname: "*Jedi*".into(),
                map: "mp/ffa3".into(),
                clients: 2,
                max_clients: 8,
                needs_password: true,
                game: Some("japlus".into()),
            }
        );
    }

    #[test]
    fn what_is_no_answer_to_our_question_is_told_apart() {
        let long = format!(
            "infoResponse\n\\challenge\\0123456789abcdef\\x\\{}",
            "y".repeat(MAX_ANSWER)
        );
        for (text, why) in [
            ("", NoAnswer::Other),
            ("infoResponse", NoAnswer::Other),
            ("statusResponse\n\\a\\b", NoAnswer::Other),
            ("infoResponse\n", NoAnswer::Challenge),
            ("infoResponse\n\\protocol\\26", NoAnswer::Challenge),
            (
                "infoResponse\n\\challenge\\other\\protocol\\26",
                NoAnswer::Challenge,
            ),
            (
                "infoResponse\n\\challenge\\0123456789abcdef",
                NoAnswer::Protocol,
            ),
            (
                "infoResponse\n\\challenge\\0123456789abcdef\\protocol\\-1",
                NoAnswer::Protocol,
            ),
            (&long, NoAnswer::TooLong),
        ] {
            let read = read_info(&answer(text), &challenge());
            assert_eq!(read, Err(why), "{:.60}", text);
        }
        assert_eq!(
            read_info(b"infoResponse\n", &challenge()),
            Err(NoAnswer::Other)
        );
    }

    #[test]
    fn a_status_lists_the_players() {
        let datagram = answer(
            "statusResponse\n\\challenge\\0123456789abcdef\\mapname\\oa_dm1\n3 48 \"A B\"\n-1 999 \"x\"\nnonsense\n",
        );
        let status = read_status(&datagram, &challenge()).unwrap();
        assert_eq!(status.info[1], ("mapname".into(), "oa_dm1".into()));
        let players: Vec<_> = status
            .players
            .iter()
            .map(|player| (player.score, player.ping, player.name.as_str()))
            .collect();
        assert_eq!(players, [(3, 48, "A B"), (-1, 999, "x")]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            status in any::<bool>(),
        ) {
            let name: &[u8] = if status { b"statusResponse\n\\challenge\\0123456789abcdef" }
                else { b"infoResponse\n\\challenge\\0123456789abcdef\\protocol\\1" };
            let datagram = [MARK, name, &bytes].concat();
            let _ = read_info(&bytes, &challenge());
            let _ = read_info(&datagram, &challenge());
            if let Ok(status) = read_status(&datagram, &challenge()) {
                prop_assert!(status.info.len() <= MAX_PAIRS);
                prop_assert!(status.players.len() <= MAX_PLAYERS);
            }
        }

        #[test]
        fn what_a_host_would_answer_is_read_back(
            protocol in any::<u32>(),
            hostname in "[^\\\\\n\r\0]{0,60}",
            game in "[a-z]{1,9}",
        ) {
            let datagram = answer(&format!(
                "infoResponse\n\\protocol\\{protocol}\\hostname\\{hostname}\\game\\{game}\\challenge\\0123456789abcdef"
            ));
            let info = read_info(&datagram, &challenge()).unwrap();
            prop_assert_eq!(info.protocol, protocol);
            prop_assert_eq!(info.hostname, hostname);
            prop_assert_eq!(info.game, Some(game));
        }
    }
}
