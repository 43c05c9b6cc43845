//! Each payload type from each sender, over a line that loses and reorders packets.

use std::path::Path;

use crate::{
    address,
    picture::{Film, Match},
    sender::{self, H261, H263, JPEG, Kind, MPV},
    session::{RECORDING, Session, made, player},
    support::{self, child::Child},
    wire::{Badness, Wire},
};

const FRAMES: usize = 60;
const BADNESS: Badness = Badness {
    seed: 7,
    loss: 15,
    swap: 60,
};

type Sender = fn(&Kind, &Path, u16, &Path) -> Child;

fn show(story: &str, matches: &[Match]) {
    let list: Vec<String> = matches
        .iter()
        .map(|it| format!("{}:{:.0}", it.index, it.psnr))
        .collect();
    eprintln!("{story}: {} frames: {}", matches.len(), list.join(" "));
}

async fn arrives(kind: Kind, send: Sender) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, FRAMES).await;
    let (peer, own) = (address(), address());
    let shown = dir.join("shown.yuv");
    let player = player("ffmpeg", kind.pixels, &shown);
    let recorded = Session::open(&dir.join("recorded"), RECORDING, own).await;
    let played = Session::open(&dir.join("played"), &player, own).await;
    let wire = Wire::lay(peer, &[recorded.at, played.at], BADNESS).await;
    recorded.connect(wire.out);
    played.connect(wire.out);
    let mut program = send(&kind, &path, wire.port, dir);
    assert_eq!(program.wait().await, Some(0), "{}", program.output());
    let recordings = recorded.recordings.clone();
    eprintln!("{}", recorded.ended().await);
    eprintln!("{}", played.ended().await);
    let log = wire.log();
    eprintln!(
        "passed {} lost {:?} swapped {}",
        log.passed.len(),
        log.lost,
        log.swapped
    );
    let extension = if kind.payload_type == 26 {
        "mjpeg"
    } else if kind.payload_type == 32 {
        "mpg"
    } else {
        kind.format
    };
    let file = made(&recordings, extension);
    let film = Film::decode(&file, kind.format, kind.pixels).await;
    show("recorded", &film.compared_to(&sent));
    show("played", &Film::read(&shown).compared_to(&sent));
    show("mirrored", &film.compared_to(&sent.mirrored()));
    let still = made(&recordings, "jpg");
    let still = Film::decode(&still, "mjpeg", kind.pixels).await;
    show("still", &still.compared_to(&sent));
}

macro_rules! each {
    ($($name:ident: $kind:ident by $sender:ident with $programs:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if support::have(&$programs) {
                arrives($kind, sender::$sender).await;
            }
        }
    )*};
}

each! {
    jpeg_from_ffmpeg: JPEG by ffmpeg with ["ffmpeg"];
    h261_from_ffmpeg: H261 by ffmpeg with ["ffmpeg"];
    mpeg_from_ffmpeg: MPV by ffmpeg with ["ffmpeg"];
    h263_from_ffmpeg: H263 by ffmpeg with ["ffmpeg"];
    jpeg_from_gstreamer: JPEG by gstreamer with ["ffmpeg", "gst-launch-1.0"];
    h261_from_gstreamer: H261 by gstreamer with ["ffmpeg", "gst-launch-1.0"];
    mpeg_from_gstreamer: MPV by gstreamer with ["ffmpeg", "gst-launch-1.0"];
    h263_from_gstreamer: H263 by gstreamer with ["ffmpeg", "gst-launch-1.0"];
}
