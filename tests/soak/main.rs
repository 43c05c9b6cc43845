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

mod acts;
mod deeds;
mod faults;
mod hosts;
mod ledger;
mod people;
mod phone;
mod product;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::{
    deeds::Deeds,
    faults::{Exchange, Faults},
    ledger::{Ledger, Patience},
    people::{APPLICATIONS, People},
    product::Product,
};

/// How long people and faults do as they like before everything must have come to rest; less in a short
/// run, which is to have some rounds too.
const ROUND: Duration = Duration::from_secs(25);
const SHORT_ROUND: Duration = Duration::from_secs(14);
/// A run of so long has everything in it.
const LONG: Duration = Duration::from_secs(600);
/// A shorter one than this proves nothing but that the test itself works.
const SHORT: Duration = Duration::from_secs(100);
/// How often what waits for a program of the other side is left to end by itself, which takes minutes.
const PATIENT_EVERY: Duration = Duration::from_secs(900);
/// How long it may take until nothing is left of what is over; the longest limit is a program's that was
/// told to end and does not.
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
    let round_takes = if seconds < LONG { SHORT_ROUND } else { ROUND };
    let (deeds, mut living) = (Deeds::default(), JoinSet::new());
    let exchange = Exchange::open().await;
    hosts::machine(&deeds, &mut living).await;
    let product = Product::start(exchange.at()).await;
    let mut ledger = Ledger::follow(&product).await;
    let mut people = People::come(&product, &exchange, &deeds, seed).await;
    let mut faults = Faults::new(seed);
    let mut first = None;
    let mut memory = Vec::new();
    let mut patient_at = LONG / 2;
    for round in 0.. {
        let before = ledger.count();
        people
            .round(&product, &exchange, &mut faults, round_takes)
            .await;
        let patience = if began.elapsed() > patient_at {
            patient_at += PATIENT_EVERY;
            Patience::Much
        } else {
            Patience::Little
        };
        ledger.rest(&product, patience).await;
        people.sign_in(&product).await;
        let now = product.at_rest(&people, first.as_ref(), REST).await;
        memory.push(now.memory);
        eprintln!(
            "soak: {} s, round {round}: {} invitations so far, {} kB resident, {} descriptors",
            began.elapsed().as_secs(),
            ledger.count(),
            now.memory,
            now.descriptors.values().sum::<usize>()
        );
        assert!(ledger.count() > before, "nobody invited anybody");
        // What is made once and kept is there after the first round.
        first.get_or_insert(now);
        product.make_room();
        if began.elapsed() + round_takes > seconds && round > 0 {
            break;
        }
    }
    eprintln!(
        "{}soak: what contacts had\n{deeds}soak: faults\n{faults}",
        ledger.told()
    );
    check_memory(&memory);
    check_that_something_happened(seconds, &ledger, &faults, &deeds);
    product.check_log();
    people.leave().await;
    product.end().await;
    exchange.close().await;
}

/// A run in which nothing worked would find nothing.
fn check_that_something_happened(
    seconds: Duration,
    ledger: &Ledger,
    faults: &Faults,
    deeds: &Deeds,
) {
    if seconds < SHORT {
        return eprintln!("soak: too short to ask what happened in it");
    }
    let applications = APPLICATIONS.iter().map(|(id, ..)| *id).collect();
    deeds.must(&[
        "a call of a contact's was answered",
        "a packet of sound came to a contact",
    ]);
    if seconds < LONG {
        return ledger.must(&applications, &["voice", "jedi-knight"]);
    }
    let with_programs = [
        "voice",
        "netmeeting",
        "webcam",
        "application-sharing",
        "remote-assistance",
        "remote-assistance-offer",
        "baldurs-gate-2",
        "mechwarrior-mercenaries",
        "jedi-knight",
        "drop-box",
    ];
    ledger.must(&applications, &with_programs);
    faults.check();
    deeds.must(&[
        "a call to a contact was taken",
        "a picture was sent",
        "a picture was sent in a call",
        "an H.323 call had sound",
        "T.120 was connected",
        "a ticket was sent",
        "a screen was found",
        "a connection was forwarded",
        "a Quake 3 host answered",
        "a DirectPlay host answered",
        "a contact reset a connection",
    ]);
}

/// What every round took adds up; what the allocator keeps for later does not. The rounds of the last
/// third may have no more on average than those of the second, and 3 %. With less than nine rounds the
/// last is compared with the second, and may have 15 % more.
fn check_memory(memory: &[u64]) {
    let third = memory.len() / 3;
    let mean = |part: &[u64]| part.iter().sum::<u64>() / part.len() as u64;
    let (before, later, percent) = match memory {
        _ if third >= 3 => {
            let (second, last) = (&memory[third..2 * third], &memory[2 * third..]);
            (mean(second), mean(last), 3)
        }
        [_, second, .., last] => (*second, *last, 15),
        _ => return eprintln!("soak: too few rounds to judge its memory: {memory:?}"),
    };
    eprintln!("soak: {before} kB, later {later} kB: {memory:?}");
    assert!(
        later <= before + before * percent / 100,
        "memory grows: {before} kB, later {later} kB: {memory:?}"
    );
}
