//! Any bytes as the answer of a game's host: Quake 3's two and DirectPlay's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::adapter::{
    directplay::enumerate::{self, MAX_MESSAGE},
    quake3::probe::{self, Challenge},
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    if which & 1 == 0 {
        // The challenge is 16 digits: those of seven are easily guessed.
        let challenge = Challenge::new([7; 8]);
        if let Ok(info) = probe::read_info(bytes, &challenge) {
            let texts = [Some(&info.hostname), Some(&info.map), info.game.as_ref()];
            assert!(
                texts
                    .into_iter()
                    .flatten()
                    .all(|text| text.chars().count() <= 128)
            );
        }
        if let Ok(status) = probe::read_status(bytes, &challenge) {
            assert!(status.info.len() <= 128 && status.players.len() <= 128);
        }
        return;
    }
    let mut rest = bytes;
    while let Ok(Some(message)) = enumerate::message(rest) {
        assert!(!message.is_empty() && message.len() <= MAX_MESSAGE);
        if let Ok(session) = enumerate::answer(message) {
            assert!(session.name.chars().count() <= 64);
        }
        rest = &rest[message.len()..];
    }
    let _ = enumerate::answer(bytes);
});
