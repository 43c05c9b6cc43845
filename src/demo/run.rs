//! Sets the stage of the demo and takes it down again: the server, the proxy with the user's client
//! behind it, the remote peer, and the verdict on the recording.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    client::{self, Client, ClientError, ClientSettings},
    ladder::Ladder,
    play::{PlayError, Stage},
    server::{Server, ServerSettings},
    story::Cast,
    voice::{self, Agent, VoiceError},
};
use crate::{
    clock::Clock,
    config::Call,
    consent::Rules,
    dispatcher::{self, Dispatcher, VerbError},
    endpoint::policy::Policy,
    front::proxy::{Proxy, ProxySettings},
    media::{
        level::{Recording, RecordingError},
        limit::Bandwidth,
    },
    negotiation, private,
};

/// Who plays the user, and who the contact far away.
const USER: (&str, &str) = ("ann@example.com", "Ann");
const PEER: (&str, &str) = ("bob@example.com", "Bob");
/// The tone the peer plays, and one nobody plays, in Hz.
const TONE: f64 = 440.0;
const OTHER: f64 = 880.0;
/// The tone must be louder than this, and the other one softer, in dBFS.
const LOUD: f64 = -10.0;
const SOFT: f64 = -50.0;

/// What the user may choose.
#[derive(Debug, Clone)]
pub struct DemoSettings {
    /// Where the recording goes; made if need be. It should be empty.
    pub directory: PathBuf,
    /// Which program takes the call.
    pub agent: Agent,
    /// How long the call is.
    pub talk: Duration,
    /// Draws in colour.
    pub colour: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The recording, an absolute path; 16-bit PCM.
    pub recording: PathBuf,
    /// Level of the tone in it, in dBFS.
    pub level: f64,
    /// Which program took the call.
    pub agent: &'static str,
}

/// Why there was no sound.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The demo's own bridges could not be made.
    #[error(transparent)]
    Voice(#[from] VoiceError),
    /// A client could not log in.
    #[error("logging in: {0}")]
    Client(#[from] ClientError),
    /// The peer could not invite.
    #[error("inviting: {0}")]
    Invite(#[from] VerbError),
    /// It began and did not come to its end.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// Nothing was recorded.
    #[error("no recording appeared in {0}")]
    NoRecording(PathBuf),
    /// What was recorded cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The recording is not of the tone.
    #[error(
        "the tone did not arrive: {TONE} Hz at {level:.1} dBFS, {OTHER} Hz at {other:.1} dBFS, in {path}"
    )]
    NoTone {
        /// The recording.
        path: PathBuf,
        /// Level of the tone that was played.
        level: f64,
        /// Level of one that was not.
        other: f64,
    },
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> DemoError {
    move |source| DemoError::System { what, source }
}

/// Plays the demo and prints it to `out`.
///
/// # Errors
/// [`DemoError`], also when the sound did not arrive. Everything that was started is ended.
pub async fn run(settings: DemoSettings, out: &mut dyn Write) -> Result<Outcome, DemoError> {
    private::folder(&settings.directory).map_err(system("making the folder"))?;
    let directory =
        std::path::absolute(&settings.directory).map_err(system("naming the folder"))?;
    let agent = settings.agent.found();
    let hub = |registry, recordings: &Path, says: &Path| {
        Dispatcher::start(dispatcher::Settings {
            registry: Arc::new(registry),
            rules: Rules::default(),
            // A loopback address announced puts loopback peers within the policy.
            policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
            announce: Ipv4Addr::LOCALHOST,
            ports: None,
            lookout: crate::endpoint::outside::Lookout::default(),
            recordings: recordings.to_owned(),
            call: Call {
                play: Some(says.to_owned()),
                ..Call::default()
            },
            bandwidth: Bandwidth::default(),
            unclaimed: None,
            negotiation: negotiation::Settings::default(),
        })
    };
    let [near, far] = [tempfile::tempdir(), tempfile::tempdir()];
    let near = near.map_err(system("making a folder for the user's agent"))?;
    let far = far.map_err(system("making a folder for the peer's agent"))?;
    let [says_here, says_there] = [&near, &far].map(|folder| folder.path().join("says.wav"));
    voice::write_tone(&says_here, OTHER)?;
    voice::write_tone(&says_there, TONE)?;
    let registry = voice::ours(agent, &says_here, &directory, near.path())?;
    let ours = hub(registry, &directory, &says_here);
    let theirs = hub(voice::theirs(far.path())?, far.path(), &says_there);
    writeln!(out, "The call is taken by {}.\n", agent.name()).map_err(PlayError::from)?;

    let played = perform(&settings, agent, &ours, &theirs, out).await;
    ours.shutdown().await;
    theirs.shutdown().await;
    played?;
    judge(&directory, agent, out)
}

/// Everything between the first connection and the last.
async fn perform(
    settings: &DemoSettings,
    agent: Agent,
    ours: &Dispatcher,
    theirs: &Dispatcher,
    out: &mut dyn Write,
) -> Result<(), DemoError> {
    let clock = Clock::start();
    let people = [USER, PEER].map(|(handle, nick)| (handle.to_owned(), nick.to_owned()));
    let server = Server::start(ServerSettings {
        people: people.to_vec(),
        strict: true,
        ..ServerSettings::default()
    })
    .await
    .map_err(system("starting the server"))?;
    let tap = server.tap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let proxy = Proxy::bind(
        ProxySettings {
            listen: free,
            server: server.ns_addr().to_string(),
            follow: false,
            correct_profile: false,
        },
        Arc::new(ours.clone()),
    )
    .await
    .map_err(system("starting the proxy"))?;
    let door = proxy.local_addr();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(proxy.run(stop.clone()));

    let played = async {
        let (user, window) = Client::login(ClientSettings::new(door, USER.0)).await?;
        let (peer, events) = Client::login(ClientSettings::new(server.ns_addr(), PEER.0)).await?;
        let (_, _rest) = client::join(&peer, events, Arc::new(theirs.clone()));
        let stage = Stage {
            clock,
            ladder: Ladder::new(
                [PEER.1, "server", "msn-handoff", USER.1, agent.name()],
                settings.colour,
            ),
            out,
            cast: Cast {
                peer: PEER.0.to_owned(),
            },
            tap,
            user: user.clone(),
            window,
            ours: ours.events(),
            theirs: theirs.events(),
            talk: settings.talk,
        };
        theirs.invite(None, USER.0, voice::APPLICATION)?;
        let played = stage.play().await;
        user.sign_out().await;
        peer.sign_out().await;
        played.map_err(DemoError::from)
    }
    .await;
    stop.cancel();
    // A proxy that fell over has already failed the play.
    let _ = serving.await;
    server.stop().await;
    played
}

/// Listens to what was recorded.
fn judge(directory: &Path, agent: Agent, out: &mut dyn Write) -> Result<Outcome, DemoError> {
    let recording = voice::recording_in(directory)
        .ok_or_else(|| DemoError::NoRecording(directory.to_owned()))?;
    let heard = Recording::read(&recording)?;
    let (level, other) = (heard.level(TONE), heard.level(OTHER));
    if level < LOUD || other > SOFT {
        return Err(DemoError::NoTone {
            path: recording,
            level,
            other,
        });
    }
    writeln!(
        out,
        "\n{}\n{TONE} Hz came through at {level:.1} dBFS, {:.1} s of it.",
        recording.display(),
        heard.seconds()
    )
    .map_err(PlayError::from)?;
    Ok(Outcome {
        recording,
        level,
        agent: agent.name(),
    })
}
