//! The trait of load balancing policies, and the updates that they get.
//!
//! Implemented by this crate's policies and by users; called by the channel's task, or by a parent
//! policy there.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{ChannelControl, LoadReport, SubConnId, SubConnState};
use crate::extensions::Extensions;
use crate::resolver::Endpoint;
use crate::status::Status;

/// An instance of a load balancing policy, for one channel or for a part of its endpoints.
///
/// The channel's task calls the methods, one at a time; none may block. Dropping the balancer ends
/// the policy and drops its [`SubConn`](super::SubConn)s. A balancer that panics is dropped: calls
/// that do not wait for ready fail with UNAVAILABLE, and the channel builds the policy again after
/// a backoff, as between [attempts to connect](crate::ClientConnBuilder::connect_backoff).
///
/// Source: grpc-go `balancer.Balancer`.
pub trait Balancer: Send + 'static {
    /// Applies new endpoints or a new config. The first method that is called.
    ///
    /// # Errors
    /// The policy cannot use the update, for example because it has no endpoints, and has published
    /// a picker for this case. The channel resolves again after a backoff.
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status>;

    /// Handles an error of the resolver. A policy with endpoints continues with them; a policy
    /// without endpoints publishes the error.
    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl);

    /// Handles a new state of a [`SubConn`](super::SubConn) that this policy or one of its children
    /// has created. Not called for dropped ones.
    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    );

    /// Connects now instead of at the next call, if the policy is IDLE.
    fn exit_idle(&mut self, control: &mut dyn ChannelControl);

    /// Handles a load report of a backend, requested by
    /// [`SubConnOptions::load_reports`](super::SubConnOptions::load_reports). Default: does
    /// nothing.
    fn load_report(
        &mut self,
        _subconn: SubConnId,
        _report: &LoadReport,
        _control: &mut dyn ChannelControl,
    ) {
    }

    /// Returns the time of the next call of [`wake`](Self::wake). The channel reads it after every
    /// other method. Default: `None`, never.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Handles a timer or a request to wake. Default: does nothing.
    ///
    /// Called when the time of [`wake_at`](Self::wake_at) has come, and when a
    /// [`BalancerWaker`](super::BalancerWaker) was used for this policy or another one of the
    /// channel, so there may be nothing to do. A policy with children passes the call on to them. A
    /// policy over an [`EndpointSharding`](super::EndpointSharding) publishes here, once for
    /// several changes.
    fn wake(&mut self, _control: &mut dyn ChannelControl) {}
}

/// The endpoints and the config for a policy.
///
/// Source: grpc-go `balancer.ClientConnState`.
#[derive(Clone)]
#[non_exhaustive]
pub struct BalancerUpdate {
    /// The endpoints that the resolver has found, or a part of them that a parent policy has
    /// chosen.
    pub endpoints: Vec<Endpoint>,
    /// The policy's config, as its
    /// [`BalancerBuilder::parse_config`](super::BalancerBuilder::parse_config) has returned it.
    pub config: Arc<dyn Any + Send + Sync>,
    /// The [attributes](crate::resolver::ResolverState::attributes) of the resolver's state.
    pub attributes: Arc<Extensions>,
}

impl BalancerUpdate {
    /// Creates an update of these endpoints and a config.
    pub fn new(endpoints: Vec<Endpoint>, config: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            endpoints,
            config,
            attributes: Arc::default(),
        }
    }

    /// Sets the attributes of the resolver's state.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Arc<Extensions>) -> Self {
        self.attributes = attributes;
        self
    }

    /// Creates an update for a child of the policy that has this one, with the same attributes.
    #[must_use]
    pub fn for_child(&self, endpoints: Vec<Endpoint>, config: Arc<dyn Any + Send + Sync>) -> Self {
        Self::new(endpoints, config).with_attributes(Arc::clone(&self.attributes))
    }

    /// Replaces the config by that of a child, and keeps the endpoints and the attributes.
    #[must_use]
    pub fn with_config(mut self, config: Arc<dyn Any + Send + Sync>) -> Self {
        self.config = config;
        self
    }

    /// The config as the policy's own type.
    ///
    /// # Errors
    /// INTERNAL if the config has another type, which is a bug of a parent policy.
    pub fn config<T: Any>(&self) -> Result<&T, Status> {
        self.config.downcast_ref().ok_or_else(|| {
            Status::internal(format!(
                "a balancing policy was given a config that is not {}",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl fmt::Debug for BalancerUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancerUpdate")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
