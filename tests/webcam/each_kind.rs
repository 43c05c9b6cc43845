//! Each payload type from each sender, over a line that loses and reorders packets, to a recording
//! and to a player.

use crate::{
    address,
    picture::{CLEAN, Film, SAME, check, check_whole},
    sender::{self, H261, H263, JPEG, Kind, MPV, Sender},
    session::{self, Player, RECORDING, Session, made},
    support,
    wire::{Badness, Wire},
};

const FRAMES: usize = 60;
/// It loses some packet of every stream, also of the shortest, which is 60 packets.
const BADNESS: Badness = Badness {
    seed: 17,
    loss: 15,
    swap: 60,
};

/// A still picture beside the frame of the recording that it is of: 45 to 49 dB were seen (with the
/// quality that ffmpeg would choose 41 to 43).
const STILL: f64 = 44.0;

/// `clean` is the least number of clean frames that are recorded, and shown: a player needs some
/// time to begin.
async fn arrives(kind: Kind, send: Sender, player: Player, clean: [usize; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, FRAMES).await;
    let (peer, own) = (address(), address());
    let shown = dir.join("shown.yuv");
    let player = player(kind.pixels, &shown);
    let recorded = Session::open(&dir.join("recorded"), RECORDING, own).await;
    let played = Session::open(&dir.join("played"), &player, own).await;
    let wire = Wire::lay(peer, &[recorded.at, played.at], BADNESS).await;
    recorded.connect(wire.out);
    played.connect(wire.out);
    let mut program = send(&kind, &path, wire.port, dir);
    support::until("the sender's BYE", || wire.log().bye.then_some(())).await;
    let (recordings, ports) = (recorded.recordings.clone(), [recorded.at, played.at]);
    let words = [recorded.ended().await, played.ended().await];
    program.terminate().await;

    // What is said of the line, to the user and to the sender, is what the line did.
    let log = wire.log();
    let lost = log.lost_for_sure();
    assert!(lost > 0 && log.swapped > 0, "{log:?}");
    for (words, port) in words.iter().zip(ports) {
        let counts = [
            format!("; {} packets in", log.passed.len()),
            format!(" s, {lost} lost ("),
        ];
        let told = counts.iter().all(|count| words.contains(count));
        assert!(told, "{words}: not {counts:?}");
        let report = log.last_report(port).unwrap();
        let [heard] = report.heard.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!(Some(heard.source), log.source);
        assert_eq!(usize::try_from(heard.lost).unwrap(), lost);
        assert!(report.bye);
    }

    let file = made(&recordings, kind.extension);
    let film = Film::decode(&file, kind.format, kind.pixels).await;
    let whole = log.whole(kind.group);
    assert_eq!(whole.len(), FRAMES);
    assert!(whole.iter().filter(|it| **it).count() >= clean[0]);
    let matches = film.compared_to(&sent);
    check_whole("recorded", &matches, &whole);
    // The ruler tells another picture from this one.
    for (mirrored, it) in film.compared_to(&sent.mirrored()).iter().zip(&matches) {
        assert!(it.psnr < CLEAN || mirrored.psnr < SAME, "{mirrored:?}");
    }
    check("played", &Film::read(&shown).compared_to(&sent), clean[1]);
    let still = made(&recordings, "jpg");
    let still = Film::decode(&still, "mjpeg", kind.pixels).await;
    let still = still.compared_to(&film);
    assert!(still.len() == 1 && still[0].psnr >= STILL, "{still:?}");
}

/// JPEG as RFC 2435 abbreviates it: libjpeg's tables for a quality of 85, which are the standard's,
/// are taken out, and their number put in.
fn abbreviated(datagram: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    assert_eq!(bytes[17], 255);
    bytes[17] = 85;
    if bytes[13..16] == [0, 0, 0] {
        assert_eq!(bytes[20..24], [0, 0, 0, 128]);
        bytes.drain(20..152);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn jpeg_without_its_tables() {
    if !support::have(&["ffmpeg", "gst-launch-1.0"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 30).await;
    let session = Session::open(&dir.join("recorded"), RECORDING, address()).await;
    let line = Badness { loss: 0, ..BADNESS };
    let wire = Wire::bent(address(), &[session.at], line, abbreviated).await;
    session.connect(wire.out);
    let mut program = sender::gstreamer(&JPEG, &path, wire.port, dir);
    let recordings = session.recordings.clone();
    session.ended().await;
    program.terminate().await;
    let file = made(&recordings, JPEG.extension);
    let film = Film::decode(&file, JPEG.format, JPEG.pixels).await;
    check_whole("recorded", &film.compared_to(&sent), &[true; 30]);
}

macro_rules! each {
    ($($name:ident: $kind:ident by $sender:ident to $player:ident, clean $clean:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if support::have(&["ffmpeg", "gst-launch-1.0"]) {
                arrives($kind, sender::$sender, session::$player, $clean).await;
            }
        }
    )*};
}

each! {
    jpeg_from_ffmpeg: JPEG by ffmpeg to ffmpeg, clean [40, 30];
    h261_from_ffmpeg: H261 by ffmpeg to ffmpeg, clean [30, 20];
    mpeg_from_ffmpeg: MPV by ffmpeg to ffmpeg, clean [30, 20];
    h263_from_ffmpeg: H263 by ffmpeg to ffmpeg, clean [30, 20];
    jpeg_from_gstreamer: JPEG by gstreamer to gstreamer, clean [40, 30];
    h261_from_gstreamer: H261 by gstreamer to gstreamer, clean [30, 20];
    mpeg_from_gstreamer: MPV by gstreamer to gstreamer, clean [30, 20];
    h263_from_gstreamer: H263 by gstreamer to gstreamer, clean [30, 20];
}
