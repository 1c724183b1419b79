//! The connections of a subchannel, as calls find them.
//!
//! Published by the channel's task; read by each attempt, on the caller's task, without a lock. A
//! [`SubConn`] carries it without naming its type, so that policies name no transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::balancer::SubConn;
use crate::transport::ClientTransport;

/// The connections of a subchannel that accept calls, and the calls that wait for a stream of them.
pub(in crate::client) struct Connections {
    snapshot: ArcSwapOption<ConnectionSnapshot>,
    queue: Arc<StreamQueue>,
    /// Another connection was requested, and the channel's task has not handled the request yet.
    grow_pending: AtomicBool,
    /// Asks the channel's task for another connection.
    grow: Box<dyn Fn() + Send + Sync>,
}

/// The answer of a subchannel to a call that needs a stream.
pub(in crate::client) enum Offer {
    /// The call may open a stream.
    Permit(StreamPermit),
    /// All streams are in use. The call waits in this queue.
    Wait(Arc<StreamQueue>),
    /// The subchannel is not connected.
    NotConnected,
}

impl Connections {
    /// Creates the connections of a subchannel without any. `grow` asks for one more.
    pub(in crate::client) fn new(grow: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            snapshot: ArcSwapOption::empty(),
            queue: Arc::default(),
            grow_pending: AtomicBool::new(false),
            grow: Box::new(grow),
        }
    }

    /// Offers a stream of a subchannel to a call that has not waited.
    #[inline]
    pub(in crate::client) fn offer(subconn: &SubConn) -> Offer {
        Self::offer_of(subconn, ConnectionSnapshot::permit)
    }

    /// Offers a stream of a subchannel to the call that has waited longest.
    pub(in crate::client) fn offer_to_first(subconn: &SubConn) -> Offer {
        Self::offer_of(subconn, ConnectionSnapshot::permit_for_first)
    }

    #[inline]
    fn offer_of(
        subconn: &SubConn,
        permit: impl FnOnce(&ConnectionSnapshot) -> Option<StreamPermit>,
    ) -> Offer {
        // The subchannel of a test has none.
        let Some(connections) = subconn.connections::<Self>() else {
            return Offer::NotConnected;
        };
        let snapshot = connections.snapshot.load();
        let Some(snapshot) = snapshot.as_deref() else {
            return Offer::NotConnected;
        };
        match permit(snapshot) {
            Some(permit) => Offer::Permit(permit),
            None => {
                if !connections.grow_pending.swap(true, Ordering::AcqRel) {
                    (connections.grow)();
                }
                Offer::Wait(Arc::clone(&connections.queue))
            }
        }
    }

    /// Acknowledges a request for another connection. A later request asks again.
    pub(in crate::client) fn begin_grow(&self) {
        self.grow_pending.store(false, Ordering::Release);
    }

    /// Publishes the connections for calls. `may_grow` allows more than one connection. Notifies
    /// the calls that wait for a stream.
    pub(in crate::client) fn publish(&self, connections: Vec<Arc<Connection>>, may_grow: bool) {
        let queue = Arc::clone(&self.queue);
        let is_connected = !connections.is_empty();
        let snapshot =
            is_connected.then(|| Arc::new(ConnectionSnapshot::new(connections, may_grow, queue)));
        self.snapshot.store(snapshot);
        self.queue.notify_all();
    }

    /// Notifies waiting calls: streams may be free.
    pub(in crate::client) fn wake_waiting(&self) {
        self.queue.notify_all();
    }
}

/// A snapshot of the connections of a subchannel that accept calls, the oldest first.
///
/// The owner of the subchannel publishes it, and calls read it without a lock.
struct ConnectionSnapshot {
    connections: Vec<Arc<Connection>>,
    /// The subchannel may have more than one connection, so the streams of each are counted (gRFC
    /// A105). Otherwise streams are not counted, and calls over the server's limit wait in the
    /// connection.
    may_grow: bool,
    queue: Arc<StreamQueue>,
}

/// A connection and its number of streams.
pub(in crate::client) struct Connection {
    transport: Arc<dyn ClientTransport>,
    streams: AtomicUsize,
}

/// The calls that wait for a stream of a subchannel, in the order of their arrival.
#[derive(Debug, Default)]
pub(in crate::client) struct StreamQueue {
    waiting: AtomicUsize,
    changed: Notify,
}

/// A stream that a call may open.
pub(in crate::client) struct StreamPermit {
    pub(in crate::client) transport: Arc<dyn ClientTransport>,
    /// Counts the stream, if streams are counted.
    _counted: Option<CountedStream>,
}

/// A stream that counts against its connection's limit until it is dropped.
struct CountedStream {
    connection: Arc<Connection>,
    queue: Arc<StreamQueue>,
}

impl ConnectionSnapshot {
    fn new(connections: Vec<Arc<Connection>>, may_grow: bool, queue: Arc<StreamQueue>) -> Self {
        Self {
            connections,
            may_grow,
            queue,
        }
    }

    /// Permits a stream for a call that has not waited. Waiting calls take precedence.
    fn permit(&self) -> Option<StreamPermit> {
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
    fn permit_for_first(&self) -> Option<StreamPermit> {
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
    pub(in crate::client) fn new(transport: Arc<dyn ClientTransport>) -> Arc<Self> {
        Arc::new(Self {
            transport,
            streams: AtomicUsize::new(0),
        })
    }

    pub(in crate::client) fn transport(&self) -> &Arc<dyn ClientTransport> {
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
pub(in crate::client) struct QueuedCall(Arc<StreamQueue>);

impl StreamQueue {
    /// The number of waiting calls.
    pub(in crate::client) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Adds a call at the end of the queue.
    pub(in crate::client) fn join(self: &Arc<Self>) -> QueuedCall {
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
    fn notify_all(&self) {
        self.changed.notify_waiters();
    }
}

impl QueuedCall {
    /// Completes when a stream may be free.
    pub(in crate::client) fn changed(&self) -> Notified<'_> {
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
