use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::connections::{Connection, ConnectionSnapshot, StreamPermit, StreamQueue};
use crate::io::Address;
use crate::status::Status;

/// A connection to one address, which is made when the policy says so and again when it was lost: a
/// subchannel of the gRPC documents.
///
/// A handle: cheap to clone. When the last one is dropped, the balancer's and those of its pickers,
/// the connection takes no more calls and closes when those that it has are done.
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

/// Names a [`SubConn`] within its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubConnId(u64);

/// What a [`SubConn`] is doing.
///
/// Source: grpc-go `balancer.SubConnState`.
#[derive(Clone, Debug)]
pub enum SubConnState {
    /// Nothing: it never was connected, or it was lost, or the wait after a failure is over. It
    /// stays so until [`SubConn::connect`].
    Idle,
    /// It is being connected.
    Connecting,
    /// It is connected, and calls can go there.
    Ready(Health),
    /// It could not be connected; the status says why. It is idle again when the backoff is over.
    TransientFailure(Status),
}

/// What a backend that is connected says about itself, where it is asked.
///
/// Source: gRFC A17.
#[derive(Clone, Debug)]
pub enum Health {
    /// It says that it serves, or is not asked.
    Serving,
    /// It has not answered yet.
    Unknown,
    /// It says that it does not serve, or a policy above has taken it out; the status is for calls.
    NotServing(Status),
}

/// Who makes a [`SubConn`]'s connection.
pub(crate) type SubConnOwner = Arc<dyn Fn(SubConnId, SubConnRequest) + Send + Sync>;

/// What a [`SubConn`]'s holders ask of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubConnRequest {
    /// Connect, if it is idle.
    Connect,
    /// Make another connection, if there may be one more: the streams of those that there are are
    /// taken.
    Grow,
    /// Nobody holds it any more.
    ShutDown,
}

struct Handle {
    id: SubConnId,
    address: Address,
    connections: ArcSwapOption<ConnectionSnapshot>,
    queue: Arc<StreamQueue>,
    /// Another connection was asked for, and the owner has not looked at it yet.
    grow_pending: AtomicBool,
    /// A connect was asked for, and the owner has not looked at it yet.
    connect_pending: AtomicBool,
    owner: SubConnOwner,
}

/// What a [`SubConn`] has for a call.
pub(crate) enum Offer {
    /// A stream.
    Permit(StreamPermit),
    /// All streams are taken, and the call is to wait for one.
    Wait(Arc<StreamQueue>),
    /// It is not connected.
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

    /// Its name within the channel.
    #[must_use]
    pub fn id(&self) -> SubConnId {
        self.0.id
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Connects it, if it is idle; does nothing in other states. Does not wait: the policy hears of
    /// the states that follow. Can be called from anywhere, pickers too.
    pub fn connect(&self) {
        if !self.0.connect_pending.swap(true, Ordering::AcqRel) {
            (self.0.owner)(self.0.id, SubConnRequest::Connect);
        }
    }

    /// A stream for a call that does not wait yet.
    pub(crate) fn offer(&self) -> Offer {
        self.offer_of(ConnectionSnapshot::permit)
    }

    /// A stream for the call that has waited for longest.
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

/// What the owner has of a [`SubConn`]: it does not keep it.
#[derive(Clone)]
pub(crate) struct WeakSubConn(Weak<Handle>);

impl SubConn {
    pub(crate) fn downgrade(&self) -> WeakSubConn {
        WeakSubConn(Arc::downgrade(&self.0))
    }
}

impl WeakSubConn {
    /// Whether anybody holds it.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// The owner is looking at what was asked for; what is asked for from now on is another time.
    pub(crate) fn begin_connect(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.connect_pending.store(false, Ordering::Release);
        }
    }

    /// The owner is looking at whether there may be another connection; as above.
    pub(crate) fn begin_grow(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.grow_pending.store(false, Ordering::Release);
        }
    }

    /// Publishes the connections that calls go over from now on, and whether there may be more than
    /// one. Wakes the calls that wait for a stream.
    pub(crate) fn publish(&self, connections: Vec<Arc<Connection>>, may_grow: bool) {
        let Some(handle) = self.0.upgrade() else {
            return;
        };
        let queue = Arc::clone(&handle.queue);
        let is_connected = !connections.is_empty();
        let snapshot =
            is_connected.then(|| Arc::new(ConnectionSnapshot::new(connections, may_grow, queue)));
        handle.connections.store(snapshot);
        handle.queue.all();
    }

    /// There may be more streams than calls that wait know of.
    pub(crate) fn wake_waiting(&self) {
        if let Some(handle) = self.0.upgrade() {
            handle.queue.all();
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
