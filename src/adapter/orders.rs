//! What the dispatcher wants of an adapter, in order; but an end overtakes what was ordered before it: a
//! program is not started for an invitation that is over already. What the peer said is not overtaken:
//! whoever keeps it keeps its last words too.

use std::collections::VecDeque;

use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError};

use super::Order;

/// Orders to an adapter. A closed channel means [`Order::End`].
#[derive(Debug)]
pub struct Orders {
    channel: UnboundedReceiver<Order>,
    /// Taken from the channel and not given yet.
    taken: VecDeque<Order>,
    /// The end was ordered, or nobody is left to order it.
    over: bool,
}

impl From<UnboundedReceiver<Order>> for Orders {
    fn from(channel: UnboundedReceiver<Order>) -> Self {
        Self {
            channel,
            taken: VecDeque::new(),
            over: false,
        }
    }
}

impl Orders {
    /// The next one; none when no more come. May be dropped and called again.
    pub async fn recv(&mut self) -> Option<Order> {
        if self.taken.is_empty() {
            self.taken.extend(self.channel.recv().await);
        }
        if self.is_over() {
            self.taken
                .retain(|order| matches!(order, Order::Context(_) | Order::End));
        }
        self.taken.pop_front()
    }

    /// Whether the end has been ordered, given or not. To be asked right before anything is started:
    /// what was waited for until then may have taken long.
    pub fn is_over(&mut self) -> bool {
        loop {
            match self.channel.try_recv() {
                Ok(order) => self.taken.push_back(order),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.over = true;
                    break;
                }
            }
        }
        self.over |= self.taken.iter().any(|it| matches!(it, Order::End));
        self.over
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;
    use crate::negotiation::{Announcement, Remote};

    fn orders() -> (UnboundedSender<Order>, Orders) {
        let (sender, channel) = unbounded_channel();
        (sender, channel.into())
    }

    fn say(sender: &UnboundedSender<Order>, text: &[u8]) {
        sender.send(Order::Context(text.to_vec())).unwrap();
    }

    async fn said(orders: &mut Orders) -> Vec<u8> {
        match orders.recv().await {
            Some(Order::Context(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_end_overtakes_what_was_ordered_before_it_but_not_what_the_peer_said() {
        let (sender, mut orders) = orders();
        say(&sender, b"1");
        say(&sender, b"2");
        for text in [b"1", b"2"] {
            assert_eq!(said(&mut orders).await, text);
        }
        assert!(!orders.is_over());
        for order in [
            Order::Prepare(Announcement::Accept),
            Order::Context(b"3".to_vec()),
            Order::Connected(Remote::default()),
            Order::Context(b"4".to_vec()),
            Order::End,
        ] {
            sender.send(order).unwrap();
        }
        assert!(orders.is_over());
        for text in [b"3", b"4"] {
            assert_eq!(said(&mut orders).await, text);
        }
        assert!(matches!(orders.recv().await, Some(Order::End)));
        assert!(orders.is_over(), "it stays so");
        drop(sender);
        assert!(orders.recv().await.is_none());
    }

    #[tokio::test]
    async fn when_nobody_is_left_to_order_it_is_over_as_well() {
        let (sender, mut orders) = orders();
        sender.send(Order::Connected(Remote::default())).unwrap();
        assert!(!orders.is_over());
        say(&sender, b"1");
        drop(sender);
        assert!(orders.is_over());
        assert_eq!(said(&mut orders).await, b"1");
        assert!(orders.recv().await.is_none());
    }
}
