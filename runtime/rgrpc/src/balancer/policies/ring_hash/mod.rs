//! `ring_hash_experimental`: sends calls with the same value of a header to the same endpoint.
//!
//! ```text
//!  a call's header ── XXH64 ──► a place on the ring ──► the next entry's endpoint
//!                                                            │ failed
//!  endpoints' keys ── XXH64 ──► entries of the ring          ▼
//!                                                       the one after it …
//! ```
//!
//! An endpoint is connected to when the first call comes to it: the children of the
//! [`EndpointSharding`] are [`Lazy`]. When an endpoint fails, its calls go to the next one on the
//! ring, and only they: the others stay where they are.
//!
//! The ring is [`Ring`]'s, the way of a call along it the picker's, and what is said of the whole
//! [`aggregate`]'s.
//!
//! Source: gRFC A42, A61, A76; grpc-go's package `balancer/ringhash`.

mod aggregate;
mod config;
mod picker;
mod ring;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;

use self::aggregate::aggregate;
use self::config::RingHashConfig;
use self::picker::{RingEndpoint, RingHashPicker};
use self::ring::{Ring, RingMember};
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, ChannelControl,
    ConnectivityStateEvaluator, EndpointChild, EndpointId, EndpointSharding, EndpointsChange,
    FailingPicker, Lazy, LoadReport, PickFirst, PickFirstConfig, Picker, SubConnId, SubConnState,
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
/// `requestHashHeader` names the metadata key whose value is hashed; several values count as one,
/// with commas between them. A key that ends in `-bin` is refused. A call without a value goes to
/// any endpoint that is ready. Without the field all calls fail: there is nothing to hash.
///
/// An endpoint has as many entries on the ring as its [`EndpointWeight`] is of the sum of all, at
/// the places that its [`EndpointHashKey`] decides, or else its first address. The ring has at
/// least `minRingSize` entries, or as many more as the endpoint with the least weight needs to have
/// a whole number of them, and at most `maxRingSize`. Both are at most 8,388,608 in a config, and
/// count as [`ring_size_cap`](Self::with_ring_size_cap) when they are more.
///
/// The state of the policy is READY when an endpoint is; else TRANSIENT_FAILURE when two have
/// failed; else CONNECTING when one connects, or one has failed and there are others; else IDLE.
/// While it is CONNECTING or TRANSIENT_FAILURE it connects to one endpoint after the other by
/// itself.
///
/// Source: gRFC A42, A61, A76; grpc-go's package `balancer/ringhash`.
#[derive(Clone, Copy, Debug)]
pub struct RingHashBuilder {
    ring_size_cap: u32,
}

impl RingHashBuilder {
    /// The policy with its defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring_size_cap: 4096,
        }
    }

    /// How many entries a ring has at most, whatever a config says: 16 bytes each, for each
    /// channel. Default: 4096; at least 1.
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
        Ok(Arc::new(RingHashConfig::parse(config, self.ring_size_cap)?))
    }

    fn build(&self) -> Box<dyn Balancer> {
        let child = || -> Box<dyn Balancer> {
            Box::new(Lazy::new(|| {
                Box::new(PickFirst::leaf()) as Box<dyn Balancer>
            }))
        };
        Box::new(RingHash {
            endpoints: EndpointSharding::with_children(child).without_reconnecting(),
            active: None,
            absence: no_endpoints(),
        })
    }
}

struct RingHash {
    endpoints: EndpointSharding,
    /// `None` without endpoints.
    active: Option<Active>,
    /// Why there are no endpoints.
    absence: Status,
}

/// What there is while there are endpoints.
struct Active {
    config: RingHashConfig,
    /// The endpoints, in the order of the sharding's children.
    members: Vec<RingMember>,
    ring: Arc<Ring>,
}

impl Active {
    /// The ring for these endpoints; the one of before, if it would be the same.
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
    /// Goes on after what has happened to endpoints.
    fn settle(&mut self, control: &mut dyn ChannelControl) {
        // A picker has all endpoints: any change is one of it.
        if self.endpoints.take_change() != EndpointsChange::None {
            self.connect_one(control);
            self.publish(control);
            // What the endpoint has published that connects now is in the picker.
            self.endpoints.take_change();
        }
    }

    /// Has an endpoint connect if none does and the policy is not of use: it may get no calls then
    /// that would do it, as a policy above may have turned to another one.
    fn connect_one(&mut self, control: &mut dyn ChannelControl) {
        // One that fails at once is followed by the next.
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
        let wants_one = matches!(
            aggregate(&states),
            ConnectivityState::Connecting | ConnectivityState::TransientFailure
        );
        if !wants_one || states.children_in(ConnectivityState::Connecting) > 0 {
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
            let picker = Arc::new(FailingPicker::new(self.absence.clone()));
            return control.update_state(ConnectivityState::TransientFailure, picker);
        };
        let endpoints = self.endpoints.children().map(|child| RingEndpoint {
            state: child.state(),
            picker: Arc::clone(child.picker()),
        });
        let picker: Arc<dyn Picker> = match &active.config.request_hash_header {
            Some(header) => Arc::new(RingHashPicker::new(
                Arc::clone(&active.ring),
                endpoints.collect(),
                Arc::clone(header),
            )),
            None => Arc::new(FailingPicker::new(nothing_to_hash())),
        };
        control.update_state(aggregate(&self.states()), picker);
    }
}

/// Where an endpoint is on the ring, and how often.
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

fn nothing_to_hash() -> Status {
    Status::unavailable("ring_hash: the policy's config has no requestHashHeader")
}

impl Balancer for RingHash {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<RingHashConfig>()?.clone();
        let children_config = Arc::new(PickFirstConfig::default());
        let update = BalancerUpdate::new(update.endpoints, children_config);
        let result = self.endpoints.update(update, control);
        let children = self.endpoints.children();
        let members: Vec<_> = children.map(|child| member(child.endpoint())).collect();
        self.absence = no_endpoints();
        self.active = match members.is_empty() {
            true => None,
            false => Some(Active::new(config, members, self.active.take())),
        };
        self.settle(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        // Its code is about resolving, not about the calls that fail because of it.
        self.absence = error.retold(error.message().to_owned());
        self.endpoints.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.endpoints.subconn_state(subconn, state, control);
    }

    /// Nothing: calls decide which endpoint is connected to.
    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {}

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.endpoints.load_report(subconn, report, control);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.endpoints.wake_at()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.wake(control);
        self.settle(control);
    }
}
