//! Screens that nobody looks at, and what is on them.

use std::path::Path;

use super::{child::Child, until};

/// A screen of its own, `geometry` such as `640x480x24`; its display's name.
pub(crate) async fn start(dir: &Path, geometry: &str) -> (Child, String) {
    let arguments = [
        "-displayfd",
        "1",
        "-screen",
        "0",
        geometry,
        "-nolisten",
        "tcp",
        // What is painted stays when the painter is gone.
        "-noreset",
    ];
    let server = Child::start("Xvfb", arguments, dir);
    let number = until("the display's number", || {
        let text = server.output();
        let mut lines = text.lines().filter(|_| text.ends_with('\n'));
        lines.find_map(|line| line.parse::<u16>().ok())
    })
    .await;
    (server, format!(":{number}"))
}

/// What is on a screen: three bytes for each pixel.
pub(crate) async fn shot(display: &str, dir: &Path) -> Vec<u8> {
    let file = dir.join("shot.rgb");
    let to = format!("rgb:{}", file.display());
    let arguments = ["-display", display, "-window", "root", "-depth", "8", &to];
    let mut import = Child::start("import", arguments, dir);
    assert_eq!(import.wait().await, Some(0), "{}", import.output());
    std::fs::read(file).unwrap()
}

/// How many pixels of a shot have about that colour.
pub(crate) fn pixels(shot: &[u8], colour: [u8; 3]) -> usize {
    let close = |pixel: &&[u8]| {
        let mut parts = pixel.iter().zip(colour);
        parts.all(|(have, want)| have.abs_diff(want) < 24)
    };
    shot.chunks_exact(3).filter(close).count()
}
