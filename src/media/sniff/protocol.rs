//! The protocols that the first bytes tell apart, and their names for people.

use std::fmt;

/// A protocol of APPLICATIONS.md section 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// X.224 Connection Request without anything of RDP: T.120, as `NetMeeting` opens it.
    T120Request,
    /// X.224 Connection Confirm without anything of RDP (an old RDP server looks the same).
    T120Confirm,
    /// X.224 Connection Request with a cookie or a negotiation request of RDP.
    RdpRequest,
    /// X.224 Connection Confirm with a negotiation answer of RDP.
    RdpConfirm,
    /// MCS Connect-Initial: what T.120 and RDP send once X.224 is connected.
    McsConnect,
    /// H.225 Setup: a call of `NetMeeting` or another H.323 program.
    H225Setup,
    /// Another message of H.225, by its Q.931 message type.
    H225(u8),
    /// SIP.
    Sip,
    /// HTTP, a SOAP request for example, or HTTP over UDP (SSDP).
    Http,
    /// A NOTIFY of HTTP: an event of UPnP.
    UpnpEvent,
    /// DirectPlay 4: a game.
    DirectPlay4,
    /// DirectPlay 8, a search for sessions.
    DirectPlay8Query,
    /// DirectPlay 8, an answer to a search.
    DirectPlay8Answer,
    /// MSN Messenger's file transfer.
    Msnftp,
    /// RFB: the server of VNC speaks first.
    Rfb,
    /// RTP, with its payload type.
    Rtp(u8),
    /// RTCP, with its packet type.
    Rtcp(u8),
    /// An out-of-band packet of a Quake 3 game.
    Quake3,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T120Request => "T.120 (X.224 Connection Request)",
            Self::T120Confirm => "T.120 (X.224 Connection Confirm)",
            Self::RdpRequest => "RDP, remote desktop (X.224 Connection Request)",
            Self::RdpConfirm => "RDP, remote desktop (X.224 Connection Confirm)",
            Self::McsConnect => "T.120 or RDP (MCS Connect-Initial)",
            Self::H225Setup => "H.323 (H.225 Setup)",
            Self::H225(kind) => return write!(f, "H.323 (H.225, message type {kind:#04x})"),
            Self::Sip => "SIP",
            Self::Http => "HTTP",
            Self::UpnpEvent => "HTTP (UPnP event)",
            Self::DirectPlay4 => "DirectPlay 4",
            Self::DirectPlay8Query => "DirectPlay 8 (search)",
            Self::DirectPlay8Answer => "DirectPlay 8 (answer to a search)",
            Self::Msnftp => "MSNFTP (file transfer)",
            Self::Rfb => "RFB (VNC)",
            Self::Rtp(kind) => return write!(f, "RTP, payload type {kind}"),
            Self::Rtcp(kind) => {
                let name = match kind {
                    200 => "sender report",
                    201 => "receiver report",
                    202 => "source description",
                    203 => "goodbye",
                    _ => "application-defined",
                };
                return write!(f, "RTCP, {name}");
            }
            Self::Quake3 => "Quake 3 (out of band)",
        })
    }
}
