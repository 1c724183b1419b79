//! The policies of this crate: one folder for each, named after the policy.
//!
//! [`BalancerRegistry::default`](super::BalancerRegistry) contains all of them. They use the parent
//! folder, as users' policies do. They refer to each other only by name.

#[cfg(test)]
mod chi_square;
mod least_request;
mod outlier_detection;
mod pick_first;
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
pub use pick_first::{PickFirst, PickFirstBuilder, PickFirstConfig};
pub use priority::{PriorityBuilder, PriorityChild, PriorityConfig};
pub use random_subsetting::{RandomSubsettingBuilder, RandomSubsettingConfig};
pub use ring_hash::{RequestHash, RingHashBuilder, RingHashConfig};
pub use round_robin::RoundRobinBuilder;
pub use weighted_round_robin::{WeightedRoundRobinBuilder, WeightedRoundRobinConfig};
pub use weighted_target::{WeightedTargetBuilder, WeightedTargetConfig};
