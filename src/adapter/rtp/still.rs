//! A still picture out of a recording, by ffmpeg where it is installed.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    bridge,
    launch::{self, Confinement, Plan, Ready, Stop},
    media::{picture::Coding, record},
};

/// How long ffmpeg may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Makes it, beside the recording. The error is for people.
pub(super) async fn of(recording: &Path, coding: Coding) -> Result<PathBuf, String> {
    let program = bridge::installed("ffmpeg")
        .ok_or("no still picture was made of it: ffmpeg is not installed")?;
    let still = recording.with_extension("jpg");
    let failed = |why: &dyn std::fmt::Display| format!("no still picture was made of it: {why}");
    // Made by us first, so that only we can read it; ffmpeg leaves it so.
    record::create(&still).map_err(|error| failed(&error))?;
    let made = extract(program, recording, coding, &still).await;
    let size = std::fs::metadata(&still).map_or(0, |data| data.len());
    if made.is_ok() && size > 0 {
        return Ok(still);
    }
    // It holds nothing.
    let _ = std::fs::remove_file(&still);
    let why = made.err().unwrap_or_else(|| "it holds none".to_owned());
    Err(failed(&why))
}

async fn extract(
    program: PathBuf,
    recording: &Path,
    coding: Coding,
    still: &Path,
) -> Result<(), String> {
    // Of the first 25 pictures the one that is most like them: the first may be dark, or damaged.
    let before = [
        "-nostdin",
        "-y",
        "-loglevel",
        "error",
        "-protocol_whitelist",
        "file",
        "-f",
        coding.demuxer(),
        "-i",
    ];
    let after = [
        "-vf",
        "thumbnail=25",
        "-frames:v",
        "1",
        "-update",
        "1",
        // Nearly the best that its encoder does: details in a still matter more than its size.
        "-q:v",
        "2",
        "-f",
        "image2",
    ];
    let mut args: Vec<OsString> = before.map(OsString::from).to_vec();
    args.push(recording.into());
    args.extend(after.map(OsString::from));
    args.push(still.into());
    let plan = Plan {
        name: "ffmpeg".to_owned(),
        program,
        args,
        env: Vec::new(),
        dir: None,
        // It reads what a stranger sent.
        confined: Some(Confinement {
            reads: vec![recording.to_owned()],
            writes: vec![still.to_owned()],
            ..Confinement::default()
        }),
        ready: Ready::Started,
        ready_within: WITHIN,
        stop: Stop::default(),
    };
    let mut ffmpeg = launch::start(&plan).map_err(|error| error.to_string())?;
    let ended = tokio::time::timeout(WITHIN, ffmpeg.wait()).await;
    ffmpeg.stop().await;
    match ended {
        Ok(exit) if exit.code == Some(0) => Ok(()),
        Ok(exit) => {
            let words = ffmpeg.last_words();
            let last = words.lines().last().unwrap_or_default();
            Err(format!("ffmpeg: {exit}; {}", crate::shown::line(last, 120)))
        }
        Err(_) => Err("ffmpeg took too long".to_owned()),
    }
}
