//! What stands between a voice and the ear: delay, jitter, loss, and the rate at which it breaks.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::{
    measure::{head, median, percentile, row},
    relays::{self, Ends, Through},
};

/// A packet of 20 ms of G.711 with its header.
const PACKET: usize = 172;
const ROUNDS: usize = 5;
const EVERY: [fn(&[Ends]) -> Through; 5] = [
    relays::none,
    relays::ours,
    relays::plain_loop,
    relays::socat,
    relays::rtpengine,
];

pub(crate) fn rows() {
    // A pause of the sender's is otherwise 50 µs longer than it wants.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    for rate in [1_000, 10_000] {
        steady(rate);
    }
    breaking();
    calls();
}

/// What one run saw.
struct Seen {
    p50: f64,
    p99: f64,
    jitter: f64,
    sent: usize,
    lost: usize,
    worked: f64,
    /// Packets a second that were really sent.
    rate: f64,
}

/// The two ends of so many calls.
struct Calls {
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
    ends: Vec<Ends>,
}

impl Calls {
    fn new(count: usize) -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let receiver = bind();
        // What the receiver loses must not look like the relay's loss.
        set_socket_recv_buffer_size(&receiver, 4 << 20).unwrap();
        let patience = Some(Duration::from_millis(300));
        receiver.set_read_timeout(patience).unwrap();
        let to = receiver.local_addr().unwrap();
        let senders: Vec<UdpSocket> = (0..count).map(|_| bind()).collect();
        let from = |sender: &UdpSocket| sender.local_addr().unwrap();
        let ends = senders.iter().map(|sender| (from(sender), to)).collect();
        Self {
            senders,
            receiver,
            ends,
        }
    }

    /// Sends for so long, a packet of each call in turn, and sees what arrives.
    fn run(&self, through: &Through, rate: usize, seconds: f64) -> Seen {
        let count = (rate as f64 * seconds) as usize;
        let epoch = Instant::now();
        let before = through.process.as_ref().map_or(0.0, |one| one.worked());
        let (mut transits, took) = thread::scope(|scope| {
            let hearing = scope.spawn(|| {
                let mut buffer = [0; 2048];
                let mut transits: Vec<f64> = Vec::with_capacity(count);
                while transits.len() < count {
                    let Ok(length) = self.receiver.recv(&mut buffer) else {
                        break;
                    };
                    assert_eq!(length, PACKET, "another packet");
                    let sent = u64::from_be_bytes(buffer[12..20].try_into().unwrap());
                    transits.push((epoch.elapsed().as_nanos() as f64 - sent as f64) / 1e3);
                }
                transits
            });
            let mut packet = [0xd5; PACKET];
            packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
            let calls = self.senders.len();
            for number in 0..count {
                let due = Duration::from_secs_f64(number as f64 / rate as f64);
                // Who is late sends at once.
                if let Some(early) = due.checked_sub(epoch.elapsed())
                    && early > Duration::from_micros(20)
                {
                    thread::sleep(early);
                }
                let in_call = number / calls;
                packet[2..4].copy_from_slice(&(in_call as u16).to_be_bytes());
                packet[4..8].copy_from_slice(&(in_call as u32).wrapping_mul(160).to_be_bytes());
                let now = epoch.elapsed().as_nanos() as u64;
                packet[12..20].copy_from_slice(&now.to_be_bytes());
                let call = number % calls;
                let _ = self.senders[call].send_to(&packet, through.doors[call]);
            }
            let took = epoch.elapsed();
            (hearing.join().unwrap(), took)
        });
        let worked = through.process.as_ref().map_or(0.0, |one| one.worked()) - before;
        let lost = count - transits.len();
        let steps = transits.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        let jitter = steps.sum::<f64>() / transits.len().max(2) as f64;
        if transits.is_empty() {
            transits.push(f64::NAN);
        }
        Seen {
            p50: percentile(&mut transits, 50),
            p99: percentile(&mut transits, 99),
            jitter,
            sent: count,
            lost,
            worked: worked / count as f64,
            rate: count as f64 / took.as_secs_f64(),
        }
    }
}

const COLUMNS: [&str; 7] = [
    "through",
    "p50 µs",
    "p99 µs",
    "p50 added",
    "jitter µs",
    "lost",
    "processor µs a packet",
];

fn steady(rate: usize) {
    head(
        &format!("Media: one stream, {rate} packets a second"),
        &COLUMNS,
    );
    compare(&EVERY, 1, rate, 1.5);
}

/// Voice as it is: 50 packets a second of each call.
fn calls() {
    for count in [1, 20, 200] {
        head(
            &format!("Media: calls at once: {count}, 50 packets a second each"),
            &COLUMNS,
        );
        let every = [
            relays::none,
            relays::ours,
            relays::plain_loop,
            relays::rtpengine,
        ];
        compare(&every, count, 50 * count, 2.0);
    }
}

fn compare(every: &[fn(&[Ends]) -> Through], calls: usize, rate: usize, seconds: f64) {
    let mut rounds: Vec<Vec<Seen>> = every.iter().map(|_| Vec::new()).collect();
    let mut names = vec![""; every.len()];
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..every.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let calls = Calls::new(calls);
            let through = every[at](&calls.ends);
            names[at] = through.name;
            // Until it has learned who sends.
            calls.run(&through, rate, 0.1);
            rounds[at].push(calls.run(&through, rate, seconds));
        }
    }
    let mut none = 0.0;
    for (name, seen) in names.iter().zip(&rounds) {
        let middle = |of: fn(&Seen) -> f64| median(&mut seen.iter().map(of).collect::<Vec<_>>());
        let p50 = middle(|seen| seen.p50);
        if *name == "none" {
            none = p50;
        }
        let lost: usize = seen.iter().map(|seen| seen.lost).sum();
        let sent: usize = seen.iter().map(|seen| seen.sent).sum();
        row(&[
            (*name).into(),
            format!("{p50:.0}"),
            format!("{:.0}", middle(|seen| seen.p99)),
            format!("{:.0}", p50 - none),
            format!("{:.0}", middle(|seen| seen.jitter)),
            format!("{lost} of {sent}"),
            format!("{:.1}", middle(|seen| seen.worked)),
        ]);
    }
}

fn breaking() {
    const RATES: [usize; 9] = [
        20_000, 30_000, 40_000, 60_000, 80_000, 100_000, 130_000, 160_000, 200_000,
    ];
    head(
        "Media: one stream, faster and faster, half a second each; then 10,000 a second again",
        &[
            "through",
            "first rate with more than 1 % lost",
            "lost of it",
            "most that came through a second",
            "lost afterwards",
        ],
    );
    for start in EVERY {
        let mut best = 0.0;
        let mut broke: Vec<(f64, f64)> = Vec::new();
        let mut afterwards = 0;
        for _ in 0..3 {
            let calls = Calls::new(1);
            let through = start(&calls.ends);
            calls.run(&through, 1_000, 0.1);
            let mut first = (f64::INFINITY, 0.0);
            for rate in RATES {
                let seen = calls.run(&through, rate, 0.5);
                let share = seen.lost as f64 / seen.sent as f64;
                best = f64::max(best, seen.rate * (1.0 - share));
                if share > 0.01 {
                    first = (seen.rate, share);
                    break;
                }
            }
            broke.push(first);
            // What it still had.
            while calls.receiver.recv(&mut [0; 2048]).is_ok() {}
            afterwards += calls.run(&through, 10_000, 1.0).lost;
            if broke.len() == 3 {
                broke.sort_by(|one, other| one.0.total_cmp(&other.0));
                let (rate, share) = broke[1];
                let rate = match rate.is_finite() {
                    true => format!("{rate:.0}"),
                    false => "none".into(),
                };
                row(&[
                    through.name.into(),
                    rate,
                    format!("{:.0} %", share * 100.0),
                    format!("{best:.0}"),
                    format!("{afterwards} of 30000"),
                ]);
            }
        }
    }
}
