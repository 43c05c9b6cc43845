//! A player that is slow to start is given the picture from where it can begin.

use std::os::unix::fs::PermissionsExt as _;

use crate::{
    address,
    picture::{CLEAN, Film, check},
    sender::{self, H263, JPEG, Kind, MPV},
    session::{Session, played_by},
    support::{self, within},
    wire::{Badness, Wire},
};

const GOOD_LINE: Badness = Badness {
    seed: 0,
    loss: 0,
    swap: 0,
};

async fn shows_nothing_damaged(kind: Kind) {
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
    // It came late, and yet its first frame is whole.
    let first = matches.first().unwrap();
    assert!(first.index > 10, "{first:?}");
    let damaged = matches.iter().find(|it| it.psnr < CLEAN);
    assert!(damaged.is_none(), "{damaged:?}");
    assert!(matches.last().unwrap().index >= 70, "{matches:?}");
}

macro_rules! each {
    ($($name:ident: $kind:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if support::have(&["ffmpeg"]) {
                shows_nothing_damaged($kind).await;
            }
        }
    )*};
}

each! {
    jpeg: JPEG;
    mpeg: MPV;
    h263: H263;
}
