//! Where clients were sent: the real addresses behind the ones we wrote.
//!
//! A switchboard is found by its cookie, which comes back in `USR` or `ANS`. A redirect to another
//! notification server carries nothing that comes back, so it is remembered for the client's IP
//! address and given to the next connections that begin with `VER`, oldest first. Two clients of
//! one machine that are redirected in the same moment to different servers may get each other's;
//! the servers of one service send them on if they must.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// How long a client may take to follow. A ticket lives 120 s on the public servers
/// (PROTOCOL.md 11).
const LIFETIME: Duration = Duration::from_secs(180);
/// Most that are remembered of each kind.
const MAX_REMEMBERED: usize = 1024;

/// What leads to a switchboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    /// A server's.
    Server(String),
    /// One that we opened and lend to the client; its number.
    Ours(u64),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Referrals {
    switchboards: HashMap<String, (Duration, Lead)>,
    notification: VecDeque<(Duration, IpAddr, String)>,
}

impl Referrals {
    /// A switchboard behind a cookie.
    pub(super) fn add_switchboard(&mut self, now: Duration, cookie: String, lead: Lead) {
        if self.switchboards.len() >= MAX_REMEMBERED {
            self.switchboards.retain(|_, (until, _)| *until > now);
        }
        if self.switchboards.len() < MAX_REMEMBERED {
            self.switchboards.insert(cookie, (now + LIFETIME, lead));
        }
    }

    /// What a cookie leads to.
    pub(super) fn switchboard(&self, now: Duration, cookie: &str) -> Option<Lead> {
        let (until, lead) = self.switchboards.get(cookie)?;
        (*until > now).then(|| lead.clone())
    }

    /// A redirect of the client at that address.
    pub(super) fn add_notification(&mut self, now: Duration, client: IpAddr, server: String) {
        if self.notification.len() >= MAX_REMEMBERED {
            self.notification.pop_front();
        }
        self.notification
            .push_back((now + LIFETIME, client, server));
    }

    /// The server that the next connection of that client is for, when it was redirected.
    pub(super) fn take_notification(&mut self, now: Duration, client: IpAddr) -> Option<String> {
        self.notification.retain(|(until, _, _)| *until > now);
        let at = self
            .notification
            .iter()
            .position(|(_, ip, _)| *ip == client)?;
        self.notification.remove(at).map(|(_, _, server)| server)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_redirect_is_for_one_connection_of_its_client() {
        let mut referrals = Referrals::default();
        referrals.add_notification(NOW, ME, "a:1".into());
        referrals.add_notification(NOW, ME, "b:1".into());
        assert_eq!(referrals.take_notification(NOW, OTHER), None);
        assert_eq!(referrals.take_notification(NOW, ME).as_deref(), Some("a:1"));
        assert_eq!(referrals.take_notification(NOW, ME).as_deref(), Some("b:1"));
        assert_eq!(referrals.take_notification(NOW, ME), None);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut referrals = Referrals::default();
        referrals.add_notification(NOW, ME, "a:1".into());
        referrals.add_switchboard(NOW, "c".into(), Lead::Ours(1));
        assert_eq!(referrals.switchboard(NOW, "c"), Some(Lead::Ours(1)));
        let later = LIFETIME + Duration::from_secs(1);
        assert_eq!(referrals.take_notification(later, ME), None);
        assert_eq!(referrals.switchboard(later, "c"), None);
    }

    #[test]
    fn a_flood_of_rings_does_not_grow_the_memory() {
        let mut referrals = Referrals::default();
        for n in 0..5 * MAX_REMEMBERED {
            referrals.add_switchboard(NOW, n.to_string(), Lead::Ours(0));
            referrals.add_notification(NOW, ME, n.to_string());
        }
        assert_eq!(referrals.switchboards.len(), MAX_REMEMBERED);
        assert_eq!(referrals.notification.len(), MAX_REMEMBERED);
    }
}
