//! The config of `least_request_experimental`, parsed with the service config or
//! made by a resolver.

use crate::service_config::{ConfigValue, ServiceConfigError};

/// The config of `least_request_experimental`.
///
/// Source: gRFC A48, `LeastRequestLoadBalancingConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastRequestConfig {
    choice_count: u32,
}

impl LeastRequestConfig {
    /// The minimum number of drawn endpoints: one endpoint is no choice.
    const MIN_CHOICES: u32 = 2;
    /// The maximum number of drawn endpoints: more cost more than they gain.
    const MAX_CHOICES: u32 = 10;

    /// The number of endpoints that are drawn for each call (`choiceCount`). The same one can be
    /// drawn more than once. Default and minimum: 2. A larger number than 10 means 10.
    #[must_use]
    pub const fn choice_count(self) -> u32 {
        self.choice_count
    }

    /// Sets the number of endpoints that are drawn for each call, clamped to the range from 2 to
    /// 10.
    #[must_use]
    pub fn with_choice_count(mut self, count: u32) -> Self {
        self.choice_count = count.clamp(Self::MIN_CHOICES, Self::MAX_CHOICES);
        self
    }

    pub(super) fn parse(config: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let Some(field) = config.object()?.field("choiceCount") else {
            return Ok(Self::default());
        };
        match u32::try_from(field.whole_number()?) {
            Ok(count) if count < Self::MIN_CHOICES => Err(field.expected("at least 2")),
            count => Ok(Self::default().with_choice_count(count.unwrap_or(Self::MAX_CHOICES))),
        }
    }
}

impl Default for LeastRequestConfig {
    fn default() -> Self {
        Self {
            choice_count: Self::MIN_CHOICES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeastRequestBuilder;
    use super::*;
    use crate::balancer::BalancerRegistry;

    fn parse(config: &str) -> Result<u32, String> {
        let mut registry = BalancerRegistry::empty();
        registry.register(std::sync::Arc::new(LeastRequestBuilder));
        let json = format!(r#"[{{"least_request_experimental": {config}}}]"#);
        let policy = registry
            .parse_json(&json)
            .map_err(|error| error.to_string())?;
        let config = policy.config().downcast_ref::<LeastRequestConfig>();
        Ok(config.expect("its config").choice_count())
    }

    #[test]
    fn the_choice_count_is_two_to_ten() {
        for (json, expected) in [
            ("{}", 2),
            (r#"{"of the future": 1}"#, 2),
            (r#"{"choiceCount": null}"#, 2),
            (r#"{"choiceCount": 2}"#, 2),
            (r#"{"choiceCount": "3"}"#, 3),
            (r#"{"choiceCount": 10}"#, 10),
            (r#"{"choiceCount": 11}"#, 10),
            (r#"{"choiceCount": 4294967296}"#, 10),
        ] {
            assert_eq!(parse(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn an_error_in_a_config_names_its_path() {
        let path = "[0].least_request_experimental";
        for (json, expected) in [
            ("[]", ": an object is expected, got a list"),
            (
                r#"{"choiceCount": 1}"#,
                ".choiceCount: at least 2 is expected, got 1",
            ),
            (
                r#"{"choiceCount": 0}"#,
                ".choiceCount: at least 2 is expected, got 0",
            ),
            (
                r#"{"choiceCount": -1}"#,
                ".choiceCount: a whole number of at least 0 is expected, got -1",
            ),
            (
                r#"{"choiceCount": true}"#,
                ".choiceCount: a whole number of at least 0 is expected, got true",
            ),
        ] {
            assert_eq!(parse(json), Err(format!("{path}{expected}")), "{json}");
        }
    }
}
