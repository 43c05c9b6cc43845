//! The hub: joins fronts, negotiation, consent and adapters.
//!
//! A front tells it what arrived ([`Invitations`]); the account's [`Engine`] says what follows;
//! this module carries that out: sends through the front's [`Carrier`], asks for consent, drives
//! adapters, tells the user and whoever subscribed to [`Event`]s. Every call is synchronous and
//! quick, because the proxy asks before it forwards a message; what takes time is a task that
//! comes back with another input.
//!
//! [`Engine`]: crate::negotiation::Engine

mod account;
mod carrier;
mod handover;
mod treatment;
mod verbs;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, broadcast},
};
use tokio_util::task::TaskTracker;

use crate::{
    bridge::{BridgeError, Registry, Unclaimed},
    clock::Clock,
    config::{Call, Config},
    consent::{Rules, chat},
    endpoint::{
        outside::Lookout,
        place::{Network, PortRange},
        policy::Policy,
    },
    event::Event,
    media::limit::Bandwidth,
    msnp::roster,
    negotiation,
};
use account::Account;
pub use carrier::{AccountId, Carrier, Delivery, Invitations, Verdict};
pub use verbs::{Open, VerbError};

/// How many events a slow subscriber may lag behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// What the dispatcher is told once, at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The applications that are known.
    pub registry: Arc<Registry>,
    /// Who may have what without a question.
    pub rules: Rules,
    /// Which addresses of theirs are allowed.
    pub policy: Policy,
    /// The address of ours that peers are told, unless the front knows a better one. It may be a
    /// router's.
    pub announce: Ipv4Addr,
    /// How the machine looks from outside.
    pub lookout: Lookout,
    /// The ports that peers may be told; any without it.
    pub ports: Option<PortRange>,
    /// Where recordings go; made when the first one is written.
    pub recordings: PathBuf,
    /// How calls are made (voice and video).
    pub call: Call,
    /// How much is carried of what contacts send.
    pub bandwidth: Bandwidth,
    /// Overrides what the bridges say of an invitation that nothing here can take.
    pub unclaimed: Option<Unclaimed>,
    /// Timers and limits of the negotiation.
    pub negotiation: negotiation::Settings,
}

impl Settings {
    /// What a configuration says, with the bridges of the usual folders.
    ///
    /// # Errors
    /// The first bridge file that is wrong.
    pub fn from_config(config: &Config, announce: Ipv4Addr) -> Result<Self, BridgeError> {
        Ok(Self {
            registry: Arc::new(Registry::here()?.with_unknown(config.unknown)),
            rules: config.rules(),
            policy: Policy::new(announce, config.network.allow.clone())
                .with_own(config.proxy.listen),
            announce,
            lookout: Lookout::new(&config.network),
            ports: config.network.ports.clone(),
            recordings: config.recordings_folder(),
            call: config.call.clone(),
            bandwidth: config.bandwidth(),
            unclaimed: config.unclaimed,
            negotiation: negotiation::Settings {
                timers: config.negotiation_timers(),
                limits: config.negotiation_limits(),
                ..negotiation::Settings::default()
            },
        })
    }
}

/// The hub. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: Clock,
    accounts: Mutex<Accounts>,
    events: broadcast::Sender<Event>,
    /// Rung whenever the earliest timeout may have changed.
    timers: Arc<Notify>,
    runtime: Handle,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Accounts {
    last: u64,
    /// Nothing new is begun.
    ending: bool,
    table: BTreeMap<AccountId, Account>,
}

impl Dispatcher {
    /// Starts the hub on the current tokio runtime.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let timers = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            settings,
            clock: Clock::start(),
            accounts: Mutex::default(),
            events: broadcast::channel(EVENT_BACKLOG).0,
            timers: Arc::clone(&timers),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
        });
        tokio::spawn(run_timers(Arc::downgrade(&shared), timers));
        Self { shared }
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Ends every invitation and waits until every adapter has cleaned up.
    pub async fn shutdown(&self) {
        {
            let mut accounts = self.shared.lock();
            accounts.ending = true;
            for account in accounts.table.values_mut() {
                account.end_all(&self.shared);
            }
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn with<T: Default>(
        &self,
        id: AccountId,
        act: impl FnOnce(&mut Account, &Arc<Shared>) -> T,
    ) -> T {
        let mut accounts = self.shared.lock();
        accounts
            .here(id)
            .map(|account| act(account, &self.shared))
            .unwrap_or_default()
    }
}

impl Accounts {
    /// That account, while it is signed in.
    fn here(&mut self, id: AccountId) -> Option<&mut Account> {
        self.table
            .get_mut(&id)
            .filter(|account| !account.is_signed_out())
    }

    /// An account that has signed out stays until its programs have ended, so that their ends are
    /// told.
    fn forget_if_over(&mut self, id: AccountId) {
        if self.table.get(&id).is_some_and(Account::is_over) {
            self.table.remove(&id);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        // A panic while the table was held is a bug, but the other calls go on.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Invitations for Dispatcher {
    fn attach(&self, handle: &str, carrier: Arc<dyn Carrier>) -> AccountId {
        let mut accounts = self.shared.lock();
        // Something of an earlier sign-in still runs.
        let back = accounts.table.iter_mut().find(|(_, account)| {
            account.is_signed_out() && account.handle().eq_ignore_ascii_case(handle)
        });
        if let Some((id, account)) = back {
            account.come_back(carrier);
            tracing::info!(account = handle, "signed in again");
            return *id;
        }
        accounts.last += 1;
        let id = AccountId(accounts.last);
        // Found out before it is needed.
        let announce = carrier.own_ip().unwrap_or(self.shared.settings.announce);
        let lookout = self.shared.settings.lookout.clone();
        self.shared.runtime.spawn(async move {
            let network = Network::announcing(announce, None).await;
            if network.announce == network.bind.ip {
                lookout.look(announce).await;
            }
        });
        let account = Account::new(
            id,
            handle,
            carrier,
            self.shared.settings.negotiation.clone(),
        );
        accounts.table.insert(id, account);
        tracing::info!(account = handle, "signed in");
        id
    }

    fn detach(&self, id: AccountId) {
        let mut accounts = self.shared.lock();
        if let Some(account) = accounts.here(id) {
            account.sign_out(&self.shared);
            tracing::info!(account = account.handle(), "signed out");
        }
        accounts.forget_if_over(id);
    }

    fn received(&self, id: AccountId, peer: &str, payload: &[u8]) -> Verdict {
        // It would be shown in the terminal, on the desktop and to programs; the client gets it.
        if !roster::is_word(peer) {
            tracing::debug!(peer, "an invitation of a handle that is none");
            return Verdict::Pass;
        }
        let mut accounts = self.shared.lock();
        let ending = accounts.ending;
        match accounts.here(id) {
            Some(account) => account.received(&self.shared, peer, payload, ending),
            None => Verdict::Pass,
        }
    }

    fn typed(&self, id: AccountId, peer: &str, text: &str) -> Verdict {
        let Some(command) = chat::Command::parse(text) else {
            return Verdict::Pass;
        };
        let mut accounts = self.shared.lock();
        match accounts.here(id) {
            Some(account) => {
                account.typed(&self.shared, peer, &command);
                Verdict::Taken
            }
            None => Verdict::Pass,
        }
    }

    fn typed_elsewhere(&self, id: AccountId, text: &str) -> Option<String> {
        chat::Command::parse(text)?;
        self.with(id, |_, _| Some(chat::one_contact()))
    }

    fn carrier_lost(&self, id: AccountId, peer: &str) {
        self.with(id, |account, shared| account.carrier_lost(shared, peer));
    }

    fn carrier_back(&self, id: AccountId, peer: &str) {
        self.with(id, |account, shared| account.carrier_back(shared, peer));
    }

    fn undelivered(&self, id: AccountId, delivery: Delivery) {
        self.with(id, |account, shared| {
            account.undelivered(shared, delivery.0)
        });
    }
}

/// Feeds timeouts to the engines until the dispatcher is gone. Asleep, it holds no part of the hub.
async fn run_timers(hub: Weak<Shared>, timers: Arc<Notify>) {
    loop {
        let pause = {
            let Some(shared) = hub.upgrade() else { return };
            let now = shared.clock.now();
            let mut accounts = shared.lock();
            for account in accounts.table.values_mut() {
                account.time_passed(&shared, now);
            }
            let next = accounts
                .table
                .values()
                .filter_map(Account::next_timeout)
                .min();
            next.map_or(IDLE, |at| at.saturating_sub(now)).min(IDLE)
        };
        tokio::select! {
            () = timers.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The longest sleep of the timer task: how late it may notice that the hub is gone.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);
