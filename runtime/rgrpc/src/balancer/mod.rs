//! Load balancing: which connections a channel keeps, and which of them each call takes.
//!
//! A [`Balancer`] is a policy. The channel gives it the backends that the resolver found and what
//! becomes of each connection; the balancer asks the channel, by [`ChannelControl`], for
//! connections ([`SubConn`]s) and publishes a state with a [`Picker`] for it. Calls ask that.
//!
//! ```text
//!  resolver ─► channel's task ── update, subconn_state, wake ──► Balancer ──► child balancers …
//!                  ▲  ▲                                             │
//!                  │  └── create_subconn, update_state(picker) ◄────┘     (ChannelControl)
//!                  │
//!   calls ── pick ─┴─► Picker ──► SubConn ──► connection
//! ```
//!
//! # Who calls what, and where
//!
//! - All methods of all balancers of a channel are called by the channel's task, one at a time:
//!   a balancer needs no lock. They must not block; what takes time is a task of its own, which
//!   says by a [`BalancerWaker`] that it is done.
//! - [`Picker::pick`] is called by every call, from any thread, many at once. A picker is a
//!   snapshot: what it decides by does not change, or changes by atomics.
//! - Time is what [`ChannelControl::now`] says, and timers are what [`Balancer::wake_at`] says, so
//!   that a policy is tested without waiting: see [`TestChannel`].
//!
//! # Policies of policies
//!
//! A balancer can hold others, each in a [`ChildBalancer`], and hands on to them what it is called
//! with. [`EndpointSharding`] holds one for each endpoint; [`GracefulSwitch`] holds the old one
//! while the new one is connecting. A policy of your own that only picks in another way is a
//! [`PickerBuilder`] in a [`BaseBalancer`].
//!
//! The policies that this crate comes with are in the folder `policies`; this one has what all of
//! them are built of.
//!
//! # A policy of one's own
//!
//! Implement [`BalancerBuilder`] and [`Balancer`], and give the builder to
//! [`ClientConnBuilder::balancer`](crate::ClientConnBuilder::balancer); a service config can name
//! it then. The example `custom_balancer` is a complete one, with its tests.
//!
//! Source: grpc-go's package `balancer`; gRFC A61 for endpoints.

#[allow(clippy::module_inception, reason = "named after what it holds")]
mod balancer;
mod base;
mod builder;
mod channel_control;
mod child;
mod connections;
mod connectivity_evaluator;
mod endpoint_sharding;
mod graceful_switch;
mod hierarchy;
mod idle_picker;
mod lazy;
mod load_report;
mod picker;
mod policies;
mod registry;
mod subconn;
mod subconn_index;
mod test_channel;
mod waker;
mod without_resolve_now;

pub use balancer::{Balancer, BalancerUpdate};
pub use base::{BaseBalancer, PickerBuilder};
pub use builder::{BalancerBuilder, PolicyConfig};
pub use channel_control::{ChannelControl, SubConnOptions};
pub use child::ChildBalancer;
pub(crate) use connections::{Connection, StreamPermit, StreamQueue};
pub use connectivity_evaluator::ConnectivityStateEvaluator;
pub use endpoint_sharding::{
    EndpointChild, EndpointId, EndpointSharding, EndpointsChange, RoundRobinPicker,
};
pub use graceful_switch::GracefulSwitch;
pub use hierarchy::HierarchyPath;
pub use idle_picker::IdlePicker;
pub use lazy::Lazy;
pub use load_report::LoadReport;
pub use picker::{
    CallOutcome, FailingPicker, OnDone, Pick, PickInfo, PickResult, Picker, QueuingPicker,
};
pub use policies::{
    LeastRequestBuilder, LeastRequestConfig, OutlierDetectionBuilder, PickFirst, PickFirstBuilder,
    PickFirstConfig, PriorityBuilder, RandomSubsettingBuilder, RingHashBuilder, RoundRobinBuilder,
    WeightedRoundRobinBuilder, WeightedRoundRobinConfig, WeightedTargetBuilder,
};
pub use registry::BalancerRegistry;
pub use subconn::{Health, SubConn, SubConnId, SubConnState};
pub(crate) use subconn::{Offer, SubConnOwner, SubConnRequest, WeakSubConn};
use subconn_index::SubConnIndex;
pub use test_channel::{TestChannel, TestPick};
pub use waker::BalancerWaker;
use without_resolve_now::WithoutResolveNow;
