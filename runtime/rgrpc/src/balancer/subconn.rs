use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::connections::{Connection, ConnectionSnapshot, StreamPermit, StreamQueue};
use crate::io::Address;
use crate::status::Status;

/// A subchannel: the connections to one address, and their state. It connects when the policy asks
/// for it.
///
/// A cheap handle. When the balancer and its pickers have dropped the last clone, the subchannel
/// accepts no more calls, and its connections close when their calls have ended.
///
/// ```text
///              connect()                    server is ready
///      Idle ─────────────► Connecting ─────────────────────────► Ready
///       ▲                      │ failed                            │
///       │   backoff is over    ▼                                   │
///       ├────────────── TransientFailure                           │
///       └──────────────────────────────────────────────────────────┘
///                                                   connection lost, GOAWAY
/// ```
///
/// Source: grpc-go `balancer.SubConn`.
#[derive(Clone)]
pub struct SubConn(Arc<Handle>);

/// The id of a [`SubConn`] within its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubConnId(u64);

/// The state of a [`SubConn`].
///
/// Source: grpc-go `balancer.SubConnState`.
#[derive(Clone, Debug)]
pub enum SubConnState {
    /// Not connected, and not connecting: the initial state, and the state after a lost connection
    /// or after a backoff. Left by [`SubConn::connect`].
    Idle,
    /// Connecting.
    Connecting,
    /// Connected: calls can use it.
    Ready(Health),
    /// An attempt to connect has failed with this status. The next state is [`Idle`](Self::Idle),
    /// when the backoff is over.
    TransientFailure(Status),
}

/// The health of a connected backend, as it reports it.
///
/// Source: gRFC A17.
#[derive(Clone, Debug)]
pub enum Health {
    /// The backend is healthy, or its health is not checked.
    Serving,
    /// The backend has not reported its health yet.
    Unknown,
    /// The backend is unhealthy, or a parent policy has excluded it. Calls fail with this status.
    NotServing(Status),
}

/// The owner of a [`SubConn`]: gets its requests and makes its connections.
pub(crate) type SubConnOwner = Arc<dyn Fn(SubConnId, SubConnRequest) + Send + Sync>;

/// A request of a [`SubConn`] to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubConnRequest {
    /// Connect, if the subchannel is idle.
    Connect,
    /// Make one more connection, if the limit allows it: all streams of the present ones are in
    /// use.
    Grow,
    /// The last handle was dropped.
    ShutDown,
}

struct Handle {
    id: SubConnId,
    address: Address,
    connections: ArcSwapOption<ConnectionSnapshot>,
    queue: Arc<StreamQueue>,
    /// Another connection was requested, and the owner has not handled the request yet.
    grow_pending: AtomicBool,
    /// A connect was requested, and the owner has not handled the request yet.
    connect_pending: AtomicBool,
    owner: SubConnOwner,
}

/// The answer of a [`SubConn`] to a call that needs a stream.
pub(crate) enum Offer {
    /// The call may open a stream.
    Permit(StreamPermit),
    /// All streams are in use. The call waits in this queue.
    Wait(Arc<StreamQueue>),
    /// The subchannel is not connected.
    NotConnected,
}

impl SubConn {
    pub(crate) fn new(id: u64, address: Address, owner: SubConnOwner) -> Self {
        Self(Arc::new(Handle {
            id: SubConnId(id),
            address,
            connections: ArcSwapOption::empty(),
            queue: Arc::default(),
            grow_pending: AtomicBool::new(false),
            connect_pending: AtomicBool::new(false),
            owner,
        }))
    }

    /// The id within the channel.
    #[must_use]
    pub fn id(&self) -> SubConnId {
        self.0.id
    }

    /// The address that the subchannel connects to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Starts to connect, if the subchannel is idle. Does nothing in other states. Returns at once:
    /// the policy gets the states that follow. Can be called from anywhere, also from pickers.
    pub fn connect(&self) {
        if !self.0.connect_pending.swap(true, Ordering::AcqRel) {
            (self.0.owner)(self.0.id, SubConnRequest::Connect);
        }
    }

    /// Offers a stream to a call that has not waited.
    pub(crate) fn offer(&self) -> Offer {
        self.offer_of(ConnectionSnapshot::permit)
    }

    /// Offers a stream to the call that has waited longest.
    pub(crate) fn offer_to_first(&self) -> Offer {
        self.offer_of(ConnectionSnapshot::permit_for_first)
    }

    fn offer_of(&self, permit: impl FnOnce(&ConnectionSnapshot) -> Option<StreamPermit>) -> Offer {
        let connections = self.0.connections.load();
        let Some(connections) = connections.as_deref() else {
            return Offer::NotConnected;
        };
        match permit(connections) {
            Some(permit) => Offer::Permit(permit),
            None => {
                if !self.0.grow_pending.swap(true, Ordering::AcqRel) {
                    (self.0.owner)(self.0.id, SubConnRequest::Grow);
                }
                Offer::Wait(Arc::clone(&self.0.queue))
            }
        }
    }
}

/// A weak handle for the owner of a [`SubConn`].
#[derive(Clone)]
pub(crate) struct WeakSubConn(Weak<Handle>);

impl SubConn {
    pub(crate) fn downgrade(&self) -> WeakSubConn {
        WeakSubConn(Arc::downgrade(&self.0))
    }
}

impl WeakSubConn {
    /// Returns true if a handle exists.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Acknowledges a connect request. A later request notifies the owner again.
    pub(crate) fn begin_connect(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.connect_pending.store(false, Ordering::Release);
        }
    }

    /// Acknowledges a request for another connection. A later request notifies the owner again.
    pub(crate) fn begin_grow(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.grow_pending.store(false, Ordering::Release);
        }
    }

    /// Publishes the connections for calls. `may_grow` allows more than one connection. Notifies
    /// the calls that wait for a stream.
    pub(crate) fn publish(&self, connections: Vec<Arc<Connection>>, may_grow: bool) {
        let Some(handle) = self.0.upgrade() else {
            return;
        };
        let queue = Arc::clone(&handle.queue);
        let is_connected = !connections.is_empty();
        let snapshot =
            is_connected.then(|| Arc::new(ConnectionSnapshot::new(connections, may_grow, queue)));
        handle.connections.store(snapshot);
        handle.queue.notify_all();
    }

    /// Notifies waiting calls: streams may be free.
    pub(crate) fn wake_waiting(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.queue.notify_all();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        (self.owner)(self.id, SubConnRequest::ShutDown);
    }
}

impl PartialEq for SubConn {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for SubConn {}

impl fmt::Debug for SubConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubConn")
            .field("id", &self.0.id.0)
            .field("address", &self.0.address)
            .finish_non_exhaustive()
    }
}
