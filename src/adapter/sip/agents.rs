//! Who takes the call on this side: the first program of the bridge that can run, an agent that
//! runs already, or the built-in one.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    bridge::{AdapterKind, Bridge, Handoff, Medium, ReadyRule, Value, Values},
    endpoint::socket,
    launch::{self, Plan, PrivateDir, Ready},
    media::{
        sdp::{self, Format},
        sip::{Draft, Method, Token, Uri},
    },
    negotiation::Role,
};

use super::front::{Agent, agent_address};

/// How long an agent that should be running already may take to answer OPTIONS.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);

/// One way of taking the call, ready to be tried.
pub(super) enum Contender {
    /// A program to start.
    Program {
        plan: Box<Plan>,
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

/// The handoffs of a bridge, tried one after the other.
pub(super) struct Contenders {
    bridge: Arc<Bridge>,
    role: Role,
    prefer: Option<String>,
    values: Values,
    next: usize,
    reasons: BTreeSet<String>,
}

impl Contenders {
    /// `prefer` names the handoff to try first; `values` are those of the whole hand-over: who and
    /// where the peer is.
    pub(super) fn new(
        bridge: Arc<Bridge>,
        role: Role,
        prefer: Option<String>,
        values: Values,
    ) -> Self {
        Self {
            bridge,
            role,
            prefer,
            values,
            next: 0,
            reasons: BTreeSet::new(),
        }
    }

    /// The next that can run here, with ports of its own and its files written.
    pub(super) async fn next(&mut self) -> Option<Contender> {
        loop {
            let handoff = self.handoffs(Medium::Session).nth(self.next)?.clone();
            self.next += 1;
            match contender(&handoff, &self.values).await {
                Ok(contender) => return Some(contender),
                Err(why) => self.note(format!("{}: {why}", handoff.name)),
            }
        }
    }

    fn handoffs(&self, medium: Medium) -> impl Iterator<Item = &Handoff> {
        let all = move || {
            self.bridge.handoffs(self.role).filter(move |handoff| {
                handoff.adapter == AdapterKind::Sip && handoff.medium == medium
            })
        };
        let first = move |handoff: &&Handoff| self.prefer.as_ref() == Some(&handoff.name);
        all().filter(first).chain(all().filter(move |h| !first(h)))
    }

    /// The first player for the picture that can run here.
    pub(super) fn player(&self) -> Option<Handoff> {
        self.handoffs(Medium::Video)
            .find(|handoff| handoff.fits().is_ok())
            .cloned()
    }

    /// Keeps why one was passed over.
    pub(super) fn note(&mut self, why: String) {
        self.reasons.insert(why);
    }

    /// Why there is none left, for people.
    pub(super) fn why_none(&self) -> String {
        let mut why: Vec<&str> = self.reasons.iter().map(String::as_str).collect();
        if why.is_empty() {
            why.push("no program for it is named");
        }
        if let Some(install) = &self.bridge.install {
            why.push("to install: ");
            return format!("{}{install}", why.join("; "));
        }
        why.join("; ")
    }
}

async fn contender(handoff: &Handoff, values: &Values) -> Result<Contender, String> {
    handoff.fits().map_err(|missing| missing.to_string())?;
    if handoff.builtin {
        return Ok(Contender::BuiltIn);
    }
    let ports = async {
        let agent = socket::free_port(Ipv4Addr::LOCALHOST).await?;
        let rtp = socket::free_port(Ipv4Addr::LOCALHOST).await?;
        Ok::<_, std::io::Error>((agent, rtp))
    };
    let (agent, rtp) = ports.await.map_err(|error| error.to_string())?;
    let values = values
        .clone()
        .with("agent.port", Value::Port(agent))
        .with("agent.rtp", Value::Port(rtp));
    let uri = handoff
        .agent
        .as_ref()
        .ok_or("the bridge names no agent address")?
        .expand(&values)
        .map_err(|error| error.to_string())?;
    let (user, at) = agent_address(&uri).ok_or("its agent address is not on this machine")?;
    let files = PrivateDir::new().map_err(|error| error.to_string())?;
    let plan = handoff
        .plan(&values, &files)
        .map_err(|error| error.to_string())?;
    Ok(match plan {
        Some(mut plan) => {
            // OPTIONS alone could be answered by whoever was faster on the port.
            if handoff.ready == ReadyRule::Sip {
                plan.ready = Ready::Udp(at.into());
            }
            Contender::Program {
                plan: Box::new(plan),
                files: Some(files),
                user,
                at,
            }
        }
        None => Contender::Running {
            name: handoff.name.clone(),
            user,
            at,
        },
    })
}

/// A player for the picture, as a plan: it reads a description and receives at `port` of this
/// machine (APPLICATIONS.md 2.3).
pub(super) fn player_plan(
    handoff: &Handoff,
    values: &Values,
    port: u16,
    formats: &[Format],
) -> Result<(Plan, PrivateDir), String> {
    let files = PrivateDir::new().map_err(|error| error.to_string())?;
    let first = formats.get(..1).unwrap_or_default();
    let description = sdp::for_player(port, first);
    let path = files
        .write(Path::new("picture.sdp"), &description)
        .map_err(|error| error.to_string())?;
    let values = values.clone().with("sdp", Value::Path(path));
    match handoff.plan(&values, &files) {
        Ok(Some(plan)) => Ok((plan, files)),
        Ok(None) => Err("the bridge names no program".to_owned()),
        Err(error) => Err(error.to_string()),
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
                    run_program(&plan, user, at, stopped, &tell).await;
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
    plan: &Plan,
    user: Option<Token>,
    at: SocketAddrV4,
    mut stopped: oneshot::Receiver<()>,
    tell: &(impl Fn(Event) + Sync),
) {
    let within = plan.ready_within;
    // It had its turn only after it was to stop.
    if stopped.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
        return;
    }
    let mut program = match launch::start(plan) {
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
