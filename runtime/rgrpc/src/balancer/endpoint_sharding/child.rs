//! The endpoints of a sharding, each with its policy.
//!
//! Owned by the sharding; read by the policy above it, on the channel's task.

use std::sync::Arc;

use tokio::time::Instant;

use crate::balancer::{Balancer, ChildBalancer, Picker};
use crate::connectivity_state::ConnectivityState;
use crate::resolver::Endpoint;

/// An endpoint and its policy, in an [`EndpointSharding`](super::EndpointSharding).
pub struct EndpointChild {
    id: EndpointId,
    pub(super) endpoint: Endpoint,
    pub(super) balancer: ChildBalancer,
    /// The child's entry in the sharding's timers.
    pub(super) wake_at: Option<Instant>,
}

/// The id of an endpoint in an [`EndpointSharding`](super::EndpointSharding), as long as every
/// update contains the endpoint. Ids are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u64);

impl EndpointId {
    pub(super) const fn new(id: u64) -> Self {
        Self(id)
    }
}

impl EndpointChild {
    pub(super) fn new(id: EndpointId, balancer: Box<dyn Balancer>) -> Self {
        Self {
            id,
            endpoint: Endpoint::default(),
            balancer: ChildBalancer::new(balancer),
            wake_at: None,
        }
    }

    /// The id of the endpoint.
    #[must_use]
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// The endpoint in the last update.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The state that the endpoint's policy has published last. CONNECTING before the first.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.balancer.state()
    }

    /// The picker that the endpoint's policy has published last.
    #[must_use]
    pub fn picker(&self) -> &Arc<dyn Picker> {
        self.balancer.picker()
    }
}
