//! One call of H.323 (its sections 8.1 to 8.5): bytes and wishes in, bytes and news out. No socket
//! and no clock; who drives it reads `Output`, checks every address in it and connects to none that
//! is not allowed.
//!
//! What bounds it: a message is at most [`tpkt::MAX_MESSAGE`] long, a channel is opened once for each
//! medium and direction, an answer is never longer than a message, and a peer that says [`MAX_UNREAD`]
//! things that cannot be read, or [`MAX_HEARD`] in all, has ended the call.

mod codec;
mod control;
mod fast;
mod news;
mod signal;

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    h225::{CallIdentifier, ReleaseReason},
    tpkt,
};
pub use codec::{Codec, Medium};
pub use news::{Ended, Output};

/// How many messages may be unreadable.
pub const MAX_UNREAD: u32 = 16;
/// How many messages a call may have: a round trip in each second of a day, and some.
pub const MAX_HEARD: u32 = 200_000;

/// What a call begins with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the peer is told we are called.
    pub name: String,
    /// Our codecs, the dearest first. Of pictures only what the other leg has.
    pub codecs: Vec<Codec>,
    /// Where we want audio; RTCP is one port higher.
    pub audio: SocketAddrV4,
    /// Where we want pictures.
    pub video: Option<SocketAddrV4>,
    /// Pictures are taken, and none are sent.
    pub only_watches: bool,
    /// Where we listen for H.245. As caller we connect instead, and this is not told.
    pub control: Option<SocketAddrV4>,
    /// Where a program of ours takes T.120. None refuses such a channel.
    pub t120: Option<SocketAddrV4>,
    /// Whether channels are proposed in the Setup, and taken out of one.
    pub fast_start: bool,
    /// Whether H.245 may go through call signalling.
    pub tunnelling: bool,
    /// Random: names the call.
    pub guid: [u8; 16],
    /// Random, 24 bits of it: decides who is master.
    pub number: u32,
    /// Random: the number of a call that we make.
    pub reference: u16,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Call whoever is there, over the connection for call signalling that was made.
    Call(SocketAddrV4),
    /// Bytes of call signalling.
    Signal(&'a [u8]),
    /// The connection for H.245 is there, whoever made it.
    ControlOpen,
    /// Bytes of H.245.
    Control(&'a [u8]),
    /// The connection for call signalling ended.
    SignalClosed,
    /// The connection for H.245 ended.
    ControlClosed,
    /// It rings here.
    Ringing,
    /// The call is taken here.
    Answer,
    /// The call is not, or no longer, wanted here.
    HangUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    /// We called.
    Calling,
    /// We were called.
    Called,
    Connected,
    Over,
}

/// A call.
#[derive(Debug)]
pub struct Call {
    settings: Settings,
    stage: Stage,
    /// We were called.
    of_called: bool,
    reference: u16,
    guid: [u8; 16],
    conference: [u8; 16],
    signal: tpkt::Framer,
    heard: u32,
    unread: u32,
    /// The peer tunnels as well.
    tunnelled: bool,
    /// What a fast start answers, until the Connect.
    accepted: Vec<Vec<u8>>,
    /// What follows from an answer to a fast start, after the Connect.
    agreed: Vec<Output>,
    control: control::Control,
    out: Vec<Output>,
}

impl Call {
    /// A call that has not begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            stage: Stage::Idle,
            of_called: false,
            reference: settings.reference & 0x7fff,
            guid: settings.guid,
            conference: settings.guid,
            signal: tpkt::Framer::default(),
            heard: 0,
            unread: 0,
            tunnelled: false,
            accepted: Vec::new(),
            agreed: Vec::new(),
            control: control::Control::default(),
            out: Vec::new(),
            settings,
        }
    }

    /// It is over, and nothing more follows from anything.
    #[must_use]
    pub fn over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Takes what happened and says what follows.
    pub fn handle(&mut self, input: Input<'_>) -> Vec<Output> {
        if !self.over() {
            match input {
                Input::Call(to) => self.call(to),
                Input::Signal(bytes) => self.signal_bytes(bytes),
                Input::ControlOpen => self.control_open(),
                Input::Control(bytes) => self.control_bytes(bytes),
                Input::SignalClosed => self.end(Ended::Lost),
                Input::ControlClosed => self.control_closed(),
                Input::Ringing => self.ringing(),
                Input::Answer => self.answer(),
                Input::HangUp => self.hang_up(Ended::Here, ReleaseReason::UndefinedReason(())),
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Counts a message; false ends the call.
    fn hears(&mut self) -> bool {
        self.heard = self.heard.saturating_add(1);
        let bounded = self.heard <= MAX_HEARD && self.unread <= MAX_UNREAD;
        if !bounded && !self.over() {
            self.hang_up(Ended::Unreadable, ReleaseReason::UndefinedReason(()));
        }
        bounded && !self.over()
    }

    fn identifier(&self) -> CallIdentifier {
        CallIdentifier::new(self.guid)
    }

    fn end(&mut self, why: Ended) {
        self.stage = Stage::Over;
        self.out.push(Output::Ended(why));
    }

    /// Where we want that medium.
    fn wanted(&self, medium: Medium) -> Option<SocketAddrV4> {
        match medium {
            Medium::Audio => Some(self.settings.audio),
            Medium::Video => self.settings.video,
        }
    }

    /// Where what they want of that medium would come from; nothing where we send none.
    fn sent(&self, medium: Medium) -> Option<SocketAddrV4> {
        let watches = medium == Medium::Video && self.settings.only_watches;
        self.wanted(medium).filter(|_| !watches)
    }

    /// Whether we have that codec, and a place for it.
    fn has(&self, codec: Codec) -> bool {
        self.settings.codecs.contains(&codec) && self.wanted(codec.medium()).is_some()
    }
}

/// Where RTCP is, of where RTP is.
fn rtcp(media: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*media.ip(), media.port().saturating_add(1))
}

/// An address that somebody can be sent to.
fn usable(at: SocketAddrV4) -> Option<SocketAddrV4> {
    let nobody = at.port() == 0 || *at.ip() == Ipv4Addr::UNSPECIFIED || at.ip().is_multicast();
    (!nobody).then_some(at)
}
