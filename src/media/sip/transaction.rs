//! What repeats and what is the same: RFC 3261 section 17 timers, and the matching of requests to
//! transactions including the RFC 2543 rules of section 17.2.3, which RTC needs because its Via
//! has no branch (APPLICATIONS.md 0.1, 1.6.2).

use core::time::Duration;

use super::message::{Method, Request};

/// Time since an epoch of the caller's choosing; never goes back.
pub type Now = Duration;

/// Estimate of a round trip (RFC 3261 section 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest pause between retransmissions of anything but an INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// How long a message travels at most.
pub const T4: Duration = Duration::from_secs(5);
/// 64 × T1: when an unanswered message is given up (timers B, F, H).
pub const GIVE_UP: Duration = Duration::from_secs(32);

/// Something sent that is to be answered: repeated (on UDP) until it is, or given up.
#[derive(Debug)]
pub(super) struct Resend {
    bytes: Vec<u8>,
    again: Option<Now>,
    pause: Duration,
    longest: Duration,
    until: Now,
}

/// What a look at a [`Resend`] says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Again(Vec<u8>),
    GivenUp,
}

impl Resend {
    /// `bytes` were sent at `now`. On a `reliable` transport they are not repeated, only timed.
    /// The pause doubles up to `longest`.
    pub(super) fn new(bytes: Vec<u8>, now: Now, reliable: bool, longest: Duration) -> Self {
        Self {
            bytes,
            again: (!reliable).then(|| now.saturating_add(T1)),
            pause: T1,
            longest,
            until: now.saturating_add(GIVE_UP),
        }
    }

    /// Stops repeating, but still waits until `until` (an INVITE that rings).
    pub(super) fn quieten(&mut self, until: Now) {
        self.again = None;
        self.until = until;
    }

    pub(super) fn next_timeout(&self) -> Now {
        self.again.map_or(self.until, |again| again.min(self.until))
    }

    pub(super) fn due(&mut self, now: Now) -> Due {
        if now >= self.until {
            return Due::GivenUp;
        }
        match self.again {
            Some(again) if now >= again => {
                self.pause = (self.pause * 2).min(self.longest);
                self.again = Some(now.saturating_add(self.pause));
                Due::Again(self.bytes.clone())
            }
            _ => Due::Nothing,
        }
    }
}

/// Names a server transaction: the same for an INVITE, its repetitions, its CANCEL and the ACK of
/// a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    branch: Option<String>,
    sent_by: String,
    call_id: String,
    from_tag: Option<String>,
    number: u32,
}

impl Key {
    pub(super) fn of(request: &Request) -> Self {
        let fields = &request.fields;
        // A branch without the magic cookie may be the same in two calls (RFC 2543): then the
        // call itself tells.
        let branch = fields
            .via
            .branch
            .as_ref()
            .map(|branch| branch.as_str())
            .filter(|branch| branch.starts_with("z9hG4bK"))
            .map(str::to_owned);
        Self {
            sent_by: format!("{}:{}", fields.via.host, fields.via.port.unwrap_or(5060)),
            call_id: fields.call_id.to_string(),
            from_tag: fields.from.tag.as_ref().map(ToString::to_string),
            number: fields.cseq.number,
            branch,
        }
    }
}

/// Answers to recent requests other than INVITE, so that a repetition gets the same answer and
/// has no second effect.
#[derive(Debug, Default)]
pub(super) struct Answered {
    recent: std::collections::VecDeque<(Key, Method, Vec<u8>)>,
}

impl Answered {
    pub(super) fn again(&self, key: &Key, method: &Method) -> Option<&[u8]> {
        self.recent
            .iter()
            .find(|(have, of, _)| have == key && of == method)
            .map(|(_, _, bytes)| bytes.as_slice())
    }

    pub(super) fn keep(&mut self, key: Key, method: Method, bytes: Vec<u8>) {
        if self.recent.len() == 8 {
            self.recent.pop_front();
        }
        self.recent.push_back((key, method, bytes));
    }
}
