//! The content of calls: no two look alike, and none is made twice.

use std::sync::LazyLock;

use bytes::Bytes;

use super::super::random::Random;
use crate::Role;

/// What an end sends in a call, as far as it may ever go.
pub(super) struct Content {
    from: usize,
}

static NOISE: LazyLock<Bytes> = LazyLock::new(|| Random::new(1).octets(1 << 20).into());

impl Content {
    /// The most that an end sends in a call.
    pub(super) const MOST: usize = 1 << 19;

    pub(super) fn of(number: usize, sender: Role) -> Self {
        let stream = 2 * number + usize::from(sender == Role::Server);
        Self {
            from: stream * 997 % Self::MOST,
        }
    }

    /// The octets from an offset on.
    pub(super) fn part(&self, offset: u64, octets: usize) -> Bytes {
        let from = self.from + offset as usize;
        NOISE.slice(from..from + octets)
    }
}
