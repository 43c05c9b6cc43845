//! What the handshake must know of one application: the negotiation half of a bridge file, as
//! plain data. `bridge` builds it from TOML; tests build it with [`Application::new`] and the
//! `with_*` methods. Facts: PROTOCOL.md sections 2, 5, 6 and 14.

use core::time::Duration;

use crate::{
    invitation::{Guid, Medium},
    negotiation::{Announcement, Role},
};

/// Which envelope we use when we invite. As invitee the inviter's is mirrored, whatever stands
/// here (PROTOCOL.md 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `Session-Protocol: SM1` and a `Session-ID` (PROTOCOL.md 2.1).
    #[default]
    Sm1,
    /// Neither of the two (DirectPlay-type launch, PROTOCOL.md 2.7).
    Legacy,
}

/// What stands in `IP-Address` of an ACCEPT (PROTOCOL.md section 6, "Port in IP-Address").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressForm {
    /// `a.b.c.d`
    #[default]
    Ip,
    /// `a.b.c.d:port`
    IpPort,
    /// No `IP-Address` at all.
    None,
}

/// Who listens, and so who connects (PROTOCOL.md section 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Listens {
    /// The one who invited.
    #[default]
    Inviter,
    /// The one who was invited.
    Invitee,
    /// Both, each on the address it announces.
    Both,
    /// Nobody: the address is told, nothing waits on it.
    Neither,
}

impl Listens {
    /// Whether the side in `role` listens.
    pub fn includes(self, role: Role) -> bool {
        match self {
            Self::Inviter => role == Role::Inviter,
            Self::Invitee => role == Role::Invitee,
            Self::Both => true,
            Self::Neither => false,
        }
    }
}

/// What the context message carries (PROTOCOL.md 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContextData {
    /// `ip:port`, one message, from [`ContextRule::from`] to the other side: the address that
    /// matters (whiteboard, application sharing; PROTOCOL.md 5.5).
    Address,
    /// Bytes of the program's own, in both directions; [`ContextRule::from`] begins. A CANCEL after
    /// them is the normal end of the negotiation (Remote Assistance; PROTOCOL.md 5.6).
    Opaque,
}

/// That an application needs context messages once both sides are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContextRule {
    /// Who sends (for [`ContextData::Opaque`]: who sends first).
    pub from: Role,
    /// What is sent.
    pub data: ContextData,
}

/// Transport of a fixed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port that is known without being announced (NetMeeting: TCP 1720; DirectPlay: TCP 47624).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// Port number, not 0.
    pub number: u16,
    /// Its transport.
    pub transport: Transport,
}

/// One application, as far as its negotiation goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// Id of the bridge, for people and logs.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Its GUIDs. The first is the one we emit, in its own spelling; the others are recognised
    /// too. An empty list can be invited with by nobody.
    pub guids: Vec<Guid>,
    /// `Application-Name` as we emit it. Never used to recognise anything (PROTOCOL.md 1.3).
    pub announce: String,
    /// `Application-URL` as we emit it.
    pub url: Option<String>,
    /// Envelope, when we invite.
    pub dialect: Dialect,
    /// Form of `IP-Address` in our ACCEPT.
    pub address: AddressForm,
    /// Who listens.
    pub listens: Listens,
    /// Context messages, where the application has them.
    pub context: Option<ContextRule>,
    /// Media we can take. Not empty: INVITE and ACCEPT #1 carry the capability list of
    /// PROTOCOL.md 4.2 as `Context-Data`. Empty: they carry no `Context-Data` at all
    /// (PROTOCOL.md section 10 trap 7).
    pub media: Vec<Medium>,
    /// Whether INVITE, ACCEPT and CANCEL carry the `Conn-Type` block (PROTOCOL.md 4.1).
    pub connection: bool,
    /// Whether ACCEPT carries `IP-Address-Enc64` besides `IP-Address`.
    pub enc64: bool,
    /// `Avm-Support` and `Avm-Request` of our INVITE.
    pub avm: Option<(u32, u32)>,
    /// The fixed port of the endpoint, where `IP-Address` has none.
    pub port: Option<Port>,
    /// How long its programs may take to get ready, where that is longer than
    /// [`Timers::prepare`](super::Timers::prepare).
    pub prepare: Option<Duration>,
}

impl Application {
    /// An application of the plainest kind: SM1, address without port, the inviter listens
    /// (NetMeeting's form). The `with_*` methods and the public fields make it another.
    pub fn new(id: &str, guid: Guid, announce: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: announce.to_owned(),
            guids: vec![guid],
            announce: announce.to_owned(),
            url: None,
            dialect: Dialect::Sm1,
            address: AddressForm::Ip,
            listens: Listens::Inviter,
            context: None,
            media: Vec::new(),
            connection: false,
            enc64: false,
            avm: None,
            port: None,
            prepare: None,
        }
    }

    /// The same, with another envelope.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// The same, with another address form and listener.
    #[must_use]
    pub fn with_address(mut self, address: AddressForm, listens: Listens) -> Self {
        self.address = address;
        self.listens = listens;
        self
    }

    /// The same, with context messages.
    #[must_use]
    pub fn with_context(mut self, from: Role, data: ContextData) -> Self {
        self.context = Some(ContextRule { from, data });
        self
    }

    /// The same as a voice-like application: these media, the `Conn-Type` block and `Enc64`.
    #[must_use]
    pub fn with_media(mut self, media: &[Medium]) -> Self {
        self.media = media.to_vec();
        self.connection = true;
        self.enc64 = true;
        self
    }

    /// The same, with an `Application-URL`.
    #[must_use]
    pub fn with_url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// The same, with a fixed port.
    #[must_use]
    pub fn with_port(mut self, number: u16, transport: Transport) -> Self {
        self.port = Some(Port { number, transport });
        self
    }

    /// Whether somebody must be listening when the side in `role` is asked to prepare for
    /// `announcement`. Otherwise that side only has to name its address. An application whose
    /// context message is an address listens there, and not yet at its ACCEPT.
    pub fn must_listen(&self, role: Role, announcement: Announcement) -> bool {
        let by_context = self.sends_address_context(role);
        match announcement {
            Announcement::Context => by_context,
            Announcement::Accept => !by_context && self.listens.includes(role),
        }
    }

    /// Whether the side in `role` tells its address in a context message.
    pub fn sends_address_context(&self, role: Role) -> bool {
        self.context
            == Some(ContextRule {
                from: role,
                data: ContextData::Address,
            })
    }

    /// Whether the side in `role` learns the address that matters from a context message.
    pub fn awaits_address_context(&self, role: Role) -> bool {
        self.sends_address_context(role.other())
    }

    /// Whether context data is the program's own.
    pub fn has_opaque_context(&self) -> bool {
        self.context
            .is_some_and(|rule| rule.data == ContextData::Opaque)
    }

    /// The media of `asked` that we can take, in the order asked. Nothing asked for, or nothing
    /// in common, means all of ours: the call itself settles it then.
    pub fn agreed_media(&self, asked: Option<&[Medium]>) -> Vec<Medium> {
        let asked = asked.unwrap_or_default();
        let common: Vec<Medium> = asked
            .iter()
            .copied()
            .filter(|medium| self.media.contains(medium))
            .collect();
        if common.is_empty() {
            self.media.clone()
        } else {
            common
        }
    }
}
