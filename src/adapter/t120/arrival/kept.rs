//! T.120 that nobody here can join: the other side is let say what it would have, and that is kept.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{Arrival, Event};
use crate::{
    adapter::t120::{
        opening::{LIMIT, Opening, Way},
        x224,
    },
    clock::Clock,
};

/// How long the peer may be silent.
const SILENCE: Duration = Duration::from_secs(8);

impl Arrival {
    /// Lets the other side say what it would have, and keeps it.
    pub(super) async fn keep(mut self, first: Vec<u8>, path: PathBuf) -> Event {
        let clock = Clock::start();
        let kept = self.kept(&clock, first, &path).await;
        let (received, confers) = match kept {
            Ok(kept) => kept,
            Err(error) => {
                let say = format!(
                    "T.120 came, but cannot be kept in {}: {error}",
                    path.display()
                );
                return Event::Over(Some(say));
            }
        };
        let what = if confers {
            "the other side's T.120 connected and asked for a conference"
        } else {
            "the other side's T.120 connected"
        };
        Event::Over(Some(format!(
            "{what}; there is no Linux program that could join, so the first {received} bytes are \
             kept in {}",
            path.display()
        )))
    }

    async fn kept(
        &mut self,
        clock: &Clock,
        first: Vec<u8>,
        path: &Path,
    ) -> io::Result<(usize, bool)> {
        let mut opening = Opening::create(path, self.from, self.own)?;
        let _ = self.events.send(Event::Begun).await;
        opening.keep(Way::In, &first, clock.now())?;
        let mut all = first;
        let mut confirmed = false;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            // With the transport confirmed the other side goes on to what it wants.
            if let (false, Some(confirm)) = (confirmed, x224::confirm(&all)) {
                confirmed = true;
                if self.stream.write_all(&confirm).await.is_err() {
                    break;
                }
                opening.keep(Way::Out, &confirm, clock.now())?;
            }
            let Ok(Ok(n @ 1..)) = timeout(SILENCE, self.stream.read(&mut buffer)).await else {
                break;
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            opening.keep(Way::In, bytes, clock.now())?;
            all.extend_from_slice(bytes);
            if all.len() >= LIMIT {
                break;
            }
        }
        Ok((opening.received(), x224::asks_to_confer(&all)))
    }
}
