//! A program in the place of another one: it writes down what it was given.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use msn_handoff::{
    bridge::{Handoff, Values},
    launch::{self, PrivateDir},
};

/// An executable that writes down what it was given, each behind a NUL, in a file of its own.
pub(crate) struct Recorder {
    dir: tempfile::TempDir,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) arguments: Vec<String>,
    pub(crate) folder: String,
    pub(crate) variables: Vec<String>,
    /// What stands in the private files among the arguments.
    pub(crate) files: String,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        // As the binary starts them, and confined as there.
        launch::programs_start_through(env!("CARGO_BIN_EXE_msn-handoff").into());
        let dir = tempfile::tempdir().unwrap();
        let recorder = Self { dir };
        let out = recorder.out();
        fs::create_dir(&out).unwrap();
        let out = out.display();
        let script = format!(
            "#!/bin/sh\n{{ read -r pid name state parent group session rest < /proc/$$/stat; \
             printf '%s %s\\0' $pid $session; for a; do printf '%s\\0' \"$a\"; done; printf 'END\\0'; pwd; printf '\\0'; \
             cat /proc/$$/environ; printf '\\0END\\0'; \
             for a; do case \"$a\" in */msn-handoff-*) cat \"$a\" \"$a\"/* 2>/dev/null;; esac; done; }} \
             > {out}/$$.new\nmv {out}/$$.new {out}/$$\n"
        );
        fs::write(recorder.program(), script).unwrap();
        fs::set_permissions(recorder.program(), fs::Permissions::from_mode(0o755)).unwrap();
        recorder
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.dir.path().join("recorder")
    }

    /// Where it is, and what it writes.
    pub(crate) fn home(&self) -> &Path {
        self.dir.path()
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// What was written down since this was asked last, in no order.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        let all = fs::read_dir(self.out()).unwrap().flatten();
        let whole = all.filter(|entry| entry.path().extension().is_none());
        whole
            .map(|entry| {
                let bytes = fs::read(entry.path()).unwrap();
                fs::remove_file(entry.path()).unwrap();
                Recorded::read(&String::from_utf8(bytes).unwrap())
            })
            .collect()
    }

    /// What the program got that was started so; nothing when it was not started at all.
    pub(crate) async fn started(&self, handoff: &Handoff, values: &Values) -> Option<Recorded> {
        let dir = PrivateDir::new().unwrap();
        let mut plan = handoff.plan(values, &dir).ok()??;
        if let Some(confined) = &mut plan.confined {
            confined.writes.push(self.dir.path().to_owned());
        }
        let mut program = launch::start(&plan).unwrap();
        let exit = program.wait().await;
        assert_eq!(
            exit.code,
            Some(0),
            "{}: {}",
            handoff.name,
            program.last_words()
        );
        let mut recorded = self.take().pop().unwrap();
        // The files of the bridge are part of what it is given.
        for (name, _) in &handoff.files {
            let contents = fs::read_to_string(dir.path().join(name)).unwrap();
            recorded.files.push_str(&private(&contents));
        }
        Some(recorded)
    }
}

impl Recorded {
    /// Names that differ with each start are made one.
    fn read(text: &str) -> Self {
        let (session, text) = text.split_once('\0').unwrap();
        // It leads a session of its own: our terminal is not its.
        let (own, session) = session.split_once(' ').unwrap();
        assert_eq!(own, session);
        let text = private(text);
        let (arguments, rest) = match text.strip_prefix("END\0") {
            Some(rest) => (Vec::new(), rest),
            None => {
                let (arguments, rest) = text.split_once("\0END\0").unwrap();
                (arguments.split('\0').map(str::to_owned).collect(), rest)
            }
        };
        let (rest, files) = rest.split_once("\0END\0").unwrap();
        let (folder, variables) = rest.split_once('\0').unwrap();
        let mut variables: Vec<String> = variables
            .split('\0')
            .filter(|one| !one.is_empty() && !one.starts_with("MSN_HANDOFF_PROGRAM="))
            .map(str::to_owned)
            .collect();
        variables.sort();
        Self {
            arguments,
            folder: folder.to_owned(),
            variables,
            files: files.to_owned(),
        }
    }
}

/// A private folder is called otherwise each time.
fn private(text: &str) -> String {
    let mut parts = text.split("/msn-handoff-");
    let mut one = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        one.push_str("/DIR");
        one.push_str(rest);
    }
    one
}
