//! Resolvers whose result never changes.
//!
//! Used by the schemes with addresses in their targets, and by users.

use super::{
    Endpoint, Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture,
    ResolverOptions, ResolverState, Target,
};

/// A resolver with a fixed result, which it reports once. For builders whose targets contain all
/// addresses.
#[derive(Clone, Debug)]
pub struct StaticResolver {
    state: ResolverState,
}

impl StaticResolver {
    /// Creates a resolver of these endpoints and no service config.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self::of_state(ResolverState::new(endpoints))
    }

    /// Creates a resolver with this result.
    #[must_use]
    pub fn of_state(state: ResolverState) -> Self {
        Self { state }
    }
}

impl Resolver for StaticResolver {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            // There is no other result.
            let _ = control.update(self.state).await;
        })
    }
}

/// Builds resolvers with the same fixed result for every target of a scheme.
///
/// ```
/// use std::net::SocketAddr;
///
/// use rgrpc::io::Address;
/// use rgrpc::resolver::{Endpoint, StaticResolverBuilder};
///
/// let backends = ["10.0.0.1:50051", "10.0.0.2:50051"]
///     .map(|address| Endpoint::from(Address::Tcp(address.parse().expect("an address"))));
/// let conn = rgrpc::ClientConn::builder("shop:///orders", rgrpc::credentials::insecure())
///     .resolver(StaticResolverBuilder::new("shop", backends.into()))
///     .build()?;
/// # Ok::<(), rgrpc::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticResolverBuilder {
    scheme: String,
    resolver: StaticResolver,
}

impl StaticResolverBuilder {
    /// Creates a builder of a scheme with these endpoints.
    #[must_use]
    pub fn new(scheme: impl Into<String>, endpoints: Vec<Endpoint>) -> Self {
        Self::of_state(scheme, ResolverState::new(endpoints))
    }

    /// Creates a builder of a scheme with this result.
    #[must_use]
    pub fn of_state(scheme: impl Into<String>, state: ResolverState) -> Self {
        Self {
            scheme: scheme.into(),
            resolver: StaticResolver::of_state(state),
        }
    }
}

impl ResolverBuilder for StaticResolverBuilder {
    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, ResolverError> {
        Ok(Box::new(self.resolver.clone()))
    }
}
