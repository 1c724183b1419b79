//! The base of the [`ChannelControl`]s that stand between a policy and its child.
//!
//! Used by `ChildBalancer`, `EndpointSharding`, `WithoutResolveNow` and `outlier_detection`, on the
//! channel's task.

use std::sync::Arc;

use tokio::time::Instant;

use super::{BalancerOptions, BalancerWaker, ChannelControl, Picker, SubConn, SubConnOptions};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// A [`ChannelControl`] that a policy gives to a child: it passes every call on to the one that the
/// policy itself was given, unless it overrides the method.
///
/// An implementation of this trait is one of [`ChannelControl`]. The methods of the two have the same
/// names, so a file imports one of the traits by name and passes the layer as `&mut dyn
/// ChannelControl`.
///
/// ```
/// use rgrpc::balancer::{ChannelControl, ControlLayer, SubConn, SubConnOptions};
/// use rgrpc::io::Address;
///
/// /// The channel for a child whose subchannels check the health of their backends.
/// struct WithHealthCheck<'a>(&'a mut dyn ChannelControl);
///
/// impl ControlLayer for WithHealthCheck<'_> {
///     fn above(&self) -> &dyn ChannelControl {
///         self.0
///     }
///
///     fn above_mut(&mut self) -> &mut dyn ChannelControl {
///         self.0
///     }
///
///     fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
///         self.0.create_subconn(address, options.with_health_check())
///     }
/// }
/// ```
///
/// Source: grpc-go policies embed `balancer.ClientConn` in a struct of their own for this; gRPC Java
/// `ForwardingLoadBalancerHelper`.
pub trait ControlLayer {
    /// The control that the policy itself was given.
    fn above(&self) -> &dyn ChannelControl;

    /// The control that the policy itself was given, mutable.
    fn above_mut(&mut self) -> &mut dyn ChannelControl;

    /// See [`ChannelControl::create_subconn`].
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        self.above_mut().create_subconn(address, options)
    }

    /// See [`ChannelControl::update_state`].
    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.above_mut().update_state(state, picker);
    }

    /// See [`ChannelControl::resolve_now`].
    fn resolve_now(&mut self) {
        self.above_mut().resolve_now();
    }

    /// See [`ChannelControl::waker`].
    fn waker(&self) -> BalancerWaker {
        self.above().waker()
    }

    /// See [`ChannelControl::now`].
    fn now(&self) -> Instant {
        self.above().now()
    }

    /// See [`ChannelControl::random`].
    fn random(&mut self) -> f64 {
        self.above_mut().random()
    }

    /// See [`ChannelControl::build_options`].
    fn build_options(&self) -> &BalancerOptions {
        self.above().build_options()
    }
}

impl<L: ControlLayer> ChannelControl for L {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        ControlLayer::create_subconn(self, address, options)
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        ControlLayer::update_state(self, state, picker);
    }

    fn resolve_now(&mut self) {
        ControlLayer::resolve_now(self);
    }

    fn waker(&self) -> BalancerWaker {
        ControlLayer::waker(self)
    }

    fn now(&self) -> Instant {
        ControlLayer::now(self)
    }

    fn random(&mut self) -> f64 {
        ControlLayer::random(self)
    }

    fn build_options(&self) -> &BalancerOptions {
        ControlLayer::build_options(self)
    }
}
