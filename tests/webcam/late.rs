//! A player that is slow to start is given the picture from where it can begin.

use std::{ops::RangeInclusive, os::unix::fs::PermissionsExt as _};

use crate::{
    address,
    picture::{CLEAN, Film, check},
    sender::{self, H263, JPEG, Kind, LONG_H263, LONG_MPV},
    session::{Session, played_by},
    support::{self, within},
    wire::{Badness, Wire},
};

const GOOD_LINE: Badness = Badness {
    seed: 0,
    loss: 0,
    swap: 0,
};

/// `first` are the frames with which it may begin.
async fn shows_nothing_damaged(kind: Kind, first: RangeInclusive<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 75).await;
    let slow = dir.join("slow-player");
    std::fs::write(&slow, "#!/bin/sh\nsleep 1.1\nexec ffmpeg \"$@\"\n").unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o700)).unwrap();
    let shown = dir.join("shown.yuv");
    let bridge = played_by(slow.to_str().unwrap(), kind.pixels, &shown);
    let session = Session::open(&dir.join("session"), &bridge, address()).await;
    let wire = Wire::lay(address(), &[session.at], GOOD_LINE).await;
    session.connect(wire.out);
    let mut program = sender::ffmpeg(&kind, &path, wire.port, dir);
    let words = session.ended().await;
    assert!(words.contains(" 0 lost"), "{words}");
    within("the end of the sender", program.wait()).await;
    let matches = Film::read(&shown).compared_to(&sent);
    check("shown", &matches, 40);
    let begins = matches.first().unwrap();
    assert!(first.contains(&begins.index), "{begins:?}");
    // Also the first.
    let damaged = matches.iter().find(|it| it.psnr < CLEAN);
    assert!(damaged.is_none(), "{damaged:?}");
    assert!(matches.last().unwrap().index >= 70, "{matches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jpeg_begins_with_the_present() {
    if support::have(&["ffmpeg"]) {
        shows_nothing_damaged(JPEG, 10..=70).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h263_begins_with_a_picture_that_is_whole() {
    if support::have(&["ffmpeg"]) {
        shows_nothing_damaged(H263, 10..=70).await;
    }
}

/// Without the packets that were kept nothing could be shown at all.
#[tokio::test(flavor = "multi_thread")]
async fn h263_with_one_whole_picture_begins_there() {
    if support::have(&["ffmpeg"]) {
        shows_nothing_damaged(LONG_H263, 0..=0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mpeg_with_one_whole_picture_begins_there() {
    if support::have(&["ffmpeg"]) {
        shows_nothing_damaged(LONG_MPV, 0..=0).await;
    }
}
