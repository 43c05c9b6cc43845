//! The agent's side: who is tried, and what it says.

use super::*;

impl Driver {
    pub(super) async fn agent_says(&mut self, bytes: &[u8], from: SocketAddrV4) {
        let message = match sip::read(bytes) {
            Ok(message) => message,
            Err(sip::Error::Refused(refusal)) => {
                if let Some(bytes) = refusal.response() {
                    let _ = self.inside.send_to(&bytes, from).await;
                }
                return;
            }
            Err(_) => return,
        };
        trace_message(self.task.invitation.0, "agent", &message);
        if let Message::Response(response) = &message
            && response.fields.cseq.method == Method::Options
        {
            let ours = response.fields.call_id.as_str() == self.asking_id.as_str();
            if let Some(asking) = self.asking.take_if(|_| ours) {
                self.feed(Input::AgentReady(asking.agent)).await;
            }
            return;
        }
        self.signalled(Party::Program, false, &message);
        let input = Input::Agent {
            message: &message,
            source: from,
        };
        self.feed(input).await;
    }

    /// Starts the next contender; says so when there is none. For a call that is over none is started.
    pub(super) async fn next_agent(&mut self) -> bool {
        self.attempt += 1;
        let contender = self.contenders.next().await;
        if self.is_ending() {
            return true;
        }
        match contender {
            Some(contender) => {
                let events = self.agent_events.0.clone();
                self.runner = Some(Runner::start(contender, self.attempt, events));
                true
            }
            None => false,
        }
    }

    pub(super) async fn change_agent(&mut self) {
        if self.finished.is_some() {
            return;
        }
        self.asking = None;
        if let Some(runner) = self.runner.take() {
            // Its end is reported when it comes; the call does not wait for it.
            self.stopping.spawn(runner.stop());
        }
        if !self.next_agent().await {
            let why = self.contenders.why_none();
            Box::pin(self.feed(Input::NoAgent(why))).await;
        }
    }

    pub(super) async fn contender_failed(&mut self, why: String) {
        if self.finished.is_some() {
            return;
        }
        info!(invitation = self.task.invitation.0, why, "agent");
        self.contenders.note(why);
        self.change_agent().await;
    }

    pub(super) async fn agent_event(&mut self, attempt: usize, event: Event) {
        let current = self
            .runner
            .as_ref()
            .is_some_and(|runner| runner.attempt == attempt);
        match event {
            Event::Started { name, pid } => self.report(Report::Started { program: name, pid }),
            Event::Ended { name, how } => {
                self.report(Report::ProgramEnded { program: name, how });
                if current {
                    self.runner = None;
                    self.asking = None;
                    self.feed(Input::AgentGone).await;
                }
            }
            Event::Failed(why) if attempt == PICTURE => {
                self.report(Report::Say(format!("no picture: {why}")));
            }
            Event::Failed(why) if current => self.contender_failed(why).await,
            Event::Up { agent, within } if current => {
                let now = self.clock.now();
                match agent {
                    Agent::BuiltIn => self.feed(Input::AgentReady(agent)).await,
                    Agent::Sip { .. } => {
                        self.asking = Some(Asking {
                            agent,
                            next: now,
                            until: now.saturating_add(within),
                            number: 0,
                        });
                    }
                }
            }
            Event::Failed(_) | Event::Up { .. } => {}
        }
    }
}
