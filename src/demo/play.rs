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
    pub(super) out: &'a mut dyn Write,
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
                    if let What::Ended { reason, .. } = event.what {
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
    line.contains("Type /accept")
}

/// Whether this says that the call is up (the SIP front's words).
fn talks(what: &What) -> bool {
    matches!(what, What::Progress(words) if words.starts_with("the call is on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        demo::{
            client::ClientSettings,
            server::{Server, ServerSettings},
        },
        negotiation::{InvitationId, Role},
    };

    const ANN: &str = "ann@example.com";
    const BOB: &str = "bob@example.com";

    fn event(what: What) -> Event {
        Event {
            invitation: InvitationId(1),
            account: ANN.to_owned(),
            peer: BOB.to_owned(),
            name: "voice call".to_owned(),
            application: "voice".to_owned(),
            role: Role::Invitee,
            takes: None,
            what,
        }
    }

    /// Plays with a bob who does by hand what a dispatcher and a proxy would do, and gives the
    /// result and the picture. `answers` is what he has happen when `/accept` is typed.
    async fn play(answers: What) -> (Result<(), PlayError>, String) {
        let server = Server::start(ServerSettings::default()).await.unwrap();
        let log_in = |handle| Client::login(ClientSettings::new(server.ns_addr(), handle));
        let (user, window) = log_in(ANN).await.unwrap();
        let (bob, mut bob_events) = log_in(BOB).await.unwrap();
        let (ours, theirs) = (broadcast::Sender::new(16), broadcast::Sender::new(16));
        let mut out = Vec::new();
        let stage = Stage {
            clock: Clock::start(),
            ladder: Ladder::new(["Bob", "server", "us", "client", "program"], false),
            out: &mut out,
            cast: Cast {
                peer: BOB.to_owned(),
            },
            tap: server.tap(),
            user,
            window,
            ours: ours.subscribe(),
            theirs: theirs.subscribe(),
            talk: Duration::ZERO,
        };
        let by_hand = async {
            bob.send_text(ANN, "Bob invites you. Type /accept or /decline.")
                .await
                .unwrap();
            while let Some(happened) = bob_events.recv().await {
                match happened.text().as_deref() {
                    Some("/accept") => drop(ours.send(event(answers.clone()))),
                    Some("/hangup") => {
                        let ended = || {
                            event(What::Ended {
                                reason: "hung up".to_owned(),
                                lasted: None,
                            })
                        };
                        drop((ours.send(ended()), theirs.send(ended())));
                    }
                    _ => {}
                }
            }
        };
        let result = tokio::select! {
            result = stage.play() => result,
            () = by_hand => panic!("bob was thrown out"),
        };
        server.stop().await;
        (result, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn the_play_goes_from_the_offer_to_the_end_of_the_call() {
        let (result, picture) =
            play(What::Progress("the call is on: baresip has it".to_owned())).await;
        result.unwrap();
        let mut rest = picture.as_str();
        for step in ["CAL ann", "/accept", "── /accept", "── /hangup"] {
            let (_, after) = rest
                .split_once(step)
                .unwrap_or_else(|| panic!("no {step} in its place:\n{picture}"));
            rest = after;
        }
    }

    #[tokio::test]
    async fn a_call_that_ends_by_itself_is_a_failure() {
        let (result, _) = play(What::Ended {
            reason: "no program".to_owned(),
            lasted: None,
        })
        .await;
        assert!(matches!(result, Err(PlayError::Early(why)) if why == "no program"));
    }
}
