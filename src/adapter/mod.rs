//! Adapters: the behaviours in code that a bridge may name. Each is an async function that gets a
//! [`Task`], obeys [`Order`]s and answers with [`Report`]s; it ends when the hand-over is over.

pub mod call;
pub mod directplay;
pub mod forward_tcp;
pub mod h323;
pub mod listen;
pub mod netmeeting;
mod one_program;
mod orders;
pub mod quake3;
pub mod record;
mod relay_tcp;
pub mod remote_assistance;
pub mod rtp;
pub mod sip;
pub mod t120;

use std::{path::PathBuf, sync::Arc};

pub use orders::Orders;
use tokio::sync::mpsc;

use crate::{
    bridge::{AdapterKind, Bridge},
    config::Call,
    endpoint::{place::Network, policy::Policy},
    event::Signal,
    invitation::Medium,
    media::{limit::Bandwidth, statistics::Meter},
    negotiation::{Announced, Announcement, InvitationId, Remote, Role},
};

/// Everything an adapter is given.
pub struct Task {
    /// The invitation it serves (for logs).
    pub invitation: InvitationId,
    /// Which side we are.
    pub role: Role,
    /// The bridge that named the adapter.
    pub bridge: Arc<Bridge>,
    /// Handle of the peer.
    pub peer: String,
    /// The media both sides agreed to (voice and video; empty elsewhere).
    pub media: Vec<Medium>,
    /// Where we listen, and what the peer is told.
    pub network: Network,
    /// Which addresses of theirs are allowed.
    pub policy: Policy,
    /// How calls are made (voice and video).
    pub call: Call,
    /// How much is carried of what the peer sends, and to it.
    pub bandwidth: Bandwidth,
    /// The bridge whose phones take the sound of an adapter that has none of its own.
    pub phones: Option<Arc<Bridge>>,
    /// Where recordings go.
    pub recordings: PathBuf,
    /// What the dispatcher wants. A closed channel means [`Order::End`].
    pub orders: Orders,
    /// Where the adapter answers.
    pub reports: mpsc::UnboundedSender<Report>,
}

/// What the dispatcher wants of an adapter.
#[derive(Debug)]
pub enum Order {
    /// Bind or reserve what will be announced; answer [`Report::Ready`] or [`Report::Failed`].
    Prepare(Announcement),
    /// The handshake is complete: hand over.
    Connected(Remote),
    /// The peer sent context data.
    Context(Vec<u8>),
    /// End everything that was started, and return.
    End,
}

/// What an adapter answers.
#[derive(Debug)]
pub enum Report {
    /// We listen (or, for a form without port, know our address).
    Ready(Announced),
    /// It cannot be done here. The text is for people.
    Failed {
        /// No program of the bridge's list can run (as opposed to one that failed).
        not_installed: bool,
        /// What went wrong and what would help.
        why: String,
    },
    /// A program was started.
    Started {
        /// Its name.
        program: String,
        /// Its process id.
        pid: u32,
    },
    /// A program ended.
    ProgramEnded {
        /// Its name.
        program: String,
        /// How, in words.
        how: String,
    },
    /// The hand-over works: the call is up, the game runs. From here on only its end, the user or
    /// the peer ends it.
    Running,
    /// A message of the call passed.
    Signal(Signal),
    /// Media flows; this tells how it arrives.
    Media(Meter),
    /// A line for the user.
    Say(String),
    /// Context data to send to the peer.
    SendContext(Vec<u8>),
    /// The hand-over is over (the call ended, the program left). The text is for people.
    Finished(String),
}

/// Runs the adapter of that kind until the hand-over is over.
pub async fn run(kind: AdapterKind, task: Task) {
    match kind {
        AdapterKind::Call => call::run(task).await,
        AdapterKind::DirectPlay => directplay::run(task).await,
        AdapterKind::ForwardTcp => forward_tcp::run(task).await,
        AdapterKind::H323 => h323::run(task).await,
        AdapterKind::Listen => listen::run(task).await,
        AdapterKind::Quake3 => quake3::run(task).await,
        AdapterKind::Record => record::run(task).await,
        AdapterKind::RemoteAssistance => remote_assistance::run(task).await,
        AdapterKind::Rtp => rtp::run(task).await,
        AdapterKind::Sip => sip::run(task).await,
        AdapterKind::T120 => t120::run(task).await,
    }
}
