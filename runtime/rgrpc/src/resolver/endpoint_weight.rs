//! The attribute by which a resolver gives a backend its weight.
//!
//! Read by `pick_first`, `ring_hash` and users' policies, on the channel's task.

use super::Endpoint;

/// The weight of a backend, relative to the others: an [attribute](super::Attributes) of its
/// endpoint, for policies that use weights. Default: 1.
///
/// ```
/// use rgrpc::io::Address;
/// use rgrpc::resolver::{Attributes, Endpoint, EndpointWeight};
///
/// let backend = Endpoint::from(Address::Name("large:50051".to_owned()))
///     .with_attributes(Attributes::new().with(EndpointWeight(3)));
/// assert_eq!(EndpointWeight::of(&backend), 3);
/// ```
///
/// Source: grpc-go's package `experimental/balancer/weight`; gRFCs A42 and A113.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointWeight(pub u32);

impl EndpointWeight {
    /// The weight of an endpoint. 1 if it has no such attribute or the weight 0.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> u32 {
        let weight = endpoint.attributes.get().map_or(1, |Self(weight)| *weight);
        weight.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attributes;
    use super::*;

    #[test]
    fn a_weight_is_at_least_one() {
        let endpoint = |attributes| Endpoint::new(Vec::new()).with_attributes(attributes);
        let weighing = |weight| endpoint(Attributes::new().with(EndpointWeight(weight)));
        assert_eq!(EndpointWeight::of(&endpoint(Attributes::new())), 1);
        assert_eq!(EndpointWeight::of(&weighing(0)), 1);
        assert_eq!(EndpointWeight::of(&weighing(7)), 7);
        assert_eq!(EndpointWeight::of(&weighing(u32::MAX)), u32::MAX);
    }
}
