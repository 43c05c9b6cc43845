//! Writing a settings file: the old one stays beside it, and at no time is there half a file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Most old files that are kept beside it.
const MOST: usize = 1000;

/// Writes `text` in the place of `before`, and tells where that is kept. The mode stays as it is.
///
/// # Errors
/// As the system says; [`io::ErrorKind::InvalidData`] when the file is not `before` any more. Then
/// nothing is changed.
pub fn write(path: &Path, before: &str, text: &str) -> io::Result<PathBuf> {
    // A link (of a folder of dotfiles, say) stays one.
    let path = path.canonicalize()?;
    if fs::read(&path)? != before.as_bytes() {
        let told = format!("{} was changed meanwhile", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, told));
    }
    let there = fs::metadata(&path)?;
    if there.uid() != rustix::process::geteuid().as_raw() {
        // The new file would be ours, and its owner's client could not read it.
        let told = format!(
            "{} belongs to another user; ask as that one",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, told));
    }
    let permissions = there.permissions();
    let folder = path.parent().unwrap_or(&path);
    let (backup, mut kept) = backup(&path)?;
    kept.set_permissions(permissions.clone())?;
    kept.write_all(before.as_bytes())?;
    kept.sync_all()?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.as_file().set_permissions(permissions)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(&path)?;
    Ok(backup)
}

/// A new file beside it. It may hold passwords, so only we read it from the beginning.
fn backup(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 1..=MOST {
        let backup = path.with_file_name(format!("{name}.before-msn-handoff-{number}"));
        let mut options = OpenOptions::new();
        match options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&backup)
        {
            Ok(file) => return Ok((backup, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
