//! Whether the line lives: the way is kept open, and a dead one is ended.

use super::*;

impl Driver {
    /// How often the line is looked at.
    pub(super) fn look_every(&self) -> Duration {
        let silence = Duration::from_secs(self.task.call.silence.into());
        match silence {
            Duration::ZERO => LOOK_EVERY,
            some => LOOK_EVERY.min(some / 2),
        }
    }

    /// Keeps the way for messages open, and ends a call whose other side is gone.
    pub(super) async fn look_after(&mut self, now: Now) {
        self.look = Some(now.saturating_add(self.look_every()));
        let limit = Duration::from_secs(self.task.call.silence.into());
        let silence = self.sound.silence().unwrap_or_default();
        if !limit.is_zero() && silence >= limit {
            self.look = None;
            return self.feed(Input::Dead(silence)).await;
        }
        if let Some(to) = self.front.peer_datagrams()
            && !matches!(
                whereabouts::of(*to.ip(), &self.near),
                Whereabouts::Here | Whereabouts::Near
            )
        {
            let _ = self.listening.udp.send_to(KEEP_ALIVE, to).await;
        }
    }
}
