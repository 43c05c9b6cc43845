//! One connection to the notification server (or the dispatch server, which only redirects):
//! login, presence, and the way to a switchboard.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;

use super::{
    Kind, Online, Out, Shared, Ticket,
    forms::{self, Presence},
    serve_commands,
};
use crate::demo::wire::{Frame, bare, encode};

/// What one connection knows.
struct Notification {
    shared: Arc<Shared>,
    out: Out,
    /// The other end.
    client: SocketAddr,
    /// This end.
    own: SocketAddr,
    dispatch: bool,
    version: u8,
    /// Set once logged in.
    handle: Option<String>,
    /// The handle of a login under way.
    claimed: String,
    first_status: bool,
}

/// Serves one client until either side is done.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, dispatch: bool) {
    if let Err(error) = serve_inner(&shared, stream, dispatch).await {
        tracing::debug!(%error, "demo server: notification connection ended");
    }
}

async fn serve_inner(shared: &Arc<Shared>, stream: TcpStream, dispatch: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (client, own) = (stream.peer_addr()?, stream.local_addr()?);
    let (reading, writing) = stream.into_split();
    let kind = if dispatch {
        Kind::Dispatch
    } else {
        Kind::Notification
    };
    let out = shared.connection(kind, writing);
    let mut connection = Notification {
        shared: Arc::clone(shared),
        out: out.clone(),
        client,
        own,
        dispatch,
        version: 0,
        handle: None,
        claimed: String::new(),
        first_status: true,
    };
    let result = serve_commands(reading, &out, |frame| connection.handle(frame)).await;
    connection.sign_out();
    out.close();
    result
}

impl Notification {
    fn say(&self, line: &str) {
        self.out.send(line.as_bytes().to_vec());
    }

    /// Answers one command; `false` ends the connection.
    fn handle(&mut self, frame: &Frame) -> bool {
        let trid = frame.word(1);
        match frame.verb() {
            "" => {}
            "VER" => return self.negotiate(frame),
            "INF" => self.say(&format!("INF {trid} MD5\r\n")),
            "CVR" => self.say(&format!(
                "CVR {trid} 1.0.0000 1.0.0000 1.0.0000 http://127.0.0.1/ http://127.0.0.1/\r\n"
            )),
            "USR" => return self.log_in(frame),
            "OUT" => return false,
            _ if self.handle.is_none() => {
                // Nothing else is allowed before the login.
                self.say(&format!("911 {trid}\r\n"));
                return false;
            }
            _ => self.signed_in(frame),
        }
        true
    }

    /// `VER`: the highest version both sides have.
    fn negotiate(&mut self, frame: &Frame) -> bool {
        let best = frame
            .words()
            .iter()
            .filter_map(|word| word.strip_prefix("MSNP")?.parse::<u8>().ok())
            .filter(|version| self.shared.settings.versions.contains(version))
            .max();
        let trid = frame.word(1);
        let Some(version) = best else {
            self.say(&format!("VER {trid} 0\r\n"));
            return false;
        };
        self.version = version;
        self.say(&format!("VER {trid} MSNP{version}\r\n"));
        true
    }

    fn log_in(&mut self, frame: &Frame) -> bool {
        let (trid, scheme, step) = (frame.word(1), frame.word(2), frame.word(3));
        let fits = match self.version {
            0 => false,
            1..=7 => scheme == "MD5",
            8..=14 => scheme == "TWN",
            _ => scheme == "SSO",
        };
        if !fits || self.handle.is_some() {
            self.say(&format!("911 {trid}\r\n"));
            return false;
        }
        if step == "I" {
            self.claimed = bare(frame.word(4));
            self.out.name(&self.claimed);
            if self.dispatch {
                self.say(&forms::xfr_ns(
                    self.version,
                    trid,
                    self.shared.notification,
                    self.own,
                ));
                return true;
            }
            self.say(&match scheme {
                "MD5" => format!("USR {trid} MD5 S 1013928519.693957190\r\n"),
                "TWN" => format!(
                    "USR {trid} TWN S lc=1033,id=507,tw=40,fs=1,ru=http%3A%2F%2Fmessenger%2Emsn%2Ecom,ct=1,kpp=1,kv=5,ver=2.1.0173.1,tpf=0\r\n"
                ),
                _ => format!(
                    "USR {trid} SSO S MBI_KEY_OLD AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
                ),
            });
            return true;
        }
        if step != "S" || self.claimed.is_empty() || frame.word(4).is_empty() {
            self.say(&format!("911 {trid}\r\n"));
            return false;
        }
        let handle = self.claimed.clone();
        let nick = self.shared.nick(&handle);
        self.say(&forms::usr_ok(self.version, trid, &handle, &nick));
        self.out.send(forms::profile(&handle, self.client));
        let before = self.shared.state().online.insert(
            handle.clone(),
            Online {
                version: self.version,
                out: self.out.clone(),
                presence: None,
            },
        );
        if let Some(before) = before {
            before.out.send(b"OUT OTH\r\n".to_vec());
            before.out.close();
        }
        self.handle = Some(handle);
        true
    }

    fn signed_in(&mut self, frame: &Frame) {
        let Some(handle) = self.handle.clone() else {
            return;
        };
        let (version, trid) = (self.version, frame.word(1));
        match frame.verb() {
            "SYN" => {
                let contacts = self.shared.contacts_of(&handle);
                let own_nick = self.shared.nick(&handle);
                let stamps = (frame.word(2), frame.word(3));
                self.say(&forms::syn(version, trid, stamps, &own_nick, &contacts));
            }
            "CHG" => self.change_status(frame, &handle),
            "PNG" => self.say(if version >= 9 {
                "QNG 50\r\n"
            } else {
                "QNG\r\n"
            }),
            "QRY" => self.say(&format!("QRY {trid}\r\n")),
            "GCF" => {
                let body = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><config><shield><cli maj=\"7\" min=\"0\" minbld=\"0\" maxbld=\"9999\" deny=\" \" /></shield><block></block></config>";
                let name = frame.word(2);
                self.say(&format!("GCF {trid} {name} {}\r\n{body}", body.len()));
            }
            "UUX" => self.say(&format!("UUX {trid} 0\r\n")),
            "ADL" | "RML" => self.say(&format!("{} {trid} OK\r\n", frame.verb())),
            "BLP" | "GTC" if version <= 9 => {
                self.say(&format!("{} {trid} 2 {}\r\n", frame.verb(), frame.word(2)));
            }
            "PRP" if version <= 9 => self.say(&format!(
                "PRP {trid} 2 {} {}\r\n",
                frame.word(2),
                frame.word(3)
            )),
            "BLP" | "GTC" | "PRP" | "SBP" => self.say(&format!(
                "{} {trid} {}\r\n",
                frame.verb(),
                frame.words().get(2..).unwrap_or_default().join(" ")
            )),
            "REA" => self.say(&format!(
                "REA {trid} 2 {} {}\r\n",
                frame.word(2),
                frame.word(3)
            )),
            "URL" => self.say(&format!("URL {trid} / http://127.0.0.1/ 1\r\n")),
            "XFR" if frame.word(2) == "SB" => self.switchboard(trid, &handle),
            _ => self.say(&format!("200 {trid}\r\n")),
        }
    }

    /// `CHG`: everybody here is everybody's contact.
    fn change_status(&mut self, frame: &Frame, handle: &str) {
        let (trid, status) = (frame.word(1), frame.word(2));
        let presence = Presence {
            handle: handle.to_owned(),
            nick: self.shared.nick(handle),
            status: status.to_owned(),
            rest: frame.words().get(3..).unwrap_or_default().to_vec(),
        };
        self.say(&format!(
            "CHG {trid} {}\r\n",
            frame.words().get(2..).unwrap_or_default().join(" ")
        ));
        let mut state = self.shared.state();
        for (other, online) in &state.online {
            if other == handle {
                continue;
            }
            match &online.presence {
                Some(theirs) if self.first_status && theirs.status != "HDN" => {
                    self.say(&theirs.iln(self.version, trid));
                }
                _ => {}
            }
            // One who has not set a status yet learns of us when it does.
            if online.presence.is_some() {
                let line = if status == "HDN" {
                    forms::fln(online.version, handle)
                } else {
                    presence.nln(online.version)
                };
                online.out.send(line.into_bytes());
            }
        }
        if let Some(own) = state.online.get_mut(handle) {
            own.presence = Some(presence);
        }
        self.first_status = false;
    }

    /// `XFR SB`: a cookie for a new switchboard.
    fn switchboard(&self, trid: &str, handle: &str) {
        let mut state = self.shared.state();
        let hidden = state
            .online
            .get(handle)
            .and_then(|online| online.presence.as_ref())
            .is_none_or(|presence| presence.status == "HDN");
        if hidden {
            self.say(&format!("913 {trid}\r\n"));
            return;
        }
        let cookie = self.shared.cookie();
        state.tickets.insert(
            cookie.clone(),
            Ticket {
                handle: handle.to_owned(),
                version: self.version,
                session: None,
            },
        );
        self.say(&forms::xfr_sb(
            self.version,
            trid,
            self.shared.switchboard,
            &cookie,
        ));
    }

    /// Offline, as everybody else sees it.
    fn sign_out(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        let mut state = self.shared.state();
        let still_ours = state
            .online
            .get(&handle)
            .is_some_and(|online| online.out.id() == self.out.id());
        if !still_ours {
            return;
        }
        let seen = state
            .online
            .remove(&handle)
            .and_then(|online| online.presence)
            .is_some_and(|presence| presence.status != "HDN");
        if seen {
            for online in state.online.values() {
                if online.presence.is_some() {
                    online
                        .out
                        .send(forms::fln(online.version, &handle).into_bytes());
                }
            }
        }
    }
}

/// Tells `callee` that `inviter` calls; `false` when it is not there to be called.
pub(super) fn ring(shared: &Shared, session: u64, inviter: &str, callee: &str) -> bool {
    let nick = shared.nick(inviter);
    let mut state = shared.state();
    let Some(online) = state.online.get(callee) else {
        return false;
    };
    let reachable = online
        .presence
        .as_ref()
        .is_some_and(|presence| presence.status != "HDN");
    if !reachable {
        return false;
    }
    let (version, out) = (online.version, online.out.clone());
    let cookie = shared.cookie();
    out.send(
        forms::rng(
            version,
            session,
            shared.switchboard,
            &cookie,
            inviter,
            &nick,
        )
        .into_bytes(),
    );
    state.tickets.insert(
        cookie,
        Ticket {
            handle: callee.to_owned(),
            version,
            session: Some(session),
        },
    );
    true
}

/// The display name as one word.
pub(super) fn nick_word(shared: &Shared, handle: &str) -> String {
    encode(&shared.nick(handle))
}
