//! Every mistake that a bridge file can hold, and what its author is told: the place, the key, and
//! what would be right.

use std::path::Path;

use super::{Origin, manifest, source::Source};
use crate::shown;

/// A file without a mistake.
const RIGHT: &str = r#"id = "my-game"
name = "My Game"
guids = ["{8DAE4336-2B71-11D4-9A6C-006067325E47}"]
announce = "My Game"
url = "http://game.example/"
[negotiation]
address = "ip:port"
port = { fixed = 4000, transport = "tcp" }
context = { from = "invitee", data = "address" }
avm = { support = 7, request = 2 }
[[handoff]]
name = "the game"
adapter = "call"
run = ["my-game", "{peer.ip}"]
ready = { tcp = "127.0.0.1:{agent.port}" }
[handoff.requires]
programs = ["wine"]
[handoff.files]
settings = "x"
"#;

/// What is replaced, by what, and where and what is told.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str)] = &[
    // The file as a whole.
    (RIGHT, "", "1:1: `id` is missing: write id = \"my-game\""),
    ("url = \"", "url = ", "5:7: missing opening quote"),
    ("\"My Game\"\nurl", "\"My Game\nurl",
        "4:20: invalid basic string"),
    ("url = ", "name = ", "5:1: duplicate key"),
    // Keys that are missing.
    ("name = \"My Game\"\n", "",
        "1:1: `name` is missing: write name = \"My Game\""),
    ("guids = [\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"]\n", "",
        "1:1: `guids` is missing: write guids = [\"{8DAE4336"),
    ("announce = \"My Game\"\n", "",
        "1:1: `announce` is missing: write announce = "),
    ("[negotiation]\naddress = \"ip:port\"\nport = { fixed = 4000, transport = \"tcp\" }\n\
      context = { from = \"invitee\", data = \"address\" }\navm = { support = 7, request = 2 }\n", "",
        "1:1: `negotiation` is missing: write [negotiation]"),
    ("adapter = \"call\"\n", "",
        "11:1: handoff[0]: `adapter` is missing: write adapter = \"call\""),
    ("name = \"the game\"\n", "",
        "11:1: handoff[0]: `name` is missing: write name = "),
    ("fixed = 4000, ", "",
        "8:8: negotiation.port: `fixed` is missing: write fixed = 4000"),
    (", transport = \"tcp\"", "",
        "8:8: negotiation.port: `transport` is missing: write transport = "),
    ("from = \"invitee\", ", "",
        "9:11: negotiation.context: `from` is missing: write from = "),
    (", data = \"address\"", "",
        "9:11: negotiation.context: `data` is missing: write data = "),
    (", request = 2", "",
        "10:7: negotiation.avm: `request` is missing: write request = "),
    // Keys that are not known.
    ("announce =", "anounce =",
        "4:1: anounce: there is no key `anounce`: did you mean `announce`?"),
    ("address =", "adress =",
        "7:1: negotiation.adress: there is no key `adress`: did you mean `address`?"),
    ("transport =", "transprot =",
        "8:24: negotiation.port.transprot: there is no key `transprot`: did you mean `transport`?"),
    ("adapter =", "adaptor =",
        "13:1: handoff[0].adaptor: there is no key `adaptor`: did you mean `adapter`?"),
    ("programs =", "program =",
        "17:1: handoff[0].requires.program: there is no key `program`: did you mean `programs`?"),
    ("ready = { tcp", "ready = { http",
        "15:11: handoff[0].ready.http: there is no choice `http`: there are `started`, `sip`, `output`, `tcp`, `udp`"),
    // Choices that are not known.
    ("\"ip:port\"", "\"ip-port\"",
        "7:11: negotiation.address: there is no choice `ip-port`: did you mean `ip:port`?"),
    ("\"tcp\" }", "\"sctp\" }",
        "8:36: negotiation.port.transport: there is no choice `sctp`: there are `tcp`, `udp`"),
    ("\"invitee\"", "\"guest\"",
        "9:20: negotiation.context.from: there is no choice `guest`: there are `inviter`, `invitee`"),
    ("\"call\"", "\"calls\"",
        "13:11: handoff[0].adapter: there is no choice `calls`: did you mean `call`?"),
    ("url =", "unclaimed = \"drop\"\nurl =",
        "5:13: unclaimed: there is no choice `drop`: there are `pass`, `refuse`, `record`"),
    ("run =", "role = \"host\"\nrun =",
        "14:8: handoff[0].role: there is no choice `host`: there are `inviter`, `invitee`"),
    ("run =", "medium = \"sound\"\nrun =",
        "14:10: handoff[0].medium: there is no choice `sound`: there are `session`, `video`"),
    ("run =", "way = \"gates\"\nrun =",
        "14:7: handoff[0].way: there is no choice `gates`: did you mean `gate`?"),
    ("run =", "way = \"gate\"\nrun =",
        "14:7: handoff[0].way: with this adapter the program connects to the contact"),
    ("run =", "probe = \"udp\"\nrun =",
        "14:9: handoff[0].probe: there is no choice `udp`"),
    // Values of another kind.
    ("name = \"My Game\"", "name = 5",
        "2:8: name: this is the wrong kind of value: integer `5`, expected a text in quotes"),
    ("guids = [\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"]", "guids = \"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"",
        "3:9: guids: this is the wrong kind of value: string \"{8DAE4336-2B71-11D4-9A6C-006067325E47}\", expected a list in brackets"),
    ("url =", "enabled = \"no\"\nurl =",
        "5:11: enabled: this is the wrong kind of value: string \"no\", expected true or false"),
    ("port = { fixed = 4000, transport = \"tcp\" }", "port = 4000",
        "8:8: negotiation.port: this is the wrong kind of value: integer `4000`, expected a table of keys"),
    ("[[handoff]]\nname = \"the game\"\nadapter = \"call\"", "[handoff]\nname = \"the game\"\nadapter = \"call\"",
        "11:1: handoff: this is the wrong kind of value: a table, expected a list"),
    ("run = [\"my-game\", \"{peer.ip}\"]", "run = \"my-game {peer.ip}\"",
        "14:7: handoff[0].run: this is the wrong kind of value: string \"my-game {peer.ip}\", expected a list in brackets"),
    ("run = [\"my-game\", \"{peer.ip}\"]", "run = [\"my-game\", 5]",
        "14:19: handoff[0].run[1]: this is the wrong kind of value: integer `5`, expected a text in quotes"),
    ("ready = { tcp = \"127.0.0.1:{agent.port}\" }", "ready = {}",
        "15:9: handoff[0].ready: write \"started\", \"sip\", { output = "),
    ("ready = { tcp = \"127.0.0.1:{agent.port}\" }", "ready = { output = \"a\", tcp = \"b\" }",
        "15:9: handoff[0].ready: write \"started\", \"sip\", { output = "),
    ("ready = { tcp = \"127.0.0.1:{agent.port}\" }", "ready = 5",
        "15:9: handoff[0].ready: write \"started\", \"sip\", { output = "),
    ("ready = { tcp = \"127.0.0.1:{agent.port}\" }", "ready = \"tcp\"",
        "15:9: handoff[0].ready: write \"started\", \"sip\", { output = "),
    ("adapter = \"call\"", "adapter = 5",
        "13:11: handoff[0].adapter: this is the wrong kind of value: expected a text in quotes"),
    ("adapter = \"call\"", "adapter = [\"call\"]",
        "13:11: handoff[0].adapter: this is the wrong kind of value: expected a text in quotes"),
    ("[handoff.files]", "[[handoff.files]]",
        "18:1: handoff[0].files[0]: this is the wrong kind of value: a list, expected a table of keys"),
    ("settings = \"x\"", "settings = 5",
        "19:12: handoff[0].files.settings: this is the wrong kind of value: integer `5`, expected a text in quotes"),
    ("run =", "idle = \"5\"\nrun =",
        "14:8: handoff[0].idle: this is the wrong kind of value: string \"5\", expected a whole number from 0 to 65535"),
    ("run =", "dirs = \"x\"\nrun =",
        "14:8: handoff[0].dirs: this is the wrong kind of value: string \"x\", expected a list"),
    ("run =", "optional = [\"x\"]\nrun =",
        "14:13: handoff[0].optional[0]: this is the wrong kind of value: string \"x\", expected a list"),
    // Numbers that cannot be.
    ("4000", "0",
        "8:8: negotiation.port: port 0 is none: use 1 to 65535"),
    ("4000", "70000",
        "8:18: negotiation.port.fixed: this value cannot be: integer `70000`, expected a whole number from 0 to 65535"),
    ("run =", "wait = -1\nrun =",
        "14:8: handoff[0].wait: this value cannot be: integer `-1`, expected a whole number from 0 to 65535"),
    ("run =", "keep.seconds = 0\nrun =",
        "14:16: handoff[0].keep.seconds: this value cannot be: integer `0`, expected a whole number from 1 to 65535"),
    // Texts that are not what they should be.
    ("\"my-game\"\nname", "\"My Game\"\nname",
        "1:6: id: \"My Game\" is no id: use lower-case letters, digits and hyphens, such as \"my-game\""),
    ("8DAE4336-", "",
        "3:10: guids[0]: \"{2B71-11D4-9A6C-006067325E47}\" is no GUID; one looks like {8DAE4336"),
    ("\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"", "",
        "3:9: guids: is empty: name at least one GUID"),
    ("announce = \"My Game\"", "announce = \"My\\r\\nGame\"",
        "4:12: announce: write one line of text, and not an empty one"),
    ("http://game.example/", " ",
        "5:7: url: write one line of text, and not an empty one"),
    ("name = \"My Game\"", "name = \"My \\u001b[2JGame\"",
        "2:8: name: write one line of text, and not an empty one: no control characters"),
    ("url =", "install = \"\\u202egame\"\nurl =",
        "5:11: install: write one line of text, and not an empty one"),
    ("url =", "note = \"a\\nb\"\nurl =",
        "5:8: note: write one line of text, and not an empty one"),
    ("\"the game\"", "\"the\\u009b2J game\"",
        "12:8: handoff[0].name: write one line of text, and not an empty one"),
    ("run =", "shares = \"\\u001b[2J\"\nrun =",
        "14:10: handoff[0].shares: write one line of text, and not an empty one"),
    ("programs = [\"wine\"]", "any-what = \"\\u001b\"",
        "17:12: handoff[0].requires.any-what: write one line of text, and not an empty one"),
    ("programs = [\"wine\"]", "any-env = [\"A\", \"\\u001b\"]",
        "17:17: handoff[0].requires.any-env[1]: write one line of text, and not an empty one"),
    ("run =", "to = \"example.com\"\nrun =",
        "14:6: handoff[0].to: "),
    ("run =", "ports = \"7-3\"\nrun =",
        "14:9: handoff[0].ports: \"7-3\" are no ports: write \"1503\", \"28070-28073\" or both"),
    // Programs and placeholders.
    ("{peer.ip}", "{peer.addr}",
        "14:19: handoff[0].run[1]: there is no placeholder {peer.addr}; there are {agent.port}"),
    ("{peer.ip}", "{peer.ip", "14:19: handoff[0].run[1]: "),
    ("{peer.ip}", "{file.other}",
        "14:19: handoff[0].run[1]: there is no placeholder {file.other}"),
    ("\"my-game\", ", "\"{dir}/x\", ",
        "14:8: handoff[0].run[0]: the program is named here, not computed: no placeholder in it"),
    ("\"my-game\", ", "\"/bin/\\u001b[2J\", ",
        "14:8: handoff[0].run[0]: name a program that PATH finds, or its whole path from /"),
    ("\"my-game\", ", "\"./x\", ",
        "14:8: handoff[0].run[0]: name a program that PATH finds, or its whole path from /"),
    ("\"my-game\", ", "\"/bin/sh\", \"-c\", ",
        "14:8: handoff[0].run[0]: sh would take one argument for many: name the program itself, or a script of yours by its path"),
    ("\"wine\"", "\"bash\"",
        "17:13: handoff[0].requires.programs[0]: bash would take one argument for many"),
    ("\"my-game\", \"{peer.ip}\"", "",
        "12:8: handoff[0].name: \"call\" and \"listen\" need `run`: they start a program"),
    // Names.
    ("settings =", "\"../x\" =",
        "19:1: handoff[0].files.../x: a name here is made of letters, digits and ._- and begins with no dot"),
    ("run =", "env.\"A=B\" = \"\"\nrun =",
        "14:5: handoff[0].env.A=B: a variable's name is made of letters, digits and underscores"),
    ("run =", "dirs = [\"/etc\"]\nrun =",
        "14:9: handoff[0].dirs[0]: leads out of the private folder: write a name such as \".config/phone\""),
    // What does not go together.
    ("run =", "builtin = true\nrun =",
        "12:8: handoff[0].name: `builtin` stands alone: it runs no program"),
    ("\"call\"\nrun", "\"record\"\nrun",
        "12:8: handoff[0].name: \"record\" starts nothing: leave `run`, `agent` and `builtin` out"),
    ("\"call\"\nrun = [\"my-game\", \"{peer.ip}\"]", "\"forward-tcp\"",
        "12:8: handoff[0].name: \"forward-tcp\" needs `ports`, and `to`: the address they lead to"),
    ("\"call\"\nrun = [\"my-game\", \"{peer.ip}\"]", "\"sip\"",
        "12:8: handoff[0].name: this handoff does nothing: give it `run`, `agent` or `builtin = true`"),
    ("[[handoff]]", "[[handoff]]\nname = \"the game\"\nadapter = \"record\"\n[[handoff]]",
        "15:8: handoff[1].name: another handoff has this name: give it its own"),
];

fn told(text: &str) -> Option<String> {
    let source = Source::new(Path::new("my-game.toml"), text);
    let read = manifest::read(&source, Origin::BuiltIn);
    read.err().map(|error| error.to_string())
}

#[test]
fn a_recorder_whose_port_nobody_learns_is_one() {
    let text = "id = \"x\"\nname = \"x\"\nguids = [\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"]\n\
        announce = \"x\"\n[negotiation]\n[[handoff]]\nname = \"r\"\nadapter = \"record\"\n";
    let told = told(text).unwrap();
    assert!(
        told.starts_with("my-game.toml:7:8: handoff[0].name: nobody would learn the port"),
        "{told}"
    );
}

/// Who checks a file that somebody else wrote reads this in a terminal.
#[test]
fn what_a_file_says_is_repeated_in_one_clean_line() {
    for (from, to) in [
        ("\"ip:port\"", "\"\\u001b[2J\\u202e\""),
        ("address =", "\"\\u001b[2J\\nadr\" ="),
        ("\"my-game\"\nname", "\"\\u009b\"\nname"),
        ("{peer.ip}", "{\\u001b[2J}"),
        ("{peer.ip}", "{file.\\u202e}"),
        ("\"wine\"", "\"\\u001b[2J/wine\""),
        ("settings =", "\"\\u001b\\u202e/\" ="),
        ("4000", "\"\\u001b[2J\""),
        ("url = \"", "url = \"\u{1b}[2J\u{202e}"),
        ("url = ", "\u{1b}[2J\u{202e} = "),
    ] {
        let told = told(&RIGHT.replacen(from, to, 1)).unwrap();
        assert!(shown::is_line(&told), "{told:?}");
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_would_be_right() {
    assert_eq!(told(RIGHT), None);
    let mut wrong = Vec::new();
    for (from, to, words) in MISTAKES {
        assert!(RIGHT.contains(from), "{from}");
        let told = told(&RIGHT.replacen(from, to, 1));
        let told = told.unwrap_or_else(|| "nothing".to_owned());
        if !told.starts_with(&format!("my-game.toml:{words}")) {
            wrong.push(format!(
                "{from:?} -> {to:?}\n  wanted {words}\n  told   {told}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
