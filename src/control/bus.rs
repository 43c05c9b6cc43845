//! The D-Bus service of the session: the verbs as methods, the events as a signal.

use std::collections::HashMap;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};
use tokio_util::sync::CancellationToken;
use zbus::{
    Connection, OwnedVariant, Variant, fdo, interface,
    object_server::{InterfaceRef, SignalEmitter},
};

use super::protocol::{Happened, Id, Listed};
use crate::{
    dispatcher::{Dispatcher, VerbError},
    event::{Event, What},
    negotiation::InvitationId,
};

/// The name that is owned on the session bus, and of the interface.
pub const NAME: &str = "org.msn_handoff.Control1";
/// Where the object is.
pub const PATH: &str = "/org/msn_handoff/Control1";

struct Service {
    dispatcher: Dispatcher,
}

/// Why a method was not obeyed. The text is the sentence for people.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.msn_handoff.Control1.Error")]
enum Refused {
    #[zbus(error)]
    Bus(zbus::Error),
    NoAccount(String),
    NobodySignedIn(String),
    WhichAccount(String),
    NoApplication(String),
    WhichApplication(String),
    NotInstalled(String),
    NoContact(String),
    NotOpen(String),
    NotAsked(String),
    NoRandomness(String),
}

impl From<VerbError> for Refused {
    fn from(error: VerbError) -> Self {
        let kind = match error {
            VerbError::NoAccount(_) => Self::NoAccount,
            VerbError::NobodyIsIn => Self::NobodySignedIn,
            VerbError::WhichAccount(_) => Self::WhichAccount,
            VerbError::NoApplication(..) => Self::NoApplication,
            VerbError::WhichApplication(_) => Self::WhichApplication,
            VerbError::NotInstalled { .. } => Self::NotInstalled,
            VerbError::NoContact(_) => Self::NoContact,
            VerbError::NotOpen => Self::NotOpen,
            VerbError::NotAsked => Self::NotAsked,
            VerbError::NoEntropy => Self::NoRandomness,
        };
        kind(error.to_string())
    }
}

fn id(text: &str) -> Result<InvitationId, Refused> {
    // What no list ever showed is not open.
    let id: Id = text.parse().map_err(|_| VerbError::NotOpen)?;
    Ok(id.0)
}

#[interface(name = "org.msn_handoff.Control1")]
impl Service {
    /// Version of the program.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// Handles of the signed-in users. Read it when it is needed: it has no signal.
    #[zbus(property(emits_changed_signal = "false"))]
    fn accounts(&self) -> Vec<String> {
        self.dispatcher.accounts()
    }

    /// Every open invitation, with the keys of docs/CONTROL.md.
    #[zbus(property)]
    fn invitations(&self) -> Vec<HashMap<String, OwnedVariant>> {
        let open = self.dispatcher.open().into_iter();
        open.map(|open| dictionary(&Listed::from(open))).collect()
    }

    /// Invites a contact; `account` may be empty when only one is signed in.
    fn invite(&self, peer: &str, application: &str, account: &str) -> Result<String, Refused> {
        let account = Some(account).filter(|account| !account.is_empty());
        let invitation = self.dispatcher.invite(account, peer, application)?;
        Ok(Id(invitation).to_string())
    }

    /// Says yes to an offer.
    fn accept(&self, invitation: &str) -> Result<(), Refused> {
        Ok(self.dispatcher.accept(id(invitation)?)?)
    }

    /// Says no to an offer.
    fn decline(&self, invitation: &str) -> Result<(), Refused> {
        Ok(self.dispatcher.decline(id(invitation)?)?)
    }

    /// Ends an invitation, or what it began.
    fn hang_up(&self, invitation: &str) -> Result<(), Refused> {
        Ok(self.dispatcher.hang_up(id(invitation)?)?)
    }

    /// Something happened; the keys of `details` are those of docs/CONTROL.md.
    #[zbus(signal)]
    async fn happened(
        emitter: &SignalEmitter<'_>,
        kind: &str,
        invitation: &str,
        details: HashMap<String, OwnedVariant>,
    ) -> zbus::Result<()>;
}

/// The keys and values of something that also goes over the control socket as JSON.
fn dictionary(of: &impl serde::Serialize) -> HashMap<String, OwnedVariant> {
    let Ok(serde_json::Value::Object(object)) = serde_json::to_value(of) else {
        return HashMap::new();
    };
    let value = |value| {
        let value = match value {
            serde_json::Value::Bool(value) => Variant::from(value),
            serde_json::Value::Number(value) => Variant::from(value.as_u64()?),
            serde_json::Value::String(value) => Variant::from(value),
            _ => return None,
        };
        OwnedVariant::try_from(value).ok()
    };
    let entry = |(key, it)| Some((key, value(it)?));
    object.into_iter().filter_map(entry).collect()
}

/// Serves on a connection to the session bus until `stop`.
///
/// # Errors
/// As the bus says: somebody has the name already.
pub async fn serve(
    connection: &Connection,
    dispatcher: Dispatcher,
    stop: CancellationToken,
) -> Result<(), zbus::Error> {
    let mut events = dispatcher.events();
    let server = connection.object_server();
    server.at(PATH, Service { dispatcher }).await?;
    let flags = fdo::RequestNameFlags::DO_NOT_QUEUE;
    connection.request_name_with_flags(NAME, flags).await?;
    let service = server.interface::<_, Service>(PATH).await?;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.cancelled() => break,
        };
        match event {
            Ok(event) => tell(&service, &event).await?,
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "events missed by the bus"),
            Err(RecvError::Closed) => return Ok(()),
        }
    }
    loop {
        match broadcast::Receiver::try_recv(&mut events) {
            Ok(event) => tell(&service, &event).await?,
            Err(TryRecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events missed by the bus");
            }
            Err(_) => return Ok(()),
        }
    }
}

async fn tell(service: &InterfaceRef<Service>, event: &Event) -> Result<(), zbus::Error> {
    let Some(happened) = Happened::of(event) else {
        return Ok(());
    };
    let emitter = service.signal_emitter();
    let invitation = happened.invitation.to_string();
    Service::happened(emitter, &happened.kind, &invitation, dictionary(&happened)).await?;
    if !matches!(event.what, What::Progress(_)) {
        service.get().await.invitations_changed(emitter).await?;
    }
    Ok(())
}
