//! pycrate (PyPI), codecs of H.225.0 and H.245 that are not ours, in the folder where `tests/install` put
//! it; and what else it put there.

use std::path::PathBuf;

/// A folder that `tests/install` made.
pub(crate) fn cached(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    Some(cache.or_else(home)?.join("msn-handoff-tests").join(name))
}

/// What `PYTHONPATH` has to be. Missing, it is reported as any other program.
pub(crate) fn pycrate() -> Option<PathBuf> {
    let folder = cached("pycrate-0.8.1")?;
    if folder.join("pycrate_asn1dir/H225.py").exists() {
        return super::have(&["python3"]).then_some(folder);
    }
    super::have(&[folder.to_str()?]);
    None
}
