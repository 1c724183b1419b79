//! A counter of the messages that a connection has received. The connection's task owns it and adds
//! all DATA.

use std::collections::HashMap;

use rgrpc_http2::StreamKey;
use rustc_hash::FxBuildHasher;

/// The length of a message's prefix: a flag, and the message's length.
const PREFIX: usize = 5;

/// Counts the messages in the DATA of all streams.
///
/// A stream has an entry only while a message has arrived in part. Small messages arrive whole, and
/// cost one read of their length.
#[derive(Debug, Default)]
pub(super) struct MessageCounter {
    messages: u64,
    partial: HashMap<StreamKey, Partial, FxBuildHasher>,
}

/// The part of a message that has not arrived.
#[derive(Clone, Copy, Debug)]
enum Partial {
    /// The rest of the prefix, of which this number of octets has arrived.
    Prefix([u8; PREFIX], usize),
    /// This number of octets.
    Body(usize),
}

impl MessageCounter {
    /// The number of messages that were received whole.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Counts DATA of a stream.
    #[inline]
    pub(super) fn received(&mut self, key: StreamKey, data: &[u8]) {
        // Most DATA is one message.
        if self.partial.is_empty()
            && let Some((prefix, rest)) = data.split_first_chunk()
            && body_len(*prefix) == rest.len()
        {
            self.messages += 1;
        } else {
            self.received_parts(key, data);
        }
    }

    fn received_parts(&mut self, key: StreamKey, mut data: &[u8]) {
        if !self.partial.is_empty()
            && let Some(partial) = self.partial.remove(&key)
        {
            data = self.go_on(key, partial, data);
        }
        while let Some((prefix, rest)) = data.split_first_chunk() {
            let len = body_len(*prefix);
            let Some((_, rest)) = rest.split_at_checked(len) else {
                let missing = len - rest.len();
                self.partial.insert(key, Partial::Body(missing));
                return;
            };
            self.messages += 1;
            data = rest;
        }
        if !data.is_empty() {
            self.prefix(key, [0; PREFIX], 0, data);
        }
    }

    /// Counts octets of one message of a stream, after its prefix.
    pub(super) fn received_octets(&mut self, key: StreamKey, octets: usize) {
        if let Some(Partial::Body(missing)) = self.partial.get_mut(&key) {
            *missing = missing.saturating_sub(octets);
            if *missing == 0 {
                self.messages += 1;
                self.partial.remove(&key);
            }
        }
    }

    /// Drops the entries of streams that are gone, if there may be any: there are more entries than
    /// streams.
    pub(super) fn forget(&mut self, streams: usize, mut is_there: impl FnMut(StreamKey) -> bool) {
        if self.partial.len() > streams {
            self.partial.retain(|key, _| is_there(*key));
        }
    }

    /// Skips the rest of a message that had begun. Returns the octets after it.
    #[cold]
    fn go_on<'a>(&mut self, key: StreamKey, partial: Partial, data: &'a [u8]) -> &'a [u8] {
        let missing = match partial {
            Partial::Prefix(prefix, len) => match self.prefix(key, prefix, len, data) {
                Some((missing, rest)) => return self.body(key, missing, rest),
                None => return &[],
            },
            Partial::Body(missing) => missing,
        };
        self.body(key, missing, data)
    }

    /// Adds to a prefix. Returns the length of the message and the octets after the prefix, once
    /// the prefix is complete.
    #[cold]
    fn prefix<'a>(
        &mut self,
        key: StreamKey,
        mut prefix: [u8; PREFIX],
        len: usize,
        data: &'a [u8],
    ) -> Option<(usize, &'a [u8])> {
        let more = data.len().min(PREFIX - len);
        let (octets, rest) = data.split_at(more);
        prefix[len..len + more].copy_from_slice(octets);
        if len + more == PREFIX {
            return Some((body_len(prefix), rest));
        }
        self.partial
            .insert(key, Partial::Prefix(prefix, len + more));
        None
    }

    fn body<'a>(&mut self, key: StreamKey, missing: usize, data: &'a [u8]) -> &'a [u8] {
        match data.split_at_checked(missing) {
            Some((_, rest)) => {
                self.messages += 1;
                rest
            }
            None => {
                let missing = missing - data.len();
                self.partial.insert(key, Partial::Body(missing));
                &[]
            }
        }
    }
}

fn body_len(prefix: [u8; PREFIX]) -> usize {
    let [_, a, b, c, d] = prefix;
    u32::from_be_bytes([a, b, c, d]) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rgrpc_http2::{Block, Config, Connection};

    /// Keys of two streams.
    fn keys() -> [StreamKey; 2] {
        let mut core: Connection<(), ()> = Connection::client(Config::default(), |_, _| ());
        [(); 2].map(|()| {
            let block = Block::fields([]);
            core.open((), &block, false).expect("opened")
        })
    }

    fn framed(lengths: &[usize]) -> Vec<u8> {
        let mut octets = Vec::new();
        for len in lengths {
            octets.push(0);
            octets.extend(u32::try_from(*len).expect("short").to_be_bytes());
            octets.resize(octets.len() + len, 7);
        }
        octets
    }

    #[test]
    fn messages_are_counted_whatever_the_split() {
        let octets = framed(&[3, 0, 11, 1, 0, 0, 6]);
        let [key, other] = keys();
        for size in 1..=octets.len() {
            let mut counter = MessageCounter::default();
            for piece in octets.chunks(size) {
                counter.received(key, piece);
                // Another stream changes nothing.
                counter.received(other, &framed(&[2]));
            }
            let others = octets.chunks(size).len() as u64;
            assert_eq!(counter.messages(), 7 + others, "split by {size}");
            assert!(counter.partial.is_empty());
        }
    }

    #[test]
    fn octets_of_a_message_that_go_elsewhere_count_too() {
        let [key, other] = keys();
        let mut counter = MessageCounter::default();
        counter.received(key, &framed(&[1, 100])[..20]);
        assert_eq!(counter.messages(), 1);
        counter.received_octets(other, 91);
        counter.received_octets(key, 90);
        assert_eq!(counter.messages(), 1);
        counter.received_octets(key, 1);
        assert_eq!(counter.messages(), 2);
    }

    #[test]
    fn streams_that_are_gone_are_forgotten() {
        let [key, other] = keys();
        let mut counter = MessageCounter::default();
        counter.received(key, &[0, 0]);
        counter.received(other, &[0, 0, 0, 0, 9, 1]);
        counter.forget(2, |_| unreachable!("as many are there"));
        counter.forget(1, |there| there == key);
        assert_eq!(counter.partial.len(), 1);
    }
}
