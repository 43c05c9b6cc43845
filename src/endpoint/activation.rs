//! The sockets that the service manager opened for us, and the word to it that we are ready: the
//! protocols of `sd_listen_fds(3)` and `sd_notify(3)`. Without a service manager both do nothing.

use std::{io, net, os::unix::net as unix};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};

/// What was opened for us. Which is for whom shows in the kind.
#[derive(Debug, Default)]
pub struct Given {
    client: Option<net::TcpListener>,
    control: Option<unix::UnixListener>,
}

impl Given {
    /// Takes them out of the environment, so that no program that we start takes them for its own.
    /// Called once, before there is a second thread.
    #[must_use]
    pub fn take() -> Self {
        let mut sockets = ListenFd::from_env();
        let mut given = Self::default();
        for index in 0..sockets.len() {
            // An error says that it is of another kind.
            if let Ok(Some(socket)) = sockets.take_tcp_listener(index) {
                given.client.get_or_insert(socket);
            } else if let Ok(Some(socket)) = sockets.take_unix_listener(index) {
                given.control.get_or_insert(socket);
            } else {
                tracing::warn!(index, "a socket of the service manager is of no use here");
            }
        }
        given
    }

    /// Where the client connects.
    ///
    /// # Errors
    /// As the system says.
    pub fn client(&mut self) -> io::Result<Option<TcpListener>> {
        let Some(socket) = self.client.take() else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket).map(Some)
    }

    /// Where scripts and the command line connect.
    ///
    /// # Errors
    /// As the system says.
    pub fn control(&mut self) -> io::Result<Option<UnixListener>> {
        let Some(socket) = self.control.take() else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        UnixListener::from_std(socket).map(Some)
    }
}

/// Says that we listen.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// Says that we are about to end.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
