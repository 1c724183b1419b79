//! An index of subchannels without handles of them.
//!
//! Used by the policies and layers that need to know the child or the endpoint of a subchannel, on
//! the channel's task.

use std::collections::HashMap;

use super::{SubConn, SubConnId, WeakSubConn};

/// A policy's data about subchannels that others hold, by their ids. It removes the data of dropped
/// subchannels from time to time: at most about half of the entries are of dropped ones.
pub(super) struct SubConnIndex<T> {
    by_id: HashMap<SubConnId, (WeakSubConn, T)>,
    /// The number of entries at which dropped ones are removed.
    limit: usize,
}

impl<T> SubConnIndex<T> {
    pub(super) fn insert(&mut self, subconn: &SubConn, value: T) {
        if self.by_id.len() >= self.limit {
            self.by_id.retain(|_, (subconn, _)| subconn.is_held());
            self.limit = 2 * self.by_id.len() + 8;
        }
        self.by_id
            .insert(subconn.id(), (subconn.downgrade(), value));
    }

    pub(super) fn get(&self, subconn: SubConnId) -> Option<&T> {
        self.by_id.get(&subconn).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, subconn: SubConnId) -> Option<&mut T> {
        self.by_id.get_mut(&subconn).map(|(_, value)| value)
    }

    /// The entries of subchannels that still exist, in any order.
    pub(super) fn held_mut(&mut self) -> impl Iterator<Item = (SubConnId, &mut T)> {
        let held = self.by_id.iter_mut().filter(|(_, (it, _))| it.is_held());
        held.map(|(id, (_, value))| (*id, value))
    }
}

impl<T> Default for SubConnIndex<T> {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            limit: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChannelControl, SubConnOptions, TestChannel};
    use super::*;
    use crate::io::Address;

    #[test]
    fn dropped_subchannels_are_removed() {
        let mut channel = TestChannel::new();
        let mut create = || channel.create_subconn(Address::Pipe, SubConnOptions::default());
        let mut index = SubConnIndex::default();
        let kept = create();
        index.insert(&kept, "kept");
        for _ in 0..1000 {
            index.insert(&create(), "dropped");
        }
        assert!(index.by_id.len() < 20, "{}", index.by_id.len());
        assert_eq!(index.get(kept.id()), Some(&"kept"));
        let held: Vec<_> = index.held_mut().map(|(_, value)| *value).collect();
        assert_eq!(held, ["kept"]);
    }
}
