//! The driver's half that carries the call's messages.

use std::net::SocketAddrV4;

use super::{Driver, End};
use crate::{
    adapter::{
        Report,
        t120::call::{Hop, Output},
    },
    event::{Party, Signal, SignalKind},
    media::sip::{self, Message},
    shown,
};

impl Driver {
    pub(super) async fn datagram(&mut self, bytes: &[u8], from: SocketAddrV4) -> Option<End> {
        let from = self.is_peer(from.into())?;
        self.message(bytes, Hop::Udp(from), from).await
    }

    pub(super) async fn message(
        &mut self,
        bytes: &[u8],
        hop: Hop,
        source: SocketAddrV4,
    ) -> Option<End> {
        let mut out = Vec::new();
        match sip::read(bytes) {
            Ok(message) => {
                self.signal(false, &message);
                let now = self.clock.now();
                self.front.message(&message, hop, source, now, &mut out);
            }
            Err(sip::Error::Refused(refusal)) => {
                tracing::debug!(invitation = self.task.invitation.0, %refusal, "refused");
                let answer = refusal.response().map(|bytes| Output::Send { bytes, hop });
                out.extend(answer);
            }
            Err(error) => {
                tracing::debug!(invitation = self.task.invitation.0, %error, "ignored");
            }
        }
        self.obey(out).await
    }

    /// Does what the call wants.
    pub(super) async fn obey(&mut self, out: Vec<Output>) -> Option<End> {
        let mut end = None;
        for output in out {
            match output {
                Output::Send { bytes, hop } => {
                    if let Ok(message) = sip::read(&bytes) {
                        self.signal(true, &message);
                    }
                    match hop {
                        Hop::Udp(to) => {
                            if let Err(error) = self.udp.send_to(&bytes, to).await {
                                tracing::debug!(%to, %error, "not sent");
                            }
                        }
                        // A peer that does not read is not waited for.
                        Hop::Tcp(id) => {
                            if let Some(Some(line)) = self.streams.get(&id) {
                                let _ = line.try_send(bytes);
                            }
                        }
                    }
                }
                Output::Say(line) => self.say_once(line),
                Output::Finished => end = Some(End::There),
            }
        }
        end
    }

    fn signal(&self, sent: bool, message: &Message) {
        let text = match message {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => {
                shown::line(&format!("{} {}", response.status, response.reason), 30)
            }
        };
        self.task.report(Report::Signal(Signal {
            with: Party::Peer,
            sent,
            kind: SignalKind::Sip,
            text,
        }));
    }
}
