use std::sync::Arc;

use tokio::time::Instant;

use super::{BalancerWaker, ChannelControl, Picker, SubConn, SubConnOptions};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// What a child sees of its channel that is not to have the resolver look again.
pub(super) struct WithoutResolveNow<'a>(pub(super) &'a mut dyn ChannelControl);

impl ChannelControl for WithoutResolveNow<'_> {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        self.0.create_subconn(address, options)
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.0.update_state(state, picker);
    }

    fn resolve_now(&mut self) {}

    fn waker(&self) -> BalancerWaker {
        self.0.waker()
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn random(&mut self) -> f64 {
        self.0.random()
    }

    fn target(&self) -> &str {
        self.0.target()
    }
}
