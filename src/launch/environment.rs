//! Which of our environment variables a program gets: what a desktop program needs to reach the
//! display, the sound and its own settings, and nothing else (ANCHORS.md E.3 row 13).

use std::ffi::{OsStr, OsString};

const NAMES: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "WINEPREFIX",
    "XAUTHORITY",
];

const PREFIXES: &[&str] = &["LC_", "PIPEWIRE_", "PULSE_", "SDL_", "XDG_"];

/// Our environment, less what a program has no need of.
pub(super) fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| is_passed_on(name))
}

fn is_passed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_no_need_of_stays_here() {
        for (name, passed) in [
            ("PATH", true),
            ("LC_ALL", true),
            ("XDG_RUNTIME_DIR", true),
            ("LD_PRELOAD", false),
            ("SSH_AUTH_SOCK", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("MSN_HANDOFF_LOG", false),
        ] {
            assert_eq!(is_passed_on(OsStr::new(name)), passed, "{name}");
        }
    }
}
