//! Opens every door that the configuration wants. A door that cannot be opened leaves one line in the
//! log, and everything else works.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zbus::Connection;

use super::{
    bus, hook, notification,
    socket::{self, Door},
};
use crate::{config::Config, dispatcher::Dispatcher};

/// Serves the doors until `stop`.
pub async fn open(
    config: &Config,
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
        match Door::open(&place).await {
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
            if let Err(error) = bus::serve(&connection, dispatcher, stop).await {
                tracing::warn!(%error, "no D-Bus service: another msn-handoff may have its name");
            }
        });
    }
    if settings.notifications {
        let (dispatcher, stop) = (dispatcher.clone(), stop.clone());
        doors.spawn(async move {
            if let Err(error) = notification::serve(&connection, dispatcher, stop).await {
                tracing::info!(%error, "no notifications: offers are asked in the chat window only");
            }
        });
    }
    doors
}
