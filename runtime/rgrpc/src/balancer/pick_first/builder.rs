//! The builder of `pick_first`, whose config is parsed with the service config.

use std::any::Any;
use std::sync::Arc;

use super::{PickFirst, PickFirstConfig};
use crate::balancer::{Balancer, BalancerBuilder, BalancerOptions, BalancerRegistry};
use crate::service_config::{ConfigValue, ServiceConfigError};

/// Builds the policy `pick_first`: all calls use one connection, to the first reachable address.
/// See [`PickFirst`].
///
/// ```json
/// {"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PickFirstBuilder;

impl BalancerBuilder for PickFirstBuilder {
    fn name(&self) -> &str {
        "pick_first"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        let shuffle = match config.object()?.field("shuffleAddressList") {
            Some(shuffle) => shuffle.flag()?,
            None => false,
        };
        Ok(Arc::new(
            PickFirstConfig::default().with_shuffle_address_list(shuffle),
        ))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(PickFirst::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: &str) -> Result<PickFirstConfig, String> {
        let mut registry = BalancerRegistry::empty();
        registry.register(Arc::new(PickFirstBuilder));
        let policy = registry
            .parse_json(&format!(r#"[{{"pick_first": {config}}}]"#))
            .map_err(|error| error.to_string())?;
        Ok(*policy.config().downcast_ref().expect("its config"))
    }

    #[test]
    fn a_config_enables_shuffling() {
        for (json, shuffle) in [
            ("{}", false),
            (r#"{"shuffleAddressList": false}"#, false),
            (r#"{"shuffleAddressList": true}"#, true),
            (r#"{"shuffleAddressList": null}"#, false),
            (r#"{"shuffleAddressList": true, "unheardOf": 1}"#, true),
        ] {
            let config = parse(json).expect(json);
            assert_eq!(config.shuffle_address_list, shuffle, "{json}");
        }
    }

    #[test]
    fn an_error_in_a_config_names_its_path() {
        for (json, text) in [
            (
                r#"{"shuffleAddressList": "true"}"#,
                "[0].pick_first.shuffleAddressList: true or false is expected, got \"true\"",
            ),
            (
                r#"{"shuffleAddressList": 666}"#,
                "[0].pick_first.shuffleAddressList: true or false is expected, got 666",
            ),
            ("[]", "[0].pick_first: an object is expected, got a list"),
        ] {
            assert_eq!(parse(json).expect_err(json), text);
        }
    }
}
