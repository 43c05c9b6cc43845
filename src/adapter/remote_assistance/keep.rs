//! Keeps what came as a file of the user's, so that nothing is lost when no program here can use it.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    incident,
    ticket::{Messages, Reading, Ticket},
};
use crate::{clock, media::record};

/// Writes it into a new file (0600) in that folder. A ticket of Windows XP is put into the file
/// that Windows wants; anything else is kept byte for byte.
pub(super) fn keep(folder: &Path, messages: &Messages, reading: &Reading) -> io::Result<PathBuf> {
    let came = messages.bytes();
    let (contents, ending) = match reading {
        Reading::Ticket {
            ticket: Ticket::One(one),
            ..
        } => {
            let file = incident::one_for_windows(&one.text, clock::today().as_secs());
            (file, "msrcIncident")
        }
        Reading::Ticket { .. } => (came.to_vec(), "msrcIncident"),
        _ => (came.to_vec(), "txt"),
    };
    let mut name = [0_u8; 6];
    getrandom::fill(&mut name).map_err(io::Error::from)?;
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(format!("assistance-{name}.{ending}"));
    record::create(&path)?.write_all(&contents)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_came_is_kept_where_only_we_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let two = "<E><A KH='x' ID='y'/><C><T><L P='1' N='h'/></T></C></E>";
        for (came, ending, same) in [
            ("65538,1,10.0.0.1:1,*,QUI=,*,*,QUI=", "msrcIncident", false),
            (two, "msrcIncident", true),
            ("QUJDRA==", "txt", true),
            ("65538,1,", "txt", true),
        ] {
            let mut messages = Messages::default();
            messages.push(came.as_bytes());
            let path = keep(&folder, &messages, &messages.read()).unwrap();
            assert_eq!(path.extension().unwrap(), ending);
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
            let kept = std::fs::read(&path).unwrap();
            assert_eq!(kept == came.as_bytes(), same);
            assert!(same || kept.starts_with(&[0xff, 0xfe, b'<', 0]));
        }
    }
}
