//! Call signalling of a call (H.225.0 section 7, H.323 section 8.1).

use std::net::SocketAddrV4;

use rasn::types::OctetString;

use super::{Call, Ended, Output, Stage, usable};
use crate::adapter::h323::{
    h225::{
        AliasAddress, Body, CallType, ConferenceGoal, Connect, EndpointType, Proceeding,
        ReleaseComplete, ReleaseReason, Setup, TransportAddress, UserInformation, protocol,
    },
    q931::{self, cause, kind},
    tpkt,
};

impl Call {
    pub(super) fn call(&mut self, to: SocketAddrV4) {
        if self.stage != Stage::Idle {
            return;
        }
        self.stage = Stage::Calling;
        let fast_start = self.settings.fast_start.then(|| self.proposals());
        let body = Setup {
            protocol: protocol(),
            h245_address: None,
            source_address: AliasAddress::name(&self.settings.name).map(|name| vec![name]),
            source_info: EndpointType::terminal(),
            destination_address: None,
            destination_signal: Some(to.into()),
            extra_call_info: None,
            extra_references: None,
            active_mc: false,
            conference_id: self.conference.into(),
            conference_goal: ConferenceGoal::Create(()),
            call_services: None,
            call_type: CallType::PointToPoint(()),
            source_signal: None,
            remote_extension: None,
            call: Some(self.identifier()),
            security: None,
            tokens: None,
            crypto_tokens: None,
            fast_start: fast_start.map(octets),
        };
        self.say(kind::SETUP, Body::Setup(body), None, Vec::new());
    }

    pub(super) fn signal_bytes(&mut self, bytes: &[u8]) {
        let Ok(messages) = self.signal.push(bytes) else {
            return self.hang_up(Ended::Unreadable, ReleaseReason::UndefinedReason(()));
        };
        for message in messages {
            if !self.hears() {
                return;
            }
            self.signal_message(&message);
        }
    }

    fn signal_message(&mut self, bytes: &[u8]) {
        let Ok(message) = q931::read(bytes) else {
            self.unread = self.unread.saturating_add(1);
            return;
        };
        let user = message.user.as_deref().map(UserInformation::read);
        let Some(Ok(user)) = user else {
            // A ReleaseComplete ends the call even if it says nothing more.
            if message.kind == kind::RELEASE_COMPLETE {
                self.released(message.cause);
            } else {
                self.unread = self.unread.saturating_add(1);
            }
            return;
        };
        let begins = self.stage == Stage::Idle;
        if begins != matches!(user.pdu.body, Body::Setup(_))
            || !begins && message.reference != self.reference
        {
            return;
        }
        let tunnelling = user.pdu.h245_tunnelling == Some(true) && self.settings.tunnelling;
        // Both have to say it, in everything they say.
        match user.pdu.body {
            Body::Setup(_) | Body::CallProceeding(_) | Body::Alerting(_) | Body::Connect(_) => {
                self.tunnelled = tunnelling;
            }
            _ => {}
        }
        match user.pdu.body {
            Body::Setup(setup) => self.called(&setup, message.reference, message.name),
            Body::CallProceeding(said) => self.proceeds(&said),
            Body::Alerting(said) => {
                self.proceeds(&said);
                if self.stage == Stage::Calling {
                    self.out.push(Output::Ringing);
                }
            }
            Body::Connect(connect) => self.connected(&connect),
            Body::ReleaseComplete(_) => self.released(message.cause),
            Body::Facility(facility) => self.connect_control(facility.h245_address.as_ref()),
            _ => {}
        }
        if self.tunnelled {
            for message in user.pdu.h245_control.unwrap_or_default() {
                if !self.hears() {
                    return;
                }
                self.control_message(&message);
            }
        }
    }

    fn called(&mut self, setup: &Setup, reference: u16, name: Option<String>) {
        self.stage = Stage::Called;
        self.of_called = true;
        self.reference = reference;
        self.conference = *setup.conference_id;
        if let Some(call) = &setup.call {
            self.guid = *call.guid;
        }
        if self.settings.fast_start {
            self.take_proposals(setup.fast_start.as_deref().unwrap_or_default());
        }
        let body = Body::CallProceeding(self.proceeding());
        self.say(kind::CALL_PROCEEDING, body, None, Vec::new());
        self.out.push(Output::Incoming(name));
    }

    fn proceeding(&self) -> Proceeding {
        Proceeding {
            protocol: protocol(),
            destination_info: EndpointType::terminal(),
            h245_address: None,
            call: Some(self.identifier()),
            security: None,
            tokens: None,
            crypto_tokens: None,
            fast_start: None,
        }
    }

    fn proceeds(&mut self, said: &Proceeding) {
        if self.stage == Stage::Calling {
            self.answered_proposals(said.fast_start.as_deref().unwrap_or_default());
            self.connect_control(said.h245_address.as_ref());
        }
    }

    pub(super) fn ringing(&mut self) {
        if self.stage == Stage::Called {
            let body = Body::Alerting(self.proceeding());
            self.say(kind::ALERTING, body, None, Vec::new());
        }
    }

    pub(super) fn answer(&mut self) {
        if self.stage != Stage::Called {
            return;
        }
        self.stage = Stage::Connected;
        let accepted = std::mem::take(&mut self.accepted);
        let own = self.settings.control.filter(|_| !self.tunnelled);
        let body = Connect {
            protocol: protocol(),
            h245_address: own.map(TransportAddress::from),
            destination_info: EndpointType::terminal(),
            conference_id: self.conference.into(),
            call: Some(self.identifier()),
            security: None,
            tokens: None,
            crypto_tokens: None,
            fast_start: (!accepted.is_empty()).then(|| octets(accepted)),
        };
        self.say(kind::CONNECT, Body::Connect(body), None, Vec::new());
        self.out.push(Output::Connected);
        self.out.append(&mut self.agreed);
        self.begin_tunnelled();
    }

    fn connected(&mut self, connect: &Connect) {
        if self.stage != Stage::Calling {
            return;
        }
        self.stage = Stage::Connected;
        self.out.push(Output::Connected);
        self.answered_proposals(connect.fast_start.as_deref().unwrap_or_default());
        self.connect_control(connect.h245_address.as_ref());
        self.begin_tunnelled();
    }

    /// Connects for H.245, once, where it does not go through call signalling.
    fn connect_control(&mut self, there: Option<&TransportAddress>) {
        let there = there.and_then(TransportAddress::ipv4).and_then(usable);
        if let Some(there) = there.filter(|_| !self.tunnelled && self.control.may_connect()) {
            self.control.connecting();
            self.out.push(Output::Connect(there));
        }
    }

    fn released(&mut self, cause: Option<u8>) {
        let why = match self.stage {
            Stage::Calling => Ended::Refused(cause),
            _ => Ended::There(cause),
        };
        self.end(why);
    }

    /// Ends the session of H.245 and the call.
    pub(super) fn hang_up(&mut self, why: Ended, reason: ReleaseReason) {
        if self.stage != Stage::Idle {
            let (cause, reason) = match self.stage {
                Stage::Called => (cause::BUSY, ReleaseReason::DestinationRejection(())),
                _ => (cause::NORMAL, reason),
            };
            let last = self.end_session();
            let body = ReleaseComplete::new(reason, Some(self.identifier()));
            let body = Body::ReleaseComplete(body);
            self.say(kind::RELEASE_COMPLETE, body, Some(cause), last);
        }
        self.end(why);
    }

    /// Says that over call signalling, and what is tunnelled with it.
    pub(super) fn say(&mut self, what: u8, body: Body, cause: Option<u8>, tunnelled: Vec<Vec<u8>>) {
        let mut user = UserInformation::of(body);
        let offered = self.stage == Stage::Calling && self.settings.tunnelling;
        user.pdu.h245_tunnelling = Some(self.tunnelled || offered);
        user.pdu.h245_control = (!tunnelled.is_empty()).then(|| octets(tunnelled));
        let user = match user.write() {
            Ok(user) => user,
            Err(error) => return tracing::warn!(%error, what, "not said"),
        };
        let name = Some(self.settings.name.clone());
        let message = q931::Message {
            kind: what,
            reference: self.reference,
            of_called: self.of_called,
            name: name.filter(|name| what == kind::SETUP && !name.is_empty()),
            cause,
            user: Some(user),
        };
        match tpkt::framed(&q931::write(&message)) {
            Ok(bytes) => self.out.push(Output::Signal(bytes)),
            Err(error) => tracing::warn!(%error, what, "not said"),
        }
    }
}

fn octets(all: Vec<Vec<u8>>) -> Vec<OctetString> {
    all.into_iter().map(OctetString::from).collect()
}
