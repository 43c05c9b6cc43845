//! The players of the bridge that we ship, on a screen: what they show there is the picture.

use std::path::Path;

use crate::{
    address,
    picture::{Film, HEIGHT, WIDTH},
    sender::{self, JPEG},
    session::Session,
    support::{self, child::Child, until},
    wire::{Badness, Wire},
};

const SCREEN: [usize; 2] = [640, 480];
/// What the screen leaves of the picture: ffplay and GStreamer came to 42 dB, mpv to 29. Another
/// picture comes to 13 at most.
const SHOWN: f64 = 27.0;

async fn display(dir: &Path) -> (Child, String) {
    let [width, height] = SCREEN;
    let size = format!("{width}x{height}x24");
    let args = [
        "-displayfd",
        "1",
        "-screen",
        "0",
        &size,
        "-nolisten",
        "tcp",
        "-noreset",
    ];
    let server = Child::start("Xvfb", args, dir);
    let number = until("the display's number", || {
        let text = server.output();
        let mut lines = text.lines().filter(|_| text.ends_with('\n'));
        lines.find_map(|line| line.parse::<u16>().ok())
    })
    .await;
    (server, format!(":{number}"))
}

/// That one of the handoffs we ship, on that display, for somebody who never used its program.
fn shipped(name: &str, display: &str, dir: &Path) -> String {
    let bridge = include_str!("../../bridges/webcam.toml");
    let wanted = format!("\nname     = \"{name}\"\n");
    let mut handoffs = bridge.split("[[handoff]]").skip(1);
    let spaced = |it: &&str| it.replace("name    = ", "name     = ").starts_with(&wanted);
    let handoff = handoffs.find(spaced).unwrap();
    // The display is the test's own, and not that of whoever runs it.
    let handoff = handoff.replace("\"DISPLAY\", \"WAYLAND_DISPLAY\"", "\"PATH\"");
    let home = dir.join("home");
    std::fs::create_dir(&home).unwrap();
    let home = home.display();
    let handoff = handoff.replace("\"~/", &format!("\"{home}/"));
    let env = format!(
        "\nenv = {{ DISPLAY = \"{display}\", HOME = \"{home}\", XDG_CONFIG_HOME = \"{home}/.config\", \
         XDG_CACHE_HOME = \"{home}/.cache\" }}\nname",
    );
    format!("[[handoff]]{}", handoff.replacen("\nname", &env, 1))
}

/// The picture on the screen, if there is one: all that is not black.
async fn screenshot(display: &str, dir: &Path) -> Option<Film> {
    let [width, height] = SCREEN;
    let size = format!("{width}x{height}");
    let path = dir.join("screen.yuv");
    let args = [
        "-nostdin",
        "-y",
        "-f",
        "x11grab",
        "-draw_mouse",
        "0",
        "-video_size",
        &size,
        "-i",
        display,
        "-frames:v",
        "1",
        "-pix_fmt",
        "yuvj420p",
        "-f",
        "rawvideo",
        path.to_str().unwrap(),
    ];
    let mut ffmpeg = Child::start("ffmpeg", args, dir);
    assert_eq!(ffmpeg.wait().await, Some(0), "{}", ffmpeg.output());
    let bytes = std::fs::read(&path).unwrap();
    let rows: Vec<&[u8]> = bytes[..width * height].chunks_exact(width).collect();
    let lit = |row: &&[u8]| row.iter().any(|light| *light > 24);
    let top = rows.iter().position(lit)?;
    let left = rows
        .iter()
        .filter_map(|row| row.iter().position(|light| *light > 24))
        .min()?;
    let rows = rows.get(top..top + HEIGHT)?;
    let part = rows.iter().filter_map(|row| row.get(left..left + WIDTH));
    let mut frame = part.flatten().copied().collect::<Vec<u8>>();
    frame.resize(WIDTH * HEIGHT * 3 / 2, 128);
    Some(Film::of(frame))
}

/// Whether the player that we started can reach no more than it may. Landlock itself does not tell, but
/// it needs this one first, and nobody else here sets it.
fn is_confined(program: &str) -> bool {
    let own = format!("PPid:\t{}\n", std::process::id());
    let name = format!("Name:\t{program}\n");
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        status.contains(&own) && status.starts_with(&name) && status.contains("NoNewPrivs:\t1\n")
    })
}

async fn is_seen(name: &str, program: &str) {
    let player = program;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (path, sent) = Film::source(dir, 250).await;
    let (mut xvfb, display) = display(dir).await;
    let bridge = shipped(name, &display, dir);
    let mut session = Session::open(&dir.join("session"), &bridge, address()).await;
    let line = Badness {
        seed: 3,
        loss: 0,
        swap: 50,
    };
    let wire = Wire::lay(address(), &[session.at], line).await;
    session.connect(wire.out);
    let mut program = sender::ffmpeg(&JPEG, &path, wire.port, dir);
    session.runs().await;
    let can = msn_handoff::launch::can_confine();
    assert_eq!(is_confined(player), can, "{player}");
    let mut best = 0.0_f64;
    while best < SHOWN {
        assert!(
            !wire.log().bye,
            "{name}: {best:.1} dB at best; {:?}",
            session.said
        );
        if let Some(shot) = screenshot(&display, dir).await {
            best = best.max(shot.compared_to(&sent)[0].psnr);
        }
    }
    if name == "GStreamer" && can {
        // What it learned of its plugins is there the next time.
        let kept = std::fs::read_dir(dir.join("home/.cache/gstreamer-1.0"));
        assert!(kept.unwrap().next().is_some());
    }
    program.terminate().await;
    let words = session.ended().await;
    assert!(words.contains("packets in"), "{words}");
    xvfb.terminate().await;
}

macro_rules! each {
    ($($test:ident: $name:literal needs $program:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            if support::have(&["ffmpeg", "Xvfb", $program]) {
                is_seen($name, $program).await;
            }
        }
    )*};
}

each! {
    ffplay: "ffplay" needs "ffplay";
    mpv: "mpv" needs "mpv";
    gstreamer: "GStreamer" needs "gst-launch-1.0";
}
