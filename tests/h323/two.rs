//! Two of our calls, one calling the other, and all that they say.

use std::net::{Ipv4Addr, SocketAddrV4};

use msn_handoff::adapter::h323::{
    call::{Call, Codec, Input, Output, Settings},
    h225::{Body, UserInformation},
    q931, tpkt,
};

const CALLED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const CALLER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What one of them begins with.
pub(crate) fn settings(ip: Ipv4Addr, number: u32) -> Settings {
    Settings {
        name: "Ann".into(),
        codecs: vec![Codec::Ulaw, Codec::Alaw],
        audio: SocketAddrV4::new(ip, 5000),
        video: None,
        only_watches: false,
        control: Some(SocketAddrV4::new(ip, 2000)),
        t120: None,
        fast_start: false,
        tunnelling: false,
        guid: [7; 16],
        number,
        reference: 0x1234,
    }
}

pub(crate) fn caller() -> Settings {
    settings(CALLER, 5)
}

pub(crate) fn called() -> Settings {
    settings(CALLED, 900)
}

/// What of it came out, and what was said, whole messages.
pub(crate) struct Two {
    pub(crate) caller: Call,
    pub(crate) called: Call,
    pub(crate) of_caller: Vec<Output>,
    pub(crate) of_called: Vec<Output>,
    /// Call signalling, in the order it was said.
    pub(crate) signal: Vec<u8>,
    /// H.245 of its own connection.
    pub(crate) control: Vec<Vec<u8>>,
}

impl Two {
    pub(crate) fn new(caller: Settings, called: Settings) -> Self {
        Self {
            caller: Call::new(caller),
            called: Call::new(called),
            of_caller: Vec::new(),
            of_called: Vec::new(),
            signal: Vec::new(),
            control: Vec::new(),
        }
    }

    /// The call, answered at once, up to where neither has anything more to say.
    pub(crate) fn talk(&mut self) {
        let to = SocketAddrV4::new(CALLED, 1720);
        let first = self.caller.handle(Input::Call(to));
        self.carry(true, first);
    }

    /// The caller, or the called side, hangs up.
    pub(crate) fn hang_up(&mut self, caller: bool) {
        let of = if caller {
            self.caller.handle(Input::HangUp)
        } else {
            self.called.handle(Input::HangUp)
        };
        self.carry(caller, of);
    }

    /// Brings what one of them put out to the other, and on.
    pub(crate) fn carry(&mut self, from_caller: bool, out: Vec<Output>) {
        let mut waiting: Vec<(bool, Output)> =
            out.into_iter().map(|one| (from_caller, one)).collect();
        let mut steps = 0;
        while !waiting.is_empty() {
            let (from_caller, output) = waiting.remove(0);
            steps += 1;
            assert!(steps < 500, "they do not come to an end");
            let mut more = Vec::new();
            let (me, other) = if from_caller {
                (&mut self.caller, &mut self.called)
            } else {
                (&mut self.called, &mut self.caller)
            };
            match &output {
                Output::Signal(bytes) => {
                    self.signal.extend(bytes);
                    // In two pieces, as a network may.
                    let (first, rest) = bytes.split_at(bytes.len() / 2);
                    for piece in [first, rest] {
                        more.push((!from_caller, other.handle(Input::Signal(piece))));
                    }
                }
                Output::Control(bytes) => {
                    self.control.push(bytes.clone());
                    more.push((!from_caller, other.handle(Input::Control(bytes))));
                }
                Output::Connect(there) => {
                    let there_is = if from_caller { CALLED } else { CALLER };
                    assert_eq!(*there, SocketAddrV4::new(there_is, 2000));
                    more.push((!from_caller, other.handle(Input::ControlOpen)));
                    more.push((from_caller, me.handle(Input::ControlOpen)));
                }
                Output::Incoming(_) => {
                    more.push((from_caller, me.handle(Input::Ringing)));
                    more.push((from_caller, me.handle(Input::Answer)));
                }
                _ => {}
            }
            let list = if from_caller {
                &mut self.of_caller
            } else {
                &mut self.of_called
            };
            list.push(output);
            for (of, outputs) in more {
                waiting.extend(outputs.into_iter().map(|one| (of, one)));
            }
        }
    }

    /// All that was said, as call signalling: H.245 of its own connection put into the tunnel, where
    /// Wireshark reads it without being told a port.
    pub(crate) fn all(&self) -> Vec<u8> {
        let mut all = self.signal.clone();
        for framed in &self.control {
            let mut user = UserInformation::of(Body::Empty(()));
            user.pdu.h245_tunnelling = Some(true);
            user.pdu.h245_control = Some(vec![framed[tpkt::HEADER..].to_vec().into()]);
            let message = q931::Message {
                kind: q931::kind::FACILITY,
                reference: 0x1234,
                of_called: false,
                name: None,
                cause: None,
                user: Some(user.write().unwrap()),
            };
            all.extend(tpkt::framed(&q931::write(&message)).unwrap());
        }
        all
    }
}
