//! The result of name resolution: endpoints, a service config, attributes.
//!
//! Created by resolvers; read by the channel's task, which passes it on to the policy.

use super::{Attributes, ResolverError};
use crate::extensions::Extensions;
use crate::io::Address;

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
    pub service_config: Option<Result<String, ResolverError>>,
    /// Values for balancing policies and for the channel, by their types. A policy reads them from
    /// its [update](crate::balancer::BalancerUpdate::attributes).
    ///
    /// Source: grpc-go `resolver.State.Attributes`.
    pub attributes: Extensions,
}

impl ResolverState {
    /// Creates a result with these endpoints and no service config.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            service_config: None,
            attributes: Extensions::new(),
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

    /// Sets the attribute of this type.
    #[must_use]
    pub fn with_attribute<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.attributes.insert(value);
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
    /// Attributes for balancing policies. Handshakes do not see them, and a change of them alone
    /// makes no new connection.
    ///
    /// Source: grpc-go `resolver.Endpoint.Attributes`.
    pub attributes: Attributes,
    /// Attributes of the connections to all addresses of the backend, such as the identity that it
    /// must prove. Pickers see them on the [`SubConn`](crate::balancer::SubConn::attributes), and
    /// security handshakes in
    /// [`ClientHandshakeInfo::attributes`](crate::credentials::ClientHandshakeInfo::attributes).
    /// When they change, `pick_first`, and every policy that uses it for its endpoints, connects
    /// again.
    ///
    /// Source: grpc-go `resolver.Address.Attributes`.
    pub connection_attributes: Attributes,
    /// The attributes of the connections to single addresses.
    address_attributes: Vec<(Address, Attributes)>,
}

impl Endpoint {
    /// Creates an endpoint with these addresses.
    #[must_use]
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            ..Self::default()
        }
    }

    /// Sets the attributes for balancing policies. They replace the earlier ones.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the attributes of the connections to all addresses. They replace the earlier ones.
    #[must_use]
    pub fn with_connection_attributes(mut self, attributes: Attributes) -> Self {
        self.connection_attributes = attributes;
        self
    }

    /// Adds attributes of the connections to one address. They replace those of the same types that
    /// the connections to all addresses have.
    #[must_use]
    pub fn with_address_attributes(mut self, address: Address, attributes: Attributes) -> Self {
        self.address_attributes.push((address, attributes));
        self
    }

    /// The attributes of the connections to an address of this endpoint: those for all addresses
    /// and its own.
    #[must_use]
    pub fn attributes_of(&self, address: &Address) -> Attributes {
        let own = self.address_attributes.iter();
        own.filter(|(other, _)| other == address)
            .fold(self.connection_attributes.clone(), |all, (_, own)| {
                all.merge(own)
            })
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self::new(vec![address])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_attributes_of_all_addresses_and_its_own() {
        let name = |name: &str| Address::Name(name.to_owned());
        let endpoint = Endpoint::new(vec![name("a"), name("b")])
            .with_connection_attributes(Attributes::new().with(1_u8).with(1_u16))
            .with_address_attributes(name("b"), Attributes::new().with(2_u8));
        let all = Attributes::new().with(1_u8).with(1_u16);
        assert_eq!(endpoint.attributes_of(&name("a")), all);
        assert_eq!(endpoint.attributes_of(&name("b")), all.with(2_u8));
        assert!(
            Endpoint::from(name("a"))
                .attributes_of(&name("a"))
                .is_empty()
        );
    }
}
