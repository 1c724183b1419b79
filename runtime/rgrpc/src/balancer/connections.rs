use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::transport::ClientTransport;

/// A snapshot of the connections of a subchannel that accept calls, the oldest first.
///
/// The owner of the subchannel publishes it, and calls read it without a lock.
pub(super) struct ConnectionSnapshot {
    connections: Vec<Arc<Connection>>,
    /// The subchannel may have more than one connection, so the streams of each are counted (gRFC
    /// A105). Otherwise streams are not counted, and calls over the server's limit wait in the
    /// connection.
    may_grow: bool,
    queue: Arc<StreamQueue>,
}

/// A connection and its number of streams.
pub(crate) struct Connection {
    transport: Arc<dyn ClientTransport>,
    streams: AtomicUsize,
}

/// The calls that wait for a stream of a subchannel, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct StreamQueue {
    waiting: AtomicUsize,
    changed: Notify,
}

/// A stream that a call may open.
pub(crate) struct StreamPermit {
    pub(crate) transport: Arc<dyn ClientTransport>,
    /// Counts the stream, if streams are counted.
    _counted: Option<CountedStream>,
}

/// A stream that counts against its connection's limit until it is dropped.
struct CountedStream {
    connection: Arc<Connection>,
    queue: Arc<StreamQueue>,
}

impl ConnectionSnapshot {
    pub(super) fn new(
        connections: Vec<Arc<Connection>>,
        may_grow: bool,
        queue: Arc<StreamQueue>,
    ) -> Self {
        Self {
            connections,
            may_grow,
            queue,
        }
    }

    /// Permits a stream for a call that has not waited. Waiting calls take precedence.
    pub(super) fn permit(&self) -> Option<StreamPermit> {
        if !self.may_grow {
            return self.connections.first().map(|connection| StreamPermit {
                transport: Arc::clone(&connection.transport),
                _counted: None,
            });
        }
        if self.queue.waiting.load(Ordering::Acquire) > 0 {
            return None;
        }
        self.permit_for_first()
    }

    /// Permits a stream for the call that has waited longest: on the oldest connection with a free
    /// stream.
    pub(super) fn permit_for_first(&self) -> Option<StreamPermit> {
        let connection = self
            .connections
            .iter()
            .find(|connection| connection.try_count_stream())?;
        Some(StreamPermit {
            transport: Arc::clone(&connection.transport),
            _counted: Some(CountedStream {
                connection: Arc::clone(connection),
                queue: Arc::clone(&self.queue),
            }),
        })
    }
}

impl Connection {
    /// Creates a connection without streams.
    pub(crate) fn new(transport: Arc<dyn ClientTransport>) -> Arc<Self> {
        Arc::new(Self {
            transport,
            streams: AtomicUsize::new(0),
        })
    }

    pub(crate) fn transport(&self) -> &Arc<dyn ClientTransport> {
        &self.transport
    }

    /// Counts one more stream, if the server's limit allows it.
    fn try_count_stream(&self) -> bool {
        let limit = self.transport.max_concurrent_streams();
        let one_more = |streams: usize| (streams < limit).then_some(streams + 1);
        self.streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .is_ok()
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::AcqRel);
        self.queue.notify_first();
    }
}

/// A call's place in a [`StreamQueue`].
pub(crate) struct QueuedCall(Arc<StreamQueue>);

impl StreamQueue {
    /// The number of waiting calls.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Adds a call at the end of the queue.
    pub(crate) fn join(self: &Arc<Self>) -> QueuedCall {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        QueuedCall(Arc::clone(self))
    }

    /// Notifies the first call: a stream may be free.
    fn notify_first(&self) {
        if self.len() > 0 {
            self.changed.notify_one();
        }
    }

    /// Notifies all calls: the connections or their limits have changed.
    pub(crate) fn notify_all(&self) {
        self.changed.notify_waiters();
    }
}

impl QueuedCall {
    /// Completes when a stream may be free.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        // The call may have been notified and have left without a stream.
        self.0.notify_first();
    }
}
