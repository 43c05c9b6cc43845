//! The program for a long time, with everything that can happen to it happening to it: contacts invite
//! and are invited to every application that we ship, at random; programs, servers, clients and
//! connections are killed; programs stand still; the disk is full. Afterwards every invitation has ended
//! with a reason, and nothing is left of any.
//!
//! As part of the tests it takes two minutes; `tests/soak/run 3600` takes an hour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]

mod faults;
mod ledger;
mod people;
mod product;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use msn_handoff::demo::server::{Server, ServerSettings};

use self::{ledger::Ledger, people::People, product::Product};

/// How long people and faults do as they like before everything must have come to rest.
const ROUND: Duration = Duration::from_secs(25);
/// How long that may take: what is asked, waits or is stuck has a time limit, and the longest is a
/// program's that was told to end and does not.
const REST: Duration = Duration::from_secs(60);

/// A generator that gives the same again (SplitMix64, Steele and others 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn millis(&mut self, limit: usize) -> Duration {
        Duration::from_millis(self.below(limit) as u64)
    }
}

fn from_environment(name: &str, or: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(or, |said| said.parse().expect("a number"))
}

#[test]
fn invitations_and_faults_of_all_kinds_leave_nothing_behind() {
    support::namespace::alone(async || {
        if !support::have(&["baresip", "socat", "unshare", "ss"]) {
            return;
        }
        let seconds = Duration::from_secs(from_environment("SOAK_SECONDS", 120));
        if seconds.is_zero() {
            return eprintln!("SKIPPED: SOAK_SECONDS=0");
        }
        let seed = from_environment("SOAK_SEED", u64::from(std::process::id()));
        eprintln!("soak: {} s, SOAK_SEED={seed}", seconds.as_secs());
        soak(seconds, seed).await;
    });
}

async fn soak(seconds: Duration, seed: u64) {
    let began = Instant::now();
    let server = Server::start(ServerSettings::default()).await.unwrap();
    let product = Product::start(server.ns_addr()).await;
    let mut ledger = Ledger::follow(&product).await;
    let mut people = People::come(&product, &server, seed).await;
    let mut faults = faults::Faults::new(seed);
    let mut first = None;
    let mut memory = Vec::new();
    for round in 0.. {
        people.round(&product, &server, &mut faults, ROUND).await;
        ledger.rest(&product, REST).await;
        people.sign_in(&product).await;
        let now = product.at_rest(&people, first.as_ref(), REST).await;
        memory.push(now.memory);
        eprintln!(
            "soak: {} s, round {round}: {} invitations so far, {} kB resident, {} descriptors",
            began.elapsed().as_secs(),
            ledger.count(),
            now.memory,
            now.descriptors.len()
        );
        // What is made once and kept is there after the first round.
        first.get_or_insert(now);
        product.make_room();
        if began.elapsed() + ROUND > seconds && round > 0 {
            break;
        }
    }
    eprintln!("{}{faults}", ledger.told());
    check_memory(&memory);
    product.check_log();
    people.leave().await;
    product.end().await;
    server.stop().await;
}

/// What every round took adds up; what the allocator keeps for later does not. The rounds of the last
/// third may have no more on average than those of the second, and 3 %.
fn check_memory(memory: &[u64]) {
    let third = memory.len() / 3;
    if third < 3 {
        return;
    }
    let mean = |part: &[u64]| part.iter().sum::<u64>() / part.len() as u64;
    let (second, last) = (mean(&memory[third..2 * third]), mean(&memory[2 * third..]));
    assert!(
        last <= second + second * 3 / 100,
        "memory grows: {second} kB, later {last} kB: {memory:?}"
    );
}
