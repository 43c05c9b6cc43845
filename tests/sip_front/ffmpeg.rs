//! The built-in agent's sound against an RTP implementation nobody here wrote: ffmpeg speaks to it
//! in either law and in packets of two lengths, and hears it from a description (TOOLS.md 6).

use super::*;

/// ffmpeg with these arguments.
fn ffmpeg(args: &str) -> Program {
    let plan = Plan {
        name: "ffmpeg".to_owned(),
        program: which::which("ffmpeg").unwrap(),
        args: ["-nostdin", "-loglevel", "error"]
            .into_iter()
            .chain(args.split(' '))
            .map(Into::into)
            .collect(),
        env: vec![],
        dir: None,
        confined: None,
        ready: Ready::Started,
        ready_within: Duration::from_secs(1),
        stop: Stop::default(),
    };
    launch::start(&plan).unwrap()
}

async fn ends_well(mut ffmpeg: Program) {
    let exit = within("ffmpeg", ffmpeg.wait()).await;
    assert_eq!(exit.code, Some(0), "{}", ffmpeg.last_words());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_agent_records_what_ffmpeg_says_in_either_law() {
    if !have(&["ffmpeg"]) {
        return;
    }
    // The second packs 182 ms into a packet.
    for (codec, packet) in [
        ("pcm_mulaw", 172),
        ("pcm_mulaw", 1472),
        ("pcm_alaw", 172),
        ("pcm_alaw", 332),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("recordings");
        let bridge = bridge(dir.path(), BUILT_IN);
        let mut given = start_in(Role::Invitee, bridge, Call::default(), folder.clone());
        let front = given.prepared().await;
        let mut rtc = Rtc::new().await;
        given.connected(rtc.port);
        let sound = rtc.call(front).await;
        // From another port than the negotiated one: it is learned. Three seconds, at 1/8 of full
        // scale, as ffmpeg's generator has it.
        ends_well(ffmpeg(&format!(
            "-re -f lavfi -i sine=frequency=440:sample_rate=8000 -t 3 -ac 1 -c:a {codec} \
             -f rtp rtp://{sound}?pkt_size={packet}"
        )))
        .await;
        rtc.hang_up().await;
        given.until("the end", finished).await;
        let made = recordings(&folder);
        assert_eq!(made.len(), 1, "{codec}");
        let (recorded, rate) = recorded(&made[0]);
        let tones = (level(&recorded, rate, 440.0), level(&recorded, rate, 880.0));
        assert!(
            (0.11..0.14).contains(&tones.0) && tones.1 < 0.003,
            "{codec} {packet}: {tones:?}"
        );
        // All of it, and no more: nothing is lost on loopback.
        let seconds = recorded.len() as f64 / f64::from(rate);
        assert!(
            (2.8..3.1).contains(&seconds),
            "{codec} {packet}: {seconds} s"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_hears_the_built_in_agent_from_a_description() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let call = Call {
        play: Some(tone(dir.path(), 880.0)),
        ..Call::default()
    };
    let bridge = bridge(dir.path(), BUILT_IN);
    let folder = dir.path().join("recordings");
    let mut given = start_in(Role::Invitee, bridge, call, folder);
    let front = given.prepared().await;
    let mut rtc = Rtc::new().await;
    let port = socket::free_port(HERE).await.unwrap();
    rtc.wants = Some(port);
    given.connected(rtc.port);
    let sdp = dir.path().join("x.sdp");
    fs::write(
        &sdp,
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n"
        ),
    )
    .unwrap();
    let heard = dir.path().join("heard.wav");
    let listener = ffmpeg(&format!(
        "-protocol_whitelist file,udp,rtp -i {} -t 2 {}",
        sdp.display(),
        heard.display()
    ));
    rtc.call(front).await;
    ends_well(listener).await;
    rtc.hang_up().await;
    given.until("the end", finished).await;
    let (heard, rate) = recorded(&heard);
    let tones = (level(&heard, rate, 880.0), level(&heard, rate, 440.0));
    assert!(tones.0 > 0.3 && tones.1 < 0.003, "{tones:?}");
    assert!(heard.len() >= 15_800, "{} samples", heard.len());
    // Evenly: no window lacks the tone, so no packet came late or was left out.
    for chunk in heard.chunks_exact((rate * 2 / 5) as usize) {
        assert!(level(chunk, rate, 880.0) > 0.3);
    }
}
