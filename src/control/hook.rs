//! Runs the user's programs when something happens. No shell: the arguments are as the configuration
//! says, and all there is to know stands in the environment.

use std::{collections::HashMap, ffi::OsString, sync::Arc, time::Duration};

use tokio::{
    sync::{
        Semaphore,
        broadcast::error::{RecvError, TryRecvError},
        oneshot,
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::protocol::Happened;
use crate::{
    bridge,
    config::{Hook, Kind},
    dispatcher::Dispatcher,
    event::{Event, What},
    launch::{self, Plan, Ready, Stop},
    negotiation::{InvitationId, Role},
};

/// Most hooks that run at a time, besides those that answer: these may wait for a person.
const MOST: usize = 16;
/// Most that run or wait for their turn.
const MOST_WAITING: usize = 256;
/// How long one may run that answers nothing.
const WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to leave when it is told to.
const GRACE: Duration = Duration::from_secs(1);
/// The variables begin with this.
const VARIABLE: &str = "MSN_HANDOFF_";

/// Runs hooks until `stop`; then waits for those that still run, for a moment.
pub async fn serve(hooks: Arc<[Hook]>, dispatcher: Dispatcher, stop: CancellationToken) {
    let mut events = dispatcher.events();
    let mut running = Running {
        hooks,
        dispatcher,
        tasks: JoinSet::new(),
        places: Arc::new(Semaphore::new(MOST)),
        last: HashMap::new(),
    };
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            Some(_) = running.tasks.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match event {
            Ok(event) => running.begin(&event),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "events without their hooks"),
            Err(RecvError::Closed) => break,
        }
    }
    loop {
        match events.try_recv() {
            Ok(event) => running.begin(&event),
            Err(TryRecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events without their hooks");
            }
            Err(_) => break,
        }
    }
    let all = async { while running.tasks.join_next().await.is_some() {} };
    // The rest ends as it is dropped.
    let _ = tokio::time::timeout(GRACE * 2, all).await;
}

/// What runs, and what waits for its turn.
struct Running {
    hooks: Arc<[Hook]>,
    dispatcher: Dispatcher,
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
    /// The end of the last one of each hook and invitation: they run one after the other, in the order
    /// of the events.
    last: HashMap<(usize, InvitationId), oneshot::Receiver<()>>,
}

impl Running {
    fn begin(&mut self, event: &Event) {
        let Some(happened) = Happened::of(event) else {
            return;
        };
        let hooks = Arc::clone(&self.hooks);
        let mine = hooks.iter().enumerate();
        for (number, hook) in mine.filter(|(_, hook)| is_for(hook, &happened)) {
            if self.tasks.len() >= MOST_WAITING {
                tracing::warn!(
                    hook = hook.run.first(),
                    "too many hooks run: this one was left out"
                );
                continue;
            }
            // What is shared is no rule's to give, so a hook must be for that application by name.
            let answers = hook.answers
                && event.what == What::Offered
                && event.role == Role::Invitee
                && (hook.application.is_some() || !shares(&self.dispatcher, event.invitation));
            let (done, ended) = oneshot::channel();
            let before = self.last.insert((number, event.invitation), ended);
            let places = (!answers).then(|| Arc::clone(&self.places));
            let run = run(
                plan(hook, &happened),
                answers.then_some(event.invitation),
                self.dispatcher.clone(),
            );
            self.tasks.spawn(async move {
                if let Some(before) = before {
                    // However it ended.
                    let _ = before.await;
                }
                let _place = match places {
                    Some(places) => places.acquire_owned().await.ok(),
                    None => None,
                };
                run.await;
                drop(done);
            });
        }
        if matches!(event.what, What::Ended { .. }) {
            self.last
                .retain(|(_, invitation), _| *invitation != event.invitation);
        }
    }
}

fn shares(dispatcher: &Dispatcher, invitation: InvitationId) -> bool {
    let open = dispatcher.open();
    let mut of_it = open.iter().filter(|open| open.invitation == invitation);
    of_it.any(|open| open.shares.is_some())
}

fn is_for(hook: &Hook, happened: &Happened) -> bool {
    hook.on
        .iter()
        .any(|kind: &Kind| kind.as_str() == happened.kind)
        && hook
            .application
            .as_ref()
            .is_none_or(|id| *id == happened.application)
        && hook
            .contact
            .as_ref()
            .is_none_or(|contact| contact.fits(&happened.peer))
}

/// What is to be started; nothing when the program is not there.
fn plan(hook: &Hook, happened: &Happened) -> Result<Plan, String> {
    let mut words = hook.run.iter();
    let name = words.next().cloned().unwrap_or_default();
    let program = bridge::installed(&name).ok_or_else(|| format!("{name} is not installed"))?;
    Ok(Plan {
        name,
        program,
        args: words.map(OsString::from).collect(),
        env: environment(happened),
        dir: None,
        confined: None,
        ready: Ready::Started,
        ready_within: WITHIN,
        stop: Stop {
            words: None,
            grace: GRACE,
        },
    })
}

/// Each key of the event, and the whole of it as JSON.
fn environment(happened: &Happened) -> Vec<(OsString, OsString)> {
    let json = serde_json::to_value(happened).unwrap_or_default();
    let mut environment = vec![variable("EVENT", &json.to_string())];
    for (key, value) in json.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        environment.push(variable(&key.to_uppercase(), &text));
    }
    environment
}

/// A variable cannot hold a NUL.
fn variable(name: &str, value: &str) -> (OsString, OsString) {
    let value: String = value.chars().filter(|c| *c != '\0').collect();
    (format!("{VARIABLE}{name}").into(), value.into())
}

async fn run(plan: Result<Plan, String>, answers: Option<InvitationId>, dispatcher: Dispatcher) {
    let plan = match plan {
        Ok(plan) => plan,
        Err(why) => return tracing::warn!(why, "a hook cannot be run"),
    };
    let mut program = match launch::start(&plan) {
        Ok(program) => program,
        Err(error) => return tracing::warn!(%error, "a hook cannot be run"),
    };
    let Some(invitation) = answers else {
        let ended = tokio::time::timeout(WITHIN, program.wait()).await;
        if ended.is_err() {
            tracing::warn!(hook = plan.name, "a hook took too long and was ended");
        }
        program.stop().await;
        return;
    };
    // Whoever answers first has answered: the question is taken back then.
    let exit = tokio::select! {
        exit = program.wait() => Some(exit),
        () = answered_elsewhere(&dispatcher, invitation) => None,
    };
    program.stop().await;
    let answer = match exit.and_then(|exit| exit.code) {
        Some(0) => dispatcher.accept(invitation),
        Some(1) => dispatcher.decline(invitation),
        _ => return,
    };
    if let Err(error) = answer {
        tracing::info!(%error, hook = plan.name, "a hook answered too late");
    }
}

async fn answered_elsewhere(dispatcher: &Dispatcher, invitation: InvitationId) {
    let mut events = dispatcher.events();
    let asks = || {
        let mut open = dispatcher.open().into_iter();
        open.any(|open| open.invitation == invitation && open.asks_us())
    };
    while asks() {
        let _ = events.recv().await;
    }
}
