//! The config of `weighted_target_experimental`, parsed with the service config or made by a
//! resolver.

use std::collections::BTreeMap;

use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigValue, ServiceConfigError};

/// The config of `weighted_target_experimental`: the children, by name.
#[derive(Clone, Debug, Default)]
pub struct WeightedTargetConfig {
    pub(super) targets: BTreeMap<String, TargetConfig>,
}

/// The config of a child.
#[derive(Clone, Debug)]
pub(super) struct TargetConfig {
    pub(super) weight: u32,
    pub(super) policy: PolicyConfig,
}

impl WeightedTargetConfig {
    /// Creates a config without children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a child with its weight and its policy. It replaces one of the same name.
    #[must_use]
    pub fn with_target(
        mut self,
        name: impl Into<String>,
        weight: u32,
        policy: PolicyConfig,
    ) -> Self {
        let target = TargetConfig { weight, policy };
        self.targets.insert(name.into(), target);
        self
    }

    pub(super) fn parse(
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let mut targets = BTreeMap::new();
        if let Some(list) = config.object()?.field("targets") {
            for (name, target) in list.object()?.fields() {
                targets.insert(name.to_owned(), TargetConfig::parse(&target, registry)?);
            }
        }
        Ok(Self { targets })
    }
}

impl TargetConfig {
    fn parse(
        target: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let target = target.object()?;
        Ok(Self {
            weight: match target.field("weight") {
                Some(weight) => weight.whole_number_up_to(u32::MAX)?,
                None => 0,
            },
            policy: registry.parse(&target.required("childPolicy")?)?,
        })
    }
}
