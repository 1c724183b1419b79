use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::EndpointId;
use crate::balancer::{
    BalancerWaker, ChannelControl, Picker, SubConn, SubConnIndex, SubConnOptions,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;

/// What the policy of one endpoint sees of its channel: all, but that its connections are noted
/// down as its, with the reports that they are to have, and that the sharding hears who wants to be
/// woken.
pub(super) struct ShardControl<'a> {
    pub(super) above: &'a mut dyn ChannelControl,
    pub(super) subconns: &'a mut SubConnIndex<EndpointId>,
    pub(super) waker: &'a BalancerWaker,
    pub(super) id: EndpointId,
    pub(super) load_reports: Option<Duration>,
}

impl ChannelControl for ShardControl<'_> {
    fn create_subconn(&mut self, address: Address, mut options: SubConnOptions) -> SubConn {
        options.load_reports = options.load_reports.or(self.load_reports);
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, self.id);
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.above.update_state(state, picker);
    }

    fn resolve_now(&mut self) {
        self.above.resolve_now();
    }

    fn waker(&self) -> BalancerWaker {
        self.waker.clone()
    }

    fn now(&self) -> Instant {
        self.above.now()
    }

    fn random(&mut self) -> f64 {
        self.above.random()
    }

    fn target(&self) -> &str {
        self.above.target()
    }
}
