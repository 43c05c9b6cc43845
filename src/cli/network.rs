//! `msn-handoff doctor --network`: which address contacts are told, why, and whether they can reach it.
//! The router is asked for a port as in a call, and the port is given back.

use std::{fmt::Write as _, net::Ipv4Addr};

use serde::Serialize;

use super::{Failure, proxy};
use crate::{
    config::Config,
    endpoint::{
        choice,
        mapping::Door,
        outside::{Lookout, Outside, Search},
        own,
        place::Network,
        socket,
        whereabouts::{self, Whereabouts},
    },
};

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    /// The address of this machine that leads out, or to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<Ipv4Addr>,
    /// Whether it is private.
    private: bool,
    /// What the configuration says contacts are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<Ipv4Addr>,
    /// What the router at home does.
    router: Part,
    /// What the STUN server says.
    stun: Part,
    /// What contacts are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Ipv4Addr>,
    /// The port in the trial, as contacts would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_port: Option<u16>,
    /// Why.
    why: String,
    /// Whether a contact elsewhere can reach it, as far as can be known from here.
    reachable: bool,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

/// One source of knowledge.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Part {
    /// Whether it was asked.
    asked: bool,
    /// The address it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Ipv4Addr>,
    /// How it went, in words.
    words: String,
}

/// Says what was found.
pub(super) fn run(config: &Config, json: bool) -> Result<(), Failure> {
    let found = super::runtime()?.block_on(look(config));
    let text = if json {
        serde_json::to_string(&found).map_err(Failure::new)? + "\n"
    } else {
        text(&found)
    };
    super::print(&text);
    Ok(())
}

async fn look(config: &Config) -> Found {
    let mut found = Found {
        configured: config.network.announce,
        ..Found::default()
    };
    let towards = match &config.proxy.server {
        Some(server) => proxy::towards(server).await.ok(),
        None => None,
    };
    let interface = match towards {
        Some(ip) => Some(ip),
        None => own::default().await.ok(),
    };
    let Some(interface) = interface else {
        "no way leads out of this machine".clone_into(&mut found.why);
        found.advice = Some("connect it to a network");
        return found;
    };
    found.interface = Some(interface);
    found.private = whereabouts::is_private(interface);
    let announce = config.network.announce.unwrap_or(interface);
    let mut network = Network::announcing(announce, config.network.ports.clone()).await;
    let Search { router, stun } = Lookout::new(&config.network).search(interface).await;
    found.stun = match &stun {
        None if config.network.stun.is_none() => part(false, None, "no server is configured"),
        None => part(
            false,
            None,
            "not asked: you say which address contacts are told",
        ),
        Some(Ok(seen)) => part(true, Some(*seen.at.ip()), &format!("sees {}", seen.at.ip())),
        Some(Err(error)) => part(true, None, &error.to_string()),
    };
    found.router = match &router {
        None if config.network.announce.is_some() => part(
            false,
            None,
            "not asked: you say which address contacts are told",
        ),
        None if !found.private => part(false, None, "not asked: the address is not private"),
        None => part(false, None, "not asked: `mapping` is off"),
        Some(Err(error)) => part(true, None, &error.to_string()),
        Some(Ok(mapper)) => {
            let words = format!("{} forwards, by {}", mapper.external(), mapper.language());
            part(true, Some(mapper.external()), &words)
        }
    };
    network.outside = Outside::default();
    network.outside.mapper = router.and_then(Result::ok);
    network.outside.seen = stun.and_then(Result::ok);
    trial(network, &mut found).await;
    found
}

/// Opens a port as in a call, and gives it back.
async fn trial(network: Network, found: &mut Found) {
    let closing = network.outside.closing.clone();
    let bound = socket::udp((network.bind.ip, 0).into()).await;
    let port = bound.and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
    let (port, _socket) = match port {
        Ok(port) => port,
        Err(error) => {
            found.why = format!("no port can be opened at {}: {error}", network.bind.ip);
            return;
        }
    };
    let opened = network.open(&[Door::udp(port)]).await;
    let why = opened.why;
    if found.router.address.is_some() {
        found.router.words.push_str(match why {
            choice::Why::Mapped | choice::Why::MappedTwice | choice::Why::Behind => {
                "; a port was opened for a trial, and given back"
            }
            _ => "; but the port of the trial was not opened",
        });
    }
    drop(network);
    Network::closed(closing).await;
    found.told = Some(*opened.at.ip());
    found.told_port = Some(opened.at.port());
    found.why = why.to_string();
    let near = whereabouts::neighbourhoods();
    let public = matches!(
        whereabouts::of(*opened.at.ip(), &near),
        Whereabouts::Internet
    ) || !whereabouts::is_private(*opened.at.ip()) && !opened.at.ip().is_loopback();
    found.reachable = public && why != choice::Why::MappedTwice;
    found.advice = match why {
        _ if found.reachable => None,
        choice::Why::Behind | choice::Why::MappedTwice => Some(
            "ask your provider for a public address, or have the outer router forward ports as well",
        ),
        _ => Some(
            "turn on UPnP, PCP or NAT-PMP in your router; or have it forward some ports and say \
             `ports` and `announce` under [network] in the configuration. Contacts in your own \
             network, and those with a public address of their own, are reached as it is",
        ),
    };
}

fn part(asked: bool, address: Option<Ipv4Addr>, words: &str) -> Part {
    Part {
        asked,
        address,
        words: words.to_owned(),
    }
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    let _ = match found.interface {
        Some(ip) if found.private => writeln!(text, "interface: {ip}, which is private"),
        Some(ip) => writeln!(text, "interface: {ip}"),
        None => writeln!(text, "interface: none"),
    };
    if let Some(ip) = found.configured {
        let _ = writeln!(text, "configured: {ip}");
    }
    let _ = writeln!(text, "router: {}", found.router.words);
    let _ = writeln!(text, "STUN: {}", found.stun.words);
    let _ = match found.told {
        Some(ip) => writeln!(text, "contacts are told: {ip}, because {}", found.why),
        None => writeln!(text, "contacts are told: nothing: {}", found.why),
    };
    let _ = match (found.reachable, found.advice) {
        (true, _) => writeln!(
            text,
            "contacts elsewhere can reach it, as far as can be told from here"
        ),
        (false, Some(advice)) => writeln!(text, "contacts elsewhere cannot reach it: {advice}"),
        (false, None) => writeln!(text, "contacts elsewhere cannot reach it"),
    };
    text
}
