//! Directs the demo once everybody is on the stage: waits for the offer in the user's chat window,
//! types `/accept`, lets the call be for a while, types `/hangup`, and waits until both sides say it
//! is over. Draws the ladder while it happens.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
};

use super::{
    client::{Client, ClientError, ClientEvent},
    ladder::{Ladder, Step},
    server::Tapped,
    story::Cast,
};
use crate::{
    clock::Clock,
    event::{Event, What},
};

/// How long the whole play may take beside the talk, before it counts as stuck.
const LIMIT: Duration = Duration::from_secs(60);

/// Why a play did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Nothing more happens.
    #[error("nothing more happened while waiting for {0}")]
    Stuck(&'static str),
    /// The call ended before anybody hung up.
    #[error("the call was over too early: {0}")]
    Early(String),
    /// What the user typed could not be sent.
    #[error("typing failed: {0}")]
    Typing(#[from] ClientError),
    /// The ladder could not be written.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// Everybody and everything that is listened to.
pub(super) struct Stage<'a> {
    /// When the ladder begins.
    pub(super) clock: Clock,
    /// How it is drawn.
    pub(super) ladder: Ladder,
    /// Where it is drawn.
    pub(super) out: &'a mut (dyn Write + Send),
    /// Who is who.
    pub(super) cast: Cast,
    /// What the server relays.
    pub(super) tap: broadcast::Receiver<Tapped>,
    /// The user's client.
    pub(super) user: Client,
    /// What happens in the user's client.
    pub(super) window: mpsc::UnboundedReceiver<ClientEvent>,
    /// What the user's dispatcher tells.
    pub(super) ours: broadcast::Receiver<Event>,
    /// What the peer's dispatcher tells.
    pub(super) theirs: broadcast::Receiver<Event>,
    /// How long the call is let be.
    pub(super) talk: Duration,
}

/// How far the play is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Offer,
    Answer,
    Talk,
    Over,
}

impl Act {
    fn waits_for(self) -> &'static str {
        match self {
            Self::Offer => "the offer in the chat window",
            Self::Answer => "the call to be answered",
            Self::Talk => "the end of the talk",
            Self::Over => "both sides to end the call",
        }
    }
}

/// Something the director heard.
enum Heard {
    Tapped(Tapped),
    Window(ClientEvent),
    Ours(Event),
    Theirs(Event),
    Typed(Result<(), ClientError>),
    TalkedEnough,
    Stuck,
}

impl Stage<'_> {
    /// Plays to the end.
    ///
    /// # Errors
    /// [`PlayError`]. Whatever was started is still to be ended by the caller.
    pub(super) async fn play(mut self) -> Result<(), PlayError> {
        write!(self.out, "{}", self.ladder.head())?;
        let mut typing = JoinSet::new();
        let mut act = Act::Offer;
        let (mut over_here, mut over_there) = (false, false);
        let limit = tokio::time::sleep(LIMIT + self.talk);
        let talked = tokio::time::sleep(self.talk);
        tokio::pin!(limit, talked);
        loop {
            let heard = tokio::select! {
                Ok(tapped) = next(&mut self.tap) => Heard::Tapped(tapped),
                Some(event) = self.window.recv() => Heard::Window(event),
                Ok(event) = next(&mut self.ours) => Heard::Ours(event),
                Ok(event) = next(&mut self.theirs) => Heard::Theirs(event),
                Some(Ok(typed)) = typing.join_next() => Heard::Typed(typed),
                () = &mut talked, if act == Act::Talk => Heard::TalkedEnough,
                () = &mut limit => Heard::Stuck,
            };
            let at = self.clock.now();
            match heard {
                Heard::Tapped(tapped) => {
                    let step = self.cast.tapped(at, &tapped);
                    self.draw(step)?;
                }
                Heard::Window(event) => {
                    self.draw(Cast::window(at, &event))?;
                    if act == Act::Offer && event.text().is_some_and(|line| asks(&line)) {
                        self.type_line(&mut typing, at, "/accept")?;
                        act = Act::Answer;
                    }
                }
                Heard::Ours(event) => {
                    self.draw(Cast::event(at, &event))?;
                    if act == Act::Answer && talks(&event.what) {
                        talked
                            .as_mut()
                            .reset(tokio::time::Instant::now() + self.talk);
                        act = Act::Talk;
                    }
                    if let What::Ended { reason } = event.what {
                        if act != Act::Over {
                            return Err(PlayError::Early(reason));
                        }
                        over_here = true;
                    }
                }
                Heard::Theirs(event) => over_there |= matches!(event.what, What::Ended { .. }),
                Heard::Typed(typed) => typed?,
                Heard::TalkedEnough => {
                    self.type_line(&mut typing, at, "/hangup")?;
                    act = Act::Over;
                }
                Heard::Stuck => return Err(PlayError::Stuck(act.waits_for())),
            }
            if over_here && over_there {
                return Ok(());
            }
        }
    }

    fn draw(&mut self, step: Option<Step>) -> io::Result<()> {
        match step {
            Some(step) => write!(self.out, "{}", self.ladder.step(&step)),
            None => Ok(()),
        }
    }

    /// Types a line as the user, and does not wait: there is more to listen to.
    fn type_line(
        &mut self,
        typing: &mut JoinSet<Result<(), ClientError>>,
        at: Duration,
        line: &'static str,
    ) -> io::Result<()> {
        let (user, peer) = (self.user.clone(), self.cast.peer.clone());
        typing.spawn(async move { user.send_text(&peer, line).await });
        self.draw(Some(Cast::typed(at, line)))
    }
}

/// The next of what is told; what was missed is only missing in the picture.
async fn next<T: Clone>(told: &mut broadcast::Receiver<T>) -> Result<T, ()> {
    loop {
        match told.recv().await {
            Ok(item) => return Ok(item),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return Err(()),
        }
    }
}

/// Whether a line in the window is the question.
fn asks(line: &str) -> bool {
    line.contains("/accept")
}

/// Whether this says that the call is up.
fn talks(what: &What) -> bool {
    matches!(what, What::Progress(words) if words.contains("answered"))
}
