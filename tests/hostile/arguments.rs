//! Every bridge that we ship, really started with hostile values. The program in each is replaced by
//! one that writes down its arguments, its folder and its variables; what it got is what the bridge
//! file says, with addresses and ports where it says so, and a word only where it was admitted.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use msn_handoff::{
    bridge::{Handoff, ReadyRule, Registry, Template, Value, Values},
    launch::{self, PrivateDir},
};

use crate::texts::hostile;

/// A benign word: what stands in its place otherwise must be as harmless.
const WORD: &str = "word";
const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const PORT: u16 = 4321;

/// An executable that writes down what it was given, each behind a NUL.
struct Recorder {
    dir: tempfile::TempDir,
}

#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    arguments: Vec<String>,
    folder: String,
    variables: Vec<String>,
}

impl Recorder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Self { dir };
        let out = recorder.out();
        let out = out.display();
        let script = format!(
            "#!/bin/sh\n{{ for a; do printf '%s\\0' \"$a\"; done; printf 'END\\0'; pwd; printf '\\0'; \
             tr '\\0' '\\1' < /proc/$$/environ; }} > {out}.new\nmv {out}.new {out}\n"
        );
        fs::write(recorder.program(), script).unwrap();
        fs::set_permissions(recorder.program(), fs::Permissions::from_mode(0o755)).unwrap();
        recorder
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("recorder")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// What the program got that was started so; nothing when it was not started at all. Names that
    /// differ with each start are made one.
    async fn started(&self, handoff: &Handoff, values: &Values) -> Option<Recorded> {
        let dir = PrivateDir::new().unwrap();
        let plan = handoff.plan(values, &dir).ok()??;
        let _ = fs::remove_file(self.out());
        let mut program = launch::start(&plan).unwrap();
        let exit = program.wait().await;
        assert_eq!(
            exit.code,
            Some(0),
            "{}: {}",
            handoff.name,
            program.last_words()
        );
        let text = fs::read_to_string(self.out()).unwrap();
        let text = text.replace(&dir.path().display().to_string(), "DIR");
        let (arguments, rest) = match text.strip_prefix("END\0") {
            Some(rest) => (Vec::new(), rest),
            None => {
                let (arguments, rest) = text.split_once("\0END\0").unwrap();
                (arguments.split('\0').map(str::to_owned).collect(), rest)
            }
        };
        let (folder, variables) = rest.split_once('\0').unwrap();
        let mut variables: Vec<String> = variables
            .split('\u{1}')
            .filter(|one| !one.is_empty() && !one.starts_with("MSN_HANDOFF_PROGRAM="))
            .map(str::to_owned)
            .collect();
        variables.sort();
        // The files of the bridge are part of what it is given.
        for (name, _) in &handoff.files {
            let contents = fs::read_to_string(dir.path().join(name)).unwrap();
            variables.push(contents.replace(&dir.path().display().to_string(), "DIR"));
        }
        Some(Recorded {
            arguments,
            folder: folder.to_owned(),
            variables,
        })
    }
}

/// The handoffs that start a program, with the recorder as that program, and with all else that
/// they need there.
fn handoffs(recorder: &Path) -> Vec<Handoff> {
    let registry = Registry::load(&[]).unwrap();
    let mut all = Vec::new();
    for bridge in registry.iter() {
        for handoff in bridge.handoffs.iter().filter(|it| !it.run.is_empty()) {
            let mut handoff = handoff.clone();
            handoff.name = format!("{} / {}", bridge.application.id, handoff.name);
            handoff.run[0] = Template::read(recorder.to_str().unwrap(), &[]).unwrap();
            handoff.wine = None;
            for candidates in handoff.paths.values_mut() {
                *candidates = vec![recorder.to_owned()];
            }
            handoff.ready = ReadyRule::Started;
            all.push(handoff);
        }
    }
    all
}

/// What is not of a peer's choosing.
fn ours(recorder: &Path) -> Values {
    let path = |path: &str| Value::Path(PathBuf::from(path));
    Values::default()
        .with("own.ip", Value::Ip(Ipv4Addr::LOCALHOST))
        .with("own.port", Value::Port(1111))
        .with("agent.port", Value::Port(2222))
        .with("agent.rtp", Value::Port(3333))
        .with("sdp", path("/tmp/session.sdp"))
        .with("ticket", path("/tmp/ticket"))
        .with("wine.prefix", path("/tmp"))
        .with("game.dir", path("/tmp"))
        .with("game.exe", Value::Path(recorder.to_owned()))
        .with("game.guid", Value::Guid([7; 16]))
}

fn theirs(recorder: &Path) -> Values {
    ours(recorder)
        .with("peer.ip", Value::Ip(IP))
        .with("peer.port", Value::Port(PORT))
        .with("session.guid", Value::Guid(*b"\n--exec=\0\"';$(x)"))
}

/// What must not stand in a value of a peer's.
fn is_harmless(text: &str) -> bool {
    let admitted = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    !text.is_empty() && text.len() <= 128 && !text.starts_with('-') && text.chars().all(admitted)
}

#[tokio::test]
async fn no_text_of_a_contacts_makes_or_changes_an_argument_of_a_shipped_bridge() {
    let recorder = Recorder::new();
    let program = recorder.program();
    let handoffs = handoffs(&program);
    assert!(handoffs.len() > 30, "{}", handoffs.len());
    let mut admitted = 0;
    let mut started = 0;
    for handoff in &handoffs {
        let uses = |name: &str| {
            let all = handoff.run.iter().chain(handoff.optional.iter().flatten());
            let all = all.chain(handoff.env.iter().map(|(_, text)| text));
            let mut all = all.chain(handoff.files.iter().map(|(_, text)| text));
            all.any(|text| text.to_string().contains(&format!("{{{name}}}")))
        };
        // With words that nobody would mind: what every other start is held against.
        let benign = theirs(&program)
            .with("peer", Value::word("peer", WORD).unwrap())
            .with("game.mod", Value::plain_name("mod", WORD).unwrap());
        let expected = recorder.started(handoff, &benign).await;
        let expected = expected.unwrap_or_else(|| panic!("{} does not start", handoff.name));
        let literal = handoff.run.len() - 1 + handoff.optional.iter().flatten().count();
        assert_eq!(expected.arguments.len(), literal, "{}", handoff.name);
        if !uses("peer") && !uses("game.mod") {
            started += 1;
            continue;
        }
        for text in hostile() {
            let mut values = theirs(&program);
            let mut stands = false;
            for (name, value) in [
                ("peer", Value::word("peer", &text)),
                ("game.mod", Value::plain_name("mod", &text)),
            ] {
                if let Ok(value) = value {
                    assert!(is_harmless(&text), "{text:?} is handed to programs");
                    values.set(name, value);
                    stands |= uses(name);
                }
            }
            let Some(got) = recorder.started(handoff, &values).await else {
                assert!(!stands, "{}: {text:?}", handoff.name);
                continue;
            };
            started += 1;
            admitted += usize::from(stands);
            if stands {
                let same =
                    |(old, new): (&String, &String)| old == new || (old == WORD && *new == text);
                assert_eq!(got.arguments.len(), expected.arguments.len());
                assert!(
                    expected.arguments.iter().zip(&got.arguments).all(same),
                    "{got:?}"
                );
            } else {
                // The group with the word is left out, and nothing else.
                assert!(got.arguments.len() < expected.arguments.len());
                let known = |argument: &String| expected.arguments.contains(argument);
                assert!(got.arguments.iter().all(known), "{got:?}");
            }
            assert_eq!(
                (&got.folder, &got.variables),
                (&expected.folder, &expected.variables)
            );
        }
    }
    assert!(
        started > handoffs.len() && admitted > 0,
        "{started} {admitted}"
    );
}

/// Addresses are numbers, whatever was written: those of an INVITE with rubbish in them are no
/// addresses, and what is printed of the others is digits and dots.
#[tokio::test]
async fn an_address_is_printed_from_numbers() {
    let recorder = Recorder::new();
    for handoff in &handoffs(&recorder.program()) {
        let values = theirs(&recorder.program())
            .with("peer", Value::word("peer", WORD).unwrap())
            .with("peer.ip", Value::Ip(Ipv4Addr::BROADCAST))
            .with("peer.port", Value::Port(u16::MAX));
        let got = recorder.started(handoff, &values).await.unwrap();
        for argument in &got.arguments {
            let is_said = handoff
                .run
                .iter()
                .chain(handoff.optional.iter().flatten())
                .any(|template| template.literal() == Some(argument));
            // Nothing that came from a value begins an option or holds what a shell knows.
            assert!(
                is_said
                    || (!argument.starts_with('-') && !argument.contains([';', '$', '`', '\n'])),
                "{}: {argument:?}",
                handoff.name
            );
        }
    }
}
