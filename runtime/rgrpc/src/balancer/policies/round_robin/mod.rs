//! `round_robin`: connects to every endpoint, and sends calls to the READY ones in turn.
//!
//! Source: gRFC A61; `doc/load-balancing.md` of the gRPC documents; grpc-go's package `roundrobin`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, EndpointChild,
    Picker, PickerBuilder, RoundRobinPicker,
};

/// Builds the policy `round_robin`: calls use all READY and healthy endpoints in turn. The config
/// has no fields.
///
/// ```json
/// {"loadBalancingConfig": [{"round_robin": {}}]}
/// ```
///
/// Each client begins at a random endpoint, so that the first calls of many clients do not use the
/// same one.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobinBuilder;

impl BalancerBuilder for RoundRobinBuilder {
    fn name(&self) -> &str {
        "round_robin"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(RoundRobin))
    }
}

struct RoundRobin;

impl PickerBuilder for RoundRobin {
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker> {
        let pickers = ready.iter().map(|child| Arc::clone(child.picker()));
        RoundRobinPicker::of(pickers.collect(), control.random())
    }
}
