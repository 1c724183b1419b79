//! The messages that a streaming call has sent, for the attempts to come.
//!
//! Filled and read by the call, on the task that drives it.

use rgrpc_http2::BytesQueue;

/// The framed messages of a streaming call, up to a limit.
#[derive(Debug)]
pub(super) struct ReplayBuffer {
    /// Each with its length before compression.
    messages: Vec<(BytesQueue, usize)>,
    /// In bytes.
    size: usize,
    limit: usize,
    /// No message follows.
    closed: bool,
}

/// An operation of the sending half.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(super) enum Sent {
    /// A framed message, and its length before compression: 0 in a call without observers.
    Message(BytesQueue, usize),
    /// A message after which none follows.
    Last(BytesQueue, usize),
    /// No message follows.
    Close,
}

impl ReplayBuffer {
    /// An empty one that is to hold this many bytes at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            messages: Vec::new(),
            size: 0,
            limit,
            closed: false,
        }
    }

    /// Keeps what was sent.
    pub(super) fn push(&mut self, sent: Sent) {
        let (message, closes) = match sent {
            Sent::Message(message, len) => (Some((message, len)), false),
            Sent::Last(message, len) => (Some((message, len)), true),
            Sent::Close => (None, true),
        };
        if let Some(message) = message.filter(|_| !self.closed) {
            self.size = self.size.saturating_add(message.0.len());
            self.messages.push(message);
        }
        self.closed |= closes;
    }

    /// Returns whether it is over its limit: the call cannot be retried then.
    pub(super) fn is_over(&self) -> bool {
        self.size > self.limit
    }

    /// All that was sent, in order.
    pub(super) fn replay(&self) -> impl Iterator<Item = Sent> {
        let count = self.messages.len();
        let messages = self.messages.iter().enumerate();
        let messages = messages.map(move |(index, (message, len))| {
            if self.closed && index + 1 == count {
                Sent::Last(message.clone(), *len)
            } else {
                Sent::Message(message.clone(), *len)
            }
        });
        let close = (self.closed && count == 0).then_some(Sent::Close);
        messages.chain(close)
    }

    /// Drops the messages, because no further attempt needs them.
    pub(super) fn clear(&mut self) {
        self.messages = Vec::new();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use Sent::Close;

    #[expect(non_snake_case, reason = "stands for the variant")]
    fn Message(message: BytesQueue) -> Sent {
        let len = message.len();
        Sent::Message(message, len)
    }

    #[expect(non_snake_case, reason = "stands for the variant")]
    fn Last(message: BytesQueue) -> Sent {
        let len = message.len();
        Sent::Last(message, len)
    }

    fn a() -> BytesQueue {
        Bytes::from_static(b"aaa").into()
    }

    fn b() -> BytesQueue {
        Bytes::from_static(b"bb").into()
    }

    #[test]
    fn sent_messages_are_replayed_in_order() {
        for (sent, replayed) in [
            (vec![], vec![]),
            (vec![Close], vec![Close]),
            (vec![Message(a())], vec![Message(a())]),
            (
                vec![Message(a()), Message(b())],
                vec![Message(a()), Message(b())],
            ),
            // The end goes with the last message.
            (
                vec![Message(a()), Message(b()), Close],
                vec![Message(a()), Last(b())],
            ),
            (vec![Last(a())], vec![Last(a())]),
            // Closing is idempotent, and nothing follows it.
            (vec![Last(a()), Close], vec![Last(a())]),
            (vec![Close, Close], vec![Close]),
            (vec![Last(a()), Message(b())], vec![Last(a())]),
        ] {
            let mut buffer = ReplayBuffer::new(5);
            for sent in sent.clone() {
                buffer.push(sent);
            }
            assert_eq!(buffer.replay().collect::<Vec<_>>(), replayed, "{sent:?}");
        }
    }

    #[test]
    fn it_is_over_its_limit_with_the_first_byte_more() {
        for (limit, sent, over) in [
            (5, vec![Message(a()), Message(b())], false),
            (4, vec![Message(a()), Message(b())], true),
            (3, vec![Message(a()), Close], false),
            (2, vec![Last(a())], true),
            (0, vec![Message(BytesQueue::default())], false),
            (0, vec![Close], false),
        ] {
            let mut buffer = ReplayBuffer::new(limit);
            for sent in sent.clone() {
                buffer.push(sent);
            }
            assert_eq!(buffer.is_over(), over, "{limit} {sent:?}");
            buffer.clear();
            assert!(!buffer.is_over());
        }
    }
}
