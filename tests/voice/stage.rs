//! Everybody on a stage: server, proxy, the user's client behind it, and the contact.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::{Decision, Rules},
    demo::{
        client::{Client, ClientEvent, ClientSettings, Letter, join},
        server::{Server, ServerSettings},
    },
    dispatcher::{AccountId, Dispatcher, Settings},
    endpoint::policy::Policy,
    event::{Event, What},
    front::proxy::{Proxy, ProxySettings},
    invitation::{Command, Message},
    negotiation,
};
use tokio::sync::{broadcast, mpsc::UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use crate::support::{
    linphone::Linphone,
    sound::{self, Heard},
    within,
};

pub(crate) const USER: &str = "ann@example.com";
pub(crate) const PEER: &str = "bob@example.com";
/// What the user's phone plays, and what the contact's does, in hertz.
pub(crate) const SAYS_HERE: f64 = 880.0;
pub(crate) const SAYS_THERE: f64 = 440.0;
const COOKIE: u32 = 4711;

const NEGOTIATION: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
connection = true
enc64 = true
"#;

/// Who takes the call for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    Baresip,
    /// One that runs already: it takes its sound from files only when told on its command line.
    Linphone,
    BuiltIn,
}

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    server: Server,
    user: Client,
    window: UnboundedReceiver<ClientEvent>,
    /// The contact, when it negotiates by hand.
    peer: Client,
    inbox: UnboundedReceiver<ClientEvent>,
    hub: Dispatcher,
    events: broadcast::Receiver<Event>,
    phone: Option<Linphone>,
    /// Cookie of the invitation under way.
    cookie: String,
    /// Everything the contact got, and everything the user's client got.
    told_peer: Vec<String>,
    told_user: Vec<String>,
    stop: CancellationToken,
}

/// A contact that has a dispatcher and a linphone.
pub(crate) struct Contact {
    pub(crate) phone: Linphone,
    _hub: Dispatcher,
    _rest: UnboundedReceiver<ClientEvent>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether a process is gone; one that only waits to be reaped is.
pub(crate) fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

fn hub(folder: &Path, handoff: &str, rules: Rules, wait: f32) -> Dispatcher {
    let bridges = folder.join("bridges");
    fs::create_dir_all(&bridges).unwrap();
    fs::write(
        bridges.join("voice.toml"),
        format!("{NEGOTIATION}{handoff}"),
    )
    .unwrap();
    Dispatcher::start(Settings {
        registry: Arc::new(Registry::load(&[bridges]).unwrap()),
        rules,
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        recordings: folder.join("recordings"),
        call: Call {
            wait,
            play: Some(folder.join("says.wav")),
            ..Call::default()
        },
        unclaimed: None,
        negotiation: negotiation::Settings::default(),
    })
}

/// A baresip without a sound card, in the words of a bridge file.
fn baresip(folder: &Path) -> String {
    format!(
        r#"
[[handoff]]
name = "baresip"
adapter = "sip"
run = ["baresip", "-4", "-f", "{{dir}}"]
agent = "sip:handoff@127.0.0.1:{{agent.port}}"
[handoff.files]
contacts = ""
accounts = """
<sip:handoff@127.0.0.1:{{agent.port}}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1
"""
config = """
poll_method epoll
sip_listen 127.0.0.1:{{agent.port}}
net_interface 127.0.0.1
call_max_calls 1
audio_source aufile,{folder}/says.wav
audio_player aubridge,sink
audio_alert aubridge,alert
module_path {{path.modules}}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path {folder}
"""
[handoff.paths]
modules = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/lib/aarch64-linux-gnu/baresip/modules"]
"#,
        folder = folder.display()
    )
}

const BUILT_IN: &str =
    "[[handoff]]\nname = \"the built-in agent\"\nadapter = \"sip\"\nbuiltin = true\n";

fn running(phone: &Linphone) -> String {
    format!(
        "[[handoff]]\nname = \"linphone\"\nadapter = \"sip\"\nagent = \"sip:phone@{}\"\n",
        phone.address()
    )
}

impl Stage {
    /// Everybody is signed in. `wait` seconds after the handshake we call if the contact has not.
    pub(crate) async fn new(agent: Agent, wait: f32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        sound::write_tone(&folder.path().join("says.wav"), SAYS_HERE, 60.0);
        let mut phone = None;
        let handoff = match agent {
            Agent::Baresip => baresip(folder.path()),
            Agent::BuiltIn => BUILT_IN.to_owned(),
            Agent::Linphone => {
                let started = Linphone::start(folder.path(), "phone", SAYS_HERE).await;
                running(phone.insert(started))
            }
        };
        let hub = hub(folder.path(), &handoff, Rules::default(), wait);
        let events = hub.events();
        // Strict as the public servers are.
        let settings = ServerSettings {
            strict: true,
            ..ServerSettings::default()
        };
        let server = Server::start(settings).await.unwrap();
        let settings = ProxySettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            server: server.ns_addr().to_string(),
        };
        let proxy = Proxy::bind(settings, Arc::new(hub.clone())).await.unwrap();
        let door = proxy.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(proxy.run(stop.clone()));
        let (user, window) = Client::login(ClientSettings::new(door, USER))
            .await
            .unwrap();
        let (peer, inbox) = Client::login(ClientSettings::new(server.ns_addr(), PEER))
            .await
            .unwrap();
        Self {
            folder,
            server,
            user,
            window,
            peer,
            inbox,
            hub,
            events,
            phone,
            cookie: COOKIE.to_string(),
            told_peer: Vec::new(),
            told_user: Vec::new(),
            stop,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    // ---- the contact, by hand -------------------------------------------------------------

    /// Sends a message of the invitation under way; its cookie is added.
    pub(crate) async fn contact_sends(&self, fields: &str) {
        let payload = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
             {fields}Invitation-Cookie: {}\r\n\r\n",
            self.cookie
        );
        self.peer
            .send_payload(USER, Letter::N, payload.as_bytes())
            .await
            .unwrap();
    }

    /// The contact invites, as the official client does (PROTOCOL.md 13.1, O3), and the user is
    /// asked.
    pub(crate) async fn contact_invites(&mut self) {
        self.peer.open(USER).await.unwrap();
        self.contact_sends(
            "Application-Name: an audio conversation\r\n\
             Application-GUID: {02D3C01F-BF30-4825-A83A-DE7AF41648AA}\r\nSession-Protocol: SM1\r\n\
             Context-Data: Requested:SIP_A,;Capabilities:SIP_A,;\r\nInvitation-Command: INVITE\r\n\
             Avm-Support: 7\r\nAvm-Request: 2\r\nSession-ID: {EE086C37-D672-44C2-9AA9-57151CEB0BEF}\r\n\
             Conn-Type: Direct-Connect\r\nSip-Capability: 1\r\n",
        )
        .await;
        self.until_offered().await;
    }

    /// The next message of that command, as text.
    pub(crate) async fn contact_gets(&mut self, command: &str) -> String {
        let told = &mut self.told_peer;
        let inbox = &mut self.inbox;
        within(command, async {
            loop {
                let event = inbox.recv().await.expect("the contact is signed in");
                if let ClientEvent::Message { payload, .. } = event {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    told.push(text.clone());
                    if text.contains(&format!("Invitation-Command: {command}\r\n")) {
                        return text;
                    }
                }
            }
        })
        .await
    }

    /// Waits for an ACCEPT; where it says we listen.
    pub(crate) async fn contact_gets_accept(&mut self) -> SocketAddr {
        let text = self.contact_gets("ACCEPT").await;
        let message = Message::read(text.as_bytes()).unwrap();
        assert_eq!(message.command(), Command::Accept);
        let candidate = message.addresses().first().expect("an address");
        (candidate.ip, candidate.port.expect("a port")).into()
    }

    /// The second ACCEPT: the contact takes calls at that port.
    pub(crate) async fn contact_accepts(&self, port: u16) {
        self.contact_sends(&format!(
            "Invitation-Command: ACCEPT\r\nSession-ID: {{EE086C37-D672-44C2-9AA9-57151CEB0BEF}}\r\n\
             Launch-Application: TRUE\r\nIP-Address: 127.0.0.1:{port}\r\n"
        ))
        .await;
    }

    /// The user invites, and the INVITE has reached the contact.
    pub(crate) async fn user_invites(&mut self) {
        // The proxy numbers clients from 1.
        self.hub.invite(AccountId(1), PEER, "voice").unwrap();
        let text = self.contact_gets("INVITE").await;
        let message = Message::read(text.as_bytes()).unwrap();
        self.cookie = message.cookie().as_str().to_owned();
    }

    /// The first ACCEPT, when the user invited; where the second says we listen.
    pub(crate) async fn contact_accepts_first(&mut self, port: u16) -> SocketAddr {
        self.contact_sends(&format!(
            "Invitation-Command: ACCEPT\r\nSession-ID: {{EE086C37-D672-44C2-9AA9-57151CEB0BEF}}\r\n\
             Session-Protocol: SM1\r\nLaunch-Application: TRUE\r\nRequest-Data: IP-Address:\r\n\
             IP-Address: 127.0.0.1:{port}\r\n"
        ))
        .await;
        self.contact_gets_accept().await
    }

    /// The contact's client is gone, and the server too.
    pub(crate) async fn contact_leaves(&mut self) {
        self.peer.cut();
        for (session, _) in self.server.sessions() {
            self.server.drop_switchboard(session);
        }
    }

    /// A contact with a dispatcher of its own and a linphone invites instead of the one by hand.
    pub(crate) async fn contact_with_linphone(&self, wait: f32) -> Contact {
        let folder = self.folder.path().join("there");
        fs::create_dir(&folder).unwrap();
        let phone = Linphone::start(&folder, "there", SAYS_THERE).await;
        let rules = Rules {
            rules: Vec::new(),
            default: Decision::Refuse,
        };
        let hub = hub(&folder, &running(&phone), rules, wait);
        let settings = ClientSettings::new(self.server.ns_addr(), "carol@example.com");
        let (client, events) = Client::login(settings).await.unwrap();
        let (account, rest) = join(&client, events, Arc::new(hub.clone()));
        hub.invite(account, USER, "voice").unwrap();
        Contact {
            phone,
            _hub: hub,
            _rest: rest,
        }
    }

    // ---- the user ---------------------------------------------------------------------------

    /// The user types a line in the window with whoever invited.
    pub(crate) async fn user_types(&mut self, text: &str) {
        let peer = self
            .told_user
            .iter()
            .find_map(|line| line.contains("carol@").then_some("carol@example.com"))
            .unwrap_or(PEER);
        self.user.send_text(peer, text).await.unwrap();
    }

    /// The user reads a line with that in it.
    pub(crate) async fn user_reads(&mut self, part: &str) {
        if self.told_user.iter().any(|line| line.contains(part)) {
            return;
        }
        let told = &mut self.told_user;
        let window = &mut self.window;
        within(part, async {
            loop {
                let event = window.recv().await.expect("the user is signed in");
                if let ClientEvent::Message { payload, .. } = event {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    let found = text.contains(part);
                    told.push(text);
                    if found {
                        return;
                    }
                }
            }
        })
        .await;
    }

    pub(crate) async fn until_offered(&mut self) {
        self.user_reads("Type /accept or /decline").await;
    }

    pub(crate) fn kill_client(&self) {
        self.user.cut();
    }

    // ---- what the hub tells -------------------------------------------------------------------

    async fn until_event<T>(&mut self, what: &str, wanted: impl Fn(&What) -> Option<T>) -> T {
        let events = &mut self.events;
        within(what, async {
            loop {
                let event = events.recv().await.expect("the hub lives");
                if let Some(found) = wanted(&event.what) {
                    return found;
                }
                if let What::Ended { reason } = &event.what {
                    panic!("{what} never came, but the end: {reason}");
                }
            }
        })
        .await
    }

    pub(crate) async fn until_connected(&mut self) {
        self.until_event("connected", |what| {
            matches!(what, What::Connected { .. }).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_started(&mut self) -> u32 {
        self.until_event("a program", |what| match what {
            What::ProgramStarted { pid, .. } => Some(*pid),
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_up(&mut self) {
        self.until_event("the call", |what| match what {
            What::Progress(words) => words.starts_with("the call is on").then_some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn until_ended(&mut self) -> String {
        let events = &mut self.events;
        within("the end", async {
            loop {
                let event = events.recv().await.expect("the hub lives");
                if let What::Ended { reason } = event.what {
                    return reason;
                }
            }
        })
        .await
    }

    /// Everything ends; what the user's phone heard.
    pub(crate) async fn end_and_hear(&mut self) -> Heard {
        self.until_ended().await;
        self.hub.shutdown().await;
        if let Some(phone) = self.phone.take() {
            return phone.quit().await;
        }
        Heard::read(&self.recording().expect("a recording"))
    }

    /// baresip's dump of what it heard, or the built-in agent's recording.
    fn recording(&self) -> Option<PathBuf> {
        let folders = [
            self.folder.path().to_owned(),
            self.folder.path().join("recordings"),
        ];
        folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten()
            .find_map(|entry| {
                let path = entry.path();
                let name = path.file_name()?.to_str()?;
                let heard = name.ends_with("-dec.wav")
                    || (name.starts_with("call-") && name.ends_with(".wav"));
                heard.then_some(path)
            })
    }

    /// The contact never got what the user typed to us, and the user's client never saw an
    /// invitation message.
    pub(crate) async fn nobody_saw_what_is_not_theirs(&mut self) {
        // A last line each way: everything before it has arrived when it has.
        self.user.send_text(PEER, "the last line").await.unwrap();
        self.peer.send_text(USER, "the last word").await.unwrap();
        self.user_reads("the last word").await;
        within("the last line", async {
            while !self
                .told_peer
                .iter()
                .any(|text| text.ends_with("the last line"))
            {
                if let Some(ClientEvent::Message { payload, .. }) = self.inbox.recv().await {
                    self.told_peer
                        .push(String::from_utf8_lossy(&payload).into_owned());
                }
            }
        })
        .await;
        for text in &self.told_peer {
            assert!(
                !text.contains("/accept") && !text.contains("/hangup"),
                "{text}"
            );
            assert!(!text.contains("msn-handoff"), "{text}");
        }
        for text in &self.told_user {
            assert!(!text.contains("msmsgsinvite"), "{text}");
        }
    }
}
