//! The attribute by which a resolver places an endpoint on the ring of `ring_hash`.

/// The key of an endpoint on the ring of `ring_hash`: an [attribute](super::Attributes) of an
/// [`Endpoint`](super::Endpoint).
///
/// With a key, a backend keeps its place on the ring when its address changes. Default, also for an
/// empty key: the endpoint's first address.
///
/// Source: gRFC A76; grpc-go's package `resolver/ringhash`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointHashKey(pub String);
