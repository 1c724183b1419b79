//! `ring_hash_experimental`: sends calls with the same value of a header, or with the same hash, to
//! the same endpoint.
//!
//! ```text
//!  a call's header ── XXH64 ──► a place on the ring ──► the next entry's endpoint
//!                                                            │ failed
//!  endpoints' keys ── XXH64 ──► entries of the ring          ▼
//!                                                       the one after it …
//! ```
//!
//! The first call of an endpoint connects it: the children of the [`EndpointSharding`] are
//! [`Lazy`]. The calls of a failed endpoint move to the next one on the ring; other calls are not
//! affected.
//!
//! [`Ring`] holds the entries, [`RingHashPicker`] moves calls along the ring, and [`aggregate`]
//! computes the state of the policy.
//!
//! Source: gRFC A42, A61, A76; grpc-go's package `balancer/ringhash`.

mod aggregate;
mod config;
mod picker;
mod request_hash;
mod ring;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;

use self::aggregate::aggregate;
pub use self::config::RingHashConfig;
use self::picker::{RingEndpoint, RingHashPicker};
pub use self::request_hash::RequestHash;
use self::ring::{Ring, RingMember};
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, ConnectivityStateEvaluator, EndpointChild, EndpointId, EndpointSharding,
    EndpointsChange, FailingPicker, Lazy, PickFirst, PickFirstConfig, call_failure, handle_events,
};
use crate::connectivity_state::ConnectivityState;
use crate::resolver::{Endpoint, EndpointHashKey, EndpointWeight};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `ring_hash_experimental`: sends calls with the same value of a header to the
/// same endpoint.
///
/// The config, with its defaults:
///
/// ```text
/// {"minRingSize": 1024, "maxRingSize": 4096, "requestHashHeader": ""}
/// ```
///
/// `requestHashHeader` is the metadata key whose value is hashed. Several values are joined with
/// commas. A key that ends in `-bin` is rejected. A call without a value uses any READY endpoint.
/// Without the field, the hash of a call is its [`RequestHash`], which a
/// [`ConfigSelector`](crate::ConfigSelector) can set; a call without one fails. A resolver can give
/// the config without JSON, as a [`RingHashConfig`].
///
/// The number of entries of an endpoint is in proportion to its [`EndpointWeight`]. Its
/// [`EndpointHashKey`], or else its first address, determines their places. The ring has at least
/// `minRingSize` entries, or more if the endpoint with the least weight needs more for a whole
/// number of entries, and at most `maxRingSize`. Both sizes are at most 8,388,608 in a config, and
/// are lowered to the [ring size cap](Self::with_ring_size_cap).
///
/// The state of the policy is READY if an endpoint is; else TRANSIENT_FAILURE if two endpoints have
/// failed; else CONNECTING if one connects, or if one has failed and there are others; else IDLE.
/// While the state is CONNECTING or TRANSIENT_FAILURE, the policy connects to one endpoint after
/// the other without calls.
///
/// Source: gRFC A42, A61, A76; grpc-go's package `balancer/ringhash`.
#[derive(Clone, Copy, Debug)]
pub struct RingHashBuilder {
    ring_size_cap: u32,
}

impl RingHashBuilder {
    /// Creates a builder with default options.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring_size_cap: 4096,
        }
    }

    /// Sets the maximum number of entries of a ring, regardless of configs. An entry takes 16 bytes
    /// in each channel. Default: 4096. Minimum: 1.
    ///
    /// Source: gRFC A42, "the ring size cap".
    #[must_use]
    pub const fn with_ring_size_cap(mut self, entries: u32) -> Self {
        self.ring_size_cap = if entries == 0 { 1 } else { entries };
        self
    }
}

impl Default for RingHashBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BalancerBuilder for RingHashBuilder {
    fn name(&self) -> &str {
        "ring_hash_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        let mut config = RingHashConfig::parse(config)?;
        config.cap_ring_size(self.ring_size_cap);
        Ok(Arc::new(config))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        let child = || -> Box<dyn Balancer> {
            Box::new(Lazy::new(|| {
                Box::new(PickFirst::leaf()) as Box<dyn Balancer>
            }))
        };
        Box::new(RingHash {
            endpoints: EndpointSharding::with_children(child).without_reconnecting(),
            ring_size_cap: self.ring_size_cap,
            active: None,
            failure: no_endpoints(),
        })
    }
}

struct RingHash {
    endpoints: EndpointSharding,
    /// The maximum of both ring sizes, regardless of the config.
    ring_size_cap: u32,
    /// The config and the ring. `None` without endpoints.
    active: Option<Active>,
    /// The status of calls while there are no endpoints.
    failure: Status,
}

/// The config and the ring, while there are endpoints.
struct Active {
    config: RingHashConfig,
    /// The members of the ring, in the order of the sharding's children.
    members: Vec<RingMember>,
    ring: Arc<Ring>,
}

impl Active {
    /// Builds a ring of these members, or reuses the previous one if it is the same.
    fn new(config: RingHashConfig, members: Vec<RingMember>, before: Option<Self>) -> Self {
        let same = before.filter(|before| {
            before.members == members && before.config.ring_size == config.ring_size
        });
        let ring = match same {
            Some(same) => same.ring,
            None => Arc::new(Ring::new(&members, &config.ring_size)),
        };
        Self {
            config,
            members,
            ring,
        }
    }
}

impl RingHash {
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        match event {
            BalancerEvent::ResolverError(error) => self.failure = call_failure(error),
            // Calls decide which endpoints connect.
            BalancerEvent::ExitIdle => return,
            _ => {}
        }
        self.endpoints.handle(event, control);
        if let BalancerEvent::Wake = event {
            self.connect_and_publish(control);
        }
    }

    /// Connects and publishes, if an endpoint has changed.
    fn connect_and_publish(&mut self, control: &mut dyn ChannelControl) {
        // The picker contains all endpoints, so each change matters.
        if self.endpoints.take_change() != EndpointsChange::None {
            self.connect_one(control);
            self.publish(control);
            // The picker contains the state of the endpoint that connects now.
            self.endpoints.take_change();
        }
    }

    /// Connects one endpoint, if none connects while the policy is not usable. There may be no
    /// calls that would do it, because a parent policy may use another child.
    fn connect_one(&mut self, control: &mut dyn ChannelControl) {
        // If it fails at once, the next one follows.
        while let Some(id) = self.next_to_connect() {
            self.endpoints.exit_idle_child(id, control);
            let child = self.endpoints.child(id);
            if child.is_none_or(|child| child.state() == ConnectivityState::Idle) {
                return;
            }
        }
    }

    fn next_to_connect(&self) -> Option<EndpointId> {
        let states = self.states();
        let needs_connection = matches!(
            aggregate(&states),
            ConnectivityState::Connecting | ConnectivityState::TransientFailure
        );
        if !needs_connection || states.children_in(ConnectivityState::Connecting) > 0 {
            return None;
        }
        let mut children = self.endpoints.children();
        let idle = children.find(|child| child.state() == ConnectivityState::Idle);
        idle.map(EndpointChild::id)
    }

    fn states(&self) -> ConnectivityStateEvaluator {
        let mut states = ConnectivityStateEvaluator::new();
        for child in self.endpoints.children() {
            states.record(None, Some(child.state()));
        }
        states
    }

    fn publish(&self, control: &mut dyn ChannelControl) {
        let Some(active) = &self.active else {
            let picker = Arc::new(FailingPicker::new(self.failure.clone()));
            return control.update_state(ConnectivityState::TransientFailure, picker);
        };
        let endpoints = self.endpoints.children().map(|child| RingEndpoint {
            state: child.state(),
            picker: Arc::clone(child.picker()),
        });
        let picker = RingHashPicker::new(
            Arc::clone(&active.ring),
            endpoints.collect(),
            active.config.request_hash_header.clone(),
        );
        control.update_state(aggregate(&self.states()), Arc::new(picker));
    }
}

/// The member of the ring for an endpoint.
fn member(endpoint: &Endpoint) -> RingMember {
    let key = endpoint.attributes.get::<EndpointHashKey>();
    let key = key.map(|key| key.0.clone()).filter(|key| !key.is_empty());
    let first = || endpoint.addresses.first().map(ToString::to_string);
    RingMember {
        key: key.or_else(first).unwrap_or_default(),
        weight: EndpointWeight::of(endpoint),
    }
}

fn no_endpoints() -> Status {
    Status::unavailable("ring_hash: the resolver has found no endpoints")
}

impl Balancer for RingHash {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let mut config = update.config::<RingHashConfig>()?.clone();
        // A config that is not from JSON has not been cut yet.
        config.cap_ring_size(self.ring_size_cap);
        let children_config = Arc::new(PickFirstConfig::default());
        let update = update.with_config(children_config);
        let result = self.endpoints.update(update, control);
        let children = self.endpoints.children();
        let members: Vec<_> = children.map(|child| member(child.endpoint())).collect();
        self.failure = no_endpoints();
        self.active = match members.is_empty() {
            true => None,
            false => Some(Active::new(config, members, self.active.take())),
        };
        self.connect_and_publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.endpoints.wake_at()
    }
}
