//! The content of calls: different in each call and direction, and generated only once.

use std::sync::LazyLock;

use bytes::Bytes;

use super::super::random::Random;
use crate::Role;

/// The content that an end sends in a call.
pub(super) struct Content {
    /// The offset of the content in the random octets.
    from: usize,
}

static NOISE: LazyLock<Bytes> = LazyLock::new(|| Random::new(1).octets(1 << 20).into());

impl Content {
    /// The maximum length of the content of an end in a call, in octets.
    pub(super) const MAX_LEN: usize = 1 << 19;

    pub(super) fn of(number: usize, sender: Role) -> Self {
        let stream = 2 * number + usize::from(sender == Role::Server);
        Self {
            from: stream * 997 % Self::MAX_LEN,
        }
    }

    /// Returns `octets` octets from an offset.
    pub(super) fn part(&self, offset: u64, octets: usize) -> Bytes {
        let from = self.from + offset as usize;
        NOISE.slice(from..from + octets)
    }
}
