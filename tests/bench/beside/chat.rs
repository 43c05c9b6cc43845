//! What stands between a line that is typed and the one who reads it.

use std::{
    io::Read as _,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use super::{
    measure::{head, median, micros, percentile, row},
    proxies::Proxy,
    server::{self, Chat, Part, STREAM},
};

const ROUNDS: usize = 7;
/// Bytes of text in a short and in a long message; a payload has 1664 bytes at most.
const SHORT: usize = 40;
const LONG: usize = 1500;

pub(crate) fn rows() {
    let server = server::start();
    let proxies = Proxy::all(server);
    delays(
        &proxies,
        "a line and its echo, one conversation, one after the other",
        |proxy| {
            let mut chat = Chat::enter(proxy.door, Part::Echo);
            let time = |_| {
                let began = Instant::now();
                chat.say(SHORT);
                micros(began.elapsed())
            };
            (0..2_000).map(time).collect()
        },
    );
    delays(
        &proxies,
        "the same in 200 conversations at once, 2,000 lines a second",
        many,
    );
    for (text, what) in [(SHORT, "short"), (LONG, "long")] {
        throughput(&proxies, what, text);
    }
}

/// Every proxy in turn, there and back again, round after round: the middle of what the rounds say.
fn delays(proxies: &[Proxy], title: &str, measure: impl Fn(&Proxy) -> Vec<f64>) {
    head(
        &format!("Delay: {title}"),
        &[
            "through",
            "p50 µs",
            "p99 µs",
            "p50 added",
            "p99 added",
            "processor µs a line",
        ],
    );
    let mut rounds = vec![(Vec::new(), Vec::new(), Vec::new()); proxies.len()];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..proxies.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let worked = || proxies[at].process.as_ref().map_or(0.0, |one| one.worked());
            let before = worked();
            let mut times = measure(&proxies[at]);
            let (p50s, p99s, works) = &mut rounds[at];
            works.push((worked() - before) / times.len() as f64);
            p50s.push(percentile(&mut times, 50));
            p99s.push(percentile(&mut times, 99));
        }
    }
    let mut none = (0.0, 0.0);
    for (proxy, (mut p50s, mut p99s, mut works)) in proxies.iter().zip(rounds) {
        let (p50, p99) = (median(&mut p50s), median(&mut p99s));
        if proxy.process.is_none() {
            none = (p50, p99);
        }
        row(&[
            proxy.name.into(),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            format!("{:.0}", p50 - none.0),
            format!("{:.0}", p99 - none.1),
            format!("{:.1}", median(&mut works)),
        ]);
    }
}

fn many(proxy: &Proxy) -> Vec<f64> {
    const CONVERSATIONS: usize = 200;
    const PAUSE: Duration = Duration::from_millis(100);
    let all_there = Barrier::new(CONVERSATIONS);
    thread::scope(|scope| {
        let talk = |number: usize| {
            let all_there = &all_there;
            let mut chat = Chat::enter(proxy.door, Part::Echo);
            let talking = move || {
                all_there.wait();
                let mut due = Instant::now() + PAUSE * number as u32 / CONVERSATIONS as u32;
                let mut times = Vec::new();
                for _ in 0..10 {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let began = Instant::now();
                    chat.say(SHORT);
                    times.push(micros(began.elapsed()));
                    due += PAUSE;
                }
                times
            };
            let small = thread::Builder::new().stack_size(128 << 10);
            small.spawn_scoped(scope, talking).unwrap()
        };
        let talking: Vec<_> = (0..CONVERSATIONS).map(talk).collect();
        let all = talking.into_iter().flat_map(|one| one.join().unwrap());
        all.collect()
    })
}

fn throughput(proxies: &[Proxy], what: &str, text: usize) {
    head(
        &format!("Throughput: {what} messages of the contact's ({text} bytes of text)"),
        &["through", "MB/s", "of none", "processor µs a MB"],
    );
    let mut rounds = vec![(Vec::new(), Vec::new()); proxies.len()];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..proxies.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let worked = || proxies[at].process.as_ref().map_or(0.0, |one| one.worked());
            let before = worked();
            let rate = listen(&proxies[at], text);
            rounds[at].0.push(rate);
            rounds[at]
                .1
                .push((worked() - before) / (STREAM as f64 / 1e6));
        }
    }
    let mut none = 1.0;
    for (proxy, (mut rates, mut works)) in proxies.iter().zip(rounds) {
        let rate = median(&mut rates);
        if proxy.process.is_none() {
            none = rate;
        }
        row(&[
            proxy.name.into(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / none),
            format!("{:.0}", median(&mut works)),
        ]);
    }
}

/// MB a second of what a contact writes.
fn listen(proxy: &Proxy, text: usize) -> f64 {
    let began = Instant::now();
    let mut chat = Chat::enter(proxy.door, Part::Write(text));
    let mut buffer = vec![0; 256 << 10];
    let mut all = 0;
    loop {
        match chat.stream.read(&mut buffer).unwrap() {
            0 => break,
            n => all += n,
        }
    }
    assert_eq!(all, STREAM, "something was lost");
    STREAM as f64 / 1e6 / began.elapsed().as_secs_f64()
}
