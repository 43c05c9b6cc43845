//! `msn-handoff setup`: what to change so that a client connects to us; written only after a yes.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, IsTerminal as _},
    path::{Path, PathBuf},
};

use super::Failure;
use crate::{
    config::Config,
    setup::{self, Change, Client, Edited},
    shown,
};

/// Most letters of what stands in somebody's file.
const SHOWN: usize = 200;

/// `msn-handoff setup`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which client [default: all]
    client: Option<Client>,

    /// Write the changes without asking
    #[arg(long)]
    yes: bool,
}

/// A file that is not as it should be.
struct Pending {
    client: Client,
    path: PathBuf,
    before: String,
    after: Edited,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let home = etcetera::home_dir().map_err(Failure::new)?;
    let to = setup::connect_to(config.proxy.listen);
    let clients = match arguments.client {
        Some(client) => vec![client],
        None => Client::ALL.to_vec(),
    };
    let mut text = format!("A client is to connect to {to}.\n");
    let mut pending = Vec::new();
    let mut failed = 0;
    for client in clients {
        let _ = writeln!(text, "\n{}", client.name());
        let files = client.files(&home);
        if files.is_empty() {
            let _ = writeln!(
                text,
                "  no settings found here; by hand:\n  {}",
                client.by_hand(to)
            );
        }
        for path in files {
            let _ = writeln!(text, "  {}", path.display());
            let told = fs::read_to_string(&path)
                .map_err(setup::Unusable::from)
                .and_then(|before| Ok((client.edit(&before, to)?, before)));
            match told {
                Err(error) => {
                    failed += 1;
                    let _ = writeln!(
                        text,
                        "    CANNOT BE USED: {}",
                        shown::line(&error.to_string(), SHOWN)
                    );
                }
                Ok((after, _)) if after.found == 0 => {
                    let _ = writeln!(
                        text,
                        "    no MSN account in it; by hand:\n    {}",
                        client.by_hand(to)
                    );
                }
                Ok((after, _)) if after.changes.is_empty() => {
                    text.push_str("    is as it should be\n")
                }
                Ok((after, before)) => {
                    for change in &after.changes {
                        text.push_str(&line(change));
                    }
                    pending.push(Pending {
                        client,
                        path,
                        before,
                        after,
                    });
                }
            }
        }
    }
    super::print(&text);
    if !pending.is_empty() && agreed(arguments.yes)? {
        for one in &pending {
            super::print(&write(one)?);
        }
        super::print(
            "Give the proxy the server that stood there: msn-handoff proxy --server HOST:PORT\n",
        );
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new("a file could not be used, see above")),
    }
}

/// One change, for people.
fn line(change: &Change) -> String {
    let of = match &*change.of {
        "" => String::new(),
        of => format!("{}: ", shown::line(of, SHOWN)),
    };
    let old = match &change.old {
        Some(old) => format!("instead of {}", shown::line(old, SHOWN)),
        None => "not set now".to_owned(),
    };
    format!("    {of}{} = {} ({old})\n", change.key, change.new)
}

/// Whether the user said yes, before or now.
fn agreed(yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        super::print("\nNothing is written; `msn-handoff setup --yes` writes it.\n");
        return Ok(false);
    }
    super::print("\nWrite this? Each file is kept as it was beside the new one. Type yes: ");
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(Failure::new)?;
    let agreed = answer.trim().eq_ignore_ascii_case("yes");
    if !agreed {
        super::print("Nothing is written.\n");
    }
    Ok(agreed)
}

fn write(one: &Pending) -> Result<String, Failure> {
    let path: &Path = &one.path;
    // It would write its own values over ours when it ends.
    if let Some(program) = setup::running(one.client, path) {
        return Err(Failure::new(format!(
            "{program} is running: end it first; {} is left as it is",
            path.display()
        )));
    }
    let backup = setup::write(path, &one.before, &one.after.text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(format!(
        "written: {}\n  as it was: {}\n",
        path.display(),
        backup.display()
    ))
}
