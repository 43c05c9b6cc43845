//! Placing the call: which address, which transport, and what to do when nothing answers
//! (APPLICATIONS.md 1.2).

use super::*;

impl Front {
    pub(super) fn place_call(
        &mut self,
        candidate: usize,
        hop: Hop,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(target) = self.setup.candidates.get(candidate).copied() else {
            return;
        };
        let transport = match hop {
            Hop::Udp(_) => Transport::Udp,
            Hop::Tcp(_) => Transport::Tcp,
        };
        let local = self.peer_local(transport);
        let offer = sdp::offer(&self.ours_for_peer(sdp::plain_audio()));
        let mut calls = Vec::new();
        // Without a user, as aMSN dials it (TOOLS.md 4.1); RTC reads it as its own.
        let uri = Uri::userless(*target.ip(), target.port());
        let call = Call::outgoing(local, uri, &offer, now, &mut calls);
        self.peer = Some(PeerLeg {
            call,
            there: hop,
            heard: None,
            ours: true,
            theirs: None,
        });
        self.peer_outputs(calls, None, now, out);
    }

    pub(super) fn start_candidate(&mut self, candidate: usize, now: Now, out: &mut Vec<Output>) {
        let Some(target) = self.setup.candidates.get(candidate).copied() else {
            let until = *self.give_up.get_or_insert_with(|| {
                out.push(Output::Say(self.setup.unreachable.clone()));
                now.saturating_add(PATIENCE)
            });
            self.calling = Calling::At(now.saturating_add(NEXT_ROUND).min(until));
            return;
        };
        self.candidate = candidate;
        if self.give_up.is_none() {
            out.push(Output::Say(format!("calling {target}")));
        }
        self.calling = Calling::Udp {
            candidate,
            until: now.saturating_add(SILENCE),
        };
        self.place_call(candidate, Hop::Udp(target), now, out);
    }

    /// Nothing was heard on this one: the next.
    pub(super) fn next_transport(&mut self, now: Now, out: &mut Vec<Output>) {
        self.drop_peer(now, out);
        match self.calling {
            Calling::Udp { candidate, .. } => {
                let Some(target) = self.setup.candidates.get(candidate).copied() else {
                    return;
                };
                self.calling = Calling::Tcp {
                    candidate,
                    until: now.saturating_add(SILENCE),
                };
                out.push(Output::Connect(target));
            }
            Calling::Tcp { candidate, .. } => self.start_candidate(candidate + 1, now, out),
            _ => self.end("the peer cannot be reached".to_owned(), now, out),
        }
    }

    pub(super) fn stream(&mut self, stream: Option<u64>, now: Now, out: &mut Vec<Output>) {
        let Calling::Tcp { candidate, .. } = self.calling else {
            return;
        };
        match stream {
            Some(stream) if self.peer.is_none() => {
                self.calling = Calling::Tcp {
                    candidate,
                    until: now.saturating_add(SILENCE),
                };
                self.place_call(candidate, Hop::Tcp(stream), now, out);
            }
            Some(_) => {}
            None => self.next_transport(now, out),
        }
    }

    /// A connection is gone; the call is not. What is still to be said goes by UDP.
    pub(super) fn stream_closed(&mut self, stream: u64) {
        let heard = self.peer.as_ref().and_then(|leg| leg.heard);
        let mut candidates = self.setup.candidates.iter().copied();
        let same = candidates.find(|to| Some(*to.ip()) == heard);
        let called = self.setup.candidates.get(self.candidate).copied();
        let Some(instead) = same.or(called) else {
            return;
        };
        if let Some(leg) = &mut self.peer
            && leg.there == Hop::Tcp(stream)
        {
            leg.there = Hop::Udp(instead);
        }
        for (_, side) in &mut self.fading {
            if matches!(side, FadingSide::Peer(Hop::Tcp(have)) if *have == stream) {
                *side = FadingSide::Peer(Hop::Udp(instead));
            }
        }
    }
}
