//! Media: the gates to SIP, SDP and RTP, and what is built on them.

pub mod audio;
pub mod level;
pub mod limit;
pub mod lock;
pub mod pcap;
pub mod picture;
pub mod record;
pub mod relay;
pub mod reorder;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod sniff;
pub mod statistics;
