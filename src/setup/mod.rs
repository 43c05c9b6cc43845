//! What to change in other programs' settings so that a client connects to us: where the settings are,
//! which values, and the writing of them, which loses nothing.
//!
//! The keys are those of the clients' own source: msn-pecan `msn.c` (`server`, `port`, `http_method`),
//! aMSN `config.tcl` and `protocol.tcl` (`start_ns_server` is set back to `default_ns_server` after any
//! trouble, so both), and for the official client what the revived services publish.

mod amsn;
mod file;
mod messenger;
mod pidgin;
mod running;
mod xml;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use file::write;
pub use running::running;

/// A client whose settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Client {
    /// Pidgin and Finch, with msn-pecan or their own MSN
    Pidgin,
    /// aMSN
    Amsn,
    /// The official client under Wine
    Messenger,
}

/// One value that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose: an account, a key of the registry. The file says it, so it is not fit to be shown.
    pub of: String,
    /// Its name.
    pub key: &'static str,
    /// What stands there now.
    pub old: Option<String>,
    /// What should.
    pub new: String,
}

/// A file as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// All of it.
    pub text: String,
    /// What is different; nothing if it is as it should be.
    pub changes: Vec<Change>,
    /// The accounts or keys that were found.
    pub found: usize,
}

/// Why a file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not what the client writes.
    #[error("{0}; it is left as it is")]
    Malformed(String),
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Client {
    /// All.
    pub const ALL: [Self; 3] = [Self::Pidgin, Self::Amsn, Self::Messenger];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pidgin => "Pidgin",
            Self::Amsn => "aMSN",
            Self::Messenger => "the official client under Wine",
        }
    }

    /// The files with its settings that are there.
    #[must_use]
    pub fn files(self, home: &Path) -> Vec<PathBuf> {
        let mut files = match self {
            Self::Pidgin => vec![home.join(".purple/accounts.xml")],
            Self::Amsn => amsn::files(home),
            Self::Messenger => crate::wine::prefixes()
                .iter()
                .map(|prefix| prefix.folder().join("user.reg"))
                .collect(),
        };
        files.retain(|file| file.is_file());
        files
    }

    /// The text of such a file, so that the client connects there.
    ///
    /// # Errors
    /// When it is not what the client writes.
    pub fn edit(self, text: &str, to: SocketAddr) -> Result<Edited, Unusable> {
        match self {
            Self::Pidgin => pidgin::edit(text, to),
            Self::Amsn => amsn::edit(text, to),
            Self::Messenger => messenger::edit(text, to),
        }
    }

    /// What to do by hand, with this address.
    #[must_use]
    pub fn by_hand(self, to: SocketAddr) -> String {
        match self {
            Self::Pidgin => format!(
                "Accounts > Manage Accounts > Modify > Advanced: Server {}, Port {}, HTTP method off",
                to.ip(),
                to.port()
            ),
            Self::Amsn => format!(
                "Account > Preferences > Connection: direct; Advanced: notification server {to}"
            ),
            Self::Messenger => format!(
                "1.0 to 4.7: HKCU\\Software\\Microsoft\\MessengerService, value Server = {}; \
                 5.0 to 6.2: HKCU\\Software\\Microsoft\\MSNMessenger, value Server = {}; \
                 7.0 and later: the name that the patched client has, in /etc/hosts",
                messenger::old_value(to),
                messenger::value(to),
            ),
        }
    }
}

/// Where a client on this machine connects, when we listen there.
#[must_use]
pub fn connect_to(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        return (Ipv4Addr::LOCALHOST, listen.port()).into();
    }
    listen
}
