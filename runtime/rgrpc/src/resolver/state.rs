use super::Attributes;
use crate::io::Address;
use crate::status::Status;

/// What a resolver has found out about a target.
///
/// Source: grpc-go `resolver.State`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResolverState {
    /// The backends, in order of preference. A channel's policy decides what an empty list means;
    /// the ones that are built in take it for an error.
    pub endpoints: Vec<Endpoint>,
    /// The service config, as JSON: `None` when the target has none, in which case the channel's
    /// default one holds; an error when there may be one that could not be had.
    pub service_config: Option<Result<String, Status>>,
}

impl ResolverState {
    /// These backends, and no service config.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            service_config: None,
        }
    }

    /// A backend for each of these addresses, and no service config.
    #[must_use]
    pub fn of_addresses(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self::new(addresses.into_iter().map(Endpoint::from).collect())
    }

    /// With this service config.
    #[must_use]
    pub fn with_service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(Ok(json.into()));
        self
    }
}

/// A backend: one server, which may have several addresses.
///
/// Source: gRFC A61; grpc-go `resolver.Endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Where it can be reached; at least one.
    pub addresses: Vec<Address>,
    /// What policies may want to know of it.
    pub attributes: Attributes,
}

impl Endpoint {
    /// A backend with these addresses.
    #[must_use]
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            attributes: Attributes::new(),
        }
    }

    /// With these attributes, in place of those that it had.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self::new(vec![address])
    }
}
