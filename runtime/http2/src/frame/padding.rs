//! The padding of DATA, HEADERS and PUSH_PROMISE (RFC 9113 section 6.1).

use super::{Head, flag};
use crate::error::{ConnectionError, ErrorCode};

/// Returns the payload without its padding and without the pad length.
#[inline]
pub(super) fn strip(head: Head, payload: &[u8]) -> Result<&[u8], ConnectionError> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let Some((&length, rest)) = payload.split_first() else {
        return Err(ConnectionError {
            code: ErrorCode::FRAME_SIZE_ERROR,
            reason: "padded frame without a pad length",
        });
    };
    match rest.len().checked_sub(usize::from(length)) {
        Some(content) => Ok(&rest[..content]),
        None => Err(ConnectionError {
            code: ErrorCode::PROTOCOL_ERROR,
            reason: "padding longer than the frame",
        }),
    }
}
