//! Any datagrams, each behind its length, as RTP and RTCP: told apart, read, reordered and counted.

#![no_main]

use std::{collections::BTreeSet, time::Duration};

use libfuzzer_sys::fuzz_target;
use msn_handoff::media::{
    reorder::Reorder,
    rtcp,
    rtp::{self, Datagram},
    statistics::Statistics,
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut reorder = Reorder::new(8);
    let mut statistics = Statistics::new();
    let mut now = Duration::ZERO;
    let mut given = 0;
    let mut pushed = 0;
    while let Some((&length, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(length));
        match rtp::read(datagram) {
            Datagram::Rtp(packet) => {
                assert!(packet.payload_type < 128);
                assert!(packet.payload.len() + 12 <= datagram.len());
                if let Some(written) = rtp::write(&packet) {
                    assert_eq!(rtp::read(&written), Datagram::Rtp(packet));
                }
                statistics.arrived(&packet, now);
                pushed += 1;
                given += reorder.push(packet.sequence, packet.sequence).len();
            }
            Datagram::Rtcp => {
                let report = rtcp::read(datagram);
                if let Some(report) = &report {
                    // 31 blocks in a packet, 32 packets.
                    assert!(report.heard.len() <= 31 * 32 && report.leaving.len() <= 31 * 32);
                    let _ = (report.middle(), report.is_leaving(7));
                }
                let own = rtcp::Own {
                    source: 7,
                    name: report
                        .as_ref()
                        .and_then(|it| it.name.as_deref())
                        .unwrap_or("me"),
                    sent: None,
                    heard: report.as_ref().and_then(|it| it.heard.first().copied()),
                    echo: None,
                    bye: datagram.len() % 2 == 0,
                };
                let again = rtcp::read(&rtcp::write(&own)).expect("our own report");
                assert_eq!((again.source, again.bye), (Some(7), own.bye));
            }
            Datagram::Other => {}
        }
        let _ = rtcp::read(datagram);
        let _ = (statistics.summary(), statistics.report());
    }
    let held = reorder.flush();
    let once: BTreeSet<u16> = held.iter().copied().collect();
    assert_eq!(once.len(), held.len());
    assert!(given + held.len() <= pushed);
});
