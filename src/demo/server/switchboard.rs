//! One connection to the switchboard server: who is in the room, and what is said there
//! (PROTOCOL.md 1.1 and 12.3). Payload bytes are relayed as they came.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use super::{
    Kind, Member, Out, Shared, forms,
    notification::{nick_word, ring},
    serve_commands,
};
use crate::{
    demo::wire::{Frame, bare},
    invitation::MAX_PAYLOAD,
};

struct Switchboard {
    shared: Arc<Shared>,
    out: Out,
    /// Session, and the handle in it, once admitted.
    place: Option<(u64, String)>,
    version: u8,
}

/// Serves one client until either side is done.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    if let Err(error) = serve_inner(&shared, stream).await {
        tracing::debug!(%error, "demo server: switchboard connection ended");
    }
}

async fn serve_inner(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    let out = shared.connection(Kind::Switchboard, writing);
    let mut connection = Switchboard {
        shared: Arc::clone(shared),
        out: out.clone(),
        place: None,
        version: 0,
    };
    let result = serve_commands(reading, &out, |frame| connection.handle(frame)).await;
    connection.leave();
    out.close();
    result
}

impl Switchboard {
    fn say(&self, line: &str) {
        self.out.send(line.as_bytes().to_vec());
    }

    /// Answers one command; `false` ends the connection.
    fn handle(&mut self, frame: &Frame) -> bool {
        match frame.verb() {
            "" => true,
            "USR" if self.place.is_none() => self.open(frame),
            "ANS" if self.place.is_none() => self.answer(frame),
            "OUT" => false,
            _ => {
                let Some((session, handle)) = self.place.clone() else {
                    self.say(&format!("911 {}\r\n", frame.word(1)));
                    return false;
                };
                match frame.verb() {
                    "CAL" => {
                        self.call(frame, session, &handle);
                        true
                    }
                    "MSG" => self.message(frame, session, &handle),
                    // Sent by some clients to keep the connection; no reply exists for it.
                    "PNG" => true,
                    _ => {
                        self.say(&format!("200 {}\r\n", frame.word(1)));
                        true
                    }
                }
            }
        }
    }

    /// Takes the ticket a cookie stands for, if it is this person's.
    fn admit(&mut self, handle: &str, cookie: &str) -> Option<super::Ticket> {
        let mut state = self.shared.state();
        let fits = state
            .tickets
            .get(cookie)
            .is_some_and(|ticket| ticket.handle == bare(handle));
        if !fits {
            return None;
        }
        state.tickets.remove(cookie)
    }

    fn member(&self, handle: &str) -> Member {
        Member {
            handle: handle.to_owned(),
            version: self.version,
            out: self.out.clone(),
        }
    }

    /// `USR`: the caller comes in to an empty room.
    fn open(&mut self, frame: &Frame) -> bool {
        let (trid, shown) = (frame.word(1), frame.word(2));
        let Some(ticket) = self
            .admit(shown, frame.word(3))
            .filter(|ticket| ticket.session.is_none())
        else {
            self.say(&format!("911 {trid}\r\n"));
            return false;
        };
        let session = self.shared.session();
        self.version = ticket.version;
        self.out.name(&ticket.handle);
        self.out.session(session);
        let member = self.member(&ticket.handle);
        self.shared.state().sessions.insert(session, vec![member]);
        let nick = nick_word(&self.shared, &ticket.handle);
        self.say(&format!("USR {trid} OK {shown} {nick}\r\n"));
        self.place = Some((session, ticket.handle));
        true
    }

    /// `ANS`: the one who was called comes in.
    fn answer(&mut self, frame: &Frame) -> bool {
        let (trid, shown) = (frame.word(1), frame.word(2));
        let asked: Option<u64> = frame.word(4).parse().ok();
        let Some(ticket) = self
            .admit(shown, frame.word(3))
            .filter(|ticket| ticket.session.is_some() && ticket.session == asked)
        else {
            self.say(&format!("911 {trid}\r\n"));
            return false;
        };
        let Some(session) = ticket.session else {
            return false;
        };
        self.version = ticket.version;
        self.out.name(&ticket.handle);
        self.out.session(session);
        let member = self.member(&ticket.handle);
        let own_nick = self.shared.nick(&ticket.handle);
        {
            let mut state = self.shared.state();
            let members = state.sessions.entry(session).or_default();
            let count = members.len();
            for (index, other) in members.iter().enumerate() {
                let nick = self.shared.nick(&other.handle);
                let who = forms::member(self.version, &other.handle, &nick);
                self.say(&format!("IRO {trid} {} {count} {who}\r\n", index + 1));
            }
            self.say(&format!("ANS {trid} OK\r\n"));
            for other in members.iter() {
                let who = forms::member(other.version, &ticket.handle, &own_nick);
                other.out.send(format!("JOI {who}\r\n").into_bytes());
            }
            members.push(member);
        }
        self.place = Some((session, ticket.handle));
        true
    }

    /// `CAL`: rings somebody.
    fn call(&self, frame: &Frame, session: u64, handle: &str) {
        let (trid, callee) = (frame.word(1), bare(frame.word(2)));
        let inside = self
            .shared
            .state()
            .sessions
            .get(&session)
            .is_some_and(|members| members.iter().any(|member| member.handle == callee));
        if inside {
            self.say(&format!("215 {trid}\r\n"));
            return;
        }
        // The reply goes first: on one machine the JOI may come at once.
        if self
            .shared
            .state()
            .online
            .get(&callee)
            .and_then(|online| online.presence.as_ref())
            .is_none_or(|presence| presence.status == "HDN")
        {
            self.say(&format!("217 {trid}\r\n"));
            return;
        }
        self.say(&format!("CAL {trid} RINGING {session}\r\n"));
        ring(&self.shared, session, handle, &callee);
    }

    /// `MSG`: to everybody else in the room, and the acknowledgement its letter asks for
    /// (PROTOCOL.md 1.1). A message nobody hears is a failed one.
    fn message(&self, frame: &Frame, session: u64, handle: &str) -> bool {
        let (trid, letter, payload) = (frame.word(1), frame.word(2), frame.payload());
        if self.shared.settings.strict
            && (payload.len() > MAX_PAYLOAD || !["U", "N", "A", "D"].contains(&letter))
        {
            return false;
        }
        let heard = {
            let state = self.shared.state();
            let mut bytes = format!(
                "MSG {handle} {} {}\r\n",
                nick_word(&self.shared, handle),
                payload.len()
            )
            .into_bytes();
            bytes.extend_from_slice(payload);
            let others = state
                .sessions
                .get(&session)
                .into_iter()
                .flatten()
                .filter(|member| member.out.id() != self.out.id());
            let mut heard = false;
            for other in others {
                other.out.send(bytes.clone());
                heard = true;
            }
            heard
        };
        match (letter, heard) {
            ("A" | "D" | "S", true) => self.say(&format!("ACK {trid}\r\n")),
            ("A" | "D" | "N", false) => self.say(&format!("NAK {trid}\r\n")),
            _ => {}
        }
        true
    }

    /// Out of the room, as everybody else in it sees it.
    fn leave(&mut self) {
        let Some((session, handle)) = self.place.take() else {
            return;
        };
        let mut state = self.shared.state();
        let Some(members) = state.sessions.get_mut(&session) else {
            return;
        };
        members.retain(|member| member.out.id() != self.out.id());
        for other in members.iter() {
            other.out.send(format!("BYE {handle}\r\n").into_bytes());
        }
        if members.is_empty() {
            state.sessions.remove(&session);
        }
    }
}
