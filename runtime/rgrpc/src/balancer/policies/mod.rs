//! The policies of this crate over several endpoints: one folder for each, named after the policy. Each
//! has a leaf of [`pick_first`](super::pick_first) for an endpoint, or children of any policy.
//!
//! [`BalancerRegistry::default`] contains all of them. They use the parent folder, as users' policies
//! do. They refer to each other only by name.

mod least_request;
mod outlier_detection;
#[cfg(test)]
mod policy_test;
mod priority;
mod random_subsetting;
mod ring_hash;
mod round_robin;
mod weighted_round_robin;
mod weighted_target;

pub use least_request::{LeastRequestBuilder, LeastRequestConfig};
pub use outlier_detection::{
    FailurePercentageEjection, OutlierDetectionBuilder, OutlierDetectionConfig, SuccessRateEjection,
};
pub use priority::{PriorityBuilder, PriorityChild, PriorityConfig};
pub use random_subsetting::{RandomSubsettingBuilder, RandomSubsettingConfig};
pub use ring_hash::{RequestHash, RingHashBuilder, RingHashConfig};
pub use round_robin::RoundRobinBuilder;
pub use weighted_round_robin::{WeightedRoundRobinBuilder, WeightedRoundRobinConfig};
pub use weighted_target::{WeightedTargetBuilder, WeightedTargetConfig};

use std::sync::Arc;

use super::{BalancerRegistry, PickFirstBuilder};

/// The registry of the policies of this crate.
impl Default for BalancerRegistry {
    fn default() -> Self {
        let mut registry = Self::empty();
        registry.register(Arc::new(PickFirstBuilder));
        registry.register(Arc::new(RoundRobinBuilder));
        registry.register(Arc::new(LeastRequestBuilder));
        registry.register(Arc::new(WeightedRoundRobinBuilder));
        registry.register(Arc::new(OutlierDetectionBuilder));
        registry.register(Arc::new(PriorityBuilder));
        registry.register(Arc::new(RandomSubsettingBuilder));
        registry.register(Arc::new(RingHashBuilder::new()));
        registry.register(Arc::new(WeightedTargetBuilder));
        registry
    }
}
