//! What a person or a script can do with invitations, whatever door they come by: the chat window,
//! the command line, the control socket, the desktop.

use std::{sync::Arc, time::Duration};

use super::{AccountId, Accounts, Dispatcher, account::Account};
use crate::{
    bridge::{Bridge, Registry},
    media::statistics::Summary,
    negotiation::{InvitationId, Role, State},
    shown,
};

/// One open invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub invitation: InvitationId,
    /// Handle of the signed-in user.
    pub account: String,
    /// Handle of the other person.
    pub peer: String,
    /// Id of the bridge.
    pub application: String,
    /// The application's name for people.
    pub name: String,
    /// Which side we are.
    pub role: Role,
    /// How far it is.
    pub state: State,
    /// What the contact would see of this machine, in words: then only a person may say yes.
    pub shares: Option<String>,
    /// How long the hand-over works already.
    pub running: Option<Duration>,
    /// How the contact's sound or picture arrives, where it passes through us.
    pub heard: Option<Summary>,
}

impl Open {
    /// Whether it waits for a yes or a no on this side.
    #[must_use]
    pub fn asks_us(&self) -> bool {
        self.state == State::Offered && self.role == Role::Invitee
    }
}

/// Why a verb cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// No such account is signed in.
    #[error("{} is not signed in here", shown::line(.0, 80))]
    NoAccount(String),
    /// Nobody is signed in.
    #[error("nobody is signed in: start your client, and let it connect to msn-handoff")]
    NobodyIsIn,
    /// Several are, and none was named.
    #[error("several accounts are signed in, so say which: {}", .0.join(", "))]
    WhichAccount(Vec<String>),
    /// No bridge has that id.
    #[error("no application is called {:?}; there are: {}", shown::line(.0, 80), .1.join(", "))]
    NoApplication(String, Vec<String>),
    /// Several bridges begin so.
    #[error("which one? {}", .0.join(", "))]
    WhichApplication(Vec<String>),
    /// Nothing here can take the part of the inviter.
    #[error("you cannot invite to {name}: nothing that could take it is installed{}", install.as_ref().map_or_else(String::new, |what| format!(" (to install: {what})")))]
    NotInstalled {
        /// The application's name.
        name: String,
        /// What to install.
        install: Option<String>,
    },
    /// It is no handle that can be written on the wire.
    #[error("{:?} is no contact: write an address such as alice@example.com", shown::line(.0, 80))]
    NoContact(String),
    /// No invitation has that id.
    #[error("that invitation is not open")]
    NotOpen,
    /// It has been answered.
    #[error("that invitation does not wait for an answer")]
    NotAsked,
    /// The operating system gave no random numbers.
    #[error("no random numbers for the cookie")]
    NoEntropy,
}

impl Registry {
    /// The bridge that is meant: by its id, or the beginning of one.
    ///
    /// # Errors
    /// When none or several are meant.
    pub fn meant(&self, text: &str) -> Result<&Arc<Bridge>, VerbError> {
        let text = text.to_lowercase();
        if let Some(bridge) = self.by_id(&text) {
            return Ok(bridge);
        }
        let id = |bridge: &Arc<Bridge>| bridge.application.id.clone();
        let fits = |bridge: &&Arc<Bridge>| bridge.application.id.starts_with(&text);
        let meant: Vec<&Arc<Bridge>> = self.iter().filter(fits).collect();
        match meant.as_slice() {
            [one] => Ok(one),
            [] => Err(VerbError::NoApplication(
                text,
                self.iter().map(id).collect(),
            )),
            several => {
                let ids = several.iter().copied().map(id).collect();
                Err(VerbError::WhichApplication(ids))
            }
        }
    }

    /// The ids of the applications that can be invited to from this machine.
    #[must_use]
    pub fn can_be_invited_to(&self) -> Vec<String> {
        self.iter()
            .filter(|bridge| bridge.can_be_taken(Role::Inviter))
            .map(|bridge| bridge.application.id.clone())
            .collect()
    }
}

impl Dispatcher {
    /// The applications that are known.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.settings.registry
    }

    /// Handles of the signed-in users.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        let accounts = self.shared.lock();
        let here = |account: &&Account| !account.is_signed_out();
        let handle = |account: &Account| account.handle().to_owned();
        accounts.table.values().filter(here).map(handle).collect()
    }

    /// Every open invitation, oldest first.
    #[must_use]
    pub fn open(&self) -> Vec<Open> {
        let accounts = self.shared.lock();
        let now = self.shared.clock.now();
        let accounts = accounts.table.values();
        accounts.flat_map(|account| account.open(now)).collect()
    }

    /// Invites `peer` to an application, named by its id or the beginning of one. Without an account
    /// the only one that is signed in invites.
    ///
    /// # Errors
    /// When that cannot be done; nothing was sent then.
    pub fn invite(
        &self,
        account: Option<&str>,
        peer: &str,
        application: &str,
    ) -> Result<InvitationId, VerbError> {
        let bridge = self.shared.settings.registry.meant(application)?;
        let mut accounts = self.shared.lock();
        let id = accounts.meant(account)?;
        let here = accounts.here(id).ok_or(VerbError::NobodyIsIn)?;
        here.invite(&self.shared, peer, bridge)
    }

    /// Says yes to an offer.
    ///
    /// # Errors
    /// When there is no such offer.
    pub fn accept(&self, invitation: InvitationId) -> Result<(), VerbError> {
        let mut accounts = self.shared.lock();
        let account = accounts.asked(invitation)?;
        account.accept(&self.shared, invitation);
        Ok(())
    }

    /// Says no to an offer.
    ///
    /// # Errors
    /// When there is no such offer.
    pub fn decline(&self, invitation: InvitationId) -> Result<(), VerbError> {
        let mut accounts = self.shared.lock();
        let account = accounts.asked(invitation)?;
        account.decline(&self.shared, invitation);
        Ok(())
    }

    /// Ends an invitation, whatever its state.
    ///
    /// # Errors
    /// When it is not open.
    pub fn hang_up(&self, invitation: InvitationId) -> Result<(), VerbError> {
        let mut accounts = self.shared.lock();
        let (account, _) = accounts.with(invitation)?;
        account.hang_up(&self.shared, invitation);
        Ok(())
    }
}

impl Accounts {
    /// The account that is meant.
    fn meant(&self, handle: Option<&str>) -> Result<AccountId, VerbError> {
        let here = |(_, account): &(&AccountId, &Account)| !account.is_signed_out();
        let mut signed_in = self.table.iter().filter(here);
        if let Some(handle) = handle {
            return signed_in
                .find(|(_, account)| account.handle().eq_ignore_ascii_case(handle))
                .map(|(id, _)| *id)
                .ok_or_else(|| VerbError::NoAccount(handle.to_owned()));
        }
        let all: Vec<_> = signed_in.collect();
        match all.as_slice() {
            [] => Err(VerbError::NobodyIsIn),
            [(id, _)] => Ok(**id),
            several => {
                let handle = |(_, account): &(&AccountId, &Account)| account.handle().to_owned();
                Err(VerbError::WhichAccount(
                    several.iter().map(handle).collect(),
                ))
            }
        }
    }

    /// The account that has an invitation, and how far it is.
    fn with(&mut self, invitation: InvitationId) -> Result<(&mut Account, Open), VerbError> {
        let mut accounts = self.table.values_mut();
        accounts
            .find_map(|account| {
                let mut open = account.open(Duration::ZERO).into_iter();
                let found = open.find(|open| open.invitation == invitation)?;
                Some((account, found))
            })
            .ok_or(VerbError::NotOpen)
    }

    /// The account of which that offer waits for an answer.
    fn asked(&mut self, invitation: InvitationId) -> Result<&mut Account, VerbError> {
        let (account, open) = self.with(invitation)?;
        if open.asks_us() {
            Ok(account)
        } else {
            Err(VerbError::NotAsked)
        }
    }
}
