//! `round_robin`: keeps a connection to every endpoint, and gives calls to those that are ready in
//! turn.
//!
//! Source: gRFC A61; `doc/load-balancing.md` of the gRPC documents; grpc-go's package `roundrobin`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::balancer::{
    Balancer, BalancerBuilder, BaseBalancer, ChannelControl, EndpointChild, Picker, PickerBuilder,
    RoundRobinPicker,
};

/// The policy `round_robin`: calls go to all endpoints that are ready and healthy, in turn. It has
/// no fields.
///
/// ```json
/// {"loadBalancingConfig": [{"round_robin": {}}]}
/// ```
///
/// Each client begins anywhere, so that the first calls of many do not all go to the same endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobinBuilder;

impl BalancerBuilder for RoundRobinBuilder {
    fn name(&self) -> &str {
        "round_robin"
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(InTurn))
    }
}

struct InTurn;

impl PickerBuilder for InTurn {
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker> {
        let pickers = ready.iter().map(|child| Arc::clone(child.picker()));
        RoundRobinPicker::of(pickers.collect(), control.random())
    }
}
