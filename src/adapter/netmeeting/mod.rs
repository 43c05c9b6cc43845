//! What goes on beside a NetMeeting call of ours: the other side may call as well (PROTOCOL.md 5.3),
//! and offer T.120, which nothing here takes (APPLICATIONS.md 3.1).

mod watch;

pub(super) use watch::Watch;
