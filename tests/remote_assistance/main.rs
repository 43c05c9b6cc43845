//! Remote Assistance: a scripted peer that wants help, our dispatcher, and the real FreeRDP
//! (TOOLS.md 8).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connection;
mod files;
mod novice;
mod picture;
mod screen;
#[path = "../support/mod.rs"]
mod support;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, Ordering},
};

/// A loopback address that no other test uses.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A ticket of Windows XP with these addresses (MS-RAI 2.2.1), with ids of our making.
fn xp_ticket(addresses: &str) -> String {
    format!(
        "65538,1,{addresses},*,rb+v0oPmEISmi8N2zK/vuhgul/ABqlDt6wW0VxMyxK8=,*,*,IuaRySSbPDNna4+2mKcsKxsbJFI="
    )
}

/// A ticket of Windows Vista with these addresses and ports.
fn vista_ticket(addresses: &[(&str, u16)]) -> String {
    let list: String = addresses
        .iter()
        .map(|(host, port)| format!("<L P=\"{port}\" N=\"{host}\"/>"))
        .collect();
    format!(
        "<E><A KH=\"BNRjdu97DyczQSRuMRrDWoue+HA=\" \
         ID=\"+ULZ6ifjoCa6cGPMLQiGHRPwkg6VyJqGwxMnO6GcelwUh9a6/FBq3It5ADSndmLL\"/>\
         <C><T ID=\"1\" SID=\"0\">{list}</T></C></E>"
    )
}
