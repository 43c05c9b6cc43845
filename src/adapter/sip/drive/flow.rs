//! Where media goes, and the picture's player.

use super::*;

impl Driver {
    pub(super) async fn flow(&mut self, media: Media) {
        if let Some(refusal) = media.refused(&self.task.policy) {
            warn!(invitation = self.task.invitation.0, %refusal, "no media");
            return self.report(Report::Say(format!(
                "the contact wants sound where nothing is sent: {refusal}"
            )));
        }
        info!(
            invitation = self.task.invitation.0,
            peer = %media.peer.0,
            codec = media.audio.first().map_or("", |format| format.name.as_str()),
            video = media
                .video
                .as_ref()
                .and_then(|video| video.formats.first())
                .map_or("", |format| format.name.as_str()),
            "media"
        );
        let codec = media
            .audio
            .first()
            .map_or("RTP", |format| format.name.as_str());
        let text = shown::line(&format!("RTP {codec}"), 30);
        let with_program = media.agent.is_some();
        let picture = media.video.clone();
        let first = match self.sound.flow(media).await {
            Ok(first) => first,
            Err(error) => {
                warn!(invitation = self.task.invitation.0, %error, "no media");
                return self.report(Report::Say(format!("no sound: {error}")));
            }
        };
        match picture {
            None => {
                self.shown = false;
                if let Some(player) = self.playing.take() {
                    self.stopping.spawn(player.stop());
                }
            }
            Some(picture) if !self.shown => {
                self.shown = true;
                self.show(&picture).await;
            }
            Some(_) => {}
        }
        if first {
            self.look = Some(self.clock.now().saturating_add(self.look_every()));
            self.report(Report::Running);
            self.report(Report::Media(self.sound.meter()));
            let kind = SignalKind::Media;
            let mut lines = vec![(Party::Peer, false), (Party::Peer, true)];
            if with_program {
                lines.extend([(Party::Program, true), (Party::Program, false)]);
            }
            for (with, sent) in lines {
                let text = text.clone();
                self.report(Report::Signal(Signal {
                    with,
                    sent,
                    kind,
                    text,
                }));
            }
        }
    }

    /// Starts the player for the picture and sends the picture there.
    pub(super) async fn show(&mut self, picture: &Picture) {
        let Some(handoff) = self.player.clone() else {
            return;
        };
        if handoff.builtin {
            let path = self
                .task
                .recordings
                .join(format!("picture-{}.pcap", name()));
            let text = match self.sound.keep_picture(&path).await {
                Ok(()) => "no player here: the picture is recorded".to_owned(),
                Err(error) => format!("no picture: cannot record it: {error}"),
            };
            return self.report(Report::Say(text));
        }
        let port = match socket::free_port(Ipv4Addr::LOCALHOST).await {
            Ok(port) => port,
            Err(error) => return self.report(Report::Say(format!("no picture: {error}"))),
        };
        match player_plan(&handoff, &self.values, port, &picture.formats) {
            Ok((plan, files)) => {
                let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
                let contender = Contender::Program {
                    plan: Box::new(plan),
                    files: Some(files),
                    user: None,
                    at,
                };
                if self.is_ending() {
                    return;
                }
                let events = self.agent_events.0.clone();
                self.playing = Some(Runner::start(contender, PICTURE, events));
                let text = match self.sound.show(at) {
                    Ok(()) => format!("{} shows the picture", handoff.name),
                    Err(error) => format!("no picture: {error}"),
                };
                self.report(Report::Say(text));
            }
            Err(why) => self.report(Report::Say(format!("no picture: {why}"))),
        }
    }
}
