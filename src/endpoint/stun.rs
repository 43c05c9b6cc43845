//! Asks a STUN server how this machine looks from outside (RFC 8489): one question, and what of the
//! answer concerns us. Reading it is the stun-types crate's work.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use stun_types::{
    attribute::XorMappedAddress,
    message::{BINDING, Message, MessageClass, MessageWriteVec, TransactionId},
    prelude::{MessageWrite as _, MessageWriteExt as _},
};

use super::socket;

/// How often is asked.
const TRIES: usize = 3;
/// How long each time is waited for the answer.
const ANSWER: Duration = Duration::from_millis(600);
/// How long the name of the server may take.
const NAME: Duration = Duration::from_secs(2);
/// More is no answer to our question.
const MAX_ANSWER: usize = 1500;

/// What the server saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where our question came from, as the server saw it.
    pub at: SocketAddrV4,
    /// The port it had here.
    pub port: u16,
}

/// Why nothing is known from a STUN server.
#[derive(Debug, thiserror::Error)]
pub enum StunError {
    /// It has no IPv4 address.
    #[error("no such server is found")]
    NoServer,
    /// It does not answer, or with something else than an address.
    #[error("no usable answer comes")]
    Silent,
    /// There is no way out.
    #[error("it cannot be asked: {0}")]
    Socket(#[from] io::Error),
}

/// Asks `server`, which the user named, from that address of ours.
///
/// # Errors
/// When no answer with an IPv4 address comes.
pub async fn ask(server: &str, own: Ipv4Addr) -> Result<Seen, StunError> {
    let found = tokio::time::timeout(NAME, tokio::net::lookup_host(server)).await;
    let mut found = found.ok().and_then(Result::ok).ok_or(StunError::NoServer)?;
    let server = found.find(SocketAddr::is_ipv4).ok_or(StunError::NoServer)?;
    let socket = socket::udp((own, 0).into()).await?;
    let port = socket.local_addr()?.port();
    let question = Message::builder_request(BINDING, MessageWriteVec::new());
    let id = question.transaction_id();
    let question = question.finish();
    let mut buffer = [0; MAX_ANSWER];
    for _ in 0..TRIES {
        socket.send_to(&question, server).await?;
        let answer = async {
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await?;
                let bytes = buffer.get(..length).unwrap_or_default();
                // Only who was asked, and only about this question.
                if from == server
                    && let Some(at) = read(bytes, id)
                {
                    return Ok::<_, io::Error>(at);
                }
            }
        };
        if let Ok(Ok(at)) = tokio::time::timeout(ANSWER, answer).await {
            return Ok(Seen { at, port });
        }
    }
    Err(StunError::Silent)
}

/// The address in the answer to our question.
fn read(bytes: &[u8], id: TransactionId) -> Option<SocketAddrV4> {
    let message = Message::from_bytes(bytes).ok()?;
    if !message.has_class(MessageClass::Success)
        || !message.has_method(BINDING)
        || message.transaction_id() != id
    {
        return None;
    }
    match message.attribute::<XorMappedAddress>().ok()?.addr(id) {
        SocketAddr::V4(at) if !at.ip().is_unspecified() && at.port() != 0 => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: &[u8], seen: SocketAddr) -> Vec<u8> {
        let question = Message::from_bytes(question).unwrap();
        let mut answer = Message::builder_success(&question, MessageWriteVec::new());
        let attribute = XorMappedAddress::new(seen, question.transaction_id());
        answer.add_attribute(&attribute).unwrap();
        answer.finish()
    }

    #[tokio::test]
    async fn the_address_in_the_answer_is_told() {
        let server = socket::udp((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let at = server.local_addr().unwrap().to_string();
        let seen: SocketAddr = "203.0.113.9:4711".parse().unwrap();
        let serve = async {
            let mut buffer = [0; 600];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            // First nonsense, then an answer to somebody else's question, then ours.
            let other = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
            for bytes in [
                vec![1; 30],
                answer(&other, seen),
                answer(&buffer[..length], seen),
            ] {
                server.send_to(&bytes, from).await.unwrap();
            }
            from.port()
        };
        let (told, port) = tokio::join!(ask(&at, Ipv4Addr::LOCALHOST), serve);
        let told = told.unwrap();
        assert_eq!((SocketAddr::V4(told.at), told.port), (seen, port));
    }

    #[test]
    fn whatever_comes_is_read_without_harm() {
        let question = Message::builder_request(BINDING, MessageWriteVec::new());
        let id = question.transaction_id();
        let fine = answer(&question.finish(), "203.0.113.9:4711".parse().unwrap());
        assert!(read(&fine, id).is_some());
        for cut in 0..fine.len() {
            assert_eq!(read(&fine[..cut], id), None, "{cut}");
        }
        for at in 0..fine.len() {
            for bit in 0..8 {
                let mut bytes = fine.clone();
                bytes[at] ^= 1 << bit;
                let _ = read(&bytes, id);
            }
        }
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let mut message = fine[..20].to_vec();
            message.extend(&bytes);
            let length = u16::try_from(bytes.len()).unwrap();
            message[2..4].copy_from_slice(&length.to_be_bytes());
            let _ = read(&message, id);
        });
    }
}
