//! A child process of a test: its output in a file, its whole group ended by its number when the
//! test is over, however it is over.

use std::{ffi::OsStr, fs, path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{ChildStdin, Command},
};

use super::{until, within};

/// A running program.
pub(crate) struct Child {
    name: String,
    child: tokio::process::Child,
    stdin: Option<ChildStdin>,
    group: Pid,
    output: PathBuf,
}

impl Child {
    /// Starts `name`, a program by its name or path, in `dir`, with its home there as well.
    pub(crate) fn start(
        name: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        dir: &std::path::Path,
    ) -> Self {
        Self::start_with(name, args, dir, &[])
    }

    /// The same, with these variables.
    #[allow(clippy::disallowed_methods, reason = "the tests' owner of processes")]
    pub(crate) fn start_with(
        name: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        dir: &std::path::Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let short = std::path::Path::new(name).file_name().unwrap();
        let output = dir.join(format!("{}.out", short.display()));
        let file = fs::File::create(&output).unwrap();
        let mut child = Command::new(name)
            .args(args)
            .current_dir(dir)
            .env("HOME", dir)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env("XDG_RUNTIME_DIR", dir)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name: name.into(),
            stdin: child.stdin.take(),
            group: Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(),
            child,
            output,
        }
    }

    /// Everything it printed so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Types a line to it.
    pub(crate) async fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).await.unwrap();
        stdin.write_all(b"\n").await.unwrap();
    }

    /// Waits until it has printed `text`.
    pub(crate) async fn printed(&mut self, text: &str) {
        let what = format!("{:?} from {}", text, self.name);
        let (output, name) = (self.output.clone(), self.name.clone());
        let child = &mut self.child;
        until(&what, || {
            let printed = String::from_utf8_lossy(&fs::read(&output).unwrap()).into_owned();
            if printed.contains(text) {
                return Some(());
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended ({status}) before it printed {text:?}: {printed}");
            }
            None
        })
        .await;
    }

    /// Waits for its end; its exit code, or `None` when a signal ended it.
    pub(crate) async fn wait(&mut self) -> Option<i32> {
        let what = format!("the end of {}", self.name);
        within(&what, self.child.wait()).await.unwrap().code()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal, and nothing to its children.
    pub(crate) fn signal(&mut self, signal: Signal) {
        assert!(self.runs(), "{} has ended", self.name);
        kill_process(self.group, signal).unwrap();
    }

    /// Ends it with SIGTERM and waits, SIGKILL after 5 s.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        if self.runs() {
            let _ = kill_process_group(self.group, Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait())
            .await
            .is_err()
        {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that was waited for has given its number back.
        if self.child.id().is_some() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        if std::thread::panicking() {
            let output = self.output();
            eprintln!("--- {} printed:\n{output}", self.name);
        }
    }
}
