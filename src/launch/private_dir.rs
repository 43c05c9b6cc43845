//! A folder that only we can read, for the files a program is given; gone when it is dropped.

use std::{
    fs::Permissions,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use tempfile::TempDir;

use crate::private;

/// A private folder (0700), below `$XDG_RUNTIME_DIR` where there is one.
#[derive(Debug)]
pub struct PrivateDir {
    dir: TempDir,
}

impl PrivateDir {
    /// Makes one.
    ///
    /// # Errors
    /// As the file system says.
    pub fn new() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("msn-handoff-")
            .permissions(Permissions::from_mode(0o700));
        let dir = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir()) {
            Some(runtime) => builder.tempdir_in(runtime)?,
            None => builder.tempdir()?,
        };
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes a folder in it, with those above.
    ///
    /// # Errors
    /// When the name leads out of the folder, or as the file system says.
    pub fn make_dir(&self, name: &Path) -> io::Result<PathBuf> {
        let path = self.inside(name)?;
        private::folder(&path)?;
        Ok(path)
    }

    /// Writes a new file in it (0600).
    ///
    /// # Errors
    /// When the name leads out of the folder or is taken, or as the file system says.
    pub fn write(&self, name: &Path, contents: &[u8]) -> io::Result<PathBuf> {
        let path = self.inside(name)?;
        if let Some(parent) = path.parent() {
            private::folder(parent)?;
        }
        private::new_file(&path)?.write_all(contents)?;
        Ok(path)
    }

    fn inside(&self, name: &Path) -> io::Result<PathBuf> {
        if name
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            Ok(self.path().join(name))
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} leads out of the private folder", name.display()),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_and_files_are_readable_by_us_only_and_vanish() {
        let dir = PrivateDir::new().unwrap();
        let file = dir.write(Path::new("etc/config"), b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&dir.path().join("etc")), 0o700);
        assert_eq!(mode(&file), 0o600);
        drop(dir);
        assert!(!file.exists());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let dir = PrivateDir::new().unwrap();
        for name in ["../x", "/etc/passwd", "a/../../b", "./a/.."] {
            assert!(dir.write(Path::new(name), b"").is_err(), "{name}");
        }
    }

    #[test]
    fn an_existing_file_is_never_overwritten_or_followed() {
        let dir = PrivateDir::new().unwrap();
        std::os::unix::fs::symlink("/nonexistent/target", dir.path().join("link")).unwrap();
        assert!(dir.write(Path::new("link"), b"x").is_err());
    }
}
