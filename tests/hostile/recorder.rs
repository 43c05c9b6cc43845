//! A program in the place of another one: it writes down what it was given.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use msn_handoff::{
    bridge::{Handoff, Values},
    launch::{self, PrivateDir},
};

/// An executable that writes down what it was given, each behind a NUL.
pub(crate) struct Recorder {
    dir: tempfile::TempDir,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) arguments: Vec<String>,
    pub(crate) folder: String,
    pub(crate) variables: Vec<String>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        // As the binary starts them, and confined as there.
        launch::programs_start_through(env!("CARGO_BIN_EXE_msn-handoff").into());
        let dir = tempfile::tempdir().unwrap();
        let recorder = Self { dir };
        let out = recorder.out();
        let out = out.display();
        let script = format!(
            "#!/bin/sh\n{{ read -r pid name state parent group session rest < /proc/$$/stat; \
             printf '%s %s\\0' $pid $session; for a; do printf '%s\\0' \"$a\"; done; printf 'END\\0'; pwd; printf '\\0'; \
             tr '\\0' '\\1' < /proc/$$/environ; }} > {out}.new\nmv {out}.new {out}\n"
        );
        fs::write(recorder.program(), script).unwrap();
        fs::set_permissions(recorder.program(), fs::Permissions::from_mode(0o755)).unwrap();
        recorder
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.dir.path().join("recorder")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// What the program got that was started so; nothing when it was not started at all. Names that
    /// differ with each start are made one.
    pub(crate) async fn started(&self, handoff: &Handoff, values: &Values) -> Option<Recorded> {
        let dir = PrivateDir::new().unwrap();
        let mut plan = handoff.plan(values, &dir).ok()??;
        if let Some(confined) = &mut plan.confined {
            confined.writes.push(self.dir.path().to_owned());
        }
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
        let (session, text) = text.split_once('\0').unwrap();
        // It leads a session of its own: our terminal is not its.
        let pid = program.pid();
        assert_eq!(session, format!("{pid} {pid}"), "{}", handoff.name);
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
