//! Network namespaces that a test makes for itself, and code that runs in one. Programs that are
//! started from there belong to it as well.
#![allow(
    clippy::disallowed_methods,
    reason = "namespaces are made with the system's own tools"
)]

use std::{
    fs::File,
    future::Future,
    os::fd::AsFd as _,
    panic::resume_unwind,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{runtime, sync::oneshot};

/// What our namespaces' names begin with; then comes the process that made them.
const PREFIX: &str = "handoff-";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether namespaces can be made here. Under `CI=true` they must be.
pub(crate) fn can_make() -> bool {
    if !super::have(&["ip", "nft"]) {
        return false;
    }
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "network namespaces need root"
    );
    eprintln!("SKIPPED: network namespaces need root");
    false
}

/// Runs a test in a namespace that has nothing but its loopback device, so that a port which is
/// fixed (1720, 1503, 47624, 3389) is free in it whatever runs on this machine.
pub(crate) fn alone(test: impl AsyncFnOnce() + Send + 'static) {
    if !can_make() {
        return;
    }
    let space = Space::new("alone");
    let file = space.file();
    // Threads that a runtime starts are where the thread is that builds it.
    let ran = thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let runtime = runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
    if let Err(panicked) = ran.join() {
        resume_unwind(panicked);
    }
}

/// A machine: a namespace. It is removed when nobody has this any more.
#[derive(Debug, Clone)]
pub(crate) struct Space(Arc<Name>);

/// What a namespace is called, as long as it is there.
#[derive(Debug)]
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

impl Space {
    /// A machine that is connected to nothing.
    pub(crate) fn new(name: &str) -> Self {
        forget_dead();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{name}", std::process::id());
        sh(&["ip", "netns", "add", &name]);
        let space = Self(Arc::new(Name(name)));
        space.ip("link set lo up");
        space
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.0.0
    }

    fn file(&self) -> File {
        File::open(format!("/run/netns/{}", self.name())).unwrap()
    }

    /// Words of a command before those of what is to run in it.
    pub(crate) fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", self.name()]
    }

    /// Runs a command in it; what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        sh(&[&self.enter(), command].concat())
    }

    /// `ip`, with these words.
    pub(crate) fn ip(&self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        sh(&[&["ip", "-n", self.name()], &words[..]].concat())
    }

    /// Adds rules.
    pub(crate) fn nft(&self, rules: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        self.run(&["nft", "-f", file.path().to_str().unwrap()]);
    }

    /// A thread in it, on which futures are run.
    pub(crate) fn inside(&self) -> Inside {
        let file = self.file();
        let (stop, stopped) = oneshot::channel::<()>();
        let (give, given) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            give.send(runtime.handle().clone()).unwrap();
            let _ = runtime.block_on(stopped);
        });
        Inside {
            handle: given.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

/// A thread in a namespace. Sockets that its futures open belong there.
pub(crate) struct Inside {
    handle: runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// What the future gives.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.handle.spawn(work).await.unwrap()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a command, which must succeed; what it printed.
fn sh(command: &[&str]) -> String {
    let done = Command::new(command[0])
        .args(&command[1..])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Removes what a test left that was killed.
fn forget_dead() {
    for line in sh(&["ip", "netns", "list"]).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner
            && !std::path::Path::new("/proc").join(owner).exists()
        {
            sh(&["ip", "netns", "del", name]);
        }
    }
}
