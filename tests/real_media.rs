//! A line of ours against an RTP sender of somebody else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use msn_handoff::{
    endpoint::socket,
    media::{
        audio::{
            codec::G711,
            line::{Line, LineSettings},
            source::Source,
        },
        level::Recording,
    },
};
use support::{LIMIT, child::Child, have};

const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;

#[tokio::test]
async fn ffmpeg_plays_a_tone_and_the_line_records_it() {
    if !have(&["ffmpeg"]) {
        return;
    }
    for (codec, payload_type) in [("pcm_mulaw", "0"), ("pcm_alaw", "8")] {
        let folder = tempfile::tempdir().unwrap();
        let mut line = Line::open(LOCAL).await.unwrap();
        let from = socket::free_port(LOCAL).await.unwrap();
        let recording = folder.path().join("heard.wav");
        line.start(LineSettings {
            remote_rtp: (LOCAL, from).into(),
            remote_rtcp: None,
            payload: G711::Ulaw,
            source: Source::Silence,
            record: Some(recording),
            ssrc: 1,
            first_sequence: 1,
            first_timestamp: 1,
            cname: "test".to_owned(),
        })
        .unwrap();
        let to = format!(
            "rtp://{LOCAL}:{}?localport={from}&pkt_size=172",
            line.port()
        );
        // A sine of lavfi is an eighth of the whole range; four times that is -6 dB.
        let mut args: Vec<&str> = "-nostdin -v error -re -f lavfi".split(' ').collect();
        args.extend("-i sine=frequency=440:sample_rate=8000:duration=30".split(' '));
        args.extend("-af volume=4 -ac 1 -c:a".split(' '));
        args.extend([codec, "-f", "rtp", "-payload_type", payload_type, &to]);
        let ffmpeg = Child::start("ffmpeg", args, folder.path());
        let mut progress = line.progress();
        let enough = progress.wait_for(|now| now.received >= 90 && now.reports > 0);
        let enough = tokio::time::timeout(LIMIT, enough).await;
        assert!(enough.is_ok(), "{codec}: {}", ffmpeg.output());
        let report = line.stop().await;
        drop(ffmpeg);

        let heard = Recording::read(&report.recorded.expect("a recording")).unwrap();
        let (there, not_there) = (heard.level(440.0), heard.level(880.0));
        assert!((-10.0..-5.0).contains(&there), "{codec}: {there:.1} dB");
        assert!(not_there < -50.0, "{codec}: {not_there:.1} dB");
        assert!(heard.seconds() > 1.5, "{codec}: {}", heard.seconds());
        assert_eq!((report.lost, report.duplicates), (0, 0), "{codec}");
    }
}
