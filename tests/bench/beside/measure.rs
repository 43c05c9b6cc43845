//! Times, and what a process takes of memory and processor.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Microseconds, as a table wants them.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value that so many percent are below.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// One line of a table in Markdown.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// The head of one.
pub(crate) fn head(title: &str, cells: &[&str]) {
    println!("\n### {title}\n");
    println!("| {} |", cells.join(" | "));
    println!("|{}", " --- |".repeat(cells.len()));
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Raises what this process and those it starts may have of descriptors, as far as it may, and says how
/// many that is.
pub(crate) fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = Some(65_536);
    let limit = Rlimit {
        current: wanted,
        maximum: wanted,
    };
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(65_536)
}

/// A process, which ends with this value, and what it started.
pub(crate) struct Process(Child);

impl Process {
    /// In silence.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stderr(Stdio::null());
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn of(child: Child) -> Self {
        Self(child)
    }

    /// Waits until somebody can connect.
    pub(crate) fn listens(&mut self, door: SocketAddr) {
        let began = Instant::now();
        while TcpStream::connect(door).is_err() {
            assert!(self.0.try_wait().unwrap().is_none(), "it ended");
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it never listens"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// It and all that it started.
    fn all(&self) -> Vec<u32> {
        let mut all = vec![self.0.id()];
        let mut at = 0;
        while let Some(pid) = all.get(at).copied() {
            for task in entries(&format!("/proc/{pid}/task")) {
                let children = fs::read_to_string(format!("/proc/{pid}/task/{task}/children"));
                let children = children.unwrap_or_default();
                all.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
                all.dedup();
            }
            at += 1;
        }
        all
    }

    /// Memory of its own and its share of what it shares, kB (proc(5), `Pss`).
    pub(crate) fn memory(&self) -> f64 {
        let of = |pid: u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            kilobytes(&text, "Pss:")
        };
        self.all().into_iter().map(of).sum()
    }

    /// Memory that is resident, kB.
    pub(crate) fn resident(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        kilobytes(&text, "VmRSS:")
    }

    /// Time on a processor so far, microseconds (`schedstat`).
    pub(crate) fn worked(&self) -> f64 {
        let mut nanos = 0.0;
        for pid in self.all() {
            for task in entries(&format!("/proc/{pid}/task")) {
                let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat"));
                let text = text.unwrap_or_default();
                let first = text.split_whitespace().next();
                nanos += first.and_then(|n| n.parse().ok()).unwrap_or(0.0);
            }
        }
        nanos / 1e3
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in self.all().into_iter().rev() {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

fn entries(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn kilobytes(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
