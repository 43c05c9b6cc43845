//! What the dispatcher wants of an adapter, in order; but nothing that an end behind it has overtaken: a
//! program is not started for an invitation that is over already.

use std::collections::VecDeque;

use tokio::sync::mpsc::UnboundedReceiver;

use super::Order;

/// Orders to an adapter. A closed channel means [`Order::End`].
#[derive(Debug)]
pub struct Orders {
    channel: UnboundedReceiver<Order>,
    /// Taken from the channel and not given yet.
    taken: VecDeque<Order>,
}

impl From<UnboundedReceiver<Order>> for Orders {
    fn from(channel: UnboundedReceiver<Order>) -> Self {
        Self {
            channel,
            taken: VecDeque::new(),
        }
    }
}

impl Orders {
    /// The next one; none when no more come. May be dropped and called again.
    pub async fn recv(&mut self) -> Option<Order> {
        if self.taken.is_empty() {
            self.taken.extend(self.channel.recv().await);
        }
        while let Ok(order) = self.channel.try_recv() {
            self.taken.push_back(order);
        }
        if self.taken.iter().any(|order| matches!(order, Order::End)) {
            self.taken.clear();
            return Some(Order::End);
        }
        self.taken.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn an_end_overtakes_what_was_ordered_before_it() {
        let (sender, channel) = unbounded_channel();
        let mut orders = Orders::from(channel);
        let say = |text: &[u8]| sender.send(Order::Context(text.to_vec())).unwrap();
        say(b"1");
        say(b"2");
        for text in [b"1", b"2"] {
            assert!(matches!(orders.recv().await, Some(Order::Context(it)) if it == text));
        }
        say(b"3");
        sender.send(Order::End).unwrap();
        assert!(matches!(orders.recv().await, Some(Order::End)));
        drop(sender);
        assert!(orders.recv().await.is_none());
    }
}
