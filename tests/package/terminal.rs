//! A terminal, as a person sits at.

use std::process::Stdio;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::within;

/// A program on a terminal, and what it showed.
pub(crate) struct Terminal {
    _script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Terminal {
    #[allow(clippy::disallowed_methods, reason = "programs under test")]
    pub(crate) fn open(command: &str) -> Self {
        let mut script = Command::new("script")
            .args(["-qec", command, "/dev/null"])
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            keys: script.stdin.take().unwrap(),
            screen: script.stdout.take().unwrap(),
            _script: script,
            shown: String::new(),
        }
    }

    pub(crate) async fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Waits until that is shown, and forgets what came before its end.
    pub(crate) async fn until(&mut self, text: &str) {
        let reading = async {
            loop {
                if let Some(at) = self.shown.find(text) {
                    self.shown = self.shown.split_off(at + text.len());
                    return;
                }
                let mut some = [0; 1024];
                let read = self.screen.read(&mut some).await.unwrap();
                assert!(read > 0, "it ended: {}", self.shown);
                self.shown.push_str(&String::from_utf8_lossy(&some[..read]));
            }
        };
        within(text, reading).await;
    }
}
