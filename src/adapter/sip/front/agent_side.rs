//! The call that faces the user's agent.

use super::*;

impl Front {
    pub(super) fn ours_for_agent(&self, formats: Vec<Format>) -> Ours {
        Ours {
            ip: *self.setup.inside.ip(),
            id: self.id,
            version: 1,
            audio: Some(Line {
                port: self.setup.agent_rtp,
                formats,
            }),
            video: None,
        }
    }

    /// Calls the agent, once there is a call to give it and an agent to take it.
    pub(super) fn try_agent(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.finished || self.agent.is_some() || self.peer.is_none() {
            return;
        }
        let (Some(formats), Some(agent)) = (self.wanted.clone(), self.available.clone()) else {
            return;
        };
        match agent {
            Agent::BuiltIn => self.agent_took(now, out),
            Agent::Sip { user, at, .. } => {
                let local = Local {
                    ip: *self.setup.inside.ip(),
                    port: self.setup.inside.port(),
                    transport: Transport::Udp,
                    user: self.bridge.clone(),
                    seed: (self.setup.seeds)(),
                };
                let target = match &user {
                    Some(user) => Uri::of(user, *at.ip(), at.port()),
                    None => Uri::userless(*at.ip(), at.port()),
                };
                let offer = sdp::offer(&self.ours_for_agent(formats));
                let mut calls = Vec::new();
                let call = Call::outgoing(local, target, &offer, now, &mut calls);
                self.agent = Some(AgentLeg {
                    call,
                    at,
                    answer: None,
                    silent_until: Some(now.saturating_add(AGENT_SILENCE)),
                });
                self.agent_outputs(calls, None, now, out);
            }
        }
    }

    pub(super) fn agent_says(
        &mut self,
        message: &Message,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(leg) = self.agent.as_mut().filter(|leg| leg.call.owns(message)) {
            leg.silent_until = None;
            let mut calls = Vec::new();
            let input = call::Input::Message { message, source };
            leg.call.handle(input, now, &mut calls);
            return self.agent_outputs(calls, Some(source), now, out);
        }
        if let Some((call, _)) = self.fading.iter_mut().find(|(call, _)| call.owns(message)) {
            let mut calls = Vec::new();
            call.handle(call::Input::Message { message, source }, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToAgent { bytes, to: source });
                }
            }
            return;
        }
        // A softphone that registers, subscribes or dials: answered, never served.
        if let Message::Request(request) = message
            && let Some(bytes) = stray(request, 403, source, None)
        {
            out.push(Output::ToAgent { bytes, to: source });
        }
    }

    pub(super) fn agent_outputs(
        &mut self,
        calls: Vec<call::Output>,
        back: Option<SocketAddrV4>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        for output in calls {
            match output {
                call::Output::Send { bytes, to } => {
                    let Some(leg) = &self.agent else { continue };
                    let to = match to {
                        Where::Back => back.unwrap_or(leg.at),
                        Where::There => leg.at,
                    };
                    out.push(Output::ToAgent { bytes, to });
                }
                call::Output::Answered { answer } => {
                    let session = sdp::read(&answer).ok();
                    if let Some(leg) = &mut self.agent {
                        leg.answer = session;
                    }
                    self.agent_took(now, out);
                }
                call::Output::Reoffer { offer } => {
                    // Nothing of it concerns the peer: the same session again.
                    let ours = self.ours_for_agent(self.agreed());
                    let session = sdp::read(&offer).ok();
                    let again = session
                        .as_ref()
                        .and_then(|session| sdp::answer(session, &ours).ok())
                        .map_or_else(|| sdp::offer(&ours), |answer| answer.sdp);
                    let mut calls = Vec::new();
                    if let Some(leg) = &mut self.agent {
                        if session.is_some() {
                            leg.answer = session;
                        }
                        leg.call
                            .handle(call::Input::Answer(&again), now, &mut calls);
                    }
                    self.agent_outputs(calls, None, now, out);
                    self.media(now, out);
                }
                call::Output::Ended(how) => self.agent_ended(how, now, out),
                call::Output::Ringing
                | call::Output::Incoming { .. }
                | call::Output::Confirmed { .. } => {}
            }
        }
    }

    /// The agent is on the line: answer the peer, or join the two.
    pub(super) fn agent_took(&mut self, now: Now, out: &mut Vec<Output>) {
        let formats = self.agreed();
        let sound = formats.iter().any(|format| !format.is_events());
        let has_audio = self.agent.as_ref().is_none_or(|leg| {
            leg.answer
                .as_ref()
                .is_some_and(|answer| answer.audio().is_some())
        });
        if !sound || !has_audio {
            return self.another_agent("it understands none of the peer's codecs", now, out);
        }
        let name = self.available.as_ref().map_or("", Agent::name).to_owned();
        let Some(leg) = &self.peer else { return };
        if !leg.ours {
            let ours = self.ours_for_peer(formats);
            let answer = match &leg.theirs {
                Some(theirs) => match sdp::answer(theirs, &ours) {
                    Ok(answer) => answer.sdp,
                    Err(refusal) => return self.refuse_peer(refusal, now, out),
                },
                None => sdp::offer(&ours),
            };
            self.last_answer.clone_from(&answer);
            self.act_on_peer(call::Input::Answer(&answer), now, out);
        }
        out.push(Output::Say(format!("the call is on: {name} has it")));
        self.media(now, out);
    }

    pub(super) fn agent_ended(&mut self, how: Ended, now: Now, out: &mut Vec<Output>) {
        let Some(leg) = self.agent.take() else { return };
        let took = leg.answer.is_some();
        self.fade(leg.call, FadingSide::Agent(leg.at));
        if self.finished {
            return;
        }
        if took {
            return self.end("hung up here".to_owned(), now, out);
        }
        let why = match how {
            Ended::Refused(status) => format!("{status} {}", reason(status)),
            Ended::NotAnswered => return self.end("nobody answered here".to_owned(), now, out),
            _ => "no answer".to_owned(),
        };
        self.another_agent(&why, now, out);
    }

    pub(super) fn another_agent(&mut self, why: &str, now: Now, out: &mut Vec<Output>) {
        self.drop_agent(now, out);
        if let Some(agent) = self.available.take() {
            out.push(Output::Say(format!(
                "{} did not take the call: {why}",
                agent.name()
            )));
        }
        out.push(Output::NextAgent);
    }

    pub(super) fn drop_agent(&mut self, now: Now, out: &mut Vec<Output>) {
        if let Some(mut leg) = self.agent.take() {
            let mut calls = Vec::new();
            leg.call.handle(call::Input::HangUp, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToAgent { bytes, to: leg.at });
                }
            }
            self.fade(leg.call, FadingSide::Agent(leg.at));
        }
    }

    pub(super) fn agent_gone(&mut self, now: Now, out: &mut Vec<Output>) {
        let took = self.agent.as_ref().is_some_and(|leg| leg.answer.is_some());
        // Nobody is there to be told.
        self.agent = None;
        self.fading
            .retain(|(_, side)| matches!(side, FadingSide::Peer(_)));
        if self.finished {
            return;
        }
        if took {
            return self.end("the program ended".to_owned(), now, out);
        }
        self.available = None;
        out.push(Output::NextAgent);
    }
}
