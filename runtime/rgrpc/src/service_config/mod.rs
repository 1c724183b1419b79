//! A service config: what a service's owner says about how clients are to call it, as JSON.
//!
//! Parsed when a channel is made and when its resolver finds one; the channel's calls look their
//! method up in it. What is read of it: `methodConfig`, `retryThrottling`, `loadBalancingConfig`,
//! `loadBalancingPolicy`, `connectionScaling` and `healthCheckConfig`. Other fields are ignored, as
//! fields of the future have to be, and [reported](FieldLog), as misspelled ones should be.
//!
//! Source: `doc/service_config.md` and `service_config.proto` of the gRPC documents, gRFC A6 for
//! retries and hedging; grpc-go's `service_config.go` for what is invalid.

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
pub(crate) use hedging::HedgingPolicy;
pub(crate) use json::parse as parse_json;
pub use json::{ConfigObject, ConfigValue};
pub(crate) use method::AttemptPolicy;
pub use method::MethodConfig;
pub(crate) use methods::MethodConfigs;
pub(crate) use retry::{RetryPolicy, RetryThrottling};

const LOAD_BALANCING: &str = "loadBalancingConfig";

/// A service config.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceConfig {
    pub(crate) methods: MethodConfigs,
    pub(crate) retry_throttling: Option<RetryThrottling>,
    /// The list of policies, which those who know the policies read.
    load_balancing: Option<Value>,
    load_balancing_policy: Option<String>,
    /// How many connections there may be to an address; `None`: the config does not say.
    pub(crate) max_connections_per_subchannel: Option<u32>,
    /// `healthCheckConfig.serviceName`: whose health backends are asked for, if anybody's.
    pub(crate) health_service: Option<String>,
}

impl ServiceConfig {
    /// Parses and checks a document. An error in any part of it refuses the whole.
    #[cfg(test)]
    pub(crate) fn parse(json: &str) -> Result<Self, ServiceConfigError> {
        Self::parse_logged(json, &FieldLog::default())
    }

    /// Parses and checks a document, and notes what is read of it. An error in any part of it
    /// refuses the whole.
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

    /// `loadBalancingConfig`. The log notes what is read of it.
    pub(crate) fn load_balancing(&self, log: &FieldLog) -> Option<ConfigValue<'_>> {
        let list = self.load_balancing.as_ref()?;
        Some(ConfigValue::at(LOAD_BALANCING, list, log))
    }

    /// `loadBalancingPolicy`, which is what there was before, in lower case; `pick_first` when it
    /// is absent.
    pub(crate) fn load_balancing_policy(&self) -> &str {
        self.load_balancing_policy
            .as_deref()
            .unwrap_or("pick_first")
    }
}

/// `connectionScaling`. Source: gRFC A105.
fn max_connections(scaling: &ConfigValue<'_>) -> Result<Option<u32>, ServiceConfigError> {
    let Some(max) = scaling.object()?.field("maxConnectionsPerSubchannel") else {
        return Ok(None);
    };
    let number = max.whole_number()?;
    match u32::try_from(number) {
        // Zero is what protobuf takes for absent.
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(max.expected("a number of 32 bits")),
    }
}

/// The service that a `healthCheckConfig` names; the empty name is one. Source: gRFC A17.
fn health_service(config: &ConfigValue<'_>) -> Result<Option<String>, ServiceConfigError> {
    let name = config.object()?.field("serviceName");
    name.map(|name| name.text().map(str::to_owned)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_configured_is_absent() {
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
    fn an_error_names_the_path_of_the_field_and_what_is_wrong() {
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
    fn the_service_whose_health_is_asked_for_may_be_the_empty_one() {
        for name in ["", "a.B"] {
            let json = format!(r#"{{"healthCheckConfig": {{"serviceName": "{name}"}}}}"#);
            let config = ServiceConfig::parse(&json).expect("valid");
            assert_eq!(config.health_service.as_deref(), Some(name));
        }
    }

    #[test]
    fn a_document_nested_without_end_is_an_error() {
        let json = "[".repeat(1_000_000);
        let error = ServiceConfig::parse(&json).expect_err("nested").to_string();
        assert!(error.contains("recursion limit"), "{error}");
    }
}
