//! Opens every door that the configuration wants. A door that cannot be opened leaves one line in the
//! log, and everything else works.

use std::time::Duration;

use tokio::{net::UnixListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use zbus::Connection;

use super::{
    bus, hook, notification,
    socket::{self, Door},
};
use crate::{config::Config, dispatcher::Dispatcher};

/// How long the bus may take for the last words. It starts programs for those who ask for them, and
/// such a program may never be ready.
const FAREWELL: Duration = Duration::from_secs(1);

/// Lets that run, and not much longer than until `stop`.
async fn until<T>(stop: CancellationToken, serving: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = serving => Some(done),
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        } => None,
    }
}

/// Serves the doors until `stop`. `given` is a control socket that is open already.
pub async fn open(
    config: &Config,
    given: Option<UnixListener>,
    dispatcher: &Dispatcher,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let settings = &config.control;
    let mut doors = JoinSet::new();
    if !config.hook.is_empty() {
        let hooks = config.hook.clone().into();
        doors.spawn(hook::serve(hooks, dispatcher.clone(), stop.clone()));
    }
    if settings.enabled {
        let place = settings.socket.clone();
        let place = place.unwrap_or_else(socket::usual_place);
        let door = match given {
            Some(listener) => Ok(Door::from(listener)),
            None => Door::open(&place).await,
        };
        match door {
            Ok(door) => {
                doors.spawn(door.serve(dispatcher.clone(), stop.clone()));
            }
            Err(error) => {
                let socket = place.display();
                tracing::warn!(%socket, %error, "no control socket: another msn-handoff may have it");
            }
        }
    }
    if !settings.dbus && !settings.notifications {
        return doors;
    }
    let connection = match Connection::session().await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::info!(%error, "no session bus, so no D-Bus service and no notifications");
            return doors;
        }
    };
    if settings.dbus {
        let (connection, dispatcher, stop) = (connection.clone(), dispatcher.clone(), stop.clone());
        doors.spawn(async move {
            let serving = bus::serve(&connection, dispatcher, stop.clone());
            if let Some(Err(error)) = until(stop, serving).await {
                tracing::warn!(%error, "no D-Bus service: another msn-handoff may have its name");
            }
        });
    }
    if settings.notifications {
        let (dispatcher, stop) = (dispatcher.clone(), stop.clone());
        doors.spawn(async move {
            let serving = notification::serve(&connection, dispatcher, stop.clone());
            if let Some(Err(error)) = until(stop, serving).await {
                tracing::info!(%error, "no more notifications: offers are asked in the chat window only");
            }
        });
    }
    doors
}
