//! The config of `priority_experimental`, parsed with the service config or made by a resolver.

use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The config of `priority_experimental`: the children, from the highest priority to the lowest.
#[derive(Clone, Debug, Default)]
pub struct PriorityConfig {
    pub(super) priorities: Vec<PriorityChild>,
}

/// The config of a child of `priority_experimental`.
#[derive(Clone, Debug)]
pub struct PriorityChild {
    pub(super) name: String,
    pub(super) policy: PolicyConfig,
    pub(super) ignore_reresolution_requests: bool,
}

impl PriorityConfig {
    /// Creates a config with these children, from the highest priority to the lowest.
    ///
    /// # Errors
    /// Two children have the same name. The error names the field of the JSON config.
    pub fn new(children: Vec<PriorityChild>) -> Result<Self, ServiceConfigError> {
        for (index, child) in children.iter().enumerate() {
            let mut earlier = children[..index].iter();
            if earlier.any(|earlier| earlier.name == child.name) {
                return Err(ServiceConfigError::new(
                    format!("priorities[{index}]"),
                    format!("{:?} is listed a second time", child.name),
                ));
            }
        }
        Ok(Self {
            priorities: children,
        })
    }

    pub(super) fn parse(
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let children = config.field("children").map(|value| value.object());
        let children = children.transpose()?;
        let mut priorities: Vec<PriorityChild> = Vec::new();
        if let Some(names) = config.field("priorities") {
            for value in names.items()? {
                let name = value.text()?;
                if priorities.iter().any(|earlier| earlier.name == name) {
                    return Err(value.error(format!("{name:?} is listed a second time")));
                }
                let child = children.as_ref().and_then(|children| children.field(name));
                let child = child
                    .ok_or_else(|| value.error(format!("{name:?} is not among the children")))?;
                priorities.push(PriorityChild::parse(name, &child.object()?, registry)?);
            }
        }
        for (name, child) in children.iter().flat_map(ConfigObject::fields) {
            if !priorities.iter().any(|priority| priority.name == name) {
                return Err(child.error(format!("{name:?} is not among the priorities")));
            }
        }
        Ok(Self { priorities })
    }
}

impl PriorityChild {
    /// Creates a child with this name, by which the
    /// [`HierarchyPath`](crate::balancer::HierarchyPath) of an endpoint names it, and this policy.
    #[must_use]
    pub fn new(name: impl Into<String>, policy: PolicyConfig) -> Self {
        Self {
            name: name.into(),
            policy,
            ignore_reresolution_requests: false,
        }
    }

    /// Sets whether the child's requests to resolve again are ignored. Default: false.
    #[must_use]
    pub const fn ignoring_reresolution_requests(mut self, ignore: bool) -> Self {
        self.ignore_reresolution_requests = ignore;
        self
    }

    fn parse(
        name: &str,
        child: &ConfigObject<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        Ok(Self {
            name: name.to_owned(),
            policy: registry.parse(&child.required("config")?)?,
            ignore_reresolution_requests: match child.field("ignoreReresolutionRequests") {
                Some(flag) => flag.flag()?,
                None => false,
            },
        })
    }
}
