use super::Attributes;
use crate::io::Address;
use crate::status::Status;

/// The result of name resolution.
///
/// Source: grpc-go `resolver.State`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResolverState {
    /// The endpoints, in order of preference. The channel's balancing policy decides what an empty
    /// list means; for the built-in policies it is an error.
    pub endpoints: Vec<Endpoint>,
    /// The service config, as JSON. `None`: the target has none, and the channel's default service
    /// config applies. An error: the service config could not be read.
    pub service_config: Option<Result<String, Status>>,
}

impl ResolverState {
    /// Creates a result with these endpoints and no service config.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            service_config: None,
        }
    }

    /// Creates a result with one endpoint for each address and no service config.
    #[must_use]
    pub fn of_addresses(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self::new(addresses.into_iter().map(Endpoint::from).collect())
    }

    /// Sets the service config.
    #[must_use]
    pub fn with_service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(Ok(json.into()));
        self
    }
}

/// One backend, with one or more addresses.
///
/// Source: gRFC A61; grpc-go `resolver.Endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The addresses of the backend; at least one.
    pub addresses: Vec<Address>,
    /// Attributes for balancing policies. Handshakes do not see them, and a change of them alone makes
    /// no new connection.
    pub attributes: Attributes,
    /// Attributes for the security handshakes of the connections to the backend, such as the identity
    /// that it must prove: see
    /// [`ClientHandshakeInfo::attributes`](crate::credentials::ClientHandshakeInfo::attributes). When
    /// they change, `pick_first`, and every policy that uses it for its endpoints, connects again.
    ///
    /// Source: grpc-go `resolver.Address.Attributes`.
    pub connection_attributes: Attributes,
}

impl Endpoint {
    /// Creates an endpoint with these addresses.
    #[must_use]
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            attributes: Attributes::new(),
            connection_attributes: Attributes::new(),
        }
    }

    /// Sets the attributes for balancing policies. They replace the earlier ones.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the attributes for security handshakes. They replace the earlier ones.
    #[must_use]
    pub fn with_connection_attributes(mut self, attributes: Attributes) -> Self {
        self.connection_attributes = attributes;
        self
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self::new(vec![address])
    }
}
