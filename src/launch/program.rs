//! A running program: its start, its readiness, its end.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncWriteExt, process::ChildStdin, time::timeout};

use super::{Plan, Ready, environment, output::Output, ready};

/// Why a program could not be started or did not become ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// It could not be executed.
    #[error("cannot start {name} ({path}): {source}")]
    Start {
        /// What people call it.
        name: String,
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("{name} ended before it was ready ({exit}); its last words: {tail}")]
    EndedEarly {
        /// What people call it.
        name: String,
        /// How it ended.
        exit: Exit,
        /// What it printed last.
        tail: String,
    },
    /// It did not become ready in time.
    #[error("{name} was not ready within {} s; its last words: {tail}", within.as_secs())]
    NotReady {
        /// What people call it.
        name: String,
        /// How long it was given.
        within: Duration,
        /// What it printed last.
        tail: String,
    },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(0), _) => f.write_str("it finished"),
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "ended by signal {signal}"),
            (None, None) => f.write_str("it is gone"),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
        }
    }
}

/// A running program. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Program {
    plan: Plan,
    child: Box<dyn ChildWrapper>,
    stdin: Option<ChildStdin>,
    output: Output,
    group: Option<Pid>,
    exit: Option<Exit>,
}

/// Starts a program, in a process group and an environment of its own.
///
/// # Errors
/// [`LaunchError::Start`], with what the system says.
#[allow(clippy::disallowed_methods, reason = "the owner of processes")]
pub fn start(plan: &Plan) -> Result<Program, LaunchError> {
    let mut command = tokio::process::Command::new(&plan.program);
    command
        .args(&plan.args)
        .env_clear()
        .envs(environment::inherited())
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .current_dir(plan.dir.as_deref().unwrap_or_else(|| "/".as_ref()))
        // Held open and never written to but for the words of the end: a program that reads
        // commands takes end-of-file for "leave".
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = CommandWrap::from(command)
        .wrap(ProcessGroup::leader())
        .wrap(KillOnDrop)
        .spawn()
        .map_err(|source| LaunchError::Start {
            name: plan.name.clone(),
            path: plan.program.display().to_string(),
            source,
        })?;
    let output = Output::new(match &plan.ready {
        Ready::Output(text) => Some(text.clone()),
        _ => None,
    });
    if let Some(stdout) = child.stdout().take() {
        tokio::spawn(output.clone().read(stdout));
    }
    if let Some(stderr) = child.stderr().take() {
        tokio::spawn(output.clone().read(stderr));
    }
    let stdin = child.stdin().take();
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    tracing::info!(program = plan.name, path = %plan.program.display(), pid = child.id(), "started");
    Ok(Program {
        plan: plan.clone(),
        child,
        stdin,
        output,
        group,
        exit: None,
    })
}

impl Program {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its process id, which is also its group's; 0 when it was gone at once.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group
            .map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// What it printed last.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.output.tail()
    }

    /// Waits until the program shows that it is ready, as its plan says.
    ///
    /// # Errors
    /// When it ends first, or the time is over.
    pub async fn ready(&mut self) -> Result<(), LaunchError> {
        let within = self.plan.ready_within;
        let group = self.pid();
        let output = self.output.clone();
        let condition = self.plan.ready.clone();
        let shown = async move {
            match condition {
                Ready::Started => {}
                Ready::Output(_) => output.awaited().await,
                Ready::Tcp(address) => ready::tcp_listening(group, address).await,
                Ready::Udp(address) => ready::udp_bound(group, address).await,
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = timeout(within, shown) => outcome,
            exit = self.child.wait() => {
                let exit = exit.map_or(Exit { code: None, signal: None }, Exit::from);
                self.exit = Some(exit);
                return Err(LaunchError::EndedEarly {
                    name: self.plan.name.clone(),
                    exit,
                    tail: self.output.tail(),
                });
            }
        };
        outcome.map_err(|_| LaunchError::NotReady {
            name: self.plan.name.clone(),
            within,
            tail: self.output.tail(),
        })
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let exit = self.child.wait().await.map_or(
            Exit {
                code: None,
                signal: None,
            },
            Exit::from,
        );
        self.exit = Some(exit);
        exit
    }

    /// Ends it: words on its standard input, then SIGTERM, then SIGKILL to the whole group.
    pub async fn stop(&mut self) -> Exit {
        let grace = self.plan.stop.grace;
        if let (Some(words), Some(mut stdin)) = (self.plan.stop.words.clone(), self.stdin.take()) {
            // A program that does not read must not hold us: the write is bounded like the wait.
            let _ = timeout(grace, stdin.write_all(words.as_bytes())).await;
            if let Ok(exit) = timeout(grace, self.wait()).await {
                self.signal(Signal::KILL);
                return exit;
            }
        }
        self.signal(Signal::TERM);
        if let Ok(exit) = timeout(grace, self.wait()).await {
            self.signal(Signal::KILL);
            return exit;
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    /// Signals every process of the group. One that is gone needs no signal.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.signal(Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::PathBuf};

    use super::*;
    use crate::{endpoint::socket, launch::Stop};

    fn plan(program: &str, args: &[&str], ready: Ready) -> Plan {
        Plan {
            name: program.into(),
            program: PathBuf::from(program),
            args: args.iter().map(Into::into).collect(),
            env: vec![("MARK".into(), "here".into())],
            dir: None,
            ready,
            ready_within: Duration::from_secs(20),
            stop: Stop {
                words: None,
                grace: Duration::from_millis(300),
            },
        }
    }

    fn shell(script: &str, ready: Ready) -> Plan {
        plan("/bin/sh", &["-c", script], ready)
    }

    fn alive(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = start(&plan("/nonexistent/phone", &[], Ready::Started)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start /nonexistent/phone"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_early_end_tells_the_last_words() {
        let script = "echo 'no sound card' >&2; exit 3";
        let mut program = start(&shell(script, Ready::Output("ready".into()))).unwrap();
        let error = program.ready().await.unwrap_err().to_string();
        assert!(error.contains("exit code 3"), "{error}");
    }

    #[tokio::test]
    async fn readiness_is_read_from_the_output() {
        let mut program = start(&shell(
            "echo ua: ready; exec sleep 60",
            Ready::Output("ready".into()),
        ))
        .unwrap();
        program.ready().await.unwrap();
        assert_eq!(program.stop().await.signal, Some(15));
    }

    #[tokio::test]
    async fn words_end_a_program_that_listens_to_them() {
        let mut plan = shell("read word; test \"$word\" = quit && exit 7", Ready::Started);
        plan.stop.words = Some("quit\n".into());
        plan.stop.grace = Duration::from_secs(20);
        let mut program = start(&plan).unwrap();
        assert_eq!(program.stop().await.code, Some(7));
    }

    #[tokio::test]
    async fn a_program_that_forks_and_ignores_sigterm_is_gone_with_its_children() {
        let script = "trap '' TERM; (trap '' TERM; sleep 61) & echo child $!; wait; sleep 62";
        let mut program = start(&shell(script, Ready::Output("child".into()))).unwrap();
        program.ready().await.unwrap();
        let child: i32 = program
            .last_words()
            .rsplit(' ')
            .next()
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(alive(child));
        assert_eq!(program.stop().await.signal, Some(9));
        while alive(child) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn dropping_ends_the_whole_group() {
        let script = "sleep 63 & echo child $!; wait";
        let mut program = start(&shell(script, Ready::Output("child".into()))).unwrap();
        program.ready().await.unwrap();
        let child: i32 = program
            .last_words()
            .rsplit(' ')
            .next()
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        drop(program);
        while alive(child) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_environment_is_the_allow_list_and_the_plan() {
        let mut program = start(&plan("/usr/bin/env", &[], Ready::Started)).unwrap();
        program.wait().await;
        let mut program = start(&shell(
            "env | grep -c -v -E '^(PATH|HOME|LANG|LC_|XDG_|USER|LOGNAME|TMPDIR|TZ|DISPLAY|PULSE_|SDL_|MARK|PWD|SHLVL|OLDPWD|_=)' >/dev/null || echo clean; exec sleep 60",
            Ready::Output("clean".into()),
        ))
        .unwrap();
        program.ready().await.unwrap();
        program.stop().await;
    }

    #[tokio::test]
    async fn no_descriptor_of_ours_is_inherited() {
        let _ours = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let script = "for fd in /proc/$$/fd/*; do readlink $fd; done | grep -q socket: || echo none; exec sleep 60";
        let mut program = start(&shell(script, Ready::Output("none".into()))).unwrap();
        program.ready().await.unwrap();
        program.stop().await;
    }

    #[tokio::test]
    async fn a_port_counts_only_when_the_program_itself_holds_it() {
        let squatter = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = squatter.local_addr().unwrap();
        let mut plan = shell("exec sleep 60", Ready::Udp(address));
        plan.ready_within = Duration::from_millis(300);
        let mut program = start(&plan).unwrap();
        assert!(matches!(
            program.ready().await,
            Err(LaunchError::NotReady { .. })
        ));
        program.stop().await;
    }

    #[tokio::test]
    async fn a_port_that_the_program_binds_is_seen() {
        let port = socket::free_port(Ipv4Addr::LOCALHOST).await.unwrap();
        let script = format!(
            "import socket,time\ns=socket.socket(); s.bind(('127.0.0.1',{port})); s.listen()\n\
             u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.bind(('127.0.0.1',{port})); time.sleep(60)"
        );
        for ready in [
            Ready::Tcp((Ipv4Addr::LOCALHOST, port).into()),
            Ready::Udp((Ipv4Addr::LOCALHOST, port).into()),
        ] {
            let mut program =
                start(&plan("/usr/bin/env", &["python3", "-c", &script], ready)).unwrap();
            program.ready().await.unwrap();
            program.stop().await;
        }
    }
}
