//! The negotiation by itself, for a client that is written in Rust: no socket, no task, no clock.
//!
//! A client of the shape of the msnp11-sdk crate gets switchboard messages as bytes with a sender, and
//! sends bytes to a switchboard. So it needs three things of this library: it reads a payload, pushes it
//! into the engine of its account together with the time, and does what the engine answers. Here the
//! other side is another engine, so the example runs anywhere: `cargo run --example engine`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example"
)]

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use msn_handoff::{
    invitation::{Command, Guid, Message},
    negotiation::{
        AddressForm, Announced, Application, Engine, Input, InvitationId, Listens, Output,
        Settings, Treatment,
    },
};

/// A client: its engine, and where its switchboard messages go.
struct Client {
    name: &'static str,
    engine: Engine,
    /// What this client can do.
    application: Arc<Application>,
    /// Its side of the switchboard: payloads for the other one.
    outbox: VecDeque<Vec<u8>>,
    started: Instant,
}

impl Client {
    fn new(name: &'static str, application: &Arc<Application>) -> Self {
        Self {
            name,
            engine: Engine::new(Settings::default(), InvitationId(1)),
            application: Arc::clone(application),
            outbox: VecDeque::new(),
            started: Instant::now(),
        }
    }

    /// With the sdk: the event of a text/x-msmsgsinvite message in a switchboard.
    fn message_arrived(&mut self, from: &str, payload: &[u8]) {
        let Ok(message) = Message::read(payload) else {
            return; // Not readable: it is shown as ever.
        };
        // Whose it is: by the GUID, never by the name.
        let ours = matches!(message.command(), Command::Invite)
            && message
                .application_guid()
                .is_some_and(|guid| self.application.guids.contains(&guid));
        self.push(Input::Received {
            peer: from,
            message: &message,
            application: ours.then(|| Treatment::Negotiate(Arc::clone(&self.application))),
        });
    }

    /// Pushes an input, and does what follows.
    fn push(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        // Messages that are not ours are the caller's: here there are none.
        let _ = self
            .engine
            .handle(input, self.started.elapsed(), &mut outputs);
        for output in outputs {
            self.obey(output);
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            // With the sdk: `switchboard.send` of these bytes to that contact.
            Output::Send { payload, .. } => self.outbox.push_back(payload),
            // Ask the user. Here the answer is yes.
            Output::Offered { id, offer } => {
                println!(
                    "{}: {} invites to {}",
                    self.name, offer.peer, offer.application.name
                );
                self.push(Input::Accept(id));
            }
            // Open a port before its number goes out. Here nobody listens, so any will do.
            Output::Prepare { id, .. } => {
                let own = Announced::new(Ipv4Addr::LOCALHOST, Some(5060));
                self.push(Input::Ready(id, own));
            }
            // Hand over to a program, then say that it runs.
            Output::Connected { id, remote } => {
                println!("{}: the other side is at {}", self.name, remote.describe());
                self.push(Input::Running(id));
            }
            Output::Ended { reason, .. } => println!("{}: over, {reason}", self.name),
            Output::Context { .. } | Output::PeerLeft { .. } | Output::KeepAlive { .. } => {}
        }
    }

    /// With the sdk: a timer for this moment, then `Input::Timeout`.
    fn next_timeout(&self) -> Option<Duration> {
        self.engine.next_timeout()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let guid: Guid = "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}".parse()?;
    let call = Application::new("voice", guid, "an audio conversation")
        .with_address(AddressForm::IpPort, Listens::Both);
    let call = Arc::new(call);
    let mut ann = Client::new("ann", &call);
    let mut bob = Client::new("bob", &call);

    // The cookie and the session id are random in a real client.
    let application = Arc::clone(&call);
    ann.push(Input::Invite {
        application,
        peer: "bob@example.com".to_owned(),
        cookie: 374_836,
        session_id: "{FA0A4C0B-65C1-4CAF-BE35-7F2F3B4F8B12}".to_owned(),
        capabilities: None,
        connection: None,
    });
    deliver(&mut ann, &mut bob);
    println!("ann: to be asked again at {:?}", ann.next_timeout());
    bob.push(Input::HangUp(InvitationId(1)));
    deliver(&mut ann, &mut bob);
    Ok(())
}

/// The switchboard between the two.
fn deliver(ann: &mut Client, bob: &mut Client) {
    loop {
        if let Some(payload) = ann.outbox.pop_front() {
            bob.message_arrived("ann@example.com", &payload);
        } else if let Some(payload) = bob.outbox.pop_front() {
            ann.message_arrived("bob@example.com", &payload);
        } else {
            return;
        }
    }
}
