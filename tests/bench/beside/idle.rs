//! What a conversation costs in which nobody says anything.

use super::{
    measure::{descriptors, head, row},
    proxies::Proxy,
    server::{self, Chat, Part},
};

pub(crate) fn rows() {
    let server = server::start();
    head(
        "Memory: conversations in which nothing is said (without what the kernel keeps)",
        &["through", "conversations", "before, kB", "kB for each"],
    );
    // Two for each conversation here, and two in the proxy.
    let most = (descriptors() - 100) / 2;
    for count in [1_000, most.min(10_000)] {
        for start in [Proxy::ours, Proxy::haproxy, Proxy::nginx, Proxy::socat] {
            let proxy = start(server);
            if proxy.name == "socat" && count > 1_000 {
                // A process for each.
                continue;
            }
            let memory = || proxy.process.as_ref().unwrap().memory();
            let before = memory();
            let chats: Vec<Chat> = (0..count)
                .map(|_| {
                    let mut chat = Chat::enter(proxy.door, Part::Echo);
                    // One has been talked in, as those that wait have.
                    chat.say(40);
                    chat
                })
                .collect();
            let after = memory();
            row(&[
                proxy.name.into(),
                count.to_string(),
                format!("{before:.0}"),
                format!("{:.2}", (after - before) / count as f64),
            ]);
            drop(chats);
        }
    }
}
