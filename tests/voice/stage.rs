//! The stage: a strict server, the real proxy with a dispatcher behind it, the user's client in
//! front of it, and the peer at the server. Everything that happens is kept, and waited for by
//! looking.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    demo::{
        client::{Client, ClientSettings},
        server::{Server, ServerSettings, Tapped},
    },
    dispatcher::{Dispatcher, Settings},
    endpoint::{policy::Policy, socket},
    event::What,
    front::proxy::{Proxy, ProxySettings},
    negotiation,
};
use tokio::{sync::broadcast, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{self, Agent, OURS},
    peer::{Happened, Peer},
    support::{LIMIT, sound::Heard, within},
};

/// Our user, and the contact.
pub(crate) const USER: &str = "ann@example.com";
pub(crate) const PEER: &str = "bob@example.com";
/// The tone the peer plays, in Hz.
pub(crate) const THEIRS: f64 = 440.0;
/// So many packets make a call; they are three seconds.
pub(crate) const PACKETS: usize = 150;
/// The shortest recording of such a call that counts, in seconds.
pub(crate) const ENOUGH: f64 = 2.0;

/// Who calls when the configuration says nothing: nobody here, for longer than any peer takes.
pub(crate) fn patient() -> Call {
    Call {
        wait: 10.0,
        ..Call::default()
    }
}

/// We call almost at once.
pub(crate) fn hasty() -> Call {
    Call {
        wait: 0.2,
        ..Call::default()
    }
}

/// Everything in a test that is not the peer's phone.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) hub: Dispatcher,
    pub(crate) user: Client,
    pub(crate) peer: Peer,
    agent: Agent,
    server: Option<Server>,
    window: Happened,
    tap: Log<Tapped>,
    told: Log<What>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Stage {
    /// Raises the curtain; the user is asked.
    pub(crate) async fn new(agent: Agent, call: Call) -> Self {
        Self::with(agent, call, |_| {}).await
    }

    /// The same, with changes to what the dispatcher is told.
    pub(crate) async fn with(agent: Agent, call: Call, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&agent, OURS, call, dir.path());
        change(&mut settings);
        let hub = Dispatcher::start(settings);
        let server = Server::start(ServerSettings {
            strict: true,
            ..ServerSettings::default()
        })
        .await
        .unwrap();
        let (tap, told) = (Log::listen(server.tap()), Log::listen_to(&hub));
        let proxy = Proxy::bind(
            ProxySettings {
                listen: (Ipv4Addr::LOCALHOST, 0).into(),
                server: server.ns_addr().to_string(),
                follow: false,
                correct_profile: false,
            },
            Arc::new(hub.clone()),
        )
        .await
        .unwrap();
        let settings = ClientSettings::new(proxy.local_addr(), USER);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(proxy.run(stop.clone()));
        let (user, events) = Client::login(settings).await.unwrap();
        let window = Happened::listen(events);
        let peer = Peer::new(&server).await;
        Self {
            dir,
            hub,
            user,
            peer,
            agent,
            server: Some(server),
            window,
            tap,
            told,
            stop,
            serving,
        }
    }

    /// With a rule instead of a question.
    pub(crate) async fn with_consent(agent: Agent, call: Call) -> Self {
        Self::with(agent, call, |settings| {
            settings.rules.default = Decision::Allow;
        })
        .await
    }

    /// The server, while it is there.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The user types a line to the contact.
    pub(crate) async fn types(&self, text: &str) {
        self.types_to(PEER, text).await;
    }

    /// The user types a line to that contact.
    pub(crate) async fn types_to(&self, contact: &str, text: &str) {
        self.user.send_text(contact, text).await.unwrap();
    }

    /// Waits for a line with `part` in the user's window with the contact.
    pub(crate) async fn shown(&self, part: &str) -> String {
        let found = || self.lines().into_iter().find(|line| line.contains(part));
        tokio::time::timeout(LIMIT, async {
            loop {
                if let Some(line) = found() {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {part:?} in the window: {:#?}", self.lines()))
    }

    /// The lines in the user's window so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.window.lines()
    }

    /// We invite the contact.
    pub(crate) fn invite(&self) {
        self.invite_to(PEER);
    }

    /// We invite that contact.
    pub(crate) fn invite_to(&self, contact: &str) {
        self.hub.invite(None, contact, "voice").unwrap();
    }

    /// The peer invites, the user accepts as the stage says, and the peer completes the invitation:
    /// it listens at `port`. Gives where we listen.
    pub(crate) async fn is_invited(&self, port: u16) -> SocketAddr {
        self.peer.invites().await;
        self.shown("Type /accept").await;
        self.types("/accept").await;
        let ours = self.peer.gets("ACCEPT").await.address();
        self.peer.completes(port).await;
        ours
    }

    /// We invite, and the peer accepts: it listens at `port`. Gives where we listen.
    pub(crate) async fn is_accepted(&self, port: u16) -> SocketAddr {
        self.invite();
        let invitation = self.peer.gets("INVITE").await;
        self.peer.accepts(&invitation, port).await;
        self.peer.gets("ACCEPT").await.address()
    }

    /// What the dispatcher told so far.
    pub(crate) fn told(&self) -> Vec<What> {
        self.told.all()
    }

    /// Waits until the dispatcher tells something that fits.
    pub(crate) async fn tells<T>(&self, what: &str, fits: impl Fn(&What) -> Option<T>) -> T {
        self.tells_within(LIMIT, what, fits).await
    }

    async fn tells_within<T>(
        &self,
        limit: Duration,
        what: &str,
        fits: impl Fn(&What) -> Option<T>,
    ) -> T {
        tokio::time::timeout(limit, async {
            loop {
                if let Some(found) = self.told().iter().find_map(&fits) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{what}: not told, but {:#?}", self.told()))
    }

    /// Waits until our side has the call. Gives the process id of the program that was started.
    pub(crate) async fn is_on(&self) -> Option<u32> {
        let words = format!("the call is on: {} has it", self.agent.name());
        self.tells(&words, |what| match what {
            What::Progress(line) if *line == words => Some(()),
            What::Ended { reason, .. } => panic!("over before it was on: {reason}"),
            _ => None,
        })
        .await;
        let started = self.told().iter().find_map(|what| match what {
            What::ProgramStarted { program, pid } => Some((program.clone(), *pid)),
            _ => None,
        });
        let (program, pid) = match started {
            Some(started) if self.agent.is_started() => started,
            None if !self.agent.is_started() => return None,
            other => panic!("{:?}: {other:?} was started", self.agent),
        };
        assert_eq!(program, self.agent.name());
        assert!(!group(pid).is_empty(), "{program} does not run");
        Some(pid)
    }

    /// Waits for the end of the invitation. Gives the reason in words.
    pub(crate) async fn ends(&self) -> String {
        self.ends_within(LIMIT).await
    }

    /// The same, for an end that takes long by nature.
    pub(crate) async fn ends_within(&self, limit: Duration) -> String {
        self.tells_within(limit, "the end", |what| match what {
            What::Ended { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// Asserts that nothing is left of the call: no process of the program's group, and nobody at
    /// the address that the peer was told.
    pub(crate) async fn is_cleared(&self, pid: Option<u32>, ours: SocketAddr) {
        if let Some(pid) = pid {
            self.tells("the program's end", |what| match what {
                What::ProgramEnded { program, .. } => (program == self.agent.name()).then_some(()),
                _ => None,
            })
            .await;
            assert_eq!(group(pid), [0; 0], "{:?} still runs", self.agent);
        }
        // Another test may have the port by now, but not for ever.
        loop {
            let free = socket::udp(ours).await.is_ok() && socket::tcp_listen(ours).await.is_ok();
            if free {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asserts that the contact never got what was for us alone, nor the client what was for us.
    pub(crate) fn is_private(&self) {
        let frames = self.tap.all();
        assert!(!frames.is_empty());
        for frame in &frames {
            let text = String::from_utf8_lossy(&frame.bytes);
            for ours in ["/accept", "/hangup", "/decline", "msn-handoff: "] {
                assert!(
                    !text.contains(ours),
                    "{} {:?}: {text}",
                    frame.who,
                    frame.from
                );
            }
        }
        assert_eq!(self.peer.lines(), [""; 0]);
        let seen = self.window.invitations();
        assert!(seen.is_empty(), "the client saw {seen:?}");
    }

    /// What our agent heard. The call must be over.
    pub(crate) fn heard(&self) -> Heard {
        agent::heard_in(&self.heard_folder())
    }

    /// Where it is recorded.
    pub(crate) fn heard_folder(&self) -> PathBuf {
        self.dir.path().join("heard")
    }

    /// Ends the server without a word to anybody.
    pub(crate) async fn kill_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// Lowers the curtain.
    pub(crate) async fn close(mut self) {
        within("the end of the stage", async {
            self.hub.shutdown().await;
            self.user.sign_out().await;
            self.peer.client.sign_out().await;
            self.stop.cancel();
            (&mut self.serving).await.unwrap();
            if let Some(server) = self.server.take() {
                server.stop().await;
            }
        })
        .await;
    }
}

/// What a dispatcher is told whose calls go to `agent`, which says `tone`; everything is in `dir`.
pub(crate) fn settings(agent: &Agent, tone: f64, mut call: Call, dir: &Path) -> Settings {
    let at = |name: &str| dir.join(name);
    let (bridges, says, heard) = (at("bridges"), at("says.wav"), at("heard"));
    agent.write_bridge(&bridges, &says, tone, &heard);
    call.play = Some(says);
    Settings {
        registry: Arc::new(Registry::load(&[bridges]).unwrap()),
        rules: Rules::default(),
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        ports: None,
        lookout: msn_handoff::endpoint::outside::Lookout::default(),
        recordings: heard,
        call,
        bandwidth: msn_handoff::media::limit::Bandwidth::default(),
        unclaimed: None,
        negotiation: negotiation::Settings::default(),
    }
}

/// What was told, as it is told.
#[derive(Clone)]
struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone + Send + 'static> Log<T> {
    fn listen(told: broadcast::Receiver<T>) -> Self {
        Self::map(told, Some)
    }

    fn map<U: Clone + Send + 'static>(
        mut told: broadcast::Receiver<U>,
        keep: impl Fn(U) -> Option<T> + Send + 'static,
    ) -> Self {
        let log = Self(Arc::default());
        let list = Arc::clone(&log.0);
        tokio::spawn(async move {
            loop {
                match told.recv().await {
                    Ok(item) => list.lock().unwrap().extend(keep(item)),
                    Err(broadcast::error::RecvError::Closed) => return,
                    Err(lagged) => panic!("{lagged}"),
                }
            }
        });
        log
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

impl Log<What> {
    fn listen_to(hub: &Dispatcher) -> Self {
        Self::map(hub.events(), |event| Some(event.what))
    }
}

/// The processes of that group that live (proc(5)).
pub(crate) fn group(leader: u32) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // What follows the name, which may hold anything: state, parent, group.
            let mut words = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            let (state, _, of) = (words.next(), words.next(), words.next());
            !matches!(state, Some("Z" | "X")) && of.and_then(|of| of.parse().ok()) == Some(leader)
        })
        .collect()
}
