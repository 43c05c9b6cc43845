//! Obeys a request. Every door answers through here, so they all mean the same.

use tokio::runtime::Handle;

use super::protocol::{Done, Line, Listed, Refusal, Request, Verb, Which};
use crate::{dispatcher::Dispatcher, dispatcher::VerbError, shown};

/// Obeys one line of a client's; says whether events are wanted from now on.
#[must_use]
pub fn answer(dispatcher: &Dispatcher, line: &str) -> (Line, bool) {
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => {
            let error = Refusal {
                reason: "unreadable".to_owned(),
                message: shown::line(&format!("no request: {error}"), 200),
            };
            let id = serde_json::Value::Null;
            return (Line::Refused { id, error }, false);
        }
    };
    let id = request.id;
    let events = request.verb == Verb::Events;
    match obey(dispatcher, &request.verb) {
        Ok(ok) => (Line::Done { id, ok }, events),
        Err(error) => {
            let error = Refusal::from(error);
            (Line::Refused { id, error }, false)
        }
    }
}

fn obey(dispatcher: &Dispatcher, verb: &Verb) -> Result<Done, VerbError> {
    match verb {
        Verb::List => {
            return Ok(Done {
                accounts: Some(dispatcher.accounts()),
                invitations: Some(dispatcher.open().into_iter().map(Listed::from).collect()),
                tasks: Handle::try_current()
                    .ok()
                    .map(|runtime| runtime.metrics().num_alive_tasks()),
                ..Done::default()
            });
        }
        Verb::Invite {
            peer,
            application,
            account,
        } => {
            let invitation = dispatcher.invite(account.as_deref(), peer, application)?;
            return Ok(Done {
                invitation: Some(super::protocol::Id(invitation)),
                ..Done::default()
            });
        }
        Verb::Accept(Which { invitation }) => dispatcher.accept(invitation.0)?,
        Verb::Decline(Which { invitation }) => dispatcher.decline(invitation.0)?,
        Verb::HangUp(Which { invitation }) => dispatcher.hang_up(invitation.0)?,
        Verb::Events => {}
    }
    Ok(Done::default())
}
