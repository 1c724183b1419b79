//! The handle of a subchannel, by which policies and pickers refer to it.
//!
//! Created by the channel's task, which owns the connections; held by policies on that task, and by
//! pickers on any.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::io::Address;
use crate::resolver::Attributes;
use crate::status::Status;

/// A subchannel: the connections to one address, and their state. It connects when the policy asks
/// for it.
///
/// A cheap handle. When the balancer and its pickers have dropped the last clone, the subchannel
/// accepts no more calls, and its connections close when their calls have ended.
///
/// The backoff between attempts to connect belongs to the subchannel. A policy that drops it and
/// creates another one for the same address connects at once, as with grpc-go; one that keeps it
/// waits for the backoff.
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

/// The id of a [`SubConn`], unique in this program among channels, subchannels, servers and sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubConnId(u64);

impl SubConnId {
    /// Creates the id of the subchannel with this number.
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the subchannel, with which [`channelz`](crate::channelz) finds it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

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
    /// The last handle was dropped.
    ShutDown,
}

struct Handle {
    id: SubConnId,
    address: Address,
    attributes: Attributes,
    /// The connections as the owner keeps them for calls, in a type of its own.
    connections: Arc<dyn Any + Send + Sync>,
    /// A connect was requested, and the owner has not handled the request yet.
    connect_pending: AtomicBool,
    owner: SubConnOwner,
}

impl SubConn {
    pub(crate) fn new(
        id: SubConnId,
        address: Address,
        attributes: Attributes,
        connections: Arc<dyn Any + Send + Sync>,
        owner: SubConnOwner,
    ) -> Self {
        Self(Arc::new(Handle {
            id,
            address,
            attributes,
            connections,
            connect_pending: AtomicBool::new(false),
            owner,
        }))
    }

    /// The id of the subchannel.
    #[must_use]
    pub fn id(&self) -> SubConnId {
        self.0.id
    }

    /// The address that the subchannel connects to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// The attributes that the subchannel was [created](super::SubConnOptions::attributes) with.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// Starts to connect, if the subchannel is idle. Does nothing in other states. Returns at once:
    /// the policy gets the states that follow. Can be called from anywhere, also from pickers.
    pub fn connect(&self) {
        if !self.0.connect_pending.swap(true, Ordering::AcqRel) {
            (self.0.owner)(self.0.id, SubConnRequest::Connect);
        }
    }

    /// The connections, in the owner's type.
    pub(crate) fn connections<T: Any>(&self) -> Option<&T> {
        self.0.connections.downcast_ref()
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
