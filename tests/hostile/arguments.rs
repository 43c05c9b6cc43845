//! Every bridge that we ship, really started with hostile values. The program in each is replaced by
//! one that writes down its arguments, its folder and its variables; what it got is what the bridge
//! file says, with addresses and ports where it says so, and a word only where it was admitted.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use msn_handoff::bridge::{Handoff, ReadyRule, Registry, Template, Value, Values};

use tokio::task::JoinSet;

use crate::{recorder::Recorder, texts::hostile};

/// A benign word: what stands in its place otherwise must be as harmless.
const WORD: &str = "word";
const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const PORT: u16 = 4321;

/// The handoffs that start a program, each with a recorder as that program, and with all else that
/// they need there.
fn handoffs() -> Vec<(Recorder, Handoff)> {
    let registry = Registry::load(&[]).unwrap();
    let mut all = Vec::new();
    for bridge in registry.iter() {
        for handoff in bridge.handoffs.iter().filter(|it| !it.run.is_empty()) {
            let recorder = Recorder::new();
            let program = recorder.program();
            let mut handoff = handoff.clone();
            handoff.name = format!("{} / {}", bridge.application.id, handoff.name);
            handoff.run[0] = Template::read(program.to_str().unwrap(), &[]).unwrap();
            handoff.wine = None;
            for candidates in handoff.paths.values_mut() {
                *candidates = vec![program.clone()];
            }
            handoff.ready = ReadyRule::Started;
            all.push((recorder, handoff));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_text_of_a_contacts_makes_or_changes_an_argument_of_a_shipped_bridge() {
    let handoffs = handoffs();
    assert!(handoffs.len() > 30, "{}", handoffs.len());
    let count = handoffs.len();
    let mut each = JoinSet::new();
    for (recorder, handoff) in handoffs {
        each.spawn(async move { started_with_all(&recorder, &handoff).await });
    }
    let (mut started, mut admitted) = (0, 0);
    while let Some(done) = each.join_next().await {
        let (more, words) = done.unwrap();
        started += more;
        admitted += words;
    }
    // None of ours needs a word of a peer's to be started.
    assert_eq!(started, count * hostile().len());
    assert!(admitted > 0);
}

/// Starts one with each text in turn, in the place of every word that a peer chooses: how often it
/// was started, and with how many of the texts among its arguments.
async fn started_with_all(recorder: &Recorder, handoff: &Handoff) -> (usize, usize) {
    let program = recorder.program();
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
    let uses_words = uses("peer") || uses("game.mod");
    let (mut started, mut admitted) = (0, 0);
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
            panic!("{} does not start with {text:?}", handoff.name);
        };
        started += 1;
        admitted += usize::from(stands);
        if stands {
            let same = |(old, new): (&String, &String)| old == new || (old == WORD && *new == text);
            assert_eq!(got.arguments.len(), expected.arguments.len());
            assert!(
                expected.arguments.iter().zip(&got.arguments).all(same),
                "{got:?}"
            );
        } else if uses_words {
            // The group with the word is left out, and nothing else.
            assert!(got.arguments.len() < expected.arguments.len());
            let known = |argument: &String| expected.arguments.contains(argument);
            assert!(got.arguments.iter().all(known), "{got:?}");
        } else {
            assert_eq!(got.arguments, expected.arguments, "{text:?}");
        }
        assert_eq!(
            (&got.folder, &got.variables, &got.files),
            (&expected.folder, &expected.variables, &expected.files)
        );
    }
    (started, admitted)
}

/// Addresses are numbers, whatever was written: those of an INVITE with rubbish in them are no
/// addresses, and what is printed of the others is digits and dots.
#[tokio::test]
async fn an_address_is_printed_from_numbers() {
    for (recorder, handoff) in &handoffs() {
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
