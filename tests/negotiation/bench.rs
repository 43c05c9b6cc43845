//! One engine on the bench: messages and orders go in, what comes out is read as short lines.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use msn_handoff::{
    invitation::{Candidate, Guid, Medium, Message},
    negotiation::{
        AddressForm, Announced, Announcement, Application, ContextData, Dialect, Disposition,
        EndReason, Engine, Input, InvitationId, Listens, Now, Output, Role, Settings, State,
        Treatment,
    },
};

pub(crate) const PEER: &str = "bob@example.com";
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(crate) const SESSION: &str = "{C4E9035F-CCEB-40F0-8F17-135FB734073B}";
pub(crate) const WHITEBOARD_SESSION: &str = "{11112222-3333-4444-5555-666677778888}";

pub(crate) fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

pub(crate) fn netmeeting() -> Arc<Application> {
    let guid = guid("{44BBA842-CC51-11CF-AAFA-00AA00B6015C}");
    Arc::new(Application::new("netmeeting", guid, "NetMeeting"))
}

pub(crate) fn voice() -> Arc<Application> {
    let guid = guid("{02D3C01F-BF30-4825-A83A-DE7AF41648AA}");
    Arc::new(
        Application::new("voice", guid, "an audio conversation")
            .with_address(AddressForm::IpPort, Listens::Both)
            .with_media(&[Medium::Audio, Medium::Video]),
    )
}

pub(crate) fn whiteboard() -> Arc<Application> {
    let guid = guid("{1DF57D09-637A-4ca5-91B9-2C3EDAAF62FE}");
    Arc::new(
        Application::new("whiteboard", guid, "Whiteboard")
            .with_address(AddressForm::Ip, Listens::Invitee)
            .with_context(Role::Invitee, ContextData::Address)
            .with_url("http://www.microsoft.com"),
    )
}

pub(crate) fn remote_assistance() -> Arc<Application> {
    let guid = guid("{56b994a7-380f-410b-9985-c809d78c1bdc}");
    Arc::new(
        Application::new("remote-assistance", guid, "Remote Assistance")
            .with_context(Role::Inviter, ContextData::Opaque)
            .with_url("http://www.microsoft.com"),
    )
}

pub(crate) fn game() -> Arc<Application> {
    let guid = guid("{8DAE4336-2B71-11D4-9A6C-006067325E47}");
    Arc::new(
        Application::new("baldurs-gate-2", guid, "Baulder's Gate2").with_dialect(Dialect::Legacy),
    )
}

pub(crate) fn every_application() -> Vec<Arc<Application>> {
    vec![
        netmeeting(),
        voice(),
        whiteboard(),
        remote_assistance(),
        game(),
    ]
}

/// A sample of PROTOCOL.md section 13.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/");
    std::fs::read(format!("{folder}{name}.msg")).unwrap()
}

/// A payload with these body lines and a blank one.
pub(crate) fn payload(lines: &[&str]) -> Vec<u8> {
    let mut text = String::from(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n",
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A sample with one line replaced or, with an empty `by`, removed.
pub(crate) fn changed(name: &str, line_start: &str, by: &str) -> Vec<u8> {
    let text = String::from_utf8(vector(name)).unwrap();
    assert!(text.contains(line_start), "{name} has no {line_start}");
    let mut changed = String::new();
    for line in text.split_inclusive("\r\n") {
        if !line.starts_with(line_start) {
            changed.push_str(line);
        } else if !by.is_empty() {
            changed.push_str(by);
            changed.push_str("\r\n");
        }
    }
    changed.into_bytes()
}

pub(crate) fn invite(application: &Application, cookie: &str) -> Vec<u8> {
    let guid = format!("Application-GUID: {}", application.guids[0].as_written());
    let cookie = format!("Invitation-Cookie: {cookie}");
    payload(&[
        "Application-Name: x",
        &guid,
        "Session-Protocol: SM1",
        "Invitation-Command: INVITE",
        &cookie,
        "Session-ID: {11112222-3333-4444-5555-666677778888}",
    ])
}

pub(crate) fn accept(cookie: &str) -> Vec<u8> {
    let cookie = format!("Invitation-Cookie: {cookie}");
    payload(&[
        "Invitation-Command: ACCEPT",
        &cookie,
        "Launch-Application: TRUE",
        "Request-Data: IP-Address:",
        "IP-Address: 198.51.100.20",
    ])
}

pub(crate) fn cancel(cookie: &str, code: &str) -> Vec<u8> {
    let cookie = format!("Invitation-Cookie: {cookie}");
    let code = format!("Cancel-Code: {code}");
    payload(&["Invitation-Command: CANCEL", &cookie, &code])
}

pub(crate) fn context(cookie: &str, data: &str) -> Vec<u8> {
    let cookie = format!("Invitation-Cookie: {cookie}");
    let data = format!("Context-Data: {data}");
    payload(&["Invitation-Command: CONTEXT", &cookie, &data])
}

/// What came of one input.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) disposition: Option<Disposition>,
    pub(crate) out: Vec<Output>,
}

impl Outcome {
    /// Each output as a short line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.out.iter().map(line).collect()
    }

    /// The only payload sent.
    pub(crate) fn sent(&self) -> &[u8] {
        let sent = self.all_sent();
        assert_eq!(sent.len(), 1, "{:?}", self.lines());
        sent[0]
    }

    pub(crate) fn all_sent(&self) -> Vec<&[u8]> {
        self.out
            .iter()
            .filter_map(|output| match output {
                Output::Send { payload, .. } => Some(payload.as_slice()),
                _ => None,
            })
            .collect()
    }

    /// The only payload sent, as text.
    pub(crate) fn sent_text(&self) -> String {
        String::from_utf8(self.sent().to_vec()).unwrap()
    }

    pub(crate) fn end(&self) -> Option<&EndReason> {
        self.out.iter().find_map(|output| match output {
            Output::Ended { reason, .. } => Some(reason),
            _ => None,
        })
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.disposition == Some(Disposition::Taken)
    }

    pub(crate) fn is_taken_silently(&self) -> bool {
        self.is_taken() && self.out.is_empty()
    }

    pub(crate) fn is_passed_on(&self) -> bool {
        self.disposition == Some(Disposition::NotOurs) && self.out.is_empty()
    }
}

fn candidate(candidate: &Candidate) -> String {
    match candidate.port {
        Some(port) => format!("{}:{port}", candidate.ip),
        None => candidate.ip.to_string(),
    }
}

fn line(output: &Output) -> String {
    match output {
        Output::Send {
            command, payload, ..
        } => {
            let text = String::from_utf8_lossy(payload);
            let code = text
                .lines()
                .find_map(|line| line.strip_prefix("Cancel-Code: "));
            match code {
                Some(code) => format!("{command} {code}"),
                None => (*command).to_owned(),
            }
        }
        Output::Offered { offer, .. } => format!("offered {}", offer.application.id),
        Output::Prepare {
            announcement: Announcement::Accept,
            ..
        } => "prepare accept".to_owned(),
        Output::Prepare {
            announcement: Announcement::Context,
            ..
        } => "prepare context".to_owned(),
        Output::Connected { remote, .. } => {
            let candidates: Vec<String> = remote.candidates.iter().map(candidate).collect();
            format!("connected {}", candidates.join(" "))
        }
        Output::Context { data, .. } => format!("context {}", String::from_utf8_lossy(data)),
        Output::PeerLeft { code, .. } => {
            format!(
                "peer left {}",
                code.as_ref().map_or("", |code| code.as_str())
            )
        }
        Output::KeepAlive { .. } => "keep alive".to_owned(),
        Output::Ended { reason, .. } => format!("ended {reason:?}"),
    }
}

/// One engine and its clock.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    applications: Vec<Arc<Application>>,
    not_installed: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut settings = Settings::default();
        // Keep-alives would stand in every list; they have their own test.
        settings.timers.keep_alive = None;
        settings.timers.carrier_grace = seconds(40);
        Self::with(settings)
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            engine: Engine::new(settings, InvitationId(1)),
            now: seconds(1_000),
            applications: every_application(),
            not_installed: false,
        }
    }

    /// From here on no program of ours is installed.
    pub(crate) fn without_programs(mut self) -> Self {
        self.not_installed = true;
        self
    }

    pub(crate) fn push(&mut self, input: Input<'_>) -> Outcome {
        let mut out = Vec::new();
        let disposition = Some(self.engine.handle(input, self.now, &mut out));
        Outcome { disposition, out }
    }

    pub(crate) fn receive(&mut self, payload: &[u8]) -> Outcome {
        self.receive_from(PEER, payload)
    }

    pub(crate) fn receive_from(&mut self, peer: &str, payload: &[u8]) -> Outcome {
        let message = Message::read(payload).unwrap();
        let guid = message.application_guid();
        let known = self
            .applications
            .iter()
            .find(|one| guid.as_ref().is_some_and(|guid| one.guids.contains(guid)));
        let application = known.map(|one| match self.not_installed {
            true => Treatment::RefuseNotInstalled,
            false => Treatment::Negotiate(Arc::clone(one)),
        });
        self.push(Input::Received {
            peer,
            message: &message,
            application,
        })
    }

    /// We invite; what came of it.
    pub(crate) fn invite(
        &mut self,
        application: Arc<Application>,
        cookie: u32,
        session: &str,
    ) -> Outcome {
        self.push(Input::Invite {
            application,
            peer: PEER.to_owned(),
            cookie,
            session_id: session.to_owned(),
            capabilities: None,
            connection: None,
        })
    }

    pub(crate) fn ready(&mut self, id: u64, port: Option<u16>) -> Outcome {
        self.push(Input::Ready(InvitationId(id), Announced::new(OURS, port)))
    }

    /// Lets time pass and everything ring that is due in it.
    pub(crate) fn pass(&mut self, time: Duration) -> Outcome {
        let until = self.now + time;
        let mut out = Vec::new();
        while let Some(at) = self.engine.next_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            let _ = self.engine.handle(Input::Timeout, self.now, &mut out);
        }
        self.now = until;
        Outcome {
            disposition: None,
            out,
        }
    }

    pub(crate) fn state(&self, id: u64) -> Option<State> {
        self.engine
            .sessions()
            .find(|one| one.id == InvitationId(id))
            .map(|one| one.state)
    }

    /// Invited by the peer to `application` with cookie 7, and brought to `state`. Its id is 1.
    pub(crate) fn invitee(application: &Arc<Application>, state: State) -> Self {
        let mut bench = Self::new();
        bench.bring_invitee(application, state);
        bench
    }

    fn bring_invitee(&mut self, application: &Arc<Application>, state: State) {
        // It may be another than the list has.
        self.applications.insert(0, Arc::clone(application));
        self.receive(&invite(application, "7"));
        if state == State::Offered {
            return;
        }
        self.push(Input::Accept(InvitationId(1)));
        if state == State::Preparing {
            return;
        }
        self.ready(1, Some(13_455));
        if state == State::Accepted {
            return;
        }
        self.receive(&accept("7"));
        if self.state(1) == Some(State::PreparingContext) && state != State::PreparingContext {
            self.ready(1, Some(10_869));
        }
        if state == State::Running {
            self.push(Input::Running(InvitationId(1)));
        }
        assert_eq!(self.state(1), Some(state));
    }

    /// We invited the peer to `application` with cookie 7, brought to `state`. Its id is 1.
    pub(crate) fn inviter(application: &Arc<Application>, state: State) -> Self {
        let mut bench = Self::new();
        bench.bring_inviter(application, state);
        bench
    }

    fn bring_inviter(&mut self, application: &Arc<Application>, state: State) {
        self.invite(Arc::clone(application), 7, WHITEBOARD_SESSION);
        if state == State::Offered {
            return;
        }
        self.receive(&accept("7"));
        if state == State::Preparing {
            return;
        }
        self.ready(1, Some(13_455));
        if self.state(1) == Some(State::AwaitingContext) && state != State::AwaitingContext {
            self.receive(&context("7", "198.51.100.20:10869"));
        }
        if state == State::Running {
            self.push(Input::Running(InvitationId(1)));
        }
        assert_eq!(self.state(1), Some(state));
    }
}
