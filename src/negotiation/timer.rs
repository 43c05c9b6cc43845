//! The durations of PROTOCOL.md section 8, and the alarms of one invitation.

use core::time::Duration;

use crate::negotiation::Now;

/// How long each thing may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    /// Our INVITE without an answer; then CANCEL `TIMEOUT`.
    pub invite: Duration,
    /// An offer our user does not answer; then CANCEL `TIMEOUT`.
    pub offer: Duration,
    /// From `Prepare` to `Ready`, unless the application needs longer; then CANCEL `FAIL`.
    pub prepare: Duration,
    /// From our ACCEPT #1 to the inviter's; then CANCEL `TIMEOUT`.
    pub accept: Duration,
    /// From our ACCEPT #2 to the context message, where it brings the address; then CANCEL
    /// `OUTBANDCANCEL`.
    pub context: Duration,
    /// From `Connected` to `Running`; then CANCEL `OUTBANDCANCEL`.
    pub start: Duration,
    /// From the loss of the last switchboard to giving up, while we wait for a message of the
    /// peer's. The peer, heard in or coming into any switchboard, calls it off, and so does a
    /// further message of ours. What waits for our own user or adapter is not ended by the loss: its
    /// answer opens another switchboard, and `Undelivered` tells if it cannot. Nor is our INVITE,
    /// which the peer's user may answer for as long as `invite` says.
    pub carrier_grace: Duration,
    /// From an undelivered message to its next try, over another switchboard.
    pub retry: Duration,
    /// How many more tries an undelivered message gets.
    pub retries: u8,
    /// A message younger than this when its switchboard is lost may have been lost with it, and is
    /// sent once more.
    pub in_flight: Duration,
    /// A CANCEL `TIMEOUT` that comes while Running is obeyed within `accept` and this, counted from
    /// our ACCEPT #2: the invitee never got it. A later one is Kopete's (PROTOCOL.md section 10
    /// trap 3) and ends nothing.
    pub slack: Duration,
    /// How often to keep the switchboard open before `Connected`; `None` for never.
    pub keep_alive: Option<Duration>,
    /// How long an ended invitation is remembered, so that its late messages are recognised.
    pub memory: Duration,
}

impl Default for Timers {
    /// The suggestions of PROTOCOL.md section 8; the rest are our own.
    fn default() -> Self {
        Self {
            invite: Duration::from_secs(300),
            offer: Duration::from_secs(300),
            prepare: Duration::from_secs(10),
            accept: Duration::from_secs(60),
            context: Duration::from_secs(60),
            start: Duration::from_secs(180),
            carrier_grace: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            retries: 2,
            in_flight: Duration::from_secs(5),
            slack: Duration::from_secs(10),
            keep_alive: Some(Duration::from_secs(45)),
            memory: Duration::from_secs(120),
        }
    }
}

/// What an alarm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The state has lasted too long.
    Deadline,
    /// The switchboard did not come back.
    Grace,
    /// Send the undelivered message again.
    Retry,
    /// Keep the switchboard open.
    KeepAlive,
}

const KINDS: [Alarm; 4] = [
    Alarm::Deadline,
    Alarm::Grace,
    Alarm::Retry,
    Alarm::KeepAlive,
];

/// The alarms of one invitation: one moment per kind, or none.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarms {
    deadline: Option<Now>,
    grace: Option<Now>,
    retry: Option<Now>,
    keep_alive: Option<Now>,
}

impl Alarms {
    fn slot(&mut self, alarm: Alarm) -> &mut Option<Now> {
        match alarm {
            Alarm::Deadline => &mut self.deadline,
            Alarm::Grace => &mut self.grace,
            Alarm::Retry => &mut self.retry,
            Alarm::KeepAlive => &mut self.keep_alive,
        }
    }

    /// Sets or, with `None`, calls off an alarm.
    pub(super) fn set(&mut self, alarm: Alarm, at: Option<Now>) {
        *self.slot(alarm) = at;
    }

    /// Whether the alarm is set.
    pub(super) fn is_set(&mut self, alarm: Alarm) -> bool {
        self.slot(alarm).is_some()
    }

    /// The earliest alarm.
    pub(super) fn next(&self) -> Option<Now> {
        [self.deadline, self.grace, self.retry, self.keep_alive]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes one alarm that is due, the weightiest first.
    pub(super) fn take_due(&mut self, now: Now) -> Option<Alarm> {
        KINDS.into_iter().find(|&alarm| {
            let slot = self.slot(alarm);
            let due = slot.is_some_and(|at| at <= now);
            if due {
                *slot = None;
            }
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_earliest_alarm_is_the_next() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.next(), None);
        alarms.set(Alarm::Deadline, Some(S * 9));
        alarms.set(Alarm::Retry, Some(S * 3));
        assert_eq!(alarms.next(), Some(S * 3));
        alarms.set(Alarm::Retry, None);
        assert_eq!(alarms.next(), Some(S * 9));
    }

    #[test]
    fn a_due_alarm_is_taken_once_and_a_later_one_stays() {
        let mut alarms = Alarms::default();
        alarms.set(Alarm::KeepAlive, Some(S));
        alarms.set(Alarm::Grace, Some(S * 2));
        assert_eq!(alarms.take_due(S), Some(Alarm::KeepAlive));
        assert_eq!(alarms.take_due(S), None);
        assert!(alarms.is_set(Alarm::Grace));
    }

    #[test]
    fn of_two_due_alarms_the_deadline_comes_first() {
        let mut alarms = Alarms::default();
        alarms.set(Alarm::Retry, Some(S));
        alarms.set(Alarm::Deadline, Some(S * 2));
        assert_eq!(alarms.take_due(S * 2), Some(Alarm::Deadline));
        assert_eq!(alarms.take_due(S * 2), Some(Alarm::Retry));
    }
}
