use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::transport::ClientTransport;

/// A snapshot of the connections of a subchannel that take calls, the oldest first.
///
/// Published by the owner of the subchannel, read by calls without a lock.
pub(super) struct ConnectionSnapshot {
    connections: Vec<Arc<Connection>>,
    /// There may be more than one, so that the streams of each are counted (gRFC A105). Else calls
    /// over the server's limit wait in the connection, and nothing is counted.
    may_grow: bool,
    queue: Arc<StreamQueue>,
}

/// A connection, and the number of streams that calls have on it.
pub(crate) struct Connection {
    transport: Arc<dyn ClientTransport>,
    streams: AtomicUsize,
}

/// Calls that wait for a stream of a subchannel, first come first served.
#[derive(Debug, Default)]
pub(crate) struct StreamQueue {
    waiting: AtomicUsize,
    changed: Notify,
}

/// A stream that a call may open.
pub(crate) struct StreamPermit {
    pub(crate) transport: Arc<dyn ClientTransport>,
    /// Counts it, if streams are counted.
    _counted: Option<CountedStream>,
}

/// A stream that counts against its connection's limit until this is dropped.
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

    /// A stream for a call that does not wait yet. Calls that do are before it.
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

    /// A stream for the call that has waited for longest: on the oldest connection that has one.
    pub(super) fn permit_for_first(&self) -> Option<StreamPermit> {
        let connection = self
            .connections
            .iter()
            .find(|connection| connection.take())?;
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

    /// Takes a stream, if the server allows one more.
    fn take(&self) -> bool {
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
        self.queue.next();
    }
}

/// A place in a [`StreamQueue`].
pub(crate) struct Waiting(Arc<StreamQueue>);

impl StreamQueue {
    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// A place at the end.
    pub(crate) fn join(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(Arc::clone(self))
    }

    /// The first may look for a stream.
    fn next(&self) {
        if self.len() > 0 {
            self.changed.notify_one();
        }
    }

    /// All may look: there are other connections, or other limits.
    pub(crate) fn all(&self) {
        self.changed.notify_waiters();
    }
}

impl Waiting {
    /// Ready when the call may look for a stream.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        // It may have been told, and have left without a stream.
        self.0.next();
    }
}
