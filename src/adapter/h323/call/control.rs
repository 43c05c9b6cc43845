//! H.245 of a call: capabilities, who is master, channels, the end (H.323 sections 8.2 to 8.5).

mod able;
mod channels;

use super::{Call, Codec, Ended, Medium, Output, Stage};
use crate::adapter::h323::{
    h225::{Body, ReleaseReason},
    h245::{
        Command, Decision, EndSession, MasterSlaveDetermination, MasterSlaveDeterminationAck,
        Message, Request, Response,
    },
    q931::kind,
    tpkt,
};

/// A terminal without a multipoint controller (H.323 table 1).
const TERMINAL: u8 = 50;
/// Half of what a determination number can be (H.245 section C.2.2).
const HALF: u32 = 1 << 23;

/// A channel of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Asked for.
    Asked(Codec),
    Open,
    /// Refused, or closed.
    Shut,
}

/// Where H.245 stands.
#[derive(Debug, Default)]
pub(super) struct Control {
    framer: tpkt::Framer,
    /// A connection is there or on its way.
    connection: bool,
    /// Our capabilities are told.
    begun: bool,
    /// They know ours.
    known: bool,
    /// What they can receive.
    theirs: Option<Vec<Codec>>,
    /// Who is master is settled.
    settled: bool,
    ended: bool,
    sending: [Option<Sending>; 2],
    receiving: [Option<(u16, Codec)>; 2],
}

impl Control {
    pub(super) fn may_connect(&self) -> bool {
        !self.connection && !self.begun
    }

    pub(super) fn connecting(&mut self) {
        self.connection = true;
    }

    pub(super) fn sending(&mut self, medium: Medium) -> &mut Option<Sending> {
        let [audio, video] = &mut self.sending;
        match medium {
            Medium::Audio => audio,
            Medium::Video => video,
        }
    }

    pub(super) fn receiving(&mut self, medium: Medium) -> &mut Option<(u16, Codec)> {
        let [audio, video] = &mut self.receiving;
        match medium {
            Medium::Audio => audio,
            Medium::Video => video,
        }
    }
}

impl Call {
    pub(super) fn control_open(&mut self) {
        self.control.connection = true;
        self.begin();
    }

    pub(super) fn control_closed(&mut self) {
        // The call goes on: some close it once the channels are open.
        self.control.connection = false;
        self.control.framer = tpkt::Framer::default();
    }

    /// Begins where H.245 goes through call signalling.
    pub(super) fn begin_tunnelled(&mut self) {
        if self.tunnelled {
            self.begin();
        }
    }

    fn begin(&mut self) {
        if self.control.begun {
            return;
        }
        self.control.begun = true;
        self.tell(&Message::Request(Request::TerminalCapabilitySet(
            self.capabilities(),
        )));
        self.tell(&Message::Request(Request::MasterSlaveDetermination(
            MasterSlaveDetermination {
                terminal_type: TERMINAL,
                number: self.settings.number & 0x00ff_ffff,
            },
        )));
    }

    pub(super) fn control_bytes(&mut self, bytes: &[u8]) {
        let Ok(messages) = self.control.framer.push(bytes) else {
            return self.hang_up(Ended::Unreadable, ReleaseReason::UndefinedReason(()));
        };
        for message in messages {
            if !self.hears() {
                return;
            }
            self.control_message(&message);
        }
    }

    pub(super) fn control_message(&mut self, bytes: &[u8]) {
        if self.over() {
            return;
        }
        let Ok(message) = Message::read(bytes) else {
            self.unread = self.unread.saturating_add(1);
            return;
        };
        // They began first, through a tunnel.
        self.begin_tunnelled();
        match message {
            Message::Request(Request::TerminalCapabilitySet(set)) => self.can(set),
            Message::Request(Request::MasterSlaveDetermination(said)) => self.determine(&said),
            Message::Request(Request::OpenLogicalChannel(open)) => self.opens(&open),
            Message::Request(Request::CloseLogicalChannel(close)) => self.closes(close.channel),
            Message::Request(Request::RequestChannelClose(close)) => self.shuts(close.channel),
            Message::Request(Request::RoundTripDelay(delay)) => {
                self.tell(&Message::Response(Response::RoundTripDelay(delay)));
            }
            Message::Response(Response::TerminalCapabilitySetAck(_)) => self.control.known = true,
            Message::Response(Response::MasterSlaveDeterminationAck(_)) => {
                self.control.settled = true;
            }
            Message::Response(Response::OpenLogicalChannelAck(ack)) => self.opened(&ack),
            Message::Response(Response::OpenLogicalChannelReject(no)) => self.refused(no.channel),
            Message::Command(Command::EndSession(_)) => {
                self.hang_up(Ended::There(None), ReleaseReason::UndefinedReason(()));
            }
            _ => {}
        }
        self.open_channels();
    }

    /// Who is master (H.245 section C.2.2): the greater type, else the one whose number is less than
    /// half of all numbers behind the other's.
    fn determine(&mut self, said: &MasterSlaveDetermination) {
        let ahead = said.number.wrapping_sub(self.settings.number) & 0x00ff_ffff;
        let slave = match said.terminal_type.cmp(&TERMINAL) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            // Equal numbers: their side would have to try again; one in eight million.
            std::cmp::Ordering::Equal => ahead >= HALF,
        };
        let decision = if slave {
            Decision::Master(())
        } else {
            Decision::Slave(())
        };
        self.control.settled = true;
        self.tell(&Message::Response(Response::MasterSlaveDeterminationAck(
            MasterSlaveDeterminationAck { decision },
        )));
    }

    /// The last words of H.245, once: what is to be tunnelled in the last words of the call.
    pub(super) fn end_session(&mut self) -> Vec<Vec<u8>> {
        if !self.control.begun || self.control.ended {
            return Vec::new();
        }
        self.control.ended = true;
        let end = Message::Command(Command::EndSession(EndSession::Disconnect(())));
        if self.tunnelled {
            return end.write().into_iter().collect();
        }
        self.tell(&end);
        Vec::new()
    }

    /// Says that in H.245.
    fn tell(&mut self, message: &Message) {
        let bytes = match message.write() {
            Ok(bytes) => bytes,
            Err(error) => return tracing::warn!(%error, "not said"),
        };
        if self.tunnelled && self.stage != Stage::Idle {
            return self.say(kind::FACILITY, Body::Empty(()), None, vec![bytes]);
        }
        if self.control.connection
            && let Ok(bytes) = tpkt::framed(&bytes)
        {
            self.out.push(Output::Control(bytes));
        }
    }
}
