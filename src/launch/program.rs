//! A running program: its start, its readiness, its end.

use std::{io, process::Stdio, time::Duration};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessSession};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};
use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    signal::unix::{self, SignalKind},
    task::JoinHandle,
    time::timeout,
};

use super::{
    Plan, Ready, guard,
    leftovers::{self, Record},
    output::Output,
    processes::{Family, MARK, Process},
    ready,
};
use crate::clock::Clock;

/// How often we look whether every process of a program has gone. There is no event for it.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long the last words of a program that has ended may take to reach us.
const LAST_WORDS: Duration = Duration::from_millis(200);

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
    /// How long it ran.
    pub ran: Duration,
}

impl Exit {
    fn new(status: Option<&WaitIdStatus>, ran: Duration) -> Self {
        Self {
            code: status.and_then(WaitIdStatus::exit_status),
            signal: status.and_then(WaitIdStatus::terminating_signal),
            ran,
        }
    }
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

/// A running program. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Program {
    plan: Plan,
    child: Box<dyn ChildWrapper>,
    /// Leads a session and a group of the same number. It is not reaped before all is over, so
    /// the number cannot come to mean anybody else.
    leader: Pid,
    family: Family,
    /// Says that one of our programs ended, maybe this one.
    some_ended: unix::Signal,
    stdin: Option<ChildStdin>,
    output: Output,
    readers: Vec<JoinHandle<()>>,
    clock: Clock,
    exit: Option<Exit>,
    over: bool,
    _record: Option<Record>,
}

/// Starts a program, in a session, a process group and an environment of its own. A session,
/// because a program without one could still write to our terminal and push input into it.
///
/// # Errors
/// [`LaunchError::Start`], with what the system says.
///
/// # Panics
/// Outside of a tokio runtime.
#[allow(clippy::disallowed_methods, reason = "the owner of processes")]
pub fn start(plan: &Plan) -> Result<Program, LaunchError> {
    let failed = |source: io::Error| LaunchError::Start {
        name: plan.name.clone(),
        path: plan.program.display().to_string(),
        source,
    };
    let some_ended = unix::signal(SignalKind::child()).map_err(failed)?;
    let mark = leftovers::mark();
    let command = guard::command(&plan.program, plan.confined.as_ref()).map_err(failed)?;
    let mut command = tokio::process::Command::from(command);
    command
        .args(&plan.args)
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .env(MARK, &mark)
        .current_dir(plan.dir.as_deref().unwrap_or_else(|| "/".as_ref()))
        // Held open and never written to but for the words of the end: a program that reads
        // commands takes end-of-file for "leave".
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let clock = Clock::start();
    let mut child = CommandWrap::from(command)
        .wrap(ProcessSession)
        .wrap(KillOnDrop)
        .spawn()
        .map_err(failed)?;
    let leader = child
        .id()
        .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let number = leader.as_raw_nonzero().get();
    let family = Family::new(number, mark, plan.confined.is_some());
    let record = leftovers::note(&family);
    let output = Output::new(match &plan.ready {
        Ready::Output(text) => Some(text.clone()),
        _ => None,
    });
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout().take() {
        readers.push(tokio::spawn(output.clone().read(stdout)));
    }
    if let Some(stderr) = child.stderr().take() {
        readers.push(tokio::spawn(output.clone().read(stderr)));
    }
    let stdin = child.stdin().take();
    tracing::info!(program = plan.name, path = %plan.program.display(), pid = child.id(), "started");
    Ok(Program {
        plan: plan.clone(),
        child,
        leader,
        family,
        some_ended,
        stdin,
        output,
        readers,
        clock,
        exit: None,
        over: false,
        _record: record,
    })
}

impl Program {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.leader.as_raw_nonzero().get().cast_unsigned()
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
        let leader = self.family.leader;
        let output = self.output.clone();
        let condition = self.plan.ready.clone();
        let shown = async move {
            match condition {
                Ready::Started => {}
                Ready::Output(_) => output.awaited().await,
                Ready::Tcp(address) => ready::tcp_listening(leader, address).await,
                Ready::Udp(address) => ready::udp_bound(leader, address).await,
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = timeout(within, shown) => outcome,
            exit = self.wait() => {
                self.hear_out().await;
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

    /// Waits for its end. May be dropped and called again. What else it started may still run,
    /// until [`Program::stop`] or the drop.
    pub async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let status = loop {
            // Looks without reaping. An error would mean that somebody else reaped it.
            let status = waitid(
                WaitId::Pid(self.leader),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
            );
            if !matches!(status, Ok(None)) {
                break status.ok().flatten();
            }
            self.some_ended.recv().await;
        };
        let exit = Exit::new(status.as_ref(), self.clock.now());
        self.exit = Some(exit);
        exit
    }

    /// Ends it: words on its standard input, then SIGTERM, then SIGKILL, to all of its processes.
    pub async fn stop(&mut self) -> Exit {
        let grace = self.plan.stop.grace;
        if self.over {
            return self.wait().await;
        }
        if let (Some(words), Some(mut stdin)) = (self.plan.stop.words.clone(), self.stdin.take()) {
            // A program that does not read must not hold us: the write is bounded like the wait.
            let _ = timeout(grace, stdin.write_all(words.as_bytes())).await;
            let _ = timeout(grace, self.wait()).await;
        }
        for signal in [Signal::TERM, Signal::KILL] {
            if self.members().next().is_none() {
                break;
            }
            self.signal(signal);
            let _ = timeout(grace, self.all_gone()).await;
        }
        let exit = if self.members().next().is_none() {
            let exit = self.wait().await;
            // Reaps the leader, which frees its number; there is nobody left to be signalled.
            let _ = timeout(LAST_WORDS, self.child.wait()).await;
            self.over = true;
            exit
        } else {
            tracing::error!(
                program = self.plan.name,
                pid = self.pid(),
                "cannot be ended"
            );
            Exit::new(None, self.clock.now())
        };
        self.hear_out().await;
        tracing::info!(program = self.plan.name, pid = self.pid(), %exit, "ended");
        exit
    }

    #[cfg(test)]
    pub(super) fn family(&self) -> &Family {
        &self.family
    }

    fn members(&self) -> impl Iterator<Item = Process> + use<> {
        self.family.members(true)
    }

    async fn all_gone(&self) {
        let mut interval = tokio::time::interval(INTERVAL);
        while self.members().next().is_some() {
            interval.tick().await;
        }
    }

    /// Waits, not long, for what it printed at its end.
    async fn hear_out(&mut self) {
        for mut reader in self.readers.drain(..) {
            if timeout(LAST_WORDS, &mut reader).await.is_err() {
                reader.abort();
            }
        }
    }

    /// Signals the group at once, and one by one those that left it.
    /// One that is gone needs no signal.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.leader, signal);
        let is_elsewhere = |process: &Process| process.group != self.family.leader;
        for process in self.members().filter(is_elsewhere) {
            process.signal(signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
        if !self.over {
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
            confined: None,
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
    async fn what_a_confined_program_started_in_a_session_of_its_own_ends_with_it() {
        for (confined, dropped) in [(true, false), (true, true), (false, false)] {
            let script = "setsid sh -c 'trap \"\" TERM; echo child $$; sleep 64; :' & wait";
            let mut plan = shell(script, Ready::Output("child".into()));
            plan.confined = confined.then(crate::launch::Confinement::default);
            let mut program = start(&plan).unwrap();
            program.ready().await.unwrap();
            let said = program.last_words();
            let child: i32 = said.rsplit(' ').next().unwrap().trim().parse().unwrap();
            assert!(alive(child));
            if dropped {
                drop(program);
            } else {
                program.stop().await;
            }
            if confined {
                while alive(child) {
                    tokio::task::yield_now().await;
                }
            } else {
                assert!(alive(child), "it means to outlive the program");
                Process::find(child).unwrap().signal(Signal::KILL);
            }
        }
    }

    #[tokio::test]
    async fn a_program_leads_a_session_of_its_own_without_a_terminal() {
        let script = "read -r pid name state parent group session terminal rest < /proc/$$/stat
                      echo \"seen $pid $group $session $terminal\"; exec sleep 66";
        let mut program = start(&shell(script, Ready::Output("seen".into()))).unwrap();
        program.ready().await.unwrap();
        let pid = program.pid();
        let said = program.last_words();
        assert_eq!(said, format!("seen {pid} {pid} {pid} 0"));
        program.stop().await;
    }

    #[tokio::test]
    async fn the_environment_is_the_allow_list_and_the_plan() {
        let mut program = start(&plan("/usr/bin/env", &[], Ready::Started)).unwrap();
        program.wait().await;
        let mut program = start(&shell(
            "env | grep -c -v -E '^(PATH|HOME|LANG|LC_|XDG_|USER|LOGNAME|TMPDIR|TZ|DISPLAY|PULSE_|SDL_|MARK|MSN_HANDOFF_PROGRAM|PWD|SHLVL|OLDPWD|_=)' >/dev/null || echo clean; exec sleep 60",
            Ready::Output("clean".into()),
        ))
        .unwrap();
        program.ready().await.unwrap();
        program.stop().await;
    }

    #[tokio::test]
    async fn bubblewrap_before_a_program_hides_files_and_ends_with_all_of_it() {
        const BWRAP: &str = "/usr/bin/bwrap";
        if !std::path::Path::new(BWRAP).exists() {
            assert!(std::env::var_os("CI").is_none(), "{BWRAP} is missing");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("id");
        std::fs::write(&secret, "secret").unwrap();
        let (hidden, secret) = (home.path().to_str().unwrap(), secret.to_str().unwrap());
        let script = "cat \"$1\" || echo unread; touch /etc/msn-handoff-test || echo unwritten
                      sleep 65 & echo up; wait";
        // As docs/SECURITY.md advises.
        let arguments = [
            "--die-with-parent",
            "--unshare-pid",
            "--ro-bind",
            "/",
            "/",
            "--dev-bind",
            "/dev",
            "/dev",
            "--proc",
            "/proc",
            "--tmpfs",
            hidden,
            "/bin/sh",
            "-c",
            script,
            "sh",
            secret,
        ];
        let mut program = start(&plan(BWRAP, &arguments, Ready::Output("up".into()))).unwrap();
        program.ready().await.unwrap();
        let said = program.last_words();
        assert!(
            said.contains("unread") && said.contains("unwritten"),
            "{said}"
        );
        let inside: Vec<_> = program.members().collect();
        assert!(inside.len() >= 3, "{inside:?}");
        program.stop().await;
        for process in inside {
            assert!(!alive(process.pid), "{process:?}");
        }
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
