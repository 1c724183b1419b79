//! The reason of the end of a connection, of an error of `h2`. The connection's task asks when it ends.

use std::io;
use std::sync::Arc;

use crate::disconnect_reason::{DisconnectReason, ProtocolViolation};

/// Returns the reason of the end of a connection that failed with `error`, which is not the peer's
/// GOAWAY.
pub(super) fn disconnect_reason(error: &h2::Error) -> DisconnectReason {
    if let Some(io_error) = error.get_io() {
        let error = io::Error::new(io_error.kind(), io_error.to_string());
        return DisconnectReason::of_io(Arc::new(error));
    }
    let code = error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR);
    DisconnectReason::Protocol(ProtocolViolation {
        code: code.into(),
        description: error.to_string().into(),
    })
}
