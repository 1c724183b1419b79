//! The content of messages: slices of one fixed pattern.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::plan::Direction;
use crate::proto::Message;

/// The number of different places in the pattern at which a message may begin.
const OFFSETS: usize = 8_191;

/// The largest body of a message, in bytes.
const MAX_BODY: usize = 17 * 1024 * 1024;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(1);
    let mut pattern = vec![0; MAX_BODY + OFFSETS];
    random.fill(&mut pattern);
    pattern.into()
});

/// Returns message `index` of a direction of a call, with an encoded size of `size` bytes.
///
/// Sizes 1, 2 and a few others do not exist in the encoding of a bytes field; the next smaller one
/// is used.
pub(crate) fn message(seed: u64, direction: Direction, index: usize, size: usize) -> Message {
    let mut body = size.saturating_sub(2);
    while encoded_len(body) > size {
        body -= 1;
    }
    let salt = match direction {
        Direction::Up => 0,
        Direction::Down => 4_096,
    };
    let offset = (seed as usize).wrapping_add(index * 31 + salt) % OFFSETS;
    Message {
        body: PATTERN.slice(offset..offset + body),
    }
}

/// The encoded size of a message with a body of `body` bytes.
fn encoded_len(body: usize) -> usize {
    if body == 0 {
        return 0;
    }
    let bits = usize::BITS - body.leading_zeros();
    1 + bits.div_ceil(7) as usize + body
}
