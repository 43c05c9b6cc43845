//! What is sent, and how near what arrived comes to it: the peak signal-to-noise ratio (PSNR) of the
//! brightness, frame by frame.

use std::path::{Path, PathBuf};

use crate::support::child::Child;

pub(crate) const WIDTH: usize = 176;
pub(crate) const HEIGHT: usize = 144;
/// Bytes of a frame: brightness, and two colours at half the width and height.
const FRAME: usize = WIDTH * HEIGHT * 3 / 2;

/// Frames, one after the other.
pub(crate) struct Film {
    bytes: Vec<u8>,
}

/// A frame that arrived: which of the frames sent it is nearest to, and how near (dB).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) index: usize,
    pub(crate) psnr: f64,
}

/// A frame without damage: the codecs alone leave 40 to 51 dB.
pub(crate) const CLEAN: f64 = 38.0;
/// A frame that shows something else stays below this: the mirrored film reaches 13 dB at most.
pub(crate) const SAME: f64 = 17.0;

/// Looks at what a player showed: nothing in another order, and at least so many frames are clean.
/// What is in the others depends on the decoder: ffmpeg leaves what was not drawn as its memory
/// happened to be.
pub(crate) fn check(story: &str, matches: &[Match], clean: usize) {
    let list = listed(matches);
    let mut order = Vec::new();
    for it in matches.iter().filter(|it| it.psnr >= CLEAN) {
        let last = order.last().copied().unwrap_or(0);
        // A decoder may show an earlier frame again in place of one that is damaged.
        assert!(it.index + 2 >= last, "{story}: order: {list}");
        if order.is_empty() || it.index > last {
            order.push(it.index);
        }
    }
    let have = order.len();
    assert!(
        have >= clean,
        "{story}: {have} of {clean} are clean: {list}"
    );
}

/// Looks at what was recorded: each of the frames sent that is marked in `whole` is there, clean and
/// in its order; and there are no more than were sent, nor more damaged ones than are not marked.
pub(crate) fn check_whole(story: &str, matches: &[Match], whole: &[bool]) {
    let list = listed(matches);
    let mut rest = matches.iter();
    for (index, _) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
        let found = rest.any(|it| it.index == index && it.psnr >= CLEAN);
        assert!(found, "{story}: no {index}: {list}");
    }
    let most = whole.iter().filter(|whole| !**whole).count();
    let damaged = matches.iter().filter(|it| it.psnr < CLEAN).count();
    assert!(
        matches.len() <= whole.len() && damaged <= most,
        "{story}: {damaged} of {} are damaged, {most} of {} can be: {list}",
        matches.len(),
        whole.len()
    );
}

fn listed(matches: &[Match]) -> String {
    let each = matches
        .iter()
        .map(|it| format!("{}:{:.0}", it.index, it.psnr));
    each.collect::<Vec<_>>().join(" ")
}

impl Film {
    /// A moving test picture; the file and what is in it.
    pub(crate) async fn source(dir: &Path, frames: usize) -> (PathBuf, Self) {
        let path = dir.join("source.yuv");
        // With an edge, so that it is found on a screen.
        let source =
            format!("testsrc2=size={WIDTH}x{HEIGHT}:rate=25,drawbox=c=white:t=2:x=0:y=0:w=iw:h=ih");
        let count = frames.to_string();
        let file = path.to_string_lossy().into_owned();
        let args = [
            "-nostdin",
            "-y",
            "-f",
            "lavfi",
            "-i",
            &source,
            "-frames:v",
            &count,
            "-pix_fmt",
            "yuv420p",
            "-f",
            "rawvideo",
            &file,
        ];
        let mut ffmpeg = Child::start("ffmpeg", args, dir);
        assert_eq!(ffmpeg.wait().await, Some(0), "{}", ffmpeg.output());
        let film = Self::read(&path);
        assert_eq!(film.len(), frames);
        (path, film)
    }

    /// Reads raw frames; half a frame at the end does not count.
    pub(crate) fn read(path: &Path) -> Self {
        Self {
            bytes: std::fs::read(path).unwrap_or_default(),
        }
    }

    /// Frames that are already there.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What ffmpeg sees in a file of that format.
    pub(crate) async fn decode(file: &Path, format: &str, pixels: &str) -> Self {
        let path = file.with_extension("decoded");
        let (input, output) = (file.to_str().unwrap(), path.to_str().unwrap());
        let args = [
            "-nostdin",
            "-y",
            "-f",
            format,
            "-i",
            input,
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            pixels,
            "-f",
            "rawvideo",
            output,
        ];
        let mut ffmpeg = Child::start("ffmpeg", args, file.parent().unwrap());
        assert_eq!(ffmpeg.wait().await, Some(0), "{}", ffmpeg.output());
        Self::read(&path)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / FRAME
    }

    /// The same, seen in a mirror: a stream of the same kind that is not the one sent.
    pub(crate) fn mirrored(&self) -> Self {
        let mut bytes = self.bytes.clone();
        for frame in bytes.chunks_exact_mut(FRAME) {
            for row in frame[..WIDTH * HEIGHT].chunks_exact_mut(WIDTH) {
                row.reverse();
            }
        }
        Self { bytes }
    }

    /// The brightness of every fourth row, which is enough.
    fn brightness(&self) -> Vec<Vec<u8>> {
        let rows = |frame: &[u8]| {
            let all = frame[..WIDTH * HEIGHT].chunks_exact(WIDTH);
            all.step_by(4).flatten().copied().collect()
        };
        self.bytes.chunks_exact(FRAME).map(rows).collect()
    }

    /// For each frame here the nearest one of `sent`.
    pub(crate) fn compared_to(&self, sent: &Self) -> Vec<Match> {
        let sent = sent.brightness();
        let nearest = |frame: &Vec<u8>| {
            let all = sent.iter().enumerate().map(|(index, other)| Match {
                index,
                psnr: psnr(frame, other),
            });
            all.max_by(|a, b| a.psnr.total_cmp(&b.psnr)).unwrap()
        };
        self.brightness().iter().map(nearest).collect()
    }
}

fn psnr(one: &[u8], other: &[u8]) -> f64 {
    let squares: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    let mean = squares as f64 / one.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-3)).log10()
}
