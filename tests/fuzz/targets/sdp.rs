//! Any bytes as a session description: what is read is bounded, and our answer to it is one that we
//! read ourselves, with as many media lines and nothing agreed on that was not offered.

#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use msn_handoff::media::sdp::{
    Kind, Line, MAX_FORMATS, MAX_MEDIA, Ours, answer, answer_data, for_player, offer, plain_audio,
    plain_video, read,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(theirs) = read(bytes) else { return };
    assert!(!theirs.media.is_empty() && theirs.media.len() <= MAX_MEDIA);
    for media in &theirs.media {
        assert!(media.formats.len() <= MAX_FORMATS);
        for format in &media.formats {
            assert!(format.payload_type < 128);
            check(&for_player(5_000, std::slice::from_ref(format)));
        }
    }
    let ours = Ours {
        ip: Ipv4Addr::new(192, 0, 2, 1),
        id: 1,
        version: 1,
        audio: Some(Line {
            port: 4_000,
            formats: plain_audio(),
        }),
        video: Some(Line {
            port: 4_002,
            formats: plain_video(),
        }),
    };
    check(&offer(&ours));
    if let Ok(agreed) = answer(&theirs, &ours) {
        check(&agreed.sdp);
        let again = read(&agreed.sdp).expect("our own answer");
        assert_eq!(again.media.len(), theirs.media.len());
        let offered = |kind, payload_type| {
            theirs.media.iter().any(|media| {
                media.kind == kind
                    && media
                        .formats
                        .iter()
                        .any(|format| format.payload_type == payload_type)
            })
        };
        for format in &agreed.audio {
            assert!(offered(Kind::Audio, format.payload_type));
        }
        for format in &agreed.video {
            assert!(offered(Kind::Video, format.payload_type));
        }
        for media in again.media.iter().filter(|media| media.port != 0) {
            assert_eq!(media.ip, Some(ours.ip));
            assert!([4_000, 4_002].contains(&media.port));
        }
    }
    if let Ok(sdp) = answer_data(&theirs, &ours, 1_503) {
        check(&sdp);
    }
});

/// Lines of a letter, `=` and text without control characters.
fn check(sdp: &[u8]) {
    let text = std::str::from_utf8(sdp).unwrap();
    for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
        assert_eq!(line.as_bytes().get(1), Some(&b'='), "{line}");
        assert!(!line.chars().any(|c| c.is_control()), "{line:?}");
    }
}
