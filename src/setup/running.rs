//! Whether a client runs: it writes its settings when it ends, over whatever stands there.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::Client;

/// A program of this user that would write over a change of that file, by its name.
#[must_use]
pub fn running(client: Client, file: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.metadata().is_ok_and(|it| it.uid() == own))
        .find_map(|entry| {
            // What is no process has no such file.
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line);
            let mut words = line.split('\0').filter(|word| !word.is_empty());
            let program = writes(client, &mut words)?;
            let elsewhere = client == Client::Messenger && !is_of(&entry.path().join("cwd"), file);
            (!elsewhere).then_some(program)
        })
}

/// Whether Wine's server, which works in that folder, is the one of the prefix with that registry. The
/// folder is named after the prefix, by device and number, and is removed before the server has
/// written the last time; while it writes it works in the prefix. When in doubt, it is.
fn is_of(folder: &Path, registry: &Path) -> bool {
    let prefix = registry.canonicalize();
    let prefix = prefix.map(|it| it.parent().map(fs::metadata));
    let (Ok(Some(Ok(prefix))), Ok(name)) = (prefix, fs::read_link(folder)) else {
        return true;
    };
    let writing = fs::metadata(folder)
        .is_ok_and(|folder| (folder.dev(), folder.ino()) == (prefix.dev(), prefix.ino()));
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    writing || name == format!("server-{:x}-{:x}", prefix.dev(), prefix.ino())
}

/// Whether this command line is such a program.
fn writes<'a>(client: Client, words: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    // Wine shows Windows paths.
    let name = |word: &'a str| word.rsplit(['/', '\\']).next().unwrap_or(word);
    let program = name(words.next()?);
    let is_it = match client {
        Client::Pidgin => ["pidgin", "finch"].contains(&program),
        // A script: `wish /usr/bin/amsn`.
        Client::Amsn => {
            program == "amsn" || program.starts_with("wish") && words.any(|it| name(it) == "amsn")
        }
        // Wine's server has the registry in memory as long as any program of the prefix runs.
        Client::Messenger => program.starts_with("wineserver"),
    };
    is_it.then(|| program.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_tell_who_runs() {
        for (client, line, runs) in [
            (Client::Pidgin, "/usr/bin/pidgin", true),
            (Client::Pidgin, "finch", true),
            (Client::Pidgin, "vi pidgin", false),
            (Client::Amsn, "wish8.6 /usr/bin/amsn", true),
            (Client::Amsn, "/usr/share/amsn/amsn", true),
            (Client::Amsn, "wish8.6 /usr/bin/tkdiff", false),
            (Client::Messenger, "/usr/lib/wine/wineserver64", true),
            (Client::Messenger, "C:\\Programs\\notepad.exe", false),
            (Client::Messenger, "", false),
        ] {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            assert_eq!(writes(client, &mut words).is_some(), runs, "{line}");
        }
    }
}
