//! Load balancing: policies that choose a channel's subchannels, and one of them for each call.
//!
//! A [`Balancer`] is an instance of a policy. The channel gives it the endpoints of the resolver
//! and the states of its subchannels ([`SubConn`]s). The balancer creates subchannels through a
//! [`ChannelControl`], and publishes a connectivity state with a [`Picker`]. Each call asks the
//! picker for a subchannel.
//!
//! ```text
//!  resolver ─► channel's task ── update, subconn_state, wake ──► Balancer ──► child balancers …
//!                  ▲  ▲                                             │
//!                  │  └── create_subconn, update_state(picker) ◄────┘     (ChannelControl)
//!                  │
//!   calls ── pick ─┴─► Picker ──► SubConn ──► connection
//! ```
//!
//! # Threads
//!
//! - The channel's task calls the methods of all balancers of a channel, one at a time. A balancer
//!   needs no lock. The methods must not block. Long work belongs in a task of its own, which
//!   notifies the balancer with a [`BalancerWaker`].
//! - Each call calls [`Picker::pick`], on any thread, many at the same time. A picker is a
//!   snapshot: its data is constant or atomic.
//! - The time comes from [`ChannelControl::now`], and timers are set with [`Balancer::wake_at`]. So
//!   tests of a policy need no real time: see [`TestChannel`].
//!
//! # Policies with children
//!
//! A balancer can have children, each in a [`ChildBalancer`], and pass its own calls on to them.
//! [`EndpointSharding`] has a child for each endpoint. [`GracefulSwitch`] keeps the old child while
//! a new one connects. A policy that differs from `round_robin` only in its picker is a
//! [`PickerBuilder`] in a [`BaseBalancer`].
//!
//! A policy that changes little of what passes through it implements the rest by two helpers:
//! [`handle_events!`](handle_events) passes the channel's calls on to its children as
//! [`BalancerEvent`]s, and a [`ControlLayer`] passes the children's calls on to the channel.
//!
//! The policies of this crate are in the folder `policies`, but for `pick_first`, which is the leaf of
//! the others. This folder contains their common parts.
//!
//! # Custom policies
//!
//! Implement [`BalancerBuilder`] and [`Balancer`], and pass the builder to
//! [`ClientConnBuilder::balancer`](crate::ClientConnBuilder::balancer). Service configs can then
//! use its name. The example `custom_balancer` is complete, with tests.
//!
//! A policy knows its channel by the [`BalancerOptions`] that it is built with. A picker sees a
//! call's metadata and [extensions](PickInfo::extensions), which the resolver's
//! [`ConfigSelector`](crate::ConfigSelector) may have set. A [`Pick`] can carry metadata for the
//! attempt, and hears by a [`DoneInfo`] how it has ended.
//!
//! Source: grpc-go's package `balancer`; gRFC A61 for endpoints.

#[allow(clippy::module_inception, reason = "named after what it holds")]
mod balancer;
mod base;
mod channel_control;
#[cfg(test)]
mod chi_square;
mod child;
mod connectivity_evaluator;
mod control_layer;
mod endpoint_sharding;
mod event;
mod graceful_switch;
mod hierarchy;
mod idle_picker;
mod lazy;
mod load_report;
mod options;
mod pick_first;
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
pub use channel_control::{ChannelControl, SubConnOptions};
pub use child::ChildBalancer;
pub use connectivity_evaluator::ConnectivityStateEvaluator;
pub use control_layer::ControlLayer;
pub use endpoint_sharding::{
    EndpointChild, EndpointId, EndpointSharding, EndpointsChange, RoundRobinPicker,
};
pub use event::{BalancerEvent, handle_events};
pub use graceful_switch::GracefulSwitch;
pub use hierarchy::HierarchyPath;
pub use idle_picker::IdlePicker;
pub use lazy::Lazy;
pub use load_report::LoadReport;
pub use options::BalancerOptions;
pub use pick_first::{PickFirst, PickFirstBuilder, PickFirstConfig};
use picker::call_failure;
pub use picker::{
    DoneInfo, FailingPicker, OnDone, Pick, PickInfo, PickResult, Picker, QueuingPicker,
};
pub(crate) use picker::{has_authority, take_authority};
pub use policies::{
    FailurePercentageEjection, LeastRequestBuilder, LeastRequestConfig, OutlierDetectionBuilder,
    OutlierDetectionConfig, PriorityBuilder, PriorityChild, PriorityConfig,
    RandomSubsettingBuilder, RandomSubsettingConfig, RequestHash, RingHashBuilder, RingHashConfig,
    RoundRobinBuilder, SuccessRateEjection, WeightedRoundRobinBuilder, WeightedRoundRobinConfig,
    WeightedTargetBuilder, WeightedTargetConfig,
};
pub use registry::{BalancerBuilder, BalancerRegistry, PolicyConfig};
pub use subconn::{Health, SubConn, SubConnId, SubConnState};
pub(crate) use subconn::{SubConnOwner, SubConnRequest, WeakSubConn};
use subconn_index::SubConnIndex;
pub use test_channel::{TestChannel, TestPick};
pub use waker::BalancerWaker;
use without_resolve_now::WithoutResolveNow;
