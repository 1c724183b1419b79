//! The service config of a channel: the one that holds, and its parts that concern calls.
//!
//! The channel's task chooses a config; calls read their part of it from the
//! [`PickerSlot`](super::connectivity::PickerSlot).

mod call_config;
mod retry_throttle;
mod selector;
mod service_configs;

pub(super) use self::call_config::{
    CallConfig, DEFAULT_MAX_CALL_ATTEMPTS, DEFAULT_MAX_TRANSPARENT_RETRIES, Retries,
};
pub(super) use self::retry_throttle::RetryThrottle;
pub(super) use self::service_configs::ServiceConfigs;
