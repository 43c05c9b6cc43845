//! What a contact's program does once the addresses are told, for each kind of application, and how it is
//! ended.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use msn_handoff::{
    endpoint::socket,
    invitation::{Command, Message},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep, time::timeout};

use crate::{
    Chance,
    hosts::{self, MACHINE, SCREEN},
    people::{Contact, Met, PATIENCE, USER},
    phone::About,
    product::OWN,
    terminal,
};

/// How a NetMeeting that invites may open T.120, encoded by pycrate; see `tests/t120/opening.py`.
const OPENING: &str = include_str!("../t120/opening.hex");

impl Contact {
    /// It runs, if it does; somebody ends it, or something does.
    pub(crate) async fn meets(&mut self, met: Met) {
        sleep(self.chance.millis(800)).await;
        if self.chance.one_in(10) {
            if let Some(at) = met.at {
                self.strange(at).await;
            }
        } else {
            self.does(&met).await;
        }
        sleep(self.chance.millis(1_500)).await;
        match self.chance.below(10) {
            0..3 => self.cancels(&met.cookie, &met.session).await,
            3..5 => self.types("/hangup").await,
            5 => self.client.leave(USER),
            6 => self.user.lock().await.cut(),
            7 => self.client.cut(),
            // It is left to itself.
            _ => {}
        }
    }

    async fn does(&mut self, met: &Met) {
        match (met.id.as_str(), met.at) {
            ("voice", Some(at)) if !self.chance.one_in(3) => {
                let about = *self
                    .chance
                    .of(&[About::Sound, About::Sound, About::Picture]);
                self.home.phone.calls(at, about, &mut self.chance).await;
            }
            // We are called, after the seconds that the other side waits for our call.
            ("voice", _) => sleep(Duration::from_secs(5)).await,
            ("webcam", Some(at)) => {
                let packets = self.chance.below(100);
                self.home.phone.shows(at, packets).await;
            }
            ("netmeeting", _) if met.by_user => self.calls_netmeeting().await,
            ("netmeeting", _) => sleep(Duration::from_secs(6)).await,
            ("whiteboard" | "application-sharing", _) => self.draws().await,
            ("remote-assistance" | "remote-assistance-offer", _) => self.asks_for_help(met).await,
            ("virtual-machine", _) => self.talks_to((OWN, MACHINE.1).into()).await,
            ("drop-box" | "unknown", Some(at)) => self.talks_to(at).await,
            _ => sleep(self.chance.millis(3_000)).await,
        }
    }

    /// Something that nobody can make sense of.
    async fn strange(&mut self, at: SocketAddr) {
        let bytes = self.bytes();
        if self.chance.one_in(2) {
            let from = socket::udp((self.home.at, 0).into()).await.unwrap();
            for _ in 0..self.chance.below(200) {
                let _ = from.send_to(&bytes, at).await;
            }
        } else if let Some(mut stream) = hosts::connect(self.home.at, at).await {
            let _ = timeout(PATIENCE, stream.write_all(&bytes)).await;
            self.leaves(stream).await;
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 + self.chance.below(1_400)];
        bytes.fill_with(|| self.chance.next() as u8);
        bytes
    }

    /// By TCP, and by some datagrams too.
    async fn talks_to(&mut self, at: SocketAddr) {
        let from = socket::udp((self.home.at, 0).into()).await.unwrap();
        let _ = from.send_to(b"hello", at).await;
        let Some(mut stream) = hosts::connect(self.home.at, at).await else {
            return;
        };
        self.home.deeds.did("a contact's program connected");
        for _ in 0..1 + self.chance.below(20) {
            let bytes = self.bytes();
            if !matches!(
                timeout(PATIENCE, stream.write_all(&bytes)).await,
                Ok(Ok(()))
            ) {
                break;
            }
            sleep(self.chance.millis(50)).await;
        }
        self.leaves(stream).await;
    }

    /// It may be left open for a while, is never read, and ends as it should or by a reset.
    async fn leaves(&mut self, stream: TcpStream) {
        sleep(self.chance.millis(500)).await;
        if self.chance.one_in(3) && stream.set_zero_linger().is_ok() {
            self.home.deeds.did("a contact reset a connection");
        }
    }

    /// H.323, to where it is always listened for.
    async fn calls_netmeeting(&mut self) {
        let to = SocketAddrV4::new(OWN, terminal::PORT);
        let Some(stream) = hosts::connect(self.home.at, to.into()).await else {
            return;
        };
        let (chance, deeds) = (Chance(self.chance.next()), self.home.deeds.clone());
        terminal::talk(self.home.at, stream, Some(to), chance, deeds).await;
    }

    /// A call that tells of T.120, to the address of the context message, and T.120 itself.
    async fn draws(&mut self) {
        let Some(payload) = self.hears(|command| command == Command::Context).await else {
            return;
        };
        let told = Message::read(&payload).unwrap();
        let at = told.text("Context-Data").and_then(|at| at.parse().ok());
        let Some(at) = at else { return };
        let calling = &mut self.home.phone;
        calling.calls(at, About::Data, &mut self.chance).await;
        let data = SocketAddr::from((OWN, 1503));
        let Some(mut stream) = hosts::connect(self.home.at, data).await else {
            return;
        };
        self.home.deeds.did("T.120 was connected");
        let digits: Vec<u8> = OPENING.bytes().filter(u8::is_ascii_hexdigit).collect();
        let opening: Vec<u8> = digits
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect();
        let _ = timeout(PATIENCE, stream.write_all(&opening)).await;
        sleep(self.chance.millis(1_500)).await;
        self.leaves(stream).await;
    }

    /// A ticket in one context message, of Windows Vista or of Windows XP, or something else.
    async fn asks_for_help(&mut self, met: &Met) {
        let (at, nobody) = (self.home.at, Ipv4Addr::new(127, 0, 9, 9));
        let vista = format!(
            "<E><A KH=\"BNRjdu97DyczQSRuMRrDWoue+HA=\" \
             ID=\"+ULZ6ifjoCa6cGPMLQiGHRPwkg6VyJqGwxMnO6GcelwUh9a6/FBq3It5ADSndmLL\"/>\
             <C><T ID=\"1\" SID=\"0\"><L P=\"{SCREEN}\" N=\"BOBS-PC\"/><L P=\"{SCREEN}\" N=\"{nobody}\"/>\
             <L P=\"{SCREEN}\" N=\"{at}\"/></T></C></E>"
        );
        let xp = format!(
            "65538,1,{at}:{SCREEN},*,rb+v0oPmEISmi8N2zK/vuhgul/ABqlDt6wW0VxMyxK8=,*,*,\
             IuaRySSbPDNna4+2mKcsKxsbJFI="
        );
        let ticket = match self.chance.below(6) {
            0 => xp.as_str(),
            1 => "no ticket",
            _ => vista.as_str(),
        };
        self.says(&format!(
            "Invitation-Command: CONTEXT\r\nInvitation-Cookie: {}\r\nSession-ID: {}\r\n\
             Context-Data: {ticket}\r\n\r\n",
            met.cookie, met.session
        ))
        .await;
        self.home.deeds.did("a ticket was sent");
        if self.chance.one_in(3) {
            // As the genuine client does; the program that helps lives on.
            self.cancels(&met.cookie, &met.session).await;
        }
        sleep(self.chance.millis(3_000)).await;
    }
}
