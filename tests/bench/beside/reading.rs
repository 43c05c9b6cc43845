//! Reading an invitation, beside a parser of headers that knows nothing of it and the least that any
//! reader does.

use std::{hint::black_box, time::Instant};

use msn_handoff::invitation::{Message, is_invitation};

use super::measure::{head, median, row};

const TIMES: u32 = 20_000;
const ROUNDS: usize = 15;

pub(crate) fn rows() {
    head(
        "Reading an invitation (tests/vectors)",
        &[
            "message",
            "bytes",
            "typed ns",
            "httparse ns",
            "memchr ns",
            "of httparse",
            "allocations",
        ],
    );
    for (name, payload) in [
        ("V1", &include_bytes!("../../vectors/V1.msg")[..]),
        ("C1", include_bytes!("../../vectors/C1.msg")),
        ("W1", include_bytes!("../../vectors/W1.msg")),
    ] {
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            let mut order = [0, 1, 2];
            if round % 2 == 1 {
                order.reverse();
            }
            for which in order {
                let work: fn(&[u8]) = [typed, httparse, memchr][which];
                let began = Instant::now();
                for _ in 0..TIMES {
                    work(black_box(payload));
                }
                let each = began.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES);
                times[which].push(each);
            }
        }
        let allocated = allocation_counter::measure(|| typed(payload)).count_total;
        let [typed, httparse, memchr] = times.map(|mut times| median(&mut times));
        row(&[
            name.into(),
            payload.len().to_string(),
            format!("{typed:.0}"),
            format!("{httparse:.0}"),
            format!("{memchr:.0}"),
            format!("{:.2}", typed / httparse),
            allocated.to_string(),
        ]);
    }
}

/// All that the negotiation asks of a message.
fn typed(payload: &[u8]) {
    assert!(is_invitation(payload));
    let message = Message::read(payload).unwrap();
    black_box(message.command());
    black_box(message.cookie());
    black_box(message.application_guid());
    black_box(message.session_id());
    black_box(message.dialect());
    black_box(message.connection());
    black_box(message.launches(message.dialect()));
}

/// The names and values, of the header and of the body.
fn httparse(payload: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let httparse::Status::Complete((end, _)) =
        httparse::parse_headers(payload, &mut headers).unwrap()
    else {
        panic!("no header");
    };
    black_box(&headers);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    black_box(httparse::parse_headers(&payload[end..], &mut fields).unwrap());
    black_box(&fields);
}

/// The lines and their colons.
fn memchr(payload: &[u8]) {
    let mut at = 0;
    while let Some(end) = memchr::memchr(b'\n', &payload[at..]) {
        let line = &payload[at..at + end];
        black_box((line, memchr::memchr(b':', line)));
        at += end + 1;
    }
}
