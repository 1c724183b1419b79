use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigValue, ServiceConfigError};

/// The config of `random_subsetting_experimental`.
#[derive(Debug)]
pub(super) struct RandomSubsettingConfig {
    /// The number of endpoints for the child; at least 1.
    pub(super) subset_size: u32,
    pub(super) child_policy: PolicyConfig,
}

impl RandomSubsettingConfig {
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
