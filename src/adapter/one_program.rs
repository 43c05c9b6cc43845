//! One program takes the whole session: it is found among the handoffs, started, watched and ended.
//! What the adapters of games share.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Order, Orders, Report, Task};
use crate::{
    bridge::{AdapterKind, Handoff, Medium, Value, Values},
    endpoint::{mapping::Door, place::Opened},
    launch::{self, PrivateDir, Program},
    negotiation::{Announcement, Port, Remote, Transport},
};

/// A started program. Dropping it ends it.
pub(super) struct Started {
    program: Program,
    /// What it was given; gone after it.
    _files: PrivateDir,
}

impl Started {
    /// What people call it.
    pub(super) fn name(&self) -> &str {
        self.program.name()
    }

    /// Waits for its own end.
    pub(super) async fn ended(&mut self) -> launch::Exit {
        self.program.wait().await
    }
}

/// Why there is no [`Started`].
pub(super) enum NotStarted {
    /// None of the handoffs could be started.
    None {
        /// Nothing that could run is installed.
        not_installed: bool,
        /// Why, for people.
        why: String,
    },
    /// The end was ordered meanwhile.
    Ended,
}

/// A port of an application.
pub(super) fn doors(port: Port) -> [Door; 1] {
    [match port.transport {
        Transport::Tcp => Door::tcp(port.number),
        Transport::Udp => Door::udp(port.number),
    }]
}

impl Task {
    /// The address of ours at which we listen.
    pub(super) fn own_ip(&self) -> Ipv4Addr {
        self.network.bind.ip
    }

    pub(super) fn report(&self, report: Report) {
        // A dispatcher that is gone has closed the orders too.
        let _ = self.reports.send(report);
    }

    pub(super) fn say(&self, line: impl Into<String>) {
        self.report(Report::Say(line.into()));
    }

    pub(super) fn fail(&self, why: String) {
        self.report(Report::Failed {
            not_installed: false,
            why,
        });
    }

    /// Has the router forward these ports and says what the peer is told of them. From then on that is
    /// no address of the peer's: we would talk to ourselves.
    pub(super) async fn open(&mut self, doors: &[Door]) -> Opened {
        let opened = self.network.open(doors).await;
        self.policy.add_own(opened.at.into());
        opened
    }

    /// Tells the address that was asked for. A router is asked for the port only where we listen.
    pub(super) async fn ready(&mut self) {
        let application = &self.bridge.application;
        let listens = application.must_listen(self.role, Announcement::Accept);
        let announced = match application.port {
            Some(port) if listens => self.open(&doors(port)).await.announced,
            port => self.network.announced(port.map(|port| port.number)),
        };
        self.report(Report::Ready(announced));
    }

    /// The handoffs of that adapter for our role, best first.
    pub(super) fn handoffs(&self, adapter: AdapterKind) -> Vec<Handoff> {
        let ours =
            |handoff: &&Handoff| handoff.adapter == adapter && handoff.medium == Medium::Session;
        self.bridge
            .handoffs(self.role)
            .filter(ours)
            .cloned()
            .collect()
    }

    /// Waits for [`Order::End`]. Anything else that comes here was already served.
    pub(super) async fn end_ordered(&mut self) {
        end_ordered(&mut self.orders).await;
    }
}

/// As [`Task::end_ordered`], while the rest of the task is lent out.
pub(super) async fn end_ordered(orders: &mut Orders) {
    while !matches!(orders.recv().await, Some(Order::End) | None) {}
}

/// How a session with one program begins.
pub(super) enum Beginning {
    /// Our program is to be joined: start it, then tell our address.
    Host,
    /// The peer's program is to be joined.
    Join(Remote),
    /// There will be none.
    Ended,
}

/// Follows the handshake until there is something to do. Who joins has an address to tell, at
/// which nobody listens.
pub(super) async fn beginning(task: &mut Task) -> Beginning {
    let application = &task.bridge.application;
    let hosts = application.must_listen(task.role, Announcement::Accept);
    loop {
        match task.orders.recv().await {
            Some(Order::Prepare(_) | Order::Connected(_)) if hosts => return Beginning::Host,
            Some(Order::Prepare(_)) => task.ready().await,
            Some(Order::Connected(remote)) => return Beginning::Join(remote),
            Some(Order::Context(_)) => {}
            Some(Order::End) | None => return Beginning::Ended,
        }
    }
}

/// Starts the first of `handoffs` that can run and becomes ready.
pub(super) async fn start(
    task: &mut Task,
    handoffs: &[Handoff],
    values: &Values,
) -> Result<Started, NotStarted> {
    let mut reasons = Vec::new();
    let mut fitted = false;
    for handoff in handoffs {
        let why = match try_one(task, handoff, values, &mut fitted).await {
            Ok(started) => return Ok(started),
            Err(Failure::Ended) => return Err(NotStarted::Ended),
            Err(Failure::Why(why)) => why,
        };
        tracing::info!(
            invitation = task.invitation.0,
            handoff = handoff.name,
            why,
            "passed over"
        );
        let reason = format!("{}: {why}", handoff.name);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() {
        reasons.push("no program for it is named".to_owned());
    }
    if let (false, Some(install)) = (fitted, &task.bridge.install) {
        reasons.push(format!("to install: {install}"));
    }
    Err(NotStarted::None {
        not_installed: !fitted,
        why: reasons.join("; "),
    })
}

enum Failure {
    Why(String),
    Ended,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Why(error.to_string())
    }
}

async fn try_one(
    task: &mut Task,
    handoff: &Handoff,
    values: &Values,
    fitted: &mut bool,
) -> Result<Started, Failure> {
    handoff.fits()?;
    *fitted = true;
    let files = PrivateDir::new()?;
    let Some(plan) = handoff.plan(values, &files)? else {
        return Err(Failure::Why("it names no program".to_owned()));
    };
    // The one before it may have taken long to end.
    if task.orders.is_over() {
        return Err(Failure::Ended);
    }
    let mut program = launch::start(&plan)?;
    task.report(Report::Started {
        program: program.name().to_owned(),
        pid: program.pid(),
    });
    let failure = tokio::select! {
        biased;
        () = end_ordered(&mut task.orders) => Some(Failure::Ended),
        shown = program.ready() => match shown {
            Ok(()) => None,
            Err(error) => Some(error.into()),
        },
    };
    let Some(failure) = failure else {
        if let Some(what) = &handoff.shares {
            task.say(format!("{} shares {what} with the contact", handoff.name));
        }
        return Ok(Started {
            program,
            _files: files,
        });
    };
    let how = program.stop().await.to_string();
    let program = program.name().to_owned();
    task.report(Report::ProgramEnded { program, how });
    Err(failure)
}

/// Tells why nothing was started.
pub(super) fn give_up(task: &Task, not_started: NotStarted) {
    if let NotStarted::None { not_installed, why } = not_started {
        task.report(Report::Failed { not_installed, why });
    }
}

/// Stays with the program until it or the invitation ends.
pub(super) async fn attend(mut task: Task, mut started: Started) {
    task.report(Report::Running);
    let ended = tokio::select! {
        exit = started.ended() => Some(exit),
        () = task.end_ordered() => None,
    };
    leave(&task, started, ended).await;
}

/// Ends the program and tells how it ended; `ended` when it did so by itself.
pub(super) async fn leave(task: &Task, started: Started, ended: Option<launch::Exit>) {
    if let Some(how) = over(task, started, ended).await {
        task.report(Report::Finished(how));
    }
}

/// Ends the program, and tells that. How it ended by itself, in words, if it did.
pub(super) async fn over(
    task: &Task,
    mut started: Started,
    ended: Option<launch::Exit>,
) -> Option<String> {
    // Also after its own end: what it left running belongs to it.
    let exit = started.program.stop().await;
    let name = started.program.name().to_owned();
    task.report(Report::ProgramEnded {
        program: name.clone(),
        how: ended.unwrap_or(exit).to_string(),
    });
    let exit = ended?;
    let words = started.program.last_words();
    let words = match (exit.code, words.lines().last()) {
        (Some(0), _) | (_, None) => String::new(),
        (_, Some(last)) => format!("; its last words: {}", crate::shown::line(last, 120)),
    };
    Some(format!("{name} has ended ({exit}){words}"))
}

/// Our program is the one to be joined. The other side asks for minutes, so the program may still
/// be loading when our address goes out.
pub(super) async fn host(mut task: Task, adapter: AdapterKind) {
    let handoffs = task.handoffs(adapter);
    let values = Values::default().with("own.ip", Value::Ip(task.own_ip()));
    match start(&mut task, &handoffs, &values).await {
        Ok(started) => {
            task.ready().await;
            attend(task, started).await;
        }
        Err(why) => give_up(&task, why),
    }
}

/// The values of a hand-over to a program that joins the peer's.
pub(super) fn joining(task: &Task, at: SocketAddrV4) -> Values {
    known(task)
        .with("peer.ip", Value::Ip(*at.ip()))
        .with("peer.port", Value::Port(at.port()))
}

/// The values that every hand-over has.
pub(super) fn known(task: &Task) -> Values {
    let mut values = Values::default().with("own.ip", Value::Ip(task.own_ip()));
    // A handle that no program should get is not given to one.
    if let Ok(peer) = Value::word("peer", &task.peer) {
        values.set("peer", peer);
    }
    values
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

    use tokio::{sync::mpsc, time::sleep};

    use super::*;
    use crate::{
        bridge::{self, Bridge, Reading, Registry},
        config::Call,
        endpoint::{place::Network, policy::Policy},
        media::limit::Bandwidth,
        negotiation::{InvitationId, Role},
    };

    const LIMIT: Duration = Duration::from_secs(30);

    fn task(
        bridge: Arc<Bridge>,
        orders: mpsc::UnboundedReceiver<Order>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Task {
        Task {
            invitation: InvitationId(1),
            role: Role::Invitee,
            bridge,
            peer: "bob@example.com".to_owned(),
            media: Vec::new(),
            network: Network::plain(Ipv4Addr::LOCALHOST),
            policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
            call: Call::default(),
            bandwidth: Bandwidth::default(),
            phones: None,
            recordings: "/nonexistent".into(),
            orders: orders.into(),
            reports,
        }
    }

    #[tokio::test]
    async fn an_end_that_comes_while_one_candidate_is_ended_starts_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, mode, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        // It never listens, and when it is told to end it says so and does not.
        let told = folder.path().join("told");
        let slow = write(
            "slow",
            0o700,
            &format!(
                "#!/bin/sh\ntrap 'echo > {}' TERM\nwhile :; do sleep 0.05; done\n",
                told.display()
            ),
        );
        let file = write(
            "own.toml",
            0o600,
            &format!(
                r#"
id = "own"
name = "My Program"
guids = ["{{00000000-1111-2222-3333-444444444444}}"]
announce = "My Program"
[negotiation]
address = "ip:port"
[[handoff]]
name = "slow"
adapter = "call"
run = ["{}"]
ready = {{ tcp = "127.0.0.1:9" }}
ready-within = 1
stop = {{ grace = 2 }}
[[handoff]]
name = "other"
adapter = "call"
run = ["/bin/sleep", "60"]
"#,
                slow.display()
            ),
        );
        let Reading::Bridge(bridge) = bridge::read_file(&file).unwrap() else {
            panic!("hidden");
        };
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (reports_out, mut reports) = mpsc::unbounded_channel();
        let mut task = task(Arc::from(bridge), orders_in, reports_out);
        let handoffs = task.handoffs(AdapterKind::Call);
        assert_eq!(handoffs.len(), 2);
        let ending = async {
            while !told.exists() {
                sleep(Duration::from_millis(10)).await;
            }
            orders.send(Order::End).unwrap();
        };
        let values = Values::default();
        let both = async { tokio::join!(start(&mut task, &handoffs, &values), ending) };
        let (started, ()) = tokio::time::timeout(LIMIT, both).await.unwrap();
        assert!(matches!(started, Err(NotStarted::Ended)));
        drop(task);
        let mut seen = Vec::new();
        while let Some(report) = reports.recv().await {
            match report {
                Report::Started { program, .. } => seen.push(format!("{program} began")),
                Report::ProgramEnded { program, .. } => seen.push(format!("{program} ended")),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, ["slow began", "slow ended"]);
    }

    /// Whatever adapter it is that tells it.
    #[tokio::test]
    async fn what_the_peer_was_told_is_no_address_of_the_peers() {
        let own = Ipv4Addr::LOCALHOST;
        let registry = Registry::load(&[]).unwrap();
        let (orders, reports) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let bridge = registry.by_id("voice").unwrap().clone();
        let mut task = task(bridge, orders.1, reports.0);
        assert!(task.policy.check(own, 4_000).is_ok());
        let told = task.open(&[Door::tcp(4_000)]).await.at;
        assert_eq!(told, SocketAddrV4::new(own, 4_000));
        let refused = task.policy.check(own, 4_000).unwrap_err().to_string();
        assert_eq!(refused, "127.0.0.1:4000 is where we listen ourselves");
        assert!(task.policy.check(own, 4_001).is_ok());
    }
}
