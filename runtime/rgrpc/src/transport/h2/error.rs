//! The end of a stream for an error of `h2`. The stream asks, where its call polls it.

use super::connection_info::ConnectionInfo;
use crate::side::Side;
use crate::status::{Origin, Status};
use crate::transport::{CancelReason, Delivery, ResetCode, StreamEnd, StreamFailure};

/// Returns the end of a stream that failed with `error`.
///
/// `side` is the caller's side. `connection` has the facts about the connection's end, if the
/// stream failed because of it.
pub(super) fn stream_end(
    error: &h2::Error,
    side: Side,
    connection: Option<&ConnectionInfo>,
) -> StreamEnd {
    let code = error.reason().map(|reason| ResetCode(reason.into()));
    if let (true, Some(code)) = (error.is_reset(), code) {
        let failure = if error.is_remote() {
            let by = side.other();
            StreamFailure::Reset { by, code }
        } else {
            StreamFailure::ResetHere { side, code }
        };
        return StreamEnd::from(&failure);
    }
    // `h2` fails a stream with a GOAWAY only when its id is above the last one that the peer has
    // processed. Streams below it go on, or fail with the connection.
    let delivery = if error.is_go_away() && error.is_remote() {
        Delivery::Refused
    } else {
        Delivery::Possible
    };
    StreamEnd::failed(connection_lost(error, connection), delivery)
}

/// Returns the cancel reason of a server's call whose stream failed with `error`.
pub(super) fn cancel_reason(error: &h2::Error) -> CancelReason {
    match error.reason() {
        Some(code) if error.is_reset() && error.is_remote() => {
            CancelReason::of_reset(ResetCode(code.into()))
        }
        _ if error.is_reset() => CancelReason::StreamFailed,
        _ => CancelReason::ConnectionLost,
    }
}

/// Returns the status of calls whose connection is gone.
fn connection_lost(error: &h2::Error, connection: Option<&ConnectionInfo>) -> Status {
    let status = match connection {
        Some(info) => Status::unavailable(format!("the connection was lost: {error} ({info})"))
            .with_shared_source(info.io_error()),
        None => Status::unavailable(format!("the connection was lost: {error}")),
    };
    status.with_origin(Origin::Connection)
}
