use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use crate::io::Address;
use crate::status::Status;
use crate::transport::ClientTransport;

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
    /// Nothing: it never was connected, or it was lost, or the wait after a failure is over. It stays
    /// so until [`SubConn::connect`].
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
    /// Nobody holds it any more.
    ShutDown,
}

struct Handle {
    id: SubConnId,
    address: Address,
    connection: ArcSwapOption<Connection>,
    /// A connect was asked for, and the owner has not looked at it yet.
    connect_pending: AtomicBool,
    owner: SubConnOwner,
}

/// In an `Arc` of its own, because what is swapped has to have a size.
struct Connection(Arc<dyn ClientTransport>);

impl SubConn {
    pub(crate) fn new(id: u64, address: Address, owner: SubConnOwner) -> Self {
        Self(Arc::new(Handle {
            id: SubConnId(id),
            address,
            connection: ArcSwapOption::empty(),
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

    /// Its connection, if it has one that takes calls.
    pub(crate) fn connection(&self) -> Option<Arc<dyn ClientTransport>> {
        let connection = self.0.connection.load();
        connection
            .as_ref()
            .map(|connection| Arc::clone(&connection.0))
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

    /// Calls go over this connection from now on; `None`: there is none.
    pub(crate) fn set_connection(&self, transport: Option<Arc<dyn ClientTransport>>) {
        if let Some(handle) = self.0.upgrade() {
            let connection = transport.map(|transport| Arc::new(Connection(transport)));
            handle.connection.store(connection);
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
