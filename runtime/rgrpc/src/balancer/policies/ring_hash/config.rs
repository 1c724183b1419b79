use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The maximum ring size in a config.
const MAX_RING_SIZE: u32 = 8 * 1024 * 1024;

/// The config of `ring_hash_experimental`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RingHashConfig {
    pub(super) ring_size: RangeInclusive<u32>,
    /// The metadata key whose value is hashed, in lower case.
    pub(super) request_hash_header: Option<Arc<str>>,
}

impl RingHashConfig {
    /// Parses a config. `cap` limits both ring sizes.
    pub(super) fn parse(config: &ConfigValue<'_>, cap: u32) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let min = ring_size(&config, "minRingSize", 1024)?;
        let max = ring_size(&config, "maxRingSize", 4096)?;
        if min > max {
            // Name a field that is present: the defaults do not conflict.
            let name = config
                .field("minRingSize")
                .map_or("maxRingSize", |_| "minRingSize");
            return Err(config.required(name)?.error(format!(
                "the minimum ring size, {min}, is more than the maximum, {max}"
            )));
        }
        Ok(Self {
            ring_size: min.min(cap)..=max.min(cap),
            request_hash_header: match config.field("requestHashHeader") {
                Some(header) => parse_header(&header)?,
                None => None,
            },
        })
    }
}

/// Parses a ring size. 0 means the default.
fn ring_size(
    config: &ConfigObject<'_>,
    name: &str,
    default: u32,
) -> Result<u32, ServiceConfigError> {
    match config.field(name) {
        Some(size) => Ok(match size.whole_number_up_to(MAX_RING_SIZE)? {
            0 => default,
            size => size,
        }),
        None => Ok(default),
    }
}

/// Parses a metadata key. An empty one means none.
fn parse_header(header: &ConfigValue<'_>) -> Result<Option<Arc<str>>, ServiceConfigError> {
    let name = header.text()?.to_ascii_lowercase();
    let legal = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.');
    if !name.bytes().all(legal) || name.ends_with("-bin") {
        return Err(header.expected("a metadata key of 0-9 a-z _ - . that does not end in -bin"));
    }
    Ok(Some(name).filter(|name| !name.is_empty()).map(Arc::from))
}
