use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{BalancerWaker, Picker, SubConn};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// What a policy can ask of its channel, or of the policy above it.
///
/// A policy is given it with each call and cannot keep it.
///
/// Source: grpc-go `balancer.ClientConn`; gRPC Java `LoadBalancer.Helper`.
pub trait ChannelControl {
    /// A connection to an address, to be: it is idle until [`SubConn::connect`]. The policy hears
    /// of its states by [`Balancer::subconn_state`](super::Balancer::subconn_state).
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn;

    /// Publishes the policy's state, and what calls are to do from now on. The last one of a call
    /// of one of the policy's methods counts.
    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>);

    /// Asks the resolver to look again: the backends may have moved. It may take its time, and do
    /// nothing if it has just looked.
    fn resolve_now(&mut self);

    /// What can be used from anywhere, pickers and tasks, to have
    /// [`Balancer::wake`](super::Balancer::wake) called.
    fn waker(&self) -> BalancerWaker;

    /// The time now.
    fn now(&self) -> Instant;

    /// A random number in [0, 1).
    fn random(&mut self) -> f64;

    /// The channel's target, for texts.
    fn target(&self) -> &str;
}

/// How a [`SubConn`] is to be.
///
/// Source: grpc-go `balancer.NewSubConnOptions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubConnOptions {
    /// Have the backend say whether it serves, by the health service (gRFC A17), where the service
    /// config has a `healthCheckConfig`: [`SubConnState::Ready`](super::SubConnState::Ready) says
    /// then what is known. Default: false, and a backend that is connected counts as serving.
    pub health_check: bool,
    /// Have the backend report its load this often, by the ORCA service (gRFC A51), for
    /// [`Balancer::load_report`](super::Balancer::load_report). It may have a minimum of its own,
    /// and one that does not implement the service reports nothing. Default: not at all.
    pub load_reports: Option<Duration>,
}

impl SubConnOptions {
    /// With a health check.
    #[must_use]
    pub const fn with_health_check(mut self) -> Self {
        self.health_check = true;
        self
    }

    /// With load reports this often.
    #[must_use]
    pub const fn with_load_reports(mut self, interval: Duration) -> Self {
        self.load_reports = Some(interval);
        self
    }
}
