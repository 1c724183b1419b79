//! The traits of stats handlers and their recorders.
//!
//! Implemented by users; called by `recorders.rs`, on the tasks of calls and connections.

use std::sync::Arc;

use super::{AttemptBegin, CallBegin, CallEvent, ConnectionBegin, ConnectionEnd};

/// Receives the statistics of calls and connections.
///
/// Called on the tasks of connections and calls, several at the same time. Must not block.
///
/// Source: grpc-go `stats.Handler`.
pub trait StatsHandler: Send + Sync + 'static {
    /// Begins a call. Returns the recorder of its events, or `None` if this call is not recorded.
    ///
    /// A handler without state for each call returns a clone of an `Arc`, which allocates nothing.
    ///
    /// Source: grpc-go `TagRPC` and `Begin`.
    fn begin_call(&self, begin: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>>;

    /// Begins a connection, after its security handshake and before HTTP/2. Returns the recorder of
    /// its end, or `None`. Default: `None`.
    ///
    /// Source: grpc-go `TagConn` and `ConnBegin`.
    fn begin_connection(
        &self,
        begin: &mut ConnectionBegin<'_>,
    ) -> Option<Arc<dyn ConnectionStats>> {
        let _ = begin;
        None
    }
}

/// The recorder of one call, or of one attempt at a call.
///
/// Source: grpc-go `HandleRPC`.
pub trait CallStats: Send + Sync + 'static {
    /// Records an event. The two halves of a stream, and several attempts, may record at the same
    /// time.
    fn event(&self, event: &CallEvent<'_>);

    /// Begins an attempt at a client's call. Returns the recorder of its events, or `None` if this
    /// recorder gets those that are not its own. Default: `None`.
    ///
    /// Not called on a server, nor on the recorder of an attempt.
    fn begin_attempt(&self, begin: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        let _ = begin;
        None
    }

    /// Returns whether the [messages](crate::MessageView::downcast_ref) of payload events are
    /// wanted. Otherwise payload events have only lengths, as those of an attempt always have.
    /// Default: no. Wanted messages cost an allocation for the response of each unary and
    /// client-streaming call of a server.
    fn wants_messages(&self) -> bool {
        false
    }
}

/// The recorder of one connection.
///
/// Source: grpc-go `HandleConn`.
pub trait ConnectionStats: Send + Sync + 'static {
    /// Records the end of the connection, after the end of its last call.
    fn end(&self, end: &ConnectionEnd<'_>);
}
