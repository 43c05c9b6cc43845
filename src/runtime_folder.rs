//! The folder of this user that lives as long as the login, where processes of ours meet: entries of
//! running programs, the control socket.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::getuid;

use crate::private;

/// Below `$XDG_RUNTIME_DIR`, else in the temporary folder.
#[must_use]
pub fn runtime_folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir()) {
        Some(runtime) => Path::new(&runtime).join("msn-handoff"),
        None => {
            let mut name = OsString::from("msn-handoff-");
            name.push(getuid().as_raw().to_string());
            std::env::temp_dir().join(name)
        }
    }
}

/// Makes the folder, readable by us only, and makes sure that it is ours alone: what stands in it is
/// trusted. One that the user made may be readable by others: what is made in it is not.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    private::folder(folder)?;
    let ours = getuid().as_raw();
    let metadata = fs::symlink_metadata(folder)?;
    // Where it stands, nobody may put another one in its place: root may, and in a sticky folder
    // like /tmp others may not.
    let above = fs::metadata(folder.parent().unwrap_or(folder))?;
    let others_may_write = |mode: u32| mode & 0o022 != 0;
    if !metadata.is_dir()
        || metadata.uid() != ours
        || others_may_write(metadata.mode())
        || ![0, ours].contains(&above.uid())
        || (others_may_write(above.mode()) && above.mode() & 0o1000 == 0)
    {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not ours alone", folder.display()),
        ));
    }
    Ok(())
}
