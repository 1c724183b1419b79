//! The channel as its policies see it.
//!
//! Implemented by the channel's task, by the layers between a policy and its child, and by
//! [`TestChannel`](super::TestChannel); called by policies, on the channel's task.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{BalancerOptions, BalancerWaker, Picker, SubConn};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::resolver::Attributes;

/// The interface of a policy to its channel, or to its parent policy.
///
/// A policy gets it as an argument of each call and cannot keep it.
///
/// Source: grpc-go `balancer.ClientConn`; gRPC Java `LoadBalancer.Helper`.
pub trait ChannelControl {
    /// Creates a subchannel for an address. It is IDLE until [`SubConn::connect`]. The policy gets
    /// its states by [`Balancer::subconn_state`](super::Balancer::subconn_state).
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn;

    /// Publishes the policy's state and a picker for the calls from now on. Only the last one that
    /// a method of the policy publishes is used.
    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>);

    /// Asks the resolver to resolve again, because the backends may have changed. The resolver may
    /// delay or ignore the request.
    fn resolve_now(&mut self);

    /// Returns a handle for pickers and tasks to request a call of
    /// [`Balancer::wake`](super::Balancer::wake).
    fn waker(&self) -> BalancerWaker;

    /// The current time.
    fn now(&self) -> Instant;

    /// A random number in [0, 1).
    fn random(&mut self) -> f64;

    /// The options of the channel, for the policies that a policy builds.
    fn build_options(&self) -> &BalancerOptions;

    /// The channel's target, for error texts.
    fn target(&self) -> &str {
        self.build_options().channel.target().as_str()
    }
}

/// The options of a [`SubConn`].
///
/// Source: grpc-go `balancer.NewSubConnOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubConnOptions {
    /// Checks the backend's health by the health service (gRFC A17), if the service config has a
    /// `healthCheckConfig`. [`SubConnState::Ready`](super::SubConnState::Ready) contains the
    /// result. Default: false, and a connected backend counts as healthy.
    pub health_check: bool,
    /// The interval of the backend's load reports by the ORCA service (gRFC A51), for
    /// [`Balancer::load_report`](super::Balancer::load_report). The backend may have a longer
    /// minimum interval. A backend without the service reports nothing. Default: `None`, no
    /// reports.
    pub load_reports: Option<Duration>,
    /// The attributes of the subchannel. Pickers see them on the [`SubConn`](SubConn::attributes),
    /// and they reach the security handshake of each of its connections by
    /// [`ClientHandshakeInfo::attributes`](crate::credentials::ClientHandshakeInfo::attributes).
    /// `pick_first` sets them to those of the
    /// [address](crate::resolver::Endpoint::attributes_of), and a parent policy may add to them in
    /// its own [`ChannelControl`]. Default: none.
    ///
    /// Source: grpc-go `resolver.Address.Attributes`, `credentials.ClientHandshakeInfo`.
    pub attributes: Attributes,
}

impl SubConnOptions {
    /// Enables the health check.
    #[must_use]
    pub const fn with_health_check(mut self) -> Self {
        self.health_check = true;
        self
    }

    /// Sets the interval of load reports.
    #[must_use]
    pub const fn with_load_reports(mut self, interval: Duration) -> Self {
        self.load_reports = Some(interval);
        self
    }

    /// Sets the attributes. They replace the earlier ones.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }
}
