/// What places an endpoint on the ring of `ring_hash`: an [attribute](super::Attributes) of an
/// [`Endpoint`](super::Endpoint). Without it, or when it is empty, that is the endpoint's first
/// address. With it a backend keeps its place when its address changes.
///
/// Source: gRFC A76; grpc-go's package `resolver/ringhash`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointHashKey(pub String);
