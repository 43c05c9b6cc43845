//! placeholder
use std::sync::Arc;

use tokio::{net::TcpStream, sync::mpsc};

use super::account::{Account, Outgoing};
use super::opening;

pub(super) const MAX_ORDERS: usize = 64;

pub(super) enum Order {
    Deliver(Outgoing),
    Show(Vec<u8>),
}

pub(super) async fn serve(
    account: Arc<Account>,
    peer: String,
    _orders: mpsc::Sender<Order>,
    mut queue: mpsc::Receiver<Order>,
) {
    let Ok(up) = opening::open(account.clone(), peer.clone()).await else {
        account.close_room(&peer);
        queue.close();
        while let Some(order) = queue.recv().await {
            if let Order::Deliver(o) = order {
                account.undelivered(o.delivery);
            }
        }
        return;
    };
    while let Some(order) = queue.recv().await {
        if let Order::Deliver(o) = order {
            let _ = up.board.deliver(o);
            account.settled(&peer, 1);
        }
    }
}

pub(super) async fn lend(
    _client: TcpStream,
    _first: Vec<u8>,
    _room: mpsc::Sender<Order>,
    _account: Arc<Account>,
) {
}
