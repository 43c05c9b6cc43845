//! What is done to the program and to those around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    net::SocketAddr,
    process::Command,
    sync::Mutex,
    time::Duration,
};

use msn_handoff::demo::{
    client::Client,
    server::{Server, ServerSettings},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Chance, people::USER, product::Product};

const KILLED: &str = "a program was killed";
const STOPPED: &str = "a program stood still";
const CONVERSATION: &str = "the server cut a conversation";
const RESET: &str = "a connection was reset";
const UNRESETTABLE: &str =
    "a connection could not be reset: this kernel cannot (INET_DIAG_DESTROY)";
const EVERYBODY: &str = "the server cut everybody";
const DISK: &str = "the disk was full";
const THE_USER: &str = "the server cut the user";
const RESTARTED: &str = "the server was killed and came back";
const SERVER_STILL: &str = "the server read nothing for a while";
const CLIENT_STILL: &str = "the user's client read nothing for a while";
const CLIENT_CUT: &str = "the user's client was killed";
const DESKTOP: &str = "the phone and the player were taken away, or brought back";
const NOTHING: &str = "nothing";

/// Everything that must have happened in a run that is long enough. A reset is in [`Faults::check`].
const ALL: [&str; 12] = [
    KILLED,
    STOPPED,
    CONVERSATION,
    EVERYBODY,
    DISK,
    THE_USER,
    RESTARTED,
    SERVER_STILL,
    CLIENT_STILL,
    CLIENT_CUT,
    DESKTOP,
    NOTHING,
];

/// The server, which may be gone for a while.
pub(crate) struct Exchange {
    server: Mutex<Option<Server>>,
    at: SocketAddr,
}

impl Exchange {
    pub(crate) async fn open() -> Self {
        let server = Server::start(ServerSettings::default()).await.unwrap();
        Self {
            at: server.ns_addr(),
            server: Mutex::new(Some(server)),
        }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    fn with<T>(&self, ask: impl FnOnce(&Server) -> T) -> T {
        ask(self.server.lock().unwrap().as_ref().unwrap())
    }

    async fn is_killed_and_comes_back(&self, after: Duration) {
        self.close().await;
        sleep(after).await;
        let settings = ServerSettings {
            port: self.at.port(),
            ..ServerSettings::default()
        };
        let server = Server::start(settings).await.unwrap();
        *self.server.lock().unwrap() = Some(server);
    }

    pub(crate) async fn close(&self) {
        let server = self.server.lock().unwrap().take().unwrap();
        server.stop().await;
    }
}

/// Does one thing after the other.
pub(crate) struct Faults {
    chance: Chance,
    done: BTreeMap<&'static str, usize>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed ^ 0xfa17),
            done: BTreeMap::new(),
        }
    }

    /// Does something after a while, again and again. What has begun is brought to its end.
    pub(crate) async fn happen(
        &mut self,
        product: &Product,
        exchange: &Exchange,
        user: &tokio::sync::Mutex<Client>,
        over: &CancellationToken,
    ) {
        loop {
            let pause = Duration::from_millis(200) + self.chance.millis(1_200);
            tokio::select! {
                () = sleep(pause) => {}
                () = over.cancelled() => return,
            }
            let done = self.one(product, exchange, user).await;
            *self.done.entry(done).or_insert(0) += 1;
        }
    }

    async fn one(
        &mut self,
        product: &Product,
        exchange: &Exchange,
        user: &tokio::sync::Mutex<Client>,
    ) -> &'static str {
        let children = product.children();
        match self.chance.below(26) {
            0..4 if !children.is_empty() => {
                let child = self.chance.of(&children).0;
                signal(child, Signal::KILL);
                KILLED
            }
            4..6 if !children.is_empty() => {
                let child = self.chance.of(&children).0;
                signal(child, Signal::STOP);
                sleep(self.chance.millis(2_000)).await;
                signal(child, Signal::CONT);
                STOPPED
            }
            6..9 => {
                let sessions = exchange.with(Server::sessions);
                if sessions.is_empty() {
                    return NOTHING;
                }
                let (session, _) = self.chance.of(&sessions);
                exchange.with(|server| server.drop_switchboard(*session));
                CONVERSATION
            }
            9..13 => {
                let all: Vec<(String, String)> = connections(product).into_iter().collect();
                if all.is_empty() {
                    return NOTHING;
                }
                let one = self.chance.of(&all);
                ss(&[
                    "-K", "-tn", "sport", "=", &one.0, "and", "dport", "=", &one.1,
                ]);
                // It says that all is well whether it could or not.
                if connections(product).contains(one) {
                    return UNRESETTABLE;
                }
                RESET
            }
            13 => {
                exchange.with(Server::drop_everybody);
                EVERYBODY
            }
            14..16 => {
                let full = product.disk().join("full");
                // As much as there is room for.
                let _ = fs::write(&full, vec![0; 1 << 20]);
                sleep(self.chance.millis(3_000)).await;
                fs::remove_file(&full).unwrap();
                DISK
            }
            16 => {
                exchange.with(|server| server.drop_user(USER));
                THE_USER
            }
            17 => {
                let after = self.chance.millis(1_500);
                exchange.is_killed_and_comes_back(after).await;
                RESTARTED
            }
            18 => {
                exchange.with(|server| server.reads(false));
                sleep(self.chance.millis(4_000)).await;
                exchange.with(|server| server.reads(true));
                SERVER_STILL
            }
            19..21 => {
                let client = user.lock().await.clone();
                client.reads(false);
                sleep(self.chance.millis(4_000)).await;
                client.reads(true);
                CLIENT_STILL
            }
            21..23 => {
                user.lock().await.cut();
                CLIENT_CUT
            }
            23..25 => {
                product.change_desktop();
                DESKTOP
            }
            _ => NOTHING,
        }
    }

    /// All of it has happened.
    pub(crate) fn check(&self) {
        let missing = |it: &&str| !self.done.contains_key(it);
        let never: Vec<&str> = ALL.into_iter().filter(missing).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
        assert!(
            self.done.contains_key(RESET) || self.done.contains_key(UNRESETTABLE),
            "no connection was reset"
        );
    }
}

/// The ports of its connections, here and there, as `ss` takes them.
fn connections(product: &Product) -> BTreeSet<(String, String)> {
    let its = format!("pid={},", product.pid);
    let port = |at: &str| at.rsplit_once(':').map(|(_, port)| format!(":{port}"));
    ss(&["-tnpH", "state", "established"])
        .lines()
        .filter(|line| line.contains(&its))
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            Some((port(words.next()?)?, port(words.next()?)?))
        })
        .collect()
}

fn signal(pid: u32, signal: Signal) {
    // It may have gone meanwhile.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

fn ss(words: &[&str]) -> String {
    let done = Command::new("ss").args(words).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.done {
            writeln!(f, "{count:6}  {what}")?;
        }
        Ok(())
    }
}
