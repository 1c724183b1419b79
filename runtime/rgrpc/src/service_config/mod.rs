//! Service configs: JSON documents in which the owner of a service configures its clients.
//!
//! A service config is parsed when a channel is built, on the user's task, and when its resolver
//! finds one, on the channel's task. The channel's calls look up their method in it. The used
//! fields are `methodConfig`, `retryThrottling`, `loadBalancingConfig`, `loadBalancingPolicy`,
//! `connectionScaling` and `healthCheckConfig`. Other fields are ignored, because later versions of
//! gRPC add fields, and [reported](FieldLog), because they may be misspelled.
//!
//! `methods` has the table of methods, `method` the config of one, `retry` and `hedging` its
//! policies. `json` and `duration` are the parser.
//!
//! Source: `doc/service_config.md` and `service_config.proto` of the gRPC documents; gRFC A6 for
//! retries and hedging; grpc-go's `service_config.go` for invalid configs.

mod duration;
mod error;
mod field_log;
mod hedging;
mod json;
mod method;
mod methods;
mod retry;

pub use error::ServiceConfigError;
use serde_json::Value;

pub(crate) use field_log::FieldLog;
pub use hedging::HedgingPolicy;
pub(crate) use json::parse as parse_json;
pub use json::{ConfigObject, ConfigValue};
pub(crate) use method::AttemptPolicy;
pub use method::MethodConfig;
pub(crate) use methods::MethodConfigs;
pub use retry::RetryPolicy;
pub(crate) use retry::RetryThrottling;

const LOAD_BALANCING: &str = "loadBalancingConfig";

/// A service config.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceConfig {
    pub(crate) methods: MethodConfigs,
    pub(crate) retry_throttling: Option<RetryThrottling>,
    /// The list of policies. The balancer registry parses it, because it knows the policies.
    load_balancing: Option<Value>,
    load_balancing_policy: Option<String>,
    /// The maximum number of connections of a subchannel. `None`: the config does not set it.
    pub(crate) max_connections_per_subchannel: Option<u32>,
    /// The service whose health is checked (`healthCheckConfig.serviceName`). `None`: no health
    /// checks.
    pub(crate) health_service: Option<String>,
}

impl ServiceConfig {
    /// Parses and validates a document. An error in any field rejects the whole document.
    #[cfg(test)]
    pub(crate) fn parse(json: &str) -> Result<Self, ServiceConfigError> {
        Self::parse_logged(json, &FieldLog::default())
    }

    /// Parses and validates a document. `log` records the fields that are read. An error in any
    /// field rejects the whole document.
    pub(crate) fn parse_logged(json: &str, log: &FieldLog) -> Result<Self, ServiceConfigError> {
        let document = json::parse(json)?;
        let config = ConfigValue::at("", &document, log).object()?;
        Ok(Self {
            methods: MethodConfigs::parse(config.field("methodConfig"))?,
            retry_throttling: config
                .field("retryThrottling")
                .map(|throttling| RetryThrottling::parse(&throttling))
                .transpose()?,
            load_balancing: config
                .field(LOAD_BALANCING)
                .map(|list| list.value().clone()),
            load_balancing_policy: config
                .field("loadBalancingPolicy")
                .map(|name| name.text().map(str::to_ascii_lowercase))
                .transpose()?,
            health_service: config
                .field("healthCheckConfig")
                .map(|config| health_service(&config))
                .transpose()?
                .flatten(),
            max_connections_per_subchannel: config
                .field("connectionScaling")
                .map(|scaling| max_connections(&scaling))
                .transpose()?
                .flatten(),
        })
    }

    /// The field `loadBalancingConfig`. `log` records the fields that are read.
    pub(crate) fn load_balancing(&self, log: &FieldLog) -> Option<ConfigValue<'_>> {
        let list = self.load_balancing.as_ref()?;
        Some(ConfigValue::at(LOAD_BALANCING, list, log))
    }

    /// The field `loadBalancingPolicy` in lower case, the predecessor of `loadBalancingConfig`.
    /// Default: `pick_first`.
    pub(crate) fn load_balancing_policy(&self) -> &str {
        self.load_balancing_policy
            .as_deref()
            .unwrap_or("pick_first")
    }
}

/// Parses `connectionScaling`. Source: gRFC A105.
fn max_connections(scaling: &ConfigValue<'_>) -> Result<Option<u32>, ServiceConfigError> {
    let Some(max) = scaling.object()?.field("maxConnectionsPerSubchannel") else {
        return Ok(None);
    };
    let number = max.whole_number()?;
    match u32::try_from(number) {
        // In protobuf, 0 means absent.
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(max.expected("a number of 32 bits")),
    }
}

/// Parses `healthCheckConfig`. The name of the service may be empty. Source: gRFC A17.
fn health_service(config: &ConfigValue<'_>) -> Result<Option<String>, ServiceConfigError> {
    let name = config.object()?.field("serviceName");
    name.map(|name| name.text().map(str::to_owned)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_none() {
        for json in [
            "{}",
            r#"{"methodConfig": []}"#,
            r#"{"methodConfig": null, "retryThrottling": null}"#,
            r#"{"loadBalancingConfig": null, "of the future": 1}"#,
            r#"{"healthCheckConfig": null}"#,
            r#"{"healthCheckConfig": {}}"#,
            r#"{"healthCheckConfig": {"serviceName": null, "of the future": 1}}"#,
        ] {
            let config = ServiceConfig::parse(json).expect(json);
            assert_eq!(config, ServiceConfig::default(), "{json}");
        }
    }

    #[test]
    fn an_error_names_the_path_and_the_problem() {
        for (json, expected) in [
            ("", "the service config is not JSON: EOF"),
            ("{", "the service config is not JSON: EOF"),
            ("{} {}", "the service config is not JSON: trailing"),
            ("[]", "an object is expected, got a list"),
            (
                r#"{"connectionScaling": {"maxConnectionsPerSubchannel": -1}}"#,
                "connectionScaling.maxConnectionsPerSubchannel: a whole number of at least 0 is \
                 expected, got -1",
            ),
            (
                r#"{"methodConfig": {}}"#,
                "methodConfig: a list is expected, got an object",
            ),
            (
                r#"{"methodConfig": [{"name": [{}]}, 1]}"#,
                "methodConfig[1]: an object is expected, got 1",
            ),
            (
                r#"{"retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}"#,
                "retryThrottling.maxTokens: more than 0 and at most 1000 is expected, got 0",
            ),
            (
                r#"{"healthCheckConfig": "a.B"}"#,
                "healthCheckConfig: an object is expected, got \"a.B\"",
            ),
            (
                r#"{"healthCheckConfig": {"serviceName": 1}}"#,
                "healthCheckConfig.serviceName: a string is expected, got 1",
            ),
        ] {
            let error = ServiceConfig::parse(json).expect_err(json).to_string();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn the_service_of_a_health_check_may_be_empty() {
        for name in ["", "a.B"] {
            let json = format!(r#"{{"healthCheckConfig": {{"serviceName": "{name}"}}}}"#);
            let config = ServiceConfig::parse(&json).expect("valid");
            assert_eq!(config.health_service.as_deref(), Some(name));
        }
    }

    #[test]
    fn a_document_that_is_nested_too_deeply_is_an_error() {
        let json = "[".repeat(1_000_000);
        let error = ServiceConfig::parse(&json).expect_err("nested").to_string();
        assert!(error.contains("recursion limit"), "{error}");
    }
}
