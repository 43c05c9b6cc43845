//! Asks about an offer by a notification of the desktop, with buttons. Whoever answers first has
//! answered: a notification goes when its offer was answered elsewhere.
//!
//! Desktop Notifications Specification 1.2.

use std::collections::HashMap;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use zbus::{Connection, Variant, proxy};

use crate::{
    dispatcher::Dispatcher,
    event::{Event, What},
    negotiation::{InvitationId, Role},
    shown,
};

/// The keys of the two buttons.
const ACCEPT: &str = "accept";
const DECLINE: &str = "decline";
/// Most notifications at a time; whoever makes more of them must be answered in the chat.
const MOST: usize = 8;
/// It stays until it is answered.
const NEVER: i32 = 0;
/// Of three levels: above ordinary messages, and shown for longer.
const CRITICAL: u8 = 2;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[allow(clippy::too_many_arguments, reason = "the specification has them")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;

    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// What the desktop's service can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Abilities {
    buttons: bool,
    markup: bool,
}

struct Asking<'a> {
    service: NotificationsProxy<'a>,
    dispatcher: Dispatcher,
    /// What is on the screen.
    shown: HashMap<u32, InvitationId>,
}

/// Asks until `stop`.
///
/// # Errors
/// The bus is gone. That nobody shows notifications is an error of one offer only.
pub async fn serve(
    connection: &Connection,
    dispatcher: Dispatcher,
    stop: CancellationToken,
) -> Result<(), zbus::Error> {
    use futures_util::StreamExt as _;

    let mut events = dispatcher.events();
    let service = NotificationsProxy::new(connection).await?;
    let mut pressed = service.receive_action_invoked().await?;
    let mut closed = service.receive_notification_closed().await?;
    let mut asking = Asking {
        service,
        dispatcher,
        shown: HashMap::new(),
    };
    loop {
        tokio::select! {
            // A button is told before the end of its notification, and read before it.
            biased;
            Some(signal) = pressed.next() => {
                // A signal of another shape is nobody's we know.
                if let Ok(pressed) = signal.args() {
                    asking.pressed(*pressed.id(), pressed.action_key());
                }
            }
            Some(signal) = closed.next() => {
                if let Ok(closed) = signal.args() {
                    asking.shown.remove(closed.id());
                }
            }
            event = events.recv() => match event {
                Ok(event) => asking.happened(&event).await,
                Err(RecvError::Lagged(_)) => asking.close_answered().await,
                Err(RecvError::Closed) => break,
            },
            () = stop.cancelled() => break,
        }
    }
    asking.end().await;
    Ok(())
}

impl Asking<'_> {
    async fn happened(&mut self, event: &Event) {
        match event.what {
            What::Offered if event.role == Role::Invitee => {
                // The service may be back for the next one.
                if let Err(error) = self.ask(event).await {
                    tracing::warn!(%error, "this offer is not asked about on the desktop");
                }
            }
            What::Accepted | What::Ended { .. } => self.close_answered().await,
            _ => {}
        }
    }

    fn asks(&self, invitation: InvitationId) -> bool {
        let mut open = self.dispatcher.open().into_iter();
        open.any(|open| open.invitation == invitation && open.asks_us())
    }

    async fn ask(&mut self, event: &Event) -> Result<(), zbus::Error> {
        // A rule may have answered already.
        if self.shown.len() >= MOST || !self.asks(event.invitation) {
            return Ok(());
        }
        // Asked each time: the service may begin after us, and another may take its place.
        let can = self.service.get_capabilities().await?;
        let can = |what: &str| can.iter().any(|it| it == what);
        let abilities = Abilities {
            buttons: can("actions"),
            markup: can("body-markup"),
        };
        let (summary, body) = text(event, abilities);
        let buttons: &[&str] = if abilities.buttons {
            &[ACCEPT, "Accept", DECLINE, "Decline"]
        } else {
            &[]
        };
        let hints = HashMap::from([
            ("urgency", Variant::from(CRITICAL)),
            ("category", Variant::from("im.received")),
            ("desktop-entry", Variant::from("org.msn_handoff.handoff")),
        ]);
        let id = self
            .service
            .notify(
                "msn-handoff",
                0,
                "call-start",
                &summary,
                &body,
                buttons,
                hints,
                NEVER,
            )
            .await?;
        self.shown.insert(id, event.invitation);
        // It may have been answered while the desktop was told.
        self.close_answered().await;
        Ok(())
    }

    /// Signals of other programs' notifications come here as well.
    fn pressed(&self, id: u32, button: &str) {
        let Some(invitation) = self.shown.get(&id) else {
            return;
        };
        let answered = match button {
            ACCEPT => self.dispatcher.accept(*invitation),
            DECLINE => self.dispatcher.decline(*invitation),
            _ => return,
        };
        if let Err(error) = answered {
            tracing::info!(%error, "a button was pressed too late");
        }
    }

    async fn close_answered(&mut self) {
        let answered: Vec<u32> = self
            .shown
            .iter()
            .filter(|(_, invitation)| !self.asks(**invitation))
            .map(|(id, _)| *id)
            .collect();
        for id in answered {
            self.shown.remove(&id);
            // It may have gone by itself.
            let _ = self.service.close_notification(id).await;
        }
    }

    async fn end(self) {
        for id in self.shown.into_keys() {
            let _ = self.service.close_notification(id).await;
        }
    }
}

/// What it says. The handle is the contact's choice.
fn text(event: &Event, abilities: Abilities) -> (String, String) {
    let peer = shown::line(&event.peer, 80);
    let summary = format!("{peer} invites you");
    let mut body = shown::line(&event.name, 80);
    if let Some(takes) = &event.takes {
        body.push_str("\nOn accept ");
        body.push_str(&shown::line(takes, 160));
    }
    if !abilities.buttons {
        body.push_str("\nType /accept or /decline in the chat window.");
    }
    if abilities.markup {
        body = body
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
    }
    (summary, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_markup_and_lines_do_not_break() {
        let event = Event {
            invitation: InvitationId(1),
            account: "me@example.com".into(),
            peer: "a\n<b>@example.com".into(),
            application: "x".into(),
            name: "<i>Cops & Robbers</i>".into(),
            role: Role::Invitee,
            takes: Some("a program is started for it and shares your screen".into()),
            what: What::Offered,
        };
        let all = Abilities {
            buttons: true,
            markup: true,
        };
        assert_eq!(
            text(&event, all),
            (
                "a <b>@example.com invites you".to_owned(),
                "&lt;i&gt;Cops &amp; Robbers&lt;/i&gt;\n\
                 On accept a program is started for it and shares your screen"
                    .to_owned()
            )
        );
        let (_, body) = text(&event, Abilities::default());
        assert_eq!(
            body,
            "<i>Cops & Robbers</i>\n\
             On accept a program is started for it and shares your screen\n\
             Type /accept or /decline in the chat window."
        );
    }
}
