//! How the client logs in, by the family its version belongs to (PROTOCOL.md 12.2).

use std::net::SocketAddr;

use super::{ClientError, ClientSettings, address, expect, line::Line};

/// The login up to `USR OK`; `Some` is a redirect.
pub(super) async fn authenticate(
    line: &Line,
    settings: &ClientSettings,
) -> Result<Option<SocketAddr>, ClientError> {
    let ClientSettings {
        version, handle, ..
    } = settings;
    let reply = line
        .ask("VER", |trid| format!("VER {trid} MSNP{version} CVR0\r\n"))
        .await?;
    expect("VER", &reply, reply.word(2) == format!("MSNP{version}"))?;
    // The proof is of the right form and proves nothing: the server has no passwords.
    let (scheme, proof) = match version {
        0..=7 => ("MD5", "00000000000000000000000000000000"),
        8..=14 => ("TWN", "t=demo&p="),
        _ => ("SSO", "t=demo&p= AAAA"),
    };
    if scheme == "MD5" {
        line.ask("INF", |trid| format!("INF {trid}\r\n")).await?;
    } else {
        line.ask("CVR", |trid| {
            format!("CVR {trid} 0x0409 linux 1.0 i386 MSNHANDOFF 0.1 msmsgs {handle}\r\n")
        })
        .await?;
    }
    let reply = line
        .ask("USR", |trid| format!("USR {trid} {scheme} I {handle}\r\n"))
        .await?;
    if reply.verb() == "XFR" && reply.word(2) == "NS" {
        return address("XFR", reply.word(3)).map(Some);
    }
    expect("USR", &reply, reply.word(3) == "S")?;
    let machine = match version {
        0..=15 => "",
        _ => " {00000000-0000-4000-8000-000000000001}",
    };
    let reply = line
        .ask("USR", |trid| {
            format!("USR {trid} {scheme} S {proof}{machine}\r\n")
        })
        .await?;
    expect("USR", &reply, reply.word(2) == "OK")?;
    Ok(None)
}

/// What comes between the login and being seen.
pub(super) async fn go_online(line: &Line, settings: &ClientSettings) -> Result<(), ClientError> {
    match settings.version {
        0..=9 => {
            line.ask("SYN", |trid| format!("SYN {trid} 0\r\n")).await?;
        }
        10..=12 => {
            line.ask("SYN", |trid| format!("SYN {trid} 0 0\r\n"))
                .await?;
        }
        _ => {
            let list = "<ml l=\"1\"></ml>";
            line.ask("ADL", |trid| format!("ADL {trid} {}\r\n{list}", list.len()))
                .await?;
        }
    }
    let caps = match settings.version {
        0..=7 => "",
        8..=15 => " 0",
        _ => " 0:0",
    };
    let reply = line
        .ask("CHG", |trid| format!("CHG {trid} NLN{caps}\r\n"))
        .await?;
    expect("CHG", &reply, reply.verb() == "CHG")
}
