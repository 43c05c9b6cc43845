//! What the reader of a file says of a mistake, in words for who wrote the file: what is wrong, and
//! what would be right.

/// How wrong a key may be spelled for another to be meant, from 0 to 1.
const ALIKE: f64 = 0.75;

/// What each key that must be there looks like.
const EXAMPLES: [(&str, &str); 14] = [
    ("id", "id = \"my-game\""),
    ("name", "name = \"My Game\""),
    (
        "guids",
        "guids = [\"{8DAE4336-2B71-11D4-9A6C-006067325E47}\"]",
    ),
    ("announce", "announce = \"My Game\""),
    (
        "negotiation",
        "[negotiation], with or without keys below it",
    ),
    ("adapter", "adapter = \"call\""),
    ("from", "from = \"invitee\""),
    ("data", "data = \"address\""),
    ("fixed", "fixed = 4000"),
    ("transport", "transport = \"tcp\""),
    ("support", "support = 7"),
    ("request", "request = 2"),
    ("decision", "decision = \"allow\""),
    ("run", "run = [\"my-game\"]"),
];

/// Rust's types, and what people know.
const TYPES: [(&str, &str); 16] = [
    ("expected u16", "expected a whole number from 0 to 65535"),
    (
        "expected u32",
        "expected a whole number from 0 to 4294967295",
    ),
    ("expected usize", "expected a whole number"),
    (
        "expected a nonzero u16",
        "expected a whole number from 1 to 65535",
    ),
    (
        "expected a sequence",
        "expected a list in brackets, such as [\"one\", \"two\"]",
    ),
    ("expected a map", "expected a table of keys"),
    ("expected a boolean", "expected true or false"),
    ("expected a string", "expected a text in quotes"),
    (
        "expected path string",
        "expected a text in quotes, the name of a file",
    ),
    ("invalid type: sequence,", "invalid type: a list,"),
    ("invalid type: map,", "invalid type: a table,"),
    ("invalid type: ", "this is the wrong kind of value: "),
    ("invalid value: ", "this value cannot be: "),
    (
        "invalid socket address syntax",
        "write an address and a port, such as 127.0.0.1:1863",
    ),
    (
        "invalid IPv4 address syntax",
        "write an IPv4 address, such as 192.0.2.17",
    ),
    (
        "wanted string or table",
        "this is the wrong kind of value: expected a text in quotes",
    ),
];

/// What may stand at `ready`, which has more than one form.
const READY: &str = "write \"started\", \"sip\", { output = \"text\" }, { tcp = \"address:port\" } \
                     or { udp = \"address:port\" }";

/// The reader's message on the value of `key` in words.
pub(super) fn in_words(message: &str, key: &str) -> String {
    let choice = message.starts_with("unknown variant ");
    if key.ends_with(".ready") && !choice {
        return READY.to_owned();
    }
    unknown(message, "unknown field ", "key")
        .or_else(|| unknown(message, "unknown variant ", "choice"))
        .or_else(|| missing(message))
        .unwrap_or_else(|| {
            let text = TYPES.iter().fold(message.to_owned(), |text, (from, to)| {
                text.replace(from, to)
            });
            without_struct(&text)
        })
}

/// Something that is not known, what was probably meant, and all that is known.
fn unknown(message: &str, prefix: &str, what: &str) -> Option<String> {
    let mut quoted = message.strip_prefix(prefix)?.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let list = match known.as_slice() {
        [] => return Some(format!("there is no {what} `{given}`, and no other either")),
        [only] => format!("there is only `{only}`"),
        many => format!("there are `{}`", many.join("`, `")),
    };
    let likeness = |known: &str| strsim::jaro_winkler(given, known);
    let meant = known
        .iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    Some(match meant {
        Some((_, meant)) => {
            format!("there is no {what} `{given}`: did you mean `{meant}`? {list}")
        }
        None => format!("there is no {what} `{given}`: {list}"),
    })
}

fn missing(message: &str) -> Option<String> {
    let key = message.strip_prefix("missing field ")?.trim_matches('`');
    let example = EXAMPLES.iter().find(|(known, _)| *known == key);
    Some(match example {
        Some((_, example)) => format!("`{key}` is missing: write {example}"),
        None => format!("`{key}` is missing"),
    })
}

/// A table goes by the name of one of our types.
fn without_struct(message: &str) -> String {
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table of keys, such as {{ key = 1 }}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_words_become_ours() {
        for (message, words) in [
            (
                "unknown field `anounce`, expected one of `id`, `announce`",
                "there is no key `anounce`: did you mean `announce`? there are `id`, `announce`",
            ),
            (
                "unknown field `zzz`, expected `id` or `name`",
                "there is no key `zzz`: there are `id`, `name`",
            ),
            (
                "unknown variant `ip-port`, expected one of `ip`, `ip:port`, `none`",
                "there is no choice `ip-port`: did you mean `ip:port`? there are `ip`, `ip:port`, `none`",
            ),
            (
                "unknown field `x`, there are no fields",
                "there is no key `x`, and no other either",
            ),
            (
                "missing field `id`",
                "`id` is missing: write id = \"my-game\"",
            ),
            ("missing field `else`", "`else` is missing"),
            (
                "invalid type: string \"x\", expected a sequence",
                "this is the wrong kind of value: string \"x\", expected a list in brackets, \
                 such as [\"one\", \"two\"]",
            ),
            (
                "invalid type: integer `1`, expected struct RawPort",
                "this is the wrong kind of value: integer `1`, expected a table of keys, \
                 such as { key = 1 }",
            ),
            ("something else", "something else"),
        ] {
            assert_eq!(in_words(message, "any"), words);
        }
    }
}
