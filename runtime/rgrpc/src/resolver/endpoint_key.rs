//! The identity of an endpoint across updates.
//!
//! Used by policies that keep state for each endpoint, on the channel's task.

use super::Endpoint;
use crate::io::Address;

/// The identity of an endpoint: the set of its addresses. The order, duplicates and attributes do
/// not count.
///
/// Source: gRFC A61; grpc-go `resolver.EndpointMap`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey(Vec<Address>);

impl EndpointKey {
    /// The addresses, sorted and without duplicates.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.0
    }
}

impl From<&Endpoint> for EndpointKey {
    fn from(endpoint: &Endpoint) -> Self {
        let mut addresses = endpoint.addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        Self(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attributes;
    use super::*;

    fn key(names: &[&str]) -> EndpointKey {
        let addresses = names.iter().map(|name| Address::Name((*name).to_owned()));
        EndpointKey::from(&Endpoint::new(addresses.collect()))
    }

    #[test]
    fn endpoints_are_equal_if_their_sets_of_addresses_are() {
        for (one, other, same) in [
            (&["a"][..], &["a"][..], true),
            (&["a", "b"], &["b", "a"], true),
            (&["a", "b", "a"], &["b", "a"], true),
            (&["a", "b"], &["a"], false),
            (&["a"], &["b"], false),
            (&[], &[], true),
        ] {
            assert_eq!(key(one) == key(other), same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn attributes_do_not_change_the_key() {
        let plain = Endpoint::from(Address::Pipe);
        let heavy = plain.clone().with_attributes(Attributes::new().with(7_u8));
        assert_eq!(EndpointKey::from(&plain), EndpointKey::from(&heavy));
    }
}
