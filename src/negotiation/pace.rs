//! How often one peer may put a question to us (ANCHORS: a token bucket per contact). Kept as the
//! moment at which each peer's bucket would be full again, which is all a bucket needs.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::negotiation::Now;

const MINUTE: Duration = Duration::from_secs(60);

/// So many peers are told apart; while that many are busy, a further one counts as too fast.
const PEERS: usize = 1024;

/// The buckets of all peers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    full_again: BTreeMap<String, Now>,
}

impl Pace {
    /// Whether `peer` (a key, already folded) may ask now, when `per_minute` questions a minute are
    /// allowed, the first `per_minute` of them at once. Counts the question if it may.
    pub(super) fn allows(&mut self, peer: &str, per_minute: u32, now: Now) -> bool {
        if per_minute == 0 {
            return false;
        }
        let step = MINUTE / per_minute;
        self.full_again.retain(|_, full| *full > now);
        let full = self.full_again.get(peer).copied().unwrap_or(now);
        if full + step > now + MINUTE {
            return false;
        }
        if full == now && self.full_again.len() >= PEERS {
            return false;
        }
        self.full_again.insert(peer.to_owned(), full + step);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_allowed_up_to_a_minutes_worth_and_then_one_by_one() {
        let mut pace = Pace::default();
        for question in 0..10 {
            assert!(pace.allows("a", 10, S), "question {question}");
        }
        assert!(!pace.allows("a", 10, S));
        assert!(!pace.allows("a", 10, S * 6));
        assert!(pace.allows("a", 10, S * 7));
        assert!(!pace.allows("a", 10, S * 7));
    }

    #[test]
    fn peers_do_not_use_up_each_others_questions() {
        let mut pace = Pace::default();
        assert!(pace.allows("a", 1, S));
        assert!(!pace.allows("a", 1, S));
        assert!(pace.allows("b", 1, S));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut pace = Pace::default();
        for peer in 0..PEERS {
            assert!(pace.allows(&peer.to_string(), 1, S));
        }
        assert!(!pace.allows("one more", 1, S));
        assert!(pace.allows("one more", 1, S * 62));
        assert_eq!(pace.full_again.len(), 1);
    }
}
