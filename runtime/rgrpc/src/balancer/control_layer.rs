//! The base of the [`ChannelControl`]s that stand between a policy and its child.
//!
//! Used by `ChildBalancer`, `EndpointSharding`, `WithoutResolveNow` and `outlier_detection`, on the
//! channel's task.

use std::sync::Arc;

use tokio::time::Instant;

use super::{BalancerOptions, BalancerWaker, ChannelControl, Picker, SubConn, SubConnOptions};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// A [`ChannelControl`] that a policy gives to a child: it passes every call on to the one above,
/// unless it overrides the method.
pub(super) trait ControlLayer {
    /// The control that the policy itself was given.
    fn above(&self) -> &dyn ChannelControl;

    /// The control that the policy itself was given, mutable.
    fn above_mut(&mut self) -> &mut dyn ChannelControl;

    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        self.above_mut().create_subconn(address, options)
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.above_mut().update_state(state, picker);
    }

    fn resolve_now(&mut self) {
        self.above_mut().resolve_now();
    }

    fn waker(&self) -> BalancerWaker {
        self.above().waker()
    }
}

#[doc(hidden)]
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
        self.above().now()
    }

    fn random(&mut self) -> f64 {
        self.above_mut().random()
    }

    fn build_options(&self) -> &BalancerOptions {
        self.above().build_options()
    }
}
