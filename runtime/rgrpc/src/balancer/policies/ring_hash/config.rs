//! The config of `ring_hash_experimental`, parsed with the service config or made by a resolver.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The maximum ring size in a config.
const MAX_RING_SIZE: u32 = 8 * 1024 * 1024;

/// The config of `ring_hash_experimental`.
///
/// ```
/// use std::sync::Arc;
///
/// use rgrpc::balancer::{PolicyConfig, RingHashBuilder, RingHashConfig};
///
/// let config = RingHashConfig::new().with_ring_size(16, 64)?;
/// let policy = PolicyConfig::new(Arc::new(RingHashBuilder::new()), Arc::new(config));
/// # Ok::<(), rgrpc::ServiceConfigError>(())
/// ```
///
/// Source: gRFC A42, `RingHashLoadBalancingConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingHashConfig {
    pub(super) ring_size: RangeInclusive<u32>,
    /// The metadata key whose value is hashed, in lower case.
    pub(super) request_hash_header: Option<Arc<str>>,
}

/// A ring of 1024 to 4096 entries, and calls that have a [`RequestHash`](super::RequestHash).
impl Default for RingHashConfig {
    fn default() -> Self {
        Self {
            ring_size: 1024..=4096,
            request_hash_header: None,
        }
    }
}

impl RingHashConfig {
    /// Creates the default config.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the minimum and the maximum number of entries of the ring. Default: 1024 and 4096.
    ///
    /// # Errors
    /// A size is not in the range from 1 to 8,388,608, or the minimum is more than the maximum. The
    /// error names the field of the JSON config.
    pub fn with_ring_size(mut self, min: u32, max: u32) -> Result<Self, ServiceConfigError> {
        for (name, size) in [("minRingSize", min), ("maxRingSize", max)] {
            if !(1..=MAX_RING_SIZE).contains(&size) {
                return Err(ServiceConfigError::new(
                    name,
                    format!("1 to {MAX_RING_SIZE} is expected, got {size}"),
                ));
            }
        }
        if min > max {
            return Err(ServiceConfigError::new(
                "minRingSize",
                min_over_max(min, max),
            ));
        }
        self.ring_size = min..=max;
        Ok(self)
    }

    /// Sets the metadata key whose value is hashed. Default: none, and the hash of a call is its
    /// [`RequestHash`](super::RequestHash).
    ///
    /// # Errors
    /// It is not a metadata key of a text value. The error names the field of the JSON config.
    pub fn with_request_hash_header(mut self, key: &str) -> Result<Self, ServiceConfigError> {
        let Some(name) = legal_header(key) else {
            return Err(ServiceConfigError::new(
                "requestHashHeader",
                format!("{LEGAL_HEADER} is expected, got {key:?}"),
            ));
        };
        self.request_hash_header = name;
        Ok(self)
    }

    /// Lowers both ring sizes to a maximum.
    pub(super) fn cap_ring_size(&mut self, cap: u32) {
        let (min, max) = (*self.ring_size.start(), *self.ring_size.end());
        self.ring_size = min.min(cap)..=max.min(cap);
    }

    /// Parses a config.
    pub(super) fn parse(config: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let min = ring_size(&config, "minRingSize", 1024)?;
        let max = ring_size(&config, "maxRingSize", 4096)?;
        if min > max {
            // Name a field that is present: the defaults do not conflict.
            let name = config
                .field("minRingSize")
                .map_or("maxRingSize", |_| "minRingSize");
            return Err(config.required(name)?.error(min_over_max(min, max)));
        }
        Ok(Self {
            ring_size: min..=max,
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
    legal_header(header.text()?).ok_or_else(|| header.expected(LEGAL_HEADER))
}

const LEGAL_HEADER: &str = "a metadata key of 0-9 a-z _ - . that does not end in -bin";

/// A metadata key in lower case; an empty one means none. `None` if it is illegal.
fn legal_header(name: &str) -> Option<Option<Arc<str>>> {
    let name = name.to_ascii_lowercase();
    let legal = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.');
    if !name.bytes().all(legal) || name.ends_with("-bin") {
        return None;
    }
    Some(Some(name).filter(|name| !name.is_empty()).map(Arc::from))
}

fn min_over_max(min: u32, max: u32) -> String {
    format!("the minimum ring size, {min}, is more than the maximum, {max}")
}
