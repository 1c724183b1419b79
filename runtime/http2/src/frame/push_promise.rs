//! PUSH_PROMISE (RFC 9113 section 6.6), which no peer may send.
//!
//! A client never may, and our clients announce ENABLE_PUSH 0 to servers. So there is an error, but
//! no parser and no writer.

use crate::error::{ConnectionError, ErrorCode};

/// A PUSH_PROMISE frame, which is always an error.
pub struct PushPromise;

impl PushPromise {
    /// The error that any PUSH_PROMISE causes.
    pub const ERROR: ConnectionError = ConnectionError {
        code: ErrorCode::PROTOCOL_ERROR,
        reason: "PUSH_PROMISE while push is disabled",
    };
}
