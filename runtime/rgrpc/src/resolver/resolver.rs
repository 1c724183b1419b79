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
    /// has nothing more to say: what it found last holds until then. One that ends before it has
    /// said anything fails the calls that do not wait for ready, as an
    /// [error](ResolverControl::error) does. A panic is an end as well, and the resolver is built
    /// and run again after a wait as between [attempts to
    /// connect](crate::ClientConnBuilder::connect_backoff).
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture;
}

/// What [`Resolver::run`] returns.
pub type ResolverFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
