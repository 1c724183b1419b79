//! The layer between a sharding and the policy of an endpoint.
//!
//! Created for each call of a child, on the channel's task.

use std::time::Duration;

use super::EndpointId;
use crate::balancer::{
    BalancerWaker, ChannelControl, ControlLayer, SubConn, SubConnIndex, SubConnOptions,
};
use crate::io::Address;

/// The channel for the policy of one endpoint: records the policy's subchannels, sets their load
/// reports, and gives it a waker of the sharding.
pub(super) struct ShardControl<'a> {
    pub(super) above: &'a mut dyn ChannelControl,
    pub(super) subconns: &'a mut SubConnIndex<EndpointId>,
    pub(super) waker: &'a BalancerWaker,
    pub(super) id: EndpointId,
    pub(super) load_reports: Option<Duration>,
}

impl ControlLayer for ShardControl<'_> {
    fn above(&self) -> &dyn ChannelControl {
        self.above
    }

    fn above_mut(&mut self) -> &mut dyn ChannelControl {
        self.above
    }

    fn create_subconn(&mut self, address: Address, mut options: SubConnOptions) -> SubConn {
        options.load_reports = options.load_reports.or(self.load_reports);
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, self.id);
        subconn
    }

    fn waker(&self) -> BalancerWaker {
        self.waker.clone()
    }
}
