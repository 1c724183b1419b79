//! The failure of a stream, as its engine knows it, and the one table from it to the status of the
//! call, to the delivery of its request, and to the cancel reason of a server's call.
//!
//! An engine makes it, on the connection's task or where a call polls; the stream makes its end of it.
//! The streams of a client's connection that is lost end with its [`Disconnect`](super::Disconnect).

use std::sync::Arc;

use rgrpc_http2::OpenError;

use super::{
    CancelReason, Delivery, Last, ResetCode, StreamEnd, lost_text, request_too_large,
    status_for_reset, too_large,
};
use crate::disconnect_reason::{DisconnectReason, GoAway};
use crate::io::Peer;
use crate::side::Side;
use crate::status::{Origin, Status};

/// The failure of a stream.
#[derive(Clone, Debug)]
pub(crate) enum StreamFailure {
    /// The peer, which is this side, has reset the stream.
    Reset { by: Side, code: ResetCode },
    /// This end, which is this side, has reset the stream itself: for the peer's input, or because
    /// the call was dropped. The `h2` crate tells no more.
    #[cfg(feature = "transport-h2")]
    ResetHere { side: Side, code: ResetCode },
    /// The peer, which is this side, broke the protocol on the stream, which was reset for it.
    Protocol {
        by: Side,
        code: ResetCode,
        reason: &'static str,
    },
    /// The header list of the request is larger than the server accepts.
    RequestTooLarge { size: usize, limit: u32 },
    /// A header list of the response is larger than the client accepts.
    ResponseTooLarge { last: Last, size: usize, limit: u32 },
    /// No more streams can be opened on the client's connection.
    NotOpened {
        peer: Arc<Peer>,
        error: OpenError,
        goaway: Option<GoAway>,
    },
    /// The server's GOAWAY says that it has not taken the stream up.
    Refused {
        peer: Arc<Peer>,
        goaway: Option<GoAway>,
    },
    /// The server's connection has ended.
    ConnectionEnded(DisconnectReason),
    /// The server was stopped.
    ServerStopped,
}

impl StreamFailure {
    /// The delivery of the request, which decides about a retry.
    pub(crate) fn delivery(&self) -> Delivery {
        match self {
            Self::Reset { code, .. } => code.delivery(),
            Self::Refused { .. } => Delivery::Refused,
            Self::NotOpened { .. } => Delivery::NotSent,
            #[cfg(feature = "transport-h2")]
            Self::ResetHere { .. } => Delivery::Possible,
            Self::Protocol { .. }
            | Self::RequestTooLarge { .. }
            | Self::ResponseTooLarge { .. }
            | Self::ConnectionEnded(_)
            | Self::ServerStopped => Delivery::Possible,
        }
    }

    /// The reason why a server's call is cancelled.
    pub(crate) fn cancel_reason(&self) -> CancelReason {
        match self {
            Self::Reset { code, .. } => CancelReason::of_reset(*code),
            #[cfg(feature = "transport-h2")]
            Self::ResetHere { .. } => CancelReason::StreamFailed,
            Self::Protocol { .. } => CancelReason::StreamFailed,
            Self::RequestTooLarge { .. } | Self::ResponseTooLarge { .. } => {
                CancelReason::HeadersTooLarge
            }
            Self::ServerStopped | Self::ConnectionEnded(DisconnectReason::RuntimeShutDown) => {
                CancelReason::ServerStopped
            }
            Self::NotOpened { .. } | Self::Refused { .. } | Self::ConnectionEnded(_) => {
                CancelReason::ConnectionLost
            }
        }
    }

    /// The status of the call.
    #[cold]
    pub(crate) fn to_status(&self) -> Status {
        match self {
            Self::Reset { by, code } => status_for_reset(*by, *code),
            #[cfg(feature = "transport-h2")]
            Self::ResetHere { side, code } => {
                Status::internal(format!("the {side} reset the stream: {code}"))
            }
            Self::Protocol { by, code, reason } => {
                Status::internal(format!("the {by} broke the protocol: {reason} ({code})"))
            }
            Self::RequestTooLarge { size, limit } => request_too_large(*size, *limit),
            Self::ResponseTooLarge { last, size, limit } => too_large(*last, *size, *limit),
            Self::NotOpened {
                peer,
                error,
                goaway,
            } => Status::unavailable(lost_text(peer, error, goaway.as_ref()))
                .with_origin(Origin::Connection),
            Self::Refused { peer, goaway } => {
                let problem = &"the server did not take the call up";
                Status::unavailable(lost_text(peer, problem, goaway.as_ref()))
                    .with_origin(Origin::Connection)
            }
            Self::ConnectionEnded(reason) => {
                let problem = reason.at(Side::Server);
                Status::cancelled(format!("the connection ended: {problem}"))
            }
            Self::ServerStopped => Status::unavailable("the server was stopped"),
        }
    }
}

impl From<&StreamFailure> for StreamEnd {
    fn from(failure: &StreamFailure) -> Self {
        Self::failed(failure.to_status(), failure.delivery())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::io::Address;
    use crate::status::Code;

    #[test]
    fn a_failure_has_a_status_a_delivery_and_a_cancel_reason() {
        let peer = Arc::new(Peer::new(Address::Pipe, Address::Pipe));
        for (failure, code, text, delivery, cancelled) in [
            (
                StreamFailure::Reset {
                    by: Side::Server,
                    code: ResetCode::REFUSED_STREAM,
                },
                Code::Unavailable,
                "the server reset the stream: REFUSED_STREAM",
                Delivery::Refused,
                CancelReason::StreamFailed,
            ),
            (
                StreamFailure::Reset {
                    by: Side::Client,
                    code: ResetCode::CANCEL,
                },
                Code::Cancelled,
                "the client reset the stream: CANCEL",
                Delivery::Possible,
                CancelReason::ClientCancelled,
            ),
            (
                StreamFailure::Protocol {
                    by: Side::Client,
                    code: ResetCode::PROTOCOL_ERROR,
                    reason: "a bad frame",
                },
                Code::Internal,
                "the client broke the protocol: a bad frame (PROTOCOL_ERROR)",
                Delivery::Possible,
                CancelReason::StreamFailed,
            ),
            (
                StreamFailure::ResponseTooLarge {
                    last: Last::Headers,
                    size: 30,
                    limit: 20,
                },
                Code::Internal,
                "the response's headers are larger than the client takes: a header list of 30 \
                 octets, and SETTINGS_MAX_HEADER_LIST_SIZE = 20",
                Delivery::Possible,
                CancelReason::HeadersTooLarge,
            ),
            (
                StreamFailure::NotOpened {
                    peer: Arc::clone(&peer),
                    error: OpenError::StreamIdsExhausted,
                    goaway: None,
                },
                Code::Unavailable,
                "the connection to pipe from pipe was lost: the connection has no stream ids left",
                Delivery::NotSent,
                CancelReason::ConnectionLost,
            ),
            (
                StreamFailure::Refused {
                    peer,
                    goaway: Some(GoAway::new(0, Bytes::new())),
                },
                Code::Unavailable,
                "the connection to pipe from pipe was lost: the server did not take the call up, \
                 after GOAWAY with code: NO_ERROR",
                Delivery::Refused,
                CancelReason::ConnectionLost,
            ),
            (
                StreamFailure::ConnectionEnded(DisconnectReason::ClosedByPeer),
                Code::Cancelled,
                "the connection ended: the client closed it",
                Delivery::Possible,
                CancelReason::ConnectionLost,
            ),
            (
                StreamFailure::ConnectionEnded(DisconnectReason::RuntimeShutDown),
                Code::Cancelled,
                "the connection ended: the tokio runtime of its task was shut down",
                Delivery::Possible,
                CancelReason::ServerStopped,
            ),
            (
                StreamFailure::ServerStopped,
                Code::Unavailable,
                "the server was stopped",
                Delivery::Possible,
                CancelReason::ServerStopped,
            ),
        ] {
            let status = failure.to_status();
            assert_eq!((status.code(), status.message()), (code, text));
            assert_eq!(failure.delivery(), delivery, "{text}");
            assert_eq!(failure.cancel_reason(), cancelled, "{text}");
        }
    }
}
