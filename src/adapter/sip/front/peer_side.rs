//! The call that faces the peer.

use super::*;

impl Front {
    pub(super) fn peer_local(&mut self, transport: Transport) -> Local {
        Local {
            ip: *self.setup.own.ip(),
            port: self.setup.own.port(),
            transport,
            user: self.bridge.clone(),
            seed: (self.setup.seeds)(),
        }
    }

    pub(super) fn peer_says(
        &mut self,
        message: &Message,
        hop: Hop,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(leg) = self.peer.as_mut().filter(|leg| leg.call.owns(message)) {
            leg.heard = Some(*source.ip());
            match message {
                Message::Request(request) if request.method == Method::Invite => leg.there = hop,
                Message::Request(_) => {}
                // Something is there: no other address or transport is tried.
                Message::Response(_) => self.calling = Calling::Settled,
            }
            let mut calls = Vec::new();
            let input = call::Input::Message { message, source };
            leg.call.handle(input, now, &mut calls);
            return self.peer_outputs(calls, Some(hop), now, out);
        }
        if let Some((call, _)) = self.fading.iter_mut().find(|(call, _)| call.owns(message)) {
            let mut calls = Vec::new();
            call.handle(call::Input::Message { message, source }, now, &mut calls);
            for output in calls {
                if let call::Output::Send { bytes, .. } = output {
                    out.push(Output::ToPeer { bytes, hop });
                }
            }
            return;
        }
        let Message::Request(request) = message else {
            return;
        };
        let busy = self.finished
            || self
                .peer
                .as_ref()
                .is_some_and(|leg| !leg.ours || leg.call.is_established());
        if request.method != Method::Invite || request.fields.to.tag.is_some() || busy {
            let status = if request.fields.to.tag.is_some() {
                481
            } else {
                486
            };
            if let Some(bytes) = stray(request, status, source, None) {
                out.push(Output::ToPeer { bytes, hop });
            }
            return;
        }
        // Two of us would each take their own call back and lose both. The inviter's call stands.
        let one_of_us = request
            .fields
            .other("User-Agent")
            .is_some_and(|agent| agent.as_str().starts_with("msn-handoff/"));
        // Where theirs comes from an address that we do not call, ours has not reached it.
        let called = self.setup.candidates.get(self.candidate);
        let reaches = called.is_some_and(|to| to.ip() == source.ip());
        if self.peer.is_some() && one_of_us && reaches && self.setup.role == Role::Inviter {
            if let Some(bytes) = stray(request, 491, source, None) {
                out.push(Output::ToPeer { bytes, hop });
            }
            return;
        }
        self.take_call(request, hop, source, now, out);
    }

    /// The peer calls. If we are calling too, theirs is answered and ours taken back.
    pub(super) fn take_call(
        &mut self,
        invite: &Request,
        hop: Hop,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if self.peer.is_some() {
            self.crossed = true;
            self.drop_peer(now, out);
        }
        let transport = match hop {
            Hop::Udp(_) => Transport::Udp,
            Hop::Tcp(_) => Transport::Tcp,
        };
        let local = self.peer_local(transport);
        let mut calls = Vec::new();
        let call = Call::incoming(local, invite, source, now, &mut calls);
        self.calling = Calling::Settled;
        self.peer = Some(PeerLeg {
            call,
            there: hop,
            heard: Some(*source.ip()),
            ours: false,
            theirs: None,
        });
        self.peer_outputs(calls, Some(hop), now, out);
    }

    /// Hangs up towards the peer and lets the call fade.
    pub(super) fn drop_peer(&mut self, now: Now, out: &mut Vec<Output>) {
        if let Some(mut leg) = self.peer.take() {
            let mut calls = Vec::new();
            leg.call.handle(call::Input::HangUp, now, &mut calls);
            send_peer(calls, leg.there, leg.there, out);
            self.fade(leg.call, FadingSide::Peer(leg.there));
        }
    }

    pub(super) fn fade(&mut self, call: Call, side: FadingSide) {
        if !call.finished() && self.fading.len() < MAX_FADING {
            self.fading.push((call, side));
        }
    }

    pub(super) fn peer_outputs(
        &mut self,
        calls: Vec<call::Output>,
        back: Option<Hop>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        for output in calls {
            match output {
                call::Output::Send { bytes, to } => {
                    let Some(leg) = &self.peer else { continue };
                    let hop = match to {
                        Where::Back => back.unwrap_or(leg.there),
                        Where::There => leg.there,
                    };
                    out.push(Output::ToPeer { bytes, hop });
                }
                call::Output::Incoming { offer } => self.peer_offers(&offer, now, out),
                call::Output::Ringing => {
                    self.calling = Calling::Settled;
                    out.push(Output::Say("the peer's side rings".to_owned()));
                }
                call::Output::Answered { answer } => self.peer_answers(&answer, now, out),
                call::Output::Confirmed { answer } => {
                    if !answer.is_empty()
                        && let Ok(session) = sdp::read(&answer)
                    {
                        self.peer_session(session, now, out);
                    }
                }
                call::Output::Reoffer { offer } => self.peer_reoffers(&offer, now, out),
                call::Output::Ended(how) => self.peer_ended(how, now, out),
            }
        }
    }

    pub(super) fn act_on_peer(&mut self, input: call::Input<'_>, now: Now, out: &mut Vec<Output>) {
        let mut calls = Vec::new();
        if let Some(leg) = &mut self.peer {
            leg.call.handle(input, now, &mut calls);
        }
        self.peer_outputs(calls, None, now, out);
    }

    pub(super) fn refuse_peer(&mut self, refusal: sdp::Refusal, now: Now, out: &mut Vec<Output>) {
        let refuse = call::Input::Refuse {
            status: 488,
            words: refusal.words(),
            warning: Some(refusal.warning()),
        };
        out.push(Output::Say(format!(
            "the peer's call cannot be taken: {refusal}"
        )));
        self.act_on_peer(refuse, now, out);
    }

    /// Their first offer: ring, and ask the agent for what both sides could do.
    pub(super) fn peer_offers(&mut self, offer: &[u8], now: Now, out: &mut Vec<Output>) {
        let formats = if offer.is_empty() {
            // The caller wants our offer; it goes into the answer.
            sdp::plain_audio()
        } else {
            let Ok(session) = sdp::read(offer) else {
                return self.refuse_peer(sdp::Refusal::Nothing, now, out);
            };
            let ours = self.ours_for_peer(sdp::plain_audio());
            match sdp::answer(&session, &ours) {
                Ok(answer) if !answer.audio.is_empty() => {
                    if let Some(leg) = &mut self.peer {
                        leg.theirs = Some(session);
                    }
                    answer.audio
                }
                Ok(_) => return self.refuse_peer(sdp::Refusal::Nothing, now, out),
                Err(refusal) => return self.refuse_peer(refusal, now, out),
            }
        };
        out.push(Output::Say("the peer calls".to_owned()));
        self.act_on_peer(call::Input::Ring, now, out);
        self.wanted = Some(formats);
        self.try_agent(now, out);
    }

    pub(super) fn peer_answers(&mut self, answer: &[u8], now: Now, out: &mut Vec<Output>) {
        self.calling = Calling::Settled;
        let session = sdp::read(answer).ok();
        let formats = session
            .as_ref()
            .and_then(Session::audio)
            .map(|audio| sdp::common(&audio.formats, &sdp::plain_audio()))
            .filter(|formats| formats.iter().any(|format| !format.is_events()));
        let (Some(session), Some(formats)) = (session, formats) else {
            return self.end(
                "the peer's answer has no sound we understand".to_owned(),
                now,
                out,
            );
        };
        if let Some(leg) = &mut self.peer {
            leg.theirs = Some(session);
        }
        out.push(Output::Say("the peer answered".to_owned()));
        self.wanted = Some(formats);
        self.try_agent(now, out);
    }

    pub(super) fn peer_session(&mut self, session: Session, now: Now, out: &mut Vec<Output>) {
        if let Some(leg) = &mut self.peer {
            leg.theirs = Some(session);
        }
        self.media(now, out);
    }

    /// They change the session, to add video perhaps. Audio stays as it is.
    pub(super) fn peer_reoffers(&mut self, offer: &[u8], now: Now, out: &mut Vec<Output>) {
        let formats = self.agreed();
        if offer.is_empty() {
            let again = sdp::offer(&self.ours_for_peer(formats));
            return self.act_on_peer(call::Input::Answer(&again), now, out);
        }
        let outcome = sdp::read(offer)
            .map_err(|_| sdp::Refusal::Nothing)
            .and_then(|session| {
                let mut ours = self.ours_for_peer(formats);
                let mut answer = sdp::answer(&session, &ours)?;
                // The version counts only real changes (RFC 3264 section 8).
                if answer.sdp != self.last_answer {
                    self.version += 1;
                    ours.version = self.version;
                    answer = sdp::answer(&session, &ours)?;
                }
                Ok((session, answer))
            });
        match outcome {
            Ok((session, answer)) => {
                self.last_answer.clone_from(&answer.sdp);
                let before = self.wanted.replace(answer.audio.clone());
                if self.agreed().is_empty() {
                    // A medium that is refused leaves the sound as it was.
                    self.wanted = before;
                }
                self.act_on_peer(call::Input::Answer(&answer.sdp), now, out);
                self.peer_session(session, now, out);
            }
            Err(refusal) => {
                let refuse = call::Input::Refuse {
                    status: 488,
                    words: refusal.words(),
                    warning: Some(refusal.warning()),
                };
                self.act_on_peer(refuse, now, out);
            }
        }
    }

    pub(super) fn peer_ended(&mut self, how: Ended, now: Now, out: &mut Vec<Output>) {
        let Some(leg) = self.peer.take() else { return };
        let ours = leg.ours;
        self.fade(leg.call, FadingSide::Peer(leg.there));
        if self.finished {
            return;
        }
        if ours && how == Ended::Unreachable {
            return self.next_transport(now, out);
        }
        if ours && how == Ended::Refused(491) {
            // Its own call is on the way, unless that cannot reach us: then ours is wanted after all.
            self.calling = if self.gave_way || self.setup.candidates.is_empty() {
                Calling::Waiting(now.saturating_add(PATIENCE))
            } else {
                Calling::At(now.saturating_add(AGAIN + SILENCE))
            };
            self.gave_way = true;
            return;
        }
        if let (true, Ended::Refused(status)) = (ours, &how)
            && is_wrong_place(*status)
            && self.candidate + 1 < self.setup.candidates.len()
        {
            // Somebody else lives there: a private address of the peer's may be a phone of ours.
            return self.start_candidate(self.candidate + 1, now, out);
        }
        if how == Ended::Cancelled && self.crossed {
            // Both called, both took their call back. Once more, and not both at once.
            self.crossed = false;
            self.drop_agent(now, out);
            self.wanted = None;
            out.push(Output::Say("both sides called at once; again".to_owned()));
            self.calling = match self.setup.role {
                Role::Inviter => Calling::At(now.saturating_add(AGAIN)),
                Role::Invitee => Calling::At(now.saturating_add(AGAIN + SILENCE)),
            };
            return;
        }
        self.ended_there = matches!(how, Ended::ByPeer | Ended::Cancelled);
        let why = match how {
            Ended::ByPeer => "the peer hung up".to_owned(),
            Ended::Cancelled => "the peer took its call back".to_owned(),
            Ended::ByUs => "the call was refused here".to_owned(),
            Ended::Refused(status) => {
                format!(
                    "the peer's side refused the call: {status} {}",
                    reason(status)
                )
            }
            Ended::Unreachable => "the peer cannot be reached".to_owned(),
            Ended::NotAnswered => "the peer did not answer".to_owned(),
            Ended::Unconfirmed => "the peer never confirmed the call".to_owned(),
        };
        self.end(why, now, out);
    }

    /// What we tell the peer about our media.
    pub(super) fn ours_for_peer(&self, formats: Vec<Format>) -> Ours {
        Ours {
            ip: *self.setup.own.ip(),
            id: self.id,
            version: self.version,
            audio: Some(Line {
                port: self.setup.peer_rtp,
                formats,
            }),
            video: self.setup.video.clone(),
        }
    }

    /// The audio both legs agreed on.
    pub(super) fn agreed(&self) -> Vec<Format> {
        let wanted = self.wanted.clone().unwrap_or_else(sdp::plain_audio);
        match self.agent.as_ref().and_then(|leg| leg.answer.as_ref()) {
            Some(answer) => answer
                .audio()
                .map(|audio| sdp::common(&wanted, &audio.formats))
                .unwrap_or(wanted),
            None => wanted,
        }
    }
}

/// Whether an answer says that the one who is meant is not there, rather than that he does not want to
/// or cannot.
fn is_wrong_place(status: u16) -> bool {
    !matches!(status, 480 | 486 | 487 | 488 | 491 | 600..)
}

fn send_peer(calls: Vec<call::Output>, there: Hop, back: Hop, out: &mut Vec<Output>) {
    for output in calls {
        if let call::Output::Send { bytes, to } = output {
            let hop = match to {
                Where::Back => back,
                Where::There => there,
            };
            out.push(Output::ToPeer { bytes, hop });
        }
    }
}
