//! A screen that nobody looks at but we: what is drawn on it, and what it shows.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::{child::Child, until};

/// Pixels of every screen and of the shared picture.
pub(crate) const SIZE: (u32, u32) = (640, 480);

pub(crate) struct Screen {
    server: Child,
    pub(crate) name: String,
    folder: PathBuf,
    shots: u32,
    drawn: u32,
}

/// What a screen shows.
#[derive(Debug)]
pub(crate) struct Shot {
    /// Mean of red, green and blue, 0 to 255.
    pub(crate) mean: [f64; 3],
    pub(crate) colours: usize,
}

impl Screen {
    pub(crate) async fn new(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let (width, height) = SIZE;
        let size = format!("{width}x{height}x24");
        let arguments = ["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"];
        let server = Child::start("Xvfb", arguments, &folder);
        let number = until("the display's number", || {
            let text = server.output();
            let mut lines = text.lines().filter(|_| text.ends_with('\n'));
            lines.find_map(|line| line.parse::<u16>().ok())
        })
        .await;
        Self {
            server,
            name: format!(":{number}"),
            folder,
            shots: 0,
            drawn: 0,
        }
    }

    /// A program on this screen.
    pub(crate) fn program(&self, name: &str, arguments: &[&str]) -> Child {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let display = format!("DISPLAY={}", self.name);
        let all = [display.as_str(), name]
            .into_iter()
            .chain(arguments.iter().copied());
        Child::start("env", all, &folder)
    }

    /// Draws a picture of many colours, most of them of the tint. It stays while the result lives.
    pub(crate) fn draw(&mut self, tint: [u8; 3]) -> Child {
        let (width, height) = (SIZE.0 - 100, SIZE.1 - 100);
        let mut picture = format!("P6\n{width} {height}\n255\n").into_bytes();
        for y in 0..height {
            for x in 0..width {
                let shade = (x * 64 / width + y * 64 / height)
                    .try_into()
                    .unwrap_or(0_u8);
                picture.extend(tint.map(|part| part.saturating_add(shade)));
            }
        }
        self.drawn += 1;
        let file = self.folder.join(format!("{}.ppm", self.drawn));
        std::fs::write(&file, picture).unwrap();
        self.program("display", &["-geometry", "+50+50", file.to_str().unwrap()])
    }

    pub(crate) async fn shot(&mut self) -> Shot {
        self.shots += 1;
        let file = self.folder.join(format!("shot-{}.ppm", self.shots));
        let mut import = self.program(
            "import",
            &["-window", "root", "-depth", "8", file.to_str().unwrap()],
        );
        assert_eq!(import.wait().await, Some(0), "{}", import.output());
        read(&std::fs::read(&file).unwrap())
    }

    pub(crate) async fn close(mut self) {
        self.server.terminate().await;
    }
}

/// Reads a portable pixmap.
fn read(bytes: &[u8]) -> Shot {
    let header = format!("P6\n{} {}\n255\n", SIZE.0, SIZE.1);
    let pixels = bytes.strip_prefix(header.as_bytes()).unwrap();
    let (pixels, rest) = pixels.as_chunks::<3>();
    assert!(rest.is_empty());
    let count = f64::from(SIZE.0 * SIZE.1);
    let mean =
        [0, 1, 2].map(|part| pixels.iter().map(|it| f64::from(it[part])).sum::<f64>() / count);
    let colours: BTreeSet<[u8; 3]> = pixels.iter().copied().collect();
    Shot {
        mean,
        colours: colours.len(),
    }
}
