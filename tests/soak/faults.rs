//! What is done to the program and to those around it.

use std::{collections::BTreeMap, fmt, fs, process::Command, time::Duration};

use msn_handoff::demo::server::Server;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Chance, product::Product};

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

    /// Does something after a while, again and again.
    pub(crate) async fn happen(&mut self, product: &Product, server: &Server) {
        loop {
            tokio::time::sleep(Duration::from_millis(200) + self.chance.millis(1_200)).await;
            let done = self.one(product, server).await;
            *self.done.entry(done).or_insert(0) += 1;
        }
    }

    async fn one(&mut self, product: &Product, server: &Server) -> &'static str {
        let children = product.children();
        match self.chance.below(20) {
            0..4 if !children.is_empty() => {
                let child = self.chance.of(&children).0;
                signal(child, Signal::KILL);
                "a program was killed"
            }
            4..6 if !children.is_empty() => {
                let child = self.chance.of(&children).0;
                signal(child, Signal::STOP);
                tokio::time::sleep(self.chance.millis(2_000)).await;
                signal(child, Signal::CONT);
                "a program stood still"
            }
            6..10 => {
                let sessions = server.sessions();
                if sessions.is_empty() {
                    return "nothing";
                }
                let (session, _) = self.chance.of(&sessions);
                server.drop_switchboard(*session);
                "the server cut a conversation"
            }
            10..14 => {
                let ports = self.connections(product);
                if ports.is_empty() {
                    return "nothing";
                }
                let port = self.chance.of(&ports);
                ss(&["-K", "-t", "sport", "=", port]);
                "a connection was reset"
            }
            14 => {
                server.drop_everybody();
                "the server cut everybody"
            }
            15..17 => {
                let full = product.disk().join("full");
                // As much as there is room for.
                let _ = fs::write(&full, vec![0; 1 << 20]);
                tokio::time::sleep(self.chance.millis(3_000)).await;
                fs::remove_file(&full).unwrap();
                "the disk was full"
            }
            17 => {
                server.drop_user("ann@example.com");
                "the server cut the user"
            }
            _ => "nothing",
        }
    }

    /// The local ports of its connections.
    fn connections(&self, product: &Product) -> Vec<String> {
        let its = format!("pid={},", product.pid);
        let all = ss(&["-tnpH", "state", "established"]);
        let lines = all.lines().filter(|line| line.contains(&its));
        let local = lines.filter_map(|line| line.split_whitespace().nth(2));
        local
            .filter_map(|at| at.rsplit_once(':').map(|(_, port)| format!(":{port}")))
            .collect()
    }
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
