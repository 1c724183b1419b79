//! PUSH_PROMISE (RFC 9113 section 6.6). Nobody may send us one: a server never may, and our clients
//! announce ENABLE_PUSH 0. So there is a name for the error, and nothing to parse or to write.

use crate::error::{ConnectionError, ErrorCode};

/// A PUSH_PROMISE frame.
pub struct PushPromise;

impl PushPromise {
    /// What any PUSH_PROMISE is, whatever is in it.
    pub const ERROR: ConnectionError = ConnectionError {
        code: ErrorCode::PROTOCOL_ERROR,
        reason: "PUSH_PROMISE where push is off",
    };
}
