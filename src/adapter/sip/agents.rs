//! Who takes the call on this side: the first program of the bridge that can run, an agent that
//! runs already, or the built-in one.

use std::{collections::VecDeque, net::SocketAddrV4, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    launch::{self, Plan, PrivateDir},
    media::sip::{Draft, Method, Token, Uri},
};

use super::front::Agent;

/// How long an agent that should be running already may take to answer OPTIONS.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);

/// One way of taking the call, ready to be tried.
pub(super) enum Contender {
    /// A program to start.
    Program {
        plan: Plan,
        /// The files it was given; removed when it is gone.
        files: Option<PrivateDir>,
        user: Option<Token>,
        at: SocketAddrV4,
    },
    /// An agent that runs already.
    Running {
        name: String,
        user: Option<Token>,
        at: SocketAddrV4,
    },
    /// Ours.
    BuiltIn,
}

/// The contenders in their order.
pub(super) struct Contenders {
    list: VecDeque<Contender>,
    tried: usize,
    reasons: Vec<String>,
}

impl Contenders {
    pub(super) fn new(list: impl IntoIterator<Item = Contender>) -> Self {
        Self {
            list: list.into_iter().collect(),
            tried: 0,
            reasons: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Contender> {
        let next = self.list.pop_front();
        self.tried += usize::from(next.is_some());
        next
    }

    /// Keeps why one was passed over.
    pub(super) fn note(&mut self, why: String) {
        self.reasons.push(why);
    }

    /// Why there is none left.
    pub(super) fn why_none(&self) -> String {
        if self.reasons.is_empty() {
            "no program for it is installed".to_owned()
        } else {
            self.reasons.join("; ")
        }
    }
}

/// What a [`Runner`] tells.
pub(super) enum Event {
    /// A program was started.
    Started { name: String, pid: u32 },
    /// It may be asked (OPTIONS) whether it takes calls, for so long.
    Up { agent: Agent, within: Duration },
    /// It could not be started, or did not become ready.
    Failed(String),
    /// A started program ended.
    Ended { name: String, how: String },
}

/// A contender being run. Dropping it ends its program.
pub(super) struct Runner {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// Tells this attempt's events from an earlier one's.
    pub attempt: usize,
}

impl Runner {
    /// Starts `contender`; what happens is told on `events` with `attempt`.
    pub(super) fn start(
        contender: Contender,
        attempt: usize,
        events: mpsc::UnboundedSender<(usize, Event)>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let tell = |event| {
                let _ = events.send((attempt, event));
            };
            match contender {
                Contender::BuiltIn => tell(Event::Up {
                    agent: Agent::BuiltIn,
                    within: Duration::ZERO,
                }),
                Contender::Running { name, user, at } => tell(Event::Up {
                    agent: Agent::Sip { name, user, at },
                    within: RUNNING_WITHIN,
                }),
                Contender::Program {
                    plan,
                    files,
                    user,
                    at,
                } => {
                    run_program(plan, user, at, stopped, &tell).await;
                    drop(files);
                }
            }
        });
        Self {
            stop: Some(stop),
            task,
            attempt,
        }
    }

    /// Ends the program by its ladder, and waits until it is gone.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Only one that was not stopped: the program is killed with the task that owns it.
        self.task.abort();
    }
}

async fn run_program(
    plan: Plan,
    user: Option<Token>,
    at: SocketAddrV4,
    mut stopped: oneshot::Receiver<()>,
    tell: &(impl Fn(Event) + Sync),
) {
    let within = plan.ready_within;
    let mut program = match launch::start(&plan) {
        Ok(program) => program,
        Err(error) => return tell(Event::Failed(error.to_string())),
    };
    let name = program.name().to_owned();
    tell(Event::Started {
        name: name.clone(),
        pid: program.pid(),
    });
    let ready = tokio::select! {
        ready = program.ready() => ready,
        _ = &mut stopped => {
            let how = program.stop().await.to_string();
            return tell(Event::Ended { name, how });
        }
    };
    if let Err(error) = ready {
        tell(Event::Failed(error.to_string()));
        let how = program.stop().await.to_string();
        return tell(Event::Ended { name, how });
    }
    tell(Event::Up {
        agent: Agent::Sip {
            name: name.clone(),
            user,
            at,
        },
        within,
    });
    let exit = tokio::select! {
        exit = program.wait() => exit,
        _ = &mut stopped => program.stop().await,
    };
    tell(Event::Ended {
        name,
        how: exit.to_string(),
    });
}

/// An OPTIONS: any answer at all shows that the agent is there (APPLICATIONS.md section 10).
/// `number` makes each its own.
pub(super) fn question(
    inside: SocketAddrV4,
    user: Option<&Token>,
    at: SocketAddrV4,
    call_id: &Token,
    number: u32,
) -> Vec<u8> {
    use crate::media::sip::Text;
    let target = match user {
        Some(user) => Uri::of(user, *at.ip(), at.port()),
        None => Uri::userless(*at.ip(), at.port()),
    };
    let text = |text: String| Text::new(text).unwrap_or_default();
    Draft::request(&Method::Options, &target)
        .header(
            "Via",
            &text(format!(
                "SIP/2.0/UDP {inside};branch=z9hG4bK{call_id}{number}"
            )),
        )
        .fixed("Max-Forwards", "70")
        .header(
            "From",
            &text(format!("<sip:bridge@{inside}>;tag={call_id}")),
        )
        .header("To", &text(format!("<{target}>")))
        .header("Call-ID", &text(call_id.to_string()))
        .header("CSeq", &text(format!("{number} OPTIONS")))
        .header("Contact", &text(format!("<sip:bridge@{inside}>")))
        .fixed("Accept", "application/sdp")
        .finish()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::media::sip::{Message, read};

    #[test]
    fn the_question_is_a_request_and_its_answer_can_be_told_by_its_call() {
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5062);
        let inside = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 20000);
        let id = Token::new("abc").unwrap();
        let user = Token::new("bridge").unwrap();
        for user in [Some(&user), None] {
            let bytes = question(inside, user, at, &id, 3);
            let Ok(Message::Request(request)) = read(&bytes) else {
                panic!()
            };
            assert_eq!(request.method, Method::Options);
            assert_eq!(request.uri.user(), user.map(Token::as_str));
            assert_eq!(request.fields.call_id.as_str(), "abc");
        }
    }
}
