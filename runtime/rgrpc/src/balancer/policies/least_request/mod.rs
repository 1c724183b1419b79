//! `least_request_experimental`: connects to every endpoint, and sends each call to the endpoint
//! with the fewest calls of a few random ones.
//!
//! Source: gRFC A48; grpc-go's package `leastrequest`.

mod config;
mod picker;
#[cfg(test)]
mod tests;

pub use config::LeastRequestConfig;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use self::picker::{LeastRequestPicker, OutstandingCalls};
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerRegistry, BalancerUpdate, BaseBalancer,
    ChannelControl, EndpointChild, EndpointId, Picker, PickerBuilder,
};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `least_request_experimental`: of a few random endpoints, each call uses the
/// one with the fewest outstanding calls of this channel.
///
/// ```json
/// {"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 3}}]}
/// ```
///
/// [`LeastRequestConfig`] documents the fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRequestBuilder;

impl BalancerBuilder for LeastRequestBuilder {
    fn name(&self) -> &str {
        "least_request_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(LeastRequestConfig::parse(config)?))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(LeastRequest::default()))
    }
}

#[derive(Default)]
struct LeastRequest {
    config: LeastRequestConfig,
    /// The outstanding calls of each READY endpoint. They outlive pickers.
    calls: HashMap<EndpointId, OutstandingCalls>,
}

impl PickerBuilder for LeastRequest {
    fn update(&mut self, update: &BalancerUpdate) -> Result<(), Status> {
        self.config = *update.config()?;
        Ok(())
    }

    fn build(
        &mut self,
        ready: &[&EndpointChild],
        _control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker> {
        // An endpoint that was not READY has a new connection without calls.
        let mut old = std::mem::take(&mut self.calls);
        let endpoints = ready.iter().map(|child| {
            let calls = old.remove(&child.id()).unwrap_or_default();
            self.calls.insert(child.id(), calls.clone());
            (Arc::clone(child.picker()), calls)
        });
        let endpoints = endpoints.collect();
        Arc::new(LeastRequestPicker::new(
            self.config.choice_count(),
            endpoints,
        ))
    }
}
