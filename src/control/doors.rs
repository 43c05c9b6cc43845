//! Opens every door that the configuration wants. A door that cannot be opened leaves one line in the
//! log, and everything else works.

use std::time::Duration;

use tokio::{net::UnixListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use zbus::connection;

use super::{
    bus, hook, notification,
    socket::{self, Door},
};
use crate::{config::Config, dispatcher::Dispatcher};

/// How long the bus may take for the last words. It starts programs for those who ask for them, and
/// such a program may never be ready.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long another program on the bus may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    if !settings.enabled {
        // The service manager goes on to listen: whoever connects is not kept waiting.
        if let Some(listener) = given {
            let stop = stop.clone();
            doors.spawn(async move {
                while let Some(Ok(_)) = stop.run_until_cancelled(listener.accept()).await {}
            });
        }
    } else {
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
    // Who does not answer must not keep the others waiting.
    let builder = connection::Builder::session().method_timeout(PATIENCE);
    let connection = match builder.build().await {
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
