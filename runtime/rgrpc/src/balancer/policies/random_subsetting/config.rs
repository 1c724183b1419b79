//! The config of `random_subsetting_experimental`, parsed with the service config or made by a
//! resolver.

use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigValue, ServiceConfigError};

/// The config of `random_subsetting_experimental`.
#[derive(Clone, Debug)]
pub struct RandomSubsettingConfig {
    /// The number of endpoints for the child; at least 1.
    pub(super) subset_size: u32,
    pub(super) child_policy: PolicyConfig,
}

impl RandomSubsettingConfig {
    /// Creates a config: the number of endpoints for the child, and the child's policy.
    ///
    /// # Errors
    /// The number is 0. The error names the field of the JSON config.
    pub fn new(subset_size: u32, child_policy: PolicyConfig) -> Result<Self, ServiceConfigError> {
        if subset_size == 0 {
            return Err(ServiceConfigError::new(
                "subsetSize",
                "at least 1 is expected, got 0",
            ));
        }
        Ok(Self {
            subset_size,
            child_policy,
        })
    }

    pub(super) fn parse(
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let size = config.required("subsetSize")?;
        let subset_size = match size.whole_number_up_to(u32::MAX)? {
            0 => return Err(size.expected("at least 1")),
            subset_size => subset_size,
        };
        Ok(Self {
            subset_size,
            child_policy: registry.parse(&config.required("childPolicy")?)?,
        })
    }
}
