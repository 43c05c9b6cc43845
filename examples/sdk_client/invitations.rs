//! The library door: invitations in a Rust client of one's own, with `msn_handoff::negotiation` and
//! nothing else of the program. No configuration, no bridges, no adapters: this file decides what is
//! taken, and opens what is listened at.
//!
//! The engine is pure. It is told everything that happens ([`Input`]), with the time, and says what is
//! to be done ([`Output`]); it opens no socket and reads no clock. So all of it that is to be written
//! is here: [`Invitations::push`] tells, [`Invitations::obey`] does.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use msn_handoff::{
    clock::Clock,
    endpoint::socket,
    invitation::{Guid, GuidError, Medium, Message},
    negotiation::{
        AddressForm, Announced, Application, Disposition, Engine, FailureKind, Input, InvitationId,
        Listens, Output, Settings, Treatment,
    },
};
use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc, oneshot},
    task::AbortHandle,
};

/// An invitation message that the client is to send, in a switchboard with `peer` and nobody else.
pub(crate) struct Outgoing {
    pub(crate) peer: String,
    /// MIME header and body: the payload of a `MSG`, with the letter `N`.
    pub(crate) payload: Vec<u8>,
    /// Comes back with [`Invitations::undelivered`] when it was lost.
    pub(crate) id: InvitationId,
}

/// What the user is told or asked.
pub(crate) enum Said {
    /// Somebody calls; the answer goes into the sender.
    Question(String, oneshot::Sender<bool>),
    /// A line to be shown.
    Line(String),
}

/// The invitations of one signed-in account. Clones are the same.
#[derive(Clone)]
pub(crate) struct Invitations(Arc<Inner>);

struct Inner {
    engine: Mutex<Engine>,
    /// What is taken: voice calls. Others are left to the client.
    voice: Arc<Application>,
    /// The address of this machine on the connection to the server: contacts are told it.
    own: Ipv4Addr,
    clock: Clock,
    /// Rung whenever the next timeout may be another one.
    timer: Notify,
    outbox: mpsc::UnboundedSender<Outgoing>,
    user: mpsc::UnboundedSender<Said>,
    /// Who listens for each invitation.
    listening: Mutex<HashMap<InvitationId, AbortHandle>>,
}

impl Invitations {
    pub(crate) fn new(
        own: Ipv4Addr,
        outbox: mpsc::UnboundedSender<Outgoing>,
        user: mpsc::UnboundedSender<Said>,
    ) -> Result<Self, GuidError> {
        // What both sides must know of an application before they talk: the GUID by which it is
        // recognised, who listens, and which form its address has.
        let guid = Guid::read(b"{02D3C01F-BF30-4825-A83A-DE7AF41648AA}")?;
        let voice = Application::new("voice", guid, "an audio conversation")
            .with_address(AddressForm::IpPort, Listens::Both)
            .with_media(&[Medium::Audio]);
        let inner = Inner {
            engine: Mutex::new(Engine::new(Settings::default(), InvitationId(1))),
            voice: Arc::new(voice),
            own,
            clock: Clock::start(),
            timer: Notify::new(),
            outbox,
            user,
            listening: Mutex::default(),
        };
        let invitations = Self(Arc::new(inner));
        tokio::spawn(invitations.clone().keep_time());
        Ok(invitations)
    }

    /// A message of `Content-Type: text/x-msmsgsinvite` came from `peer`. `false`: it is none of ours,
    /// so the client does with it what it always did (a file transfer, say).
    pub(crate) fn received(&self, peer: &str, payload: &[u8]) -> bool {
        // Whatever a contact sends: this reads it or refuses it, and never panics.
        let Ok(message) = Message::read(payload) else {
            return false;
        };
        let voice = &self.0.voice;
        let is_voice = message
            .application_guid()
            .is_some_and(|guid| voice.guids.contains(&guid));
        let disposition = self.push(Input::Received {
            peer,
            message: &message,
            // Only asked of an INVITE; every later message is known by its cookie.
            application: is_voice.then(|| Treatment::Negotiate(Arc::clone(voice))),
        });
        disposition == Disposition::Taken
    }

    /// The last switchboard with `peer` has closed.
    pub(crate) fn left(&self, peer: &str) {
        let _ = self.push(Input::CarrierLost { peer });
    }

    /// An [`Outgoing`] was not delivered.
    pub(crate) fn undelivered(&self, id: InvitationId) {
        let _ = self.push(Input::Undelivered(id));
    }

    /// Ends what is open; the contacts are told.
    pub(crate) fn hang_up(&self) {
        let open: Vec<_> = self.engine().sessions().map(|open| open.id).collect();
        for id in open {
            let _ = self.push(Input::HangUp(id));
        }
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        let engine = self.0.engine.lock();
        engine.unwrap_or_else(PoisonError::into_inner)
    }

    fn listening(&self) -> MutexGuard<'_, HashMap<InvitationId, AbortHandle>> {
        let listening = self.0.listening.lock();
        listening.unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the engine what happened, and does what it says. The lock is held until all of that is
    /// done, so that messages go out in the order they were made.
    fn push(&self, input: Input<'_>) -> Disposition {
        let mut engine = self.engine();
        let mut outputs = Vec::new();
        let disposition = engine.handle(input, self.0.clock.now(), &mut outputs);
        for output in outputs {
            self.obey(output);
        }
        drop(engine);
        self.0.timer.notify_one();
        disposition
    }

    /// One thing that the engine wants done. Nothing here waits: what takes time becomes a task, and
    /// its end another input.
    fn obey(&self, output: Output) {
        match output {
            Output::Send {
                id, peer, payload, ..
            } => {
                let _ = self.0.outbox.send(Outgoing { peer, payload, id });
            }
            Output::Offered { id, offer } => {
                let (answer, answered) = oneshot::channel();
                let question = format!("{} calls. Do you take it?", offer.peer);
                let _ = self.0.user.send(Said::Question(question, answer));
                let here = self.clone();
                tokio::spawn(async move {
                    let yes = answered.await.unwrap_or(false);
                    let _ = here.push(if yes {
                        Input::Accept(id)
                    } else {
                        Input::Decline(id, msn_handoff::invitation::CancelCode::Reject)
                    });
                });
            }
            // Bind first, then announce: the contact may call at once.
            Output::Prepare { id, .. } => {
                let task = tokio::spawn(self.clone().listen(id));
                self.listening().insert(id, task.abort_handle());
            }
            // Here a SIP program is told whom to call or to expect; `Remote` has the media, too. What
            // the contact says of itself is not to be trusted: `endpoint::policy` checks addresses.
            Output::Connected { remote, .. } => {
                self.say(format!("the contact is at {}", remote.describe()));
            }
            Output::Ended { id, reason } => {
                if let Some(task) = self.listening().remove(&id) {
                    task.abort();
                }
                self.say(format!("the call is over: {reason}"));
            }
            // `Context` is for whiteboards and Remote Assistance; `PeerLeft` comes only with
            // `Settings::cancel_ends_running` off; to keep a switchboard open is a kindness.
            Output::Context { .. } | Output::PeerLeft { .. } | Output::KeepAlive { .. } => {}
        }
    }

    /// Stands for the program that takes the call: it waits for the contact's SIP, and shows how it
    /// begins.
    async fn listen(self, id: InvitationId) {
        let bound = self.bind().await;
        let Ok((sip, announced)) = bound else {
            let _ = self.push(Input::Failed(id, FailureKind::Failed));
            return;
        };
        let _ = self.push(Input::Ready(id, announced));
        let mut datagram = [0; 2048];
        let Ok(length) = sip.recv(&mut datagram).await else {
            return;
        };
        // From here on only the user, the contact or the program's end ends it, and no timeout.
        let _ = self.push(Input::Running(id));
        let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
        let first = text.lines().next().unwrap_or_default();
        self.say(format!("the call is here: {}", first.escape_debug()));
    }

    async fn bind(&self) -> io::Result<(UdpSocket, Announced)> {
        let sip = socket::udp((self.0.own, 0).into()).await?;
        let port = sip.local_addr()?.port();
        Ok((sip, Announced::new(self.0.own, Some(port))))
    }

    fn say(&self, line: String) {
        let _ = self.0.user.send(Said::Line(line));
    }

    /// Every state before the call has a deadline, and the engine says when it wants to be woken.
    async fn keep_time(self) {
        const NEVER: Duration = Duration::from_secs(3600);
        loop {
            let next = self.engine().next_timeout();
            let pause = next.map_or(NEVER, |at| at.saturating_sub(self.0.clock.now()));
            tokio::select! {
                () = self.0.timer.notified() => {}
                () = tokio::time::sleep(pause) => {
                    let _ = self.push(Input::Timeout);
                }
            }
        }
    }
}
