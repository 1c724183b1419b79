use std::future::Future;
use std::pin::Pin;

use super::ResolverControl;

/// Finds the backends of a target, and goes on watching them, for a channel.
///
/// Source: grpc-go `resolver.Resolver`.
pub trait Resolver: Send + 'static {
    /// Resolves: gives the channel what it finds, and again whenever it finds something else.
    ///
    /// The future is a task of its own, dropped when the channel closes or goes idle. One that ends
    /// has nothing more to say: what it found last holds until then. One that ends, or panics, before
    /// it has said anything fails the calls that do not wait for ready, as an
    /// [error](ResolverControl::error) does.
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture;
}

/// What [`Resolver::run`] returns.
pub type ResolverFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
